"""From images to a fitted map, every kind by its method."""
