"""What a server does wrong, by what the person has to do about it; see `xnat_pic.errors` too."""

from __future__ import annotations

from xnat_pic.errors import LoginError, ServerError

__all__ = [
    "BrokenAnswerError",
    "LoginError",
    "LostAnswerError",
    "MissingError",
    "RefusedError",
    "ServerError",
    "UnreachableError",
    "UntrustedError",
]


class RefusedError(ServerError):
    """The server understood and refused: repeating does not help, its reason does."""


class MissingError(RefusedError):
    """What was asked for is not on the server, or not for this user (status 404)."""


class UnreachableError(ServerError):
    """The server did not answer, or was at fault, each time it was asked: try again later."""


class UntrustedError(UnreachableError):
    """What answered cannot be trusted or speaks no https: repeating does not help."""


class LostAnswerError(UnreachableError):
    """No answer came to a request that must not be repeated blindly: look what it did."""


class BrokenAnswerError(UnreachableError):
    """The connection broke in the middle of an answer: ask for it again."""
