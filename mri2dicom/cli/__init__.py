"""The command ``mri2dicom``."""

from .commands import main

__all__ = ["main"]
