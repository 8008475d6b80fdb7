"""What the commands of ``xnat-pic-pipelines`` share: options, login, and how they end."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from xnat_pic.cli import STOPPED, exit_on_error
from xnat_pic.text import printable

if TYPE_CHECKING:
    from ..xnat.client import Access

PROGRAM = "xnat-pic-pipelines"
FORMATS = ("nifti", "dicom", "report")
_PROJECT = re.compile(r"[A-Za-z0-9_-]+")


def end_on_error() -> AbstractContextManager[None]:
    """Return a block whose errors end the program with a message and an exit code."""
    stopped = "stopped; nothing was written."
    return exit_on_error(PROGRAM, stopped=stopped, stopped_code=STOPPED)


def exit_with(message: str, code: int) -> NoReturn:
    """Write what is wrong and end with a status."""
    echo_line(f"{PROGRAM}: {message}")
    sys.exit(code)


def echo_line(line: str) -> None:
    """Write a line for the person who watches."""
    click.echo(printable(line, "?"), err=True)


def format_option(text: str, *, none: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Return the option ``--format``: a list of what to write.

    Parameters
    ----------
    text : str
        Its help.
    none : bool
        The word ``none`` stands for nothing.
    """

    def chosen(_context: Any, _parameter: Any, value: str) -> tuple[str, ...]:
        words = tuple(part.strip() for part in value.split(",") if part.strip())
        if set(words) - {*FORMATS, *(["none"] if none else [])} or not (words or none):
            raise click.BadParameter(f"choose among {', '.join(FORMATS)}{', or none' * none}.")
        return tuple(word for word in words if word != "none")

    return click.option(
        "--format",
        "formats",
        default=",".join(FORMATS),
        show_default=True,
        callback=chosen,
        help=text,
    )


def check_project(_context: Any, _parameter: Any, value: str) -> str:
    """Return an ID of a project; a callback of click."""
    if not _PROJECT.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no ID of a project: letters, digits, - and _ only.")
    return value


def person_access(server: str, user: str, ca_bundle: Path | None) -> Access:
    """Return access by a token, made by the login of a person: environment, else a prompt.

    Raises
    ------
    WrongCallError, LoginError, ServerError
    """
    from xnat_config.server.options import ask_password, ask_user, resolve_connection

    from ..xnat.client import issue_access

    connection = ask_user(resolve_connection(server, user, ca_bundle))
    return issue_access(connection, ask_password(connection))
