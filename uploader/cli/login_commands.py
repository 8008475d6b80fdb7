"""The commands that keep and forget a login."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from .command_frame import guarded
from .options import server_options

_STORES = ("keyring", "file", "memory")


@click.command("login")
@server_options
@click.option(
    "--store",
    type=click.Choice(_STORES),
    help="Where to keep the login.  [default: keyring, else file, else memory]",
)
def login_command(server: str, user: str, ca_bundle: Path | None, store: str | None) -> None:
    """Log in once; a token that expires is kept, never the password."""

    def work() -> int:
        from xnat_config.server.connection import save

        from ..login.login_store import save_login
        from ..login.tokens import issue_token
        from ..server.client import Client
        from ..server.login import Store, from_password
        from . import server_access as access

        address = server or os.environ.get("XNAT_PIC_SERVER", "")
        found = access.ask_user(access.connection(address or _ask_server(), user, ca_bundle))
        password = access.ask_password(found)
        with Client(found, from_password(found.user, password)) as client:
            token = issue_token(client)
        kept = save_login(found, token, Store(store) if store else None, access.new_passphrase)
        save(found)
        click.echo(f"{found.user} is logged in at {found.server}.", err=True)
        click.echo(f"The login is kept in {kept.title}{_until(token.expires_s, kept)}.", err=True)
        return 0

    guarded(work)


def _ask_server() -> str:
    from xnat_config.server.connection import load_saved

    saved = load_saved()
    if saved is not None:
        return saved.server
    return str(click.prompt("Address of the XNAT server", err=True))


def _until(expires_s: float, kept: Any) -> str:
    from datetime import datetime

    if kept.value == "memory":
        return ""
    return f" until {datetime.fromtimestamp(expires_s).astimezone():%Y-%m-%d %H:%M}"


@click.command("logout")
@server_options
def logout_command(server: str, user: str, ca_bundle: Path | None) -> None:
    """Forget the stored login, and make its token invalid on the server."""

    def work() -> int:
        from ..login.login_store import forget_login, load_login, stored_in
        from ..server.login import Store
        from . import server_access as access

        found = access.connection(server, user, ca_bundle)
        where = stored_in(found)
        token = None
        if where is Store.KEYRING:
            token = load_login(found)
        elif where is Store.FILE and sys.stdin.isatty():
            token = load_login(found, access.ask_passphrase)
        withdrawn = token is not None and _withdraw(found, token)
        held = forget_login(found)
        for store in held:
            click.echo(f"Forgotten: the login in {store.title}.", err=True)
        if not held:
            click.echo("No login was stored.", err=True)
        elif not withdrawn:
            click.echo("The token was not withdrawn on the server; it expires by itself.", err=True)
        return 0

    guarded(work)


def _withdraw(found: Any, token: Any) -> bool:
    from ..errors import UploaderError
    from ..login.tokens import withdraw_token
    from ..server.client import Client, Patience

    try:
        with Client(found, token, Patience(attempts=2)) as client:
            return withdraw_token(client, token)
    except UploaderError:
        return False
