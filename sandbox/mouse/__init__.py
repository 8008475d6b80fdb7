"""ParaVision studies of a mouse phantom with known truth."""
