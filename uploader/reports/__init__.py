"""Reports of an upload."""
