"""Regions drawn on an image: read them, put them on its grid, carry them to a map.

The way of the data: `volume.read_image` gives the grid of the image, `readers.read_regions` the
drawings, `rasterize.rasterize` the mask of each on that grid, `transfer.transfer` its share of
every voxel of another grid.
"""
