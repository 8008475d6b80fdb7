"""What can go wrong in a map, by what the person has to do about it."""

from pathlib import Path


class PipelineError(Exception):
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


def _rebuild(kind: type[PipelineError], message: str, path: Path | None, hint: str) -> object:
    return kind(message, path=path, hint=hint)


class ModelInputError(PipelineError):
    """The numbers given to a model cannot be right: correct the protocol values or the images."""


class CallError(PipelineError):
    """The call contradicts itself or the images: change an option."""


class NothingUsableError(PipelineError):
    """No series of the input serves this map: choose another input."""


class CorruptInputError(PipelineError):
    """A file is damaged: get it again."""
