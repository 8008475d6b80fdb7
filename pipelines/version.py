"""The version of the installed suite."""

from importlib import metadata


def version() -> str:
    """Return the version; ``0`` when run from a copy that was never installed."""
    try:
        return metadata.version("xnat-pic")
    except metadata.PackageNotFoundError:
        return "0"
