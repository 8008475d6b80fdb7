"""From options and environment to a logged-in client. Asks people only where one is there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import click

from xnat_config.server.client import XnatClient
from xnat_config.server.connection import PASSWORD_VARIABLE, Connection
from xnat_config.server.login import Login, connection_login
from xnat_config.server.options import ask_password, ask_user, resolve_connection
from xnat_pic.cli import is_interactive
from xnat_pic.errors import LoginError

from ..login.login_store import find_store, load_login
from .options import PROGRAM


def ask_passphrase() -> str:
    """Ask for the passphrase of the stored login."""
    answer = click.prompt(
        "Passphrase of the stored login", hide_input=True, err=True, default="", show_default=False
    )
    return str(answer)


def ask_new_passphrase() -> str:
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
        if is_interactive():
            raise
        click.echo(err=True)
        return ""
    return str(answer)


def find_login(connection: Connection) -> tuple[Login, str]:
    """Return what to log in with, and where it comes from, as text.

    The environment counts first, then the stored token, then what a person types.

    Raises
    ------
    LoginError
        If there is nothing and nobody can be asked.
    """
    if os.environ.get(PASSWORD_VARIABLE):
        source = f"password from {PASSWORD_VARIABLE}, kept in memory only"
        return connection_login(connection, os.environ[PASSWORD_VARIABLE]), source
    login = load_login(connection, ask_passphrase if is_interactive() else None)
    if login is not None:
        return login, f"login from {find_store(connection).title}"
    if not is_interactive():
        raise LoginError(
            f"No login for {connection.user} at {connection.host} is stored.",
            hint=f"Run xnat-pic-uploader login, or set {PASSWORD_VARIABLE}.",
        )
    login = connection_login(connection, ask_password(connection))
    return login, "password as typed, kept in memory only"


def open_client(
    server: str,
    user: str,
    ca_bundle: Path | None,
    sleep: Callable[[float], None] = time.sleep,
) -> XnatClient:
    """Return a client, logged in.

    Raises
    ------
    XnatPicError
        If the login is refused or the server cannot be reached.
    """
    connection = ask_user(resolve_connection(server, user, ca_bundle))
    login, source = find_login(connection)
    click.echo(f"{connection.user} at {connection.server}; {source}.", err=True)
    client = XnatClient(connection, login, agent=PROGRAM, sleep=sleep)
    client.open()
    return client
