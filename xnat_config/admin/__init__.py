"""Install what this suite needs into an XNAT, look at it, and take it away again."""
