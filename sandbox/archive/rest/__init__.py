"""The REST addresses, one module for each part; each has a list called `routes`."""
