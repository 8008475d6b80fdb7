"""What can go wrong in a map and is no kind of error of the whole suite."""

from __future__ import annotations

from xnat_pic.errors import CancelledError, NothingUsableError


class ModelInputError(NothingUsableError):
    """The numbers given to a model cannot be right: correct the protocol values or the images."""


class StoppedError(CancelledError):
    """A run was asked to end before it was done."""

    exit_code = 130  # as a shell tells of a program that was stopped
