"""The version of the installed suite."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def version(distribution: str = "xnat-pic") -> str:
    """Return a distribution's version; ``0`` in a copy that was never installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "0"
