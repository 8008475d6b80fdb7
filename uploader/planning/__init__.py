"""The plan: made from a scan, named, checked, kept as a file, with its journal."""
