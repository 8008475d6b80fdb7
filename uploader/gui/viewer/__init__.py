"""Look at a series: slices, steps, window, orientation, header."""
