"""What can go wrong, by what the person has to do about it."""

from pathlib import Path


class UploaderError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and where. Never a secret, never a full request address.
    path : Path, optional
        The file or folder concerned.
    hint : str, optional
        One sentence: what to do.
    """

    def __init__(self, message: str, *, path: Path | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def sentence(self) -> str:
        """Return message and hint as one text for a person."""
        return f"{self.message} {self.hint}".strip()


class WrongCallError(UploaderError):
    """An option or a setting does not make sense: correct the call."""


class NothingUsableError(UploaderError):
    """The folder holds nothing that can be uploaded: choose another one."""


class DataError(UploaderError):
    """A file is damaged, is gone or changed since it was planned: look at the data."""


class PlanError(UploaderError):
    """The plan cannot be read or contradicts itself: correct it, or scan again."""


class LoginError(UploaderError):
    """The server does not accept the login: log in again."""


class ServerError(UploaderError):
    """The server did not do what was asked.

    Parameters
    ----------
    status : int, optional
        HTTP status of its answer; 0 where there was no answer.
    """

    def __init__(
        self, message: str, *, path: Path | None = None, hint: str = "", status: int = 0
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.status = status


class RefusedError(ServerError):
    """The server understood and refused: repeating does not help, its reason does."""


class UnreachableError(ServerError):
    """The server did not answer, or was at fault, each time it was asked: try again later."""


class UntrustedError(UnreachableError):
    """What answered cannot be trusted or speaks no https: repeating does not help."""


class CancelledError(UploaderError):
    """A person stopped the work; what is done stays, and the next run goes on."""


class RowError(UploaderError):
    """One session cannot go on: its reason goes into the report, the others go on.

    Parameters
    ----------
    code : str
        Stable short name, as in `uploader.findings.Finding`.
    """

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
