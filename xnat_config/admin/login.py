"""Which server and which login: from options and environment, else from the person."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from ..connection import PASSWORD_VARIABLE, USER_VARIABLE, Connection, resolve
from .errors import LoginRefusedError, WishError


def find_login(server: str, user: str, ca_bundle: Path | None) -> tuple[Connection, str]:
    """Return the connection, its user named, and the password, which is kept nowhere.

    Raises
    ------
    ConnectionSettingsError
        If no server is known.
    WishError
        If no user is named and nobody can be asked.
    LoginRefusedError
        If there is no password and nobody can be asked.
    """
    found = resolve(server, user, ca_bundle)
    somebody = sys.stdin is not None and sys.stdin.isatty()
    if found.is_plain:
        click.echo(
            f"Warning: what is sent to {found.host} travels unprotected, the login too. Use an "
            "https address.",
            err=True,
        )
    if not found.user:
        if not somebody:
            raise WishError(f"No user is named. Use --user or {USER_VARIABLE}.")
        found = replace(found, user=str(click.prompt(f"User at {found.host}", err=True)).strip())
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not password:
        if not somebody:
            raise LoginRefusedError(
                f"There is no password for {found.user} at {found.host}. Set {PASSWORD_VARIABLE}, "
                "or run the command in a terminal, which asks for it."
            )
        password = str(
            click.prompt(f"Password of {found.user} at {found.host}", hide_input=True, err=True)
        )
    return found, password
