"""The command ``xnat-pic-pipelines``: its options, and how it ends."""

from .root import main

__all__ = ["main"]
