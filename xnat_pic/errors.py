"""One family of errors, sorted by what the person has to do about them.

Every error carries a message (what is wrong and where), the file or folder concerned, a hint (what
to do) and the exit code that a command ends with. Packages add kinds of their own below these.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from .text import one_line


class XnatPicError(Exception):
    """Base of all errors of the suite.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and where. Never a secret, never a full request address.
    path : Path, optional
        The file or folder concerned.
    hint : str, optional
        One sentence: what to do.

    Attributes
    ----------
    exit_code : int
        Status that a command ends with.
    """

    exit_code = 2

    def __init__(self, message: str, *, path: Path | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the error cross a process boundary with every field, whatever its constructor."""
        return (_rebuild, (type(self), self.args, self.__dict__))

    def sentence(self) -> str:
        """Return message and hint as one text for a person."""
        return f"{self.message} {self.hint}".strip()


def _rebuild(kind: type[XnatPicError], args: tuple[Any, ...], fields: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class WrongCallError(XnatPicError):
    """An option, a setting or a side file does not make sense: correct the call."""


class OutputError(XnatPicError):
    """The output cannot be written: free space, or choose another place."""


class NothingUsableError(XnatPicError):
    """The input holds nothing that can be used: choose another one."""

    exit_code = 3


class CorruptDataError(XnatPicError):
    """A file is damaged or contradicts itself: get a good copy of the data."""

    exit_code = 4


class LoginError(XnatPicError):
    """The server does not accept the login: log in again."""

    exit_code = 5


class ServerError(XnatPicError):
    """The server did not do what was asked.

    Parameters
    ----------
    status : int, optional
        HTTP status of its answer; 0 where there was no answer.
    """

    exit_code = 6

    def __init__(
        self, message: str, *, path: Path | None = None, hint: str = "", status: int = 0
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.status = status


class CancelledError(XnatPicError):
    """A person stopped the work; what is done stays, and the next run goes on."""

    exit_code = 8


_FULL = (errno.ENOSPC, errno.EDQUOT)


def describe(error: BaseException) -> str:
    """Return what an error says to a person: one printable line.

    Parameters
    ----------
    error : BaseException
        Of the suite: message and hint. Of the operating system: the file and the reason. Any other
        one: its kind and its text.
    """
    if isinstance(error, XnatPicError):
        text = error.sentence()
    elif isinstance(error, OSError) and error.errno in _FULL:
        text = f"{error.filename or 'A file'} cannot be written: the disk is full. Make room on it."
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    else:
        text = f"{type(error).__name__}: {error}"
    return one_line(text)


def exit_code_of(error: BaseException) -> int:
    """Return the documented exit code of an error; 2 for one that is not of the suite."""
    return error.exit_code if isinstance(error, XnatPicError) else XnatPicError.exit_code
