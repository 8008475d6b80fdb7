"""Maps, regions and reports from the images in XNAT."""
