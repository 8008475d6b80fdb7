"""What the server has: read and, for variables, written."""
