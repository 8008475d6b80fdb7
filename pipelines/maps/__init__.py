"""One map from a folder of images to a folder of results."""
