"""What commands do alike: say what is done, end in words with a documented status."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

STOPPED = 130  # what shells use for a program that Ctrl-C ended


@contextmanager
def ending_in_words() -> Iterator[None]:
    """Turn errors, Ctrl-C and the request of the system to end into a sentence and a status.

    What is being written is cleaned up first, whether a person stops it or a container ends.
    """
    from ..errors import PipelineError

    def end(_number: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (PipelineError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        click.echo("xnat-pic-pipelines: stopped; nothing was written.", err=True)
        sys.exit(STOPPED)


def tell(what: str) -> None:
    """Say what is being done, where a person watches."""
    if sys.stderr.isatty():
        click.echo(f"{what} ...", err=True)


def fail(error: Exception) -> NoReturn:
    """Say what is wrong and end with the status of the error."""
    from ..errors import CorruptInputError, ModelInputError, NothingUsableError, PipelineError

    if isinstance(error, PipelineError):
        text = error.sentence()
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'A file'} cannot be read or written: {error.strerror}."
    else:
        text = str(error)
    codes: list[tuple[type[Exception], int]] = [
        (NothingUsableError, 3),
        (ModelInputError, 3),
        (CorruptInputError, 4),
    ]
    exit_with(text, next((code for kind, code in codes if isinstance(error, kind)), 2))


def plain(text: str) -> str:
    """Return text from a file without signs that would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def echo_line(line: str) -> None:
    """Write a line for the person who watches."""
    click.echo(plain(line), err=True)


def exit_with(message: str, code: int) -> NoReturn:
    """Write what is wrong and end with a status."""
    echo_line(f"xnat-pic-pipelines: {message}")
    sys.exit(code)
