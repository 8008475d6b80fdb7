"""How a command shows progress and ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

EXIT_CODES = """\b
Exit codes:
  0  all done
  2  wrong call, or a file cannot be read or written
  3  nothing usable found
  4  corrupt input
  5  login refused
  6  the server refuses or does not answer
  8  done in part: some rows need attention
"""


class Bar:
    """A progress bar on standard error; silent where no person watches."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._progress: Any = None
        self._task: Any = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)
            self._progress.start()
            self._task = self._progress.add_task(self._title, total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, total: int) -> None:
        """Show how far the work is."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total)


def fail(error: Exception) -> NoReturn:
    """Say what went wrong and end with the exit code that belongs to it."""
    from ..errors import (
        CancelledError,
        DataError,
        LoginError,
        NothingUsableError,
        ServerError,
        UploaderError,
    )
    from ..findings import plain

    if isinstance(error, UploaderError):
        text = error.sentence()
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    else:
        text = str(error)
    click.echo(f"xnat-pic-uploader: {plain(text)}", err=True)
    codes: list[tuple[type[Exception], int]] = [
        (NothingUsableError, 3),
        (DataError, 4),
        (LoginError, 5),
        (ServerError, 6),
        (CancelledError, 8),
    ]
    sys.exit(next((code for kind, code in codes if isinstance(error, kind)), 2))


def guarded(work: Callable[[], int]) -> None:
    """Do the work of a command and end with its exit code."""
    from xnat_config import SiteConfigError
    from xnat_config.server.connection import ConnectionSettingsError

    from ..errors import UploaderError

    try:
        code = work()
    except (UploaderError, SiteConfigError, ConnectionSettingsError, OSError) as error:
        fail(error)
    except click.Abort:
        click.echo("\nNothing was typed: stopped.", err=True)
        code = 2
    except KeyboardInterrupt:
        click.echo("Stopped. What is done stays; run the same command again to go on.", err=True)
        code = 8
    sys.exit(code)
