"""The commands that keep and forget a login."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xnat_config.server.options import (
    ask_password,
    ask_user,
    resolve_connection,
    server_options,
)
from xnat_pic.cli import is_interactive

from .options import CODES, PROGRAM, run

if TYPE_CHECKING:
    from xnat_config.server.connection import Connection
    from xnat_config.server.login import Login

    from ..login.login_store import LoginStore

_STORES = ("keyring", "file", "memory")


@click.command("login", epilog=CODES)
@server_options
@click.option(
    "--store",
    type=click.Choice(_STORES),
    help="Where to keep the login.  [default: keyring, else file, else memory]",
)
def login_command(server: str, user: str, ca_bundle: Path | None, store: str | None) -> None:
    """Log in once; a token that expires is kept, never the password."""

    def work() -> int:
        from xnat_config.server.client import XnatClient
        from xnat_config.server.connection import SERVER_VARIABLE, save
        from xnat_config.server.login import connection_login
        from xnat_config.server.tokens import issue_token

        from ..login.login_store import LoginStore, save_login
        from .server_access import ask_new_passphrase

        address = server or os.environ.get(SERVER_VARIABLE, "") or _ask_server()
        connection = ask_user(resolve_connection(address, user, ca_bundle))
        login = connection_login(connection, ask_password(connection, piped=True))
        with XnatClient(connection, login, agent=PROGRAM) as client:
            token = issue_token(client)
        kept = save_login(
            connection, token, LoginStore(store) if store else None, ask_new_passphrase
        )
        save(connection)
        click.echo(f"{connection.user} is logged in at {connection.server}.", err=True)
        click.echo(f"The login is kept in {kept.title}{_until(token.expires_s, kept)}.", err=True)
        return 0

    run(work)


def _ask_server() -> str:
    from xnat_config.server.connection import load_saved

    saved = load_saved()
    if saved is not None:
        return saved.server
    return str(click.prompt("Address of the XNAT server", err=True))


def _until(expires_s: float, kept: LoginStore) -> str:
    from datetime import datetime

    if kept.value == "memory":
        return ""
    return f" until {datetime.fromtimestamp(expires_s).astimezone():%Y-%m-%d %H:%M}"


@click.command("logout", epilog=CODES)
@server_options
def logout_command(server: str, user: str, ca_bundle: Path | None) -> None:
    """Forget the stored login, and make its token invalid on the server."""

    def work() -> int:
        from ..login.login_store import LoginStore, find_store, forget_login, load_login
        from .server_access import ask_passphrase

        connection = resolve_connection(server, user, ca_bundle)
        where = find_store(connection)
        token = None
        if where is LoginStore.KEYRING:
            token = load_login(connection)
        elif where is LoginStore.FILE and is_interactive():
            token = load_login(connection, ask_passphrase)
        withdrawn = token is not None and _withdraw(connection, token)
        held = forget_login(connection)
        for store in held:
            click.echo(f"Forgotten: the login in {store.title}.", err=True)
        if not held:
            click.echo("No login was stored.", err=True)
        elif not withdrawn:
            click.echo("The token was not withdrawn on the server; it expires by itself.", err=True)
        return 0

    run(work)


def _withdraw(connection: Connection, token: Login) -> bool:
    from xnat_config.server.client import XnatClient
    from xnat_config.server.retry import RetryPolicy
    from xnat_config.server.tokens import withdraw_token
    from xnat_pic.errors import XnatPicError

    try:
        with XnatClient(connection, token, agent=PROGRAM, retry=RetryPolicy(attempts=2)) as client:
            return withdraw_token(client, token)
    except XnatPicError:
        return False
