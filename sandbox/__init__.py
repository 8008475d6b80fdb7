"""Try the suite without a scanner or a server."""
