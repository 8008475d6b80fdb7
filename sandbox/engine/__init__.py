"""Run pipeline descriptors as XNAT's classic engine does."""

from .runner import run

__all__ = ["run"]
