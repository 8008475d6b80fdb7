"""Pipelines against an XNAT server: find, download, run, upload."""
