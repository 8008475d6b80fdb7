"""Run a conversion: read, encode, write aside, rename, report."""
