"""What can go wrong with a plan and its rows; all other kinds are those of `xnat_pic.errors`."""

from __future__ import annotations

from xnat_pic.errors import WrongCallError, XnatPicError


class PlanError(WrongCallError):
    """The plan cannot be read or contradicts itself: correct it, or scan again."""


class RowError(XnatPicError):
    """One session cannot go on: its reason goes into the report, the others go on.

    Parameters
    ----------
    code : str
        Stable short name, as in `uploader.findings.Finding`.
    """

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
