"""Readers of vendor formats."""
