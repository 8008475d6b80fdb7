"""Send what a plan lacks on the server."""
