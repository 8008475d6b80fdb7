"""What can go wrong in the sandbox, sorted by what the reader of the message has to do."""

from __future__ import annotations

from pathlib import Path


class SandboxError(Exception):
    """Base of all errors of this package.

    Attributes
    ----------
    hint : str
        One sentence that says what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        """Give the fault and its remedy as one text."""
        return f"{self.args[0]} {self.hint}"


class OptionError(SandboxError):
    """A wish that cannot be granted: change the option."""


class OutputExistsError(SandboxError):
    """The target folder already holds something: choose another one."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The folder {path} already holds files.",
            "Name a folder that does not exist yet, or empty this one first.",
        )
        self.path = path
