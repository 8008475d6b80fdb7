"""The log of a run: lines with their time, kept on disk, never with a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from xnat_pic.text import printable


class Log:
    """Lines of a run.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    secrets : iterable of str
        Texts that are never written.
    report : callable, optional
        Told every line, without its time.
    """

    def __init__(
        self, path: Path, secrets: Iterable[str], report: Callable[[str], None] = lambda _: None
    ) -> None:
        self.path = path
        self._secrets = sorted((one for one in secrets if one), key=len, reverse=True)
        self._report = report
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")

    def add(self, text: str) -> None:
        """Add a line."""
        line = self.masked(text)
        stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{stamp} {line}\n")
        self._report(line)

    def masked(self, text: str) -> str:
        """Return text on one line, without secrets and signs that steer a terminal."""
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return printable(text)
