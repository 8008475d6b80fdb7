"""Bruker ParaVision."""
