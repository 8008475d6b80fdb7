"""What can go wrong, by what the person has to do about it."""

from pathlib import Path


class Mri2DicomError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message : str
        One sentence: what is wrong and where.
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

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error cross a process boundary with its fields."""
        return (_rebuild, (type(self), self.message, self.path, self.hint))

    def sentence(self) -> str:
        """Return message and hint as one text for a person."""
        return f"{self.message} {self.hint}".strip()


def _rebuild(kind: type[Mri2DicomError], message: str, path: Path | None, hint: str) -> object:
    return kind(message, path=path, hint=hint)


class CorruptDataError(Mri2DicomError):
    """A file is damaged or contradicts itself: get a good copy of the data."""


class NothingUsableError(Mri2DicomError):
    """The input holds nothing that this package can read: choose another input."""


class AmbiguousFormatError(Mri2DicomError):
    """Two readers are equally sure of one input: name the reader."""


class WrongCallError(Mri2DicomError):
    """An option or a side file does not make sense: correct the call."""


class OutputError(Mri2DicomError):
    """The output cannot be written: free space, or choose another folder."""
