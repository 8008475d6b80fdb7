"""Images as volumes: planes in their places, one axis of samples, tolerances in one table."""
