"""What can go wrong with a server, by what the person has to do about it."""

from __future__ import annotations

from ..errors import CorruptInputError, ModelInputError, NothingUsableError, PipelineError

WRONG_CALL, NOTHING, CORRUPT, LOGIN, SERVER, IN_PART, STOPPED = 2, 3, 4, 5, 6, 8, 130


class LoginError(PipelineError):
    """The server does not take the login: start the run again."""


class ServerError(PipelineError):
    """The server refuses or cannot be reached: try later, or ask its administrator."""


class MissingError(ServerError):
    """What was asked for is not on the server, or not for this user."""


class StoppedError(PipelineError):
    """The run was asked to end."""


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (StoppedError, STOPPED),
    (LoginError, LOGIN),
    (ServerError, SERVER),
    (NothingUsableError, NOTHING),
    (ModelInputError, NOTHING),
    (CorruptInputError, CORRUPT),
)


def exit_code(error: Exception) -> int:
    """Return the documented exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), WRONG_CALL)


def sentence(error: Exception) -> str:
    """Return what an error says to a person, on one line."""
    if isinstance(error, PipelineError):
        text = error.sentence()
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())
