"""The client of XNAT: connection, login, requests, listings, files. The only place that sends."""
