"""From options and environment to a logged-in client. Asks people only where one is there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xnat_config.server.connection import (
    PASSWORD_VARIABLE,
    Connection,
    ConnectionSettingsError,
    resolve,
)

from ..errors import LoginError, WrongCallError

if TYPE_CHECKING:
    from ..server.client import Client
    from ..server.login import Login


def connection(server: str, user: str, ca_bundle: Path | None) -> Connection:
    """Return the connection of options and environment.

    Raises
    ------
    WrongCallError
        If no server is known, or a setting makes no sense.
    """
    try:
        found = resolve(server, user, ca_bundle)
    except ConnectionSettingsError as error:
        raise WrongCallError(str(error)) from error
    if found.is_plain:
        click.echo(
            f"Warning: what is sent to {found.host} travels unprotected, the login too. "
            "Use an https address.",
            err=True,
        )
    return found


def ask_password(found: Connection) -> str:
    """Return the password: from the environment, else from the person."""
    given = os.environ.get(PASSWORD_VARIABLE, "")
    if given:
        return given
    answer = click.prompt(f"Password of {found.user} at {found.host}", hide_input=True, err=True)
    return str(answer)


def ask_passphrase() -> str:
    """Ask for the passphrase of the stored login."""
    answer = click.prompt(
        "Passphrase of the stored login", hide_input=True, err=True, default="", show_default=False
    )
    return str(answer)


def new_passphrase() -> str:
    """Ask twice for a passphrase to protect a login with; empty: no file."""
    try:
        answer = click.prompt(
            "There is no keyring. Passphrase for an encrypted file (empty: remember nothing)",
            hide_input=True,
            err=True,
            default="",
            show_default=False,
            confirmation_prompt=True,
        )
    except click.Abort:
        if _somebody_is_there():
            raise
        click.echo(err=True)
        return ""
    return str(answer)


def ask_user(found: Connection) -> Connection:
    """Return the connection with a user, asked for where none is named.

    Raises
    ------
    WrongCallError
        If none is named and nobody can be asked.
    """
    if found.user:
        return found
    if not _somebody_is_there():
        raise WrongCallError("No user is named.", hint="Use --user or XNAT_PIC_USER.")
    user = str(click.prompt(f"User at {found.host}", err=True)).strip()
    return replace(found, user=user)


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def find_login(found: Connection) -> Login:
    """Return what to log in with: environment, else the stored token, else what a person types.

    Raises
    ------
    LoginError
        If there is nothing and nobody can be asked.
    """
    from ..login.login_store import load_login
    from ..server.login import from_password

    if os.environ.get(PASSWORD_VARIABLE):
        return from_password(found.user, os.environ[PASSWORD_VARIABLE])
    asking: Callable[[], str] | None = ask_passphrase if _somebody_is_there() else None
    login = load_login(found, asking)
    if login is not None:
        return login
    if not _somebody_is_there():
        raise LoginError(
            f"No login for {found.user} at {found.host} is stored.",
            hint=f"Run xnat-pic-uploader login, or set {PASSWORD_VARIABLE}.",
        )
    return from_password(found.user, ask_password(found))


def _source(login: Login) -> str:
    if login.is_token:
        return f"login from {login.store.title}"
    where = f"from {PASSWORD_VARIABLE}" if os.environ.get(PASSWORD_VARIABLE) else "as typed"
    return f"password {where}, kept in memory only"


def open_client(
    server: str,
    user: str,
    ca_bundle: Path | None,
    sleep: Callable[[float], None] | None = None,
) -> Client:
    """Return a client, logged in.

    Raises
    ------
    UploaderError
        If the login is refused or the server cannot be reached.
    """
    from ..server.client import Client

    found = ask_user(connection(server, user, ca_bundle))
    login = find_login(found)
    click.echo(f"{found.user} at {found.server}; {_source(login)}.", err=True)
    client = Client(found, login, sleep=sleep or time.sleep)
    client.open()
    return client
