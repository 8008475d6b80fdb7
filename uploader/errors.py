"""What can go wrong with a plan and its rows; all other kinds are those of `xnat_pic.errors`."""

from __future__ import annotations

from xnat_pic.errors import WrongCallError, XnatPicError
from xnat_pic.text import one_line


class PlanError(WrongCallError):
    """The plan cannot be read or contradicts itself: correct it, or scan again."""


def unexpected(error: Exception, what: str) -> RowError:
    """Return a fault that nobody foresaw as the reason of one row; the others go on."""
    return RowError(
        "fault",
        f"{what} met a fault of the program: {type(error).__name__}: {one_line(str(error), 300)}",
        hint="Run the same command again; if it comes back, report it with this text.",
    )


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
