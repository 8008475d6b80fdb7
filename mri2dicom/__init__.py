"""Vendor raw data to DICOM; no network and no window.

`read` gives the series of a study, `convert` writes them as DICOM, `inspect` tells what is there.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conversion import convert
    from .dicom.header import Overrides
    from .overview import inspect, read
    from .report import ConversionReport

__all__ = ["ConversionReport", "Overrides", "convert", "inspect", "read"]

_HOMES = {
    "convert": "conversion",  # a module of the same name would hide the function
    "inspect": "overview",
    "read": "overview",
    "ConversionReport": "report",
    "Overrides": "dicom.header",
}


def __getattr__(name: str) -> Any:
    """Load public names when they are asked for, so that a command starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
