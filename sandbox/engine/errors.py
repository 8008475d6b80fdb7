"""What stops a run, in a sentence for the page of the run."""

from __future__ import annotations

from xnat_pic.errors import XnatPicError


class RunError(XnatPicError):
    """A descriptor, a step or the server does not let the run go on."""
