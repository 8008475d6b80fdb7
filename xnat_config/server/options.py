"""Options and questions of the commands that speak with a server. Asks only where a person is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from xnat_pic.cli import PATH, is_interactive
from xnat_pic.errors import LoginError, WrongCallError

from .connection import PASSWORD_VARIABLE, USER_VARIABLE, Connection, resolve

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _remember(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Note how a person logs in where `resolve_connection` finds it."""
    context.meta[f"{__name__}.{parameter.name}"] = value
    return value


def _noted(name: str) -> str:
    context = click.get_current_context(silent=True)
    return str(context.meta.get(f"{__name__}.{name}", "")) if context else ""


def server_options(command: _Command) -> _Command:
    """Add the options that name a server and say how to log in there.

    The command gets ``server``, ``user`` and ``ca_bundle``; `resolve_connection` knows the rest.
    """
    for option in (
        click.option(
            "--auth-provider",
            default="",
            expose_value=False,
            callback=_remember,
            help="Id of the provider, where the site has several of one method.  "
            "[default: XNAT_PIC_AUTH_PROVIDER, or the last one]",
        ),
        click.option(
            "--auth-method",
            default="",
            expose_value=False,
            callback=_remember,
            help="Authentication method, such as ldap: needed at a user's first login.  "
            "[default: XNAT_PIC_AUTH_METHOD, or the last one]",
        ),
        click.option("--ca-bundle", type=PATH, help="Certificates to trust, a .pem file."),
        click.option("--user", default="", help="User.  [default: XNAT_PIC_USER, or the last one]"),
        click.option(
            "--server", default="", help="Address.  [default: XNAT_PIC_SERVER, or the last one]"
        ),
    ):
        command = option(command)
    return command


def resolve_connection(server: str, user: str, ca_bundle: Path | None) -> Connection:
    """Return the connection of options and environment; warn where it is not protected.

    Raises
    ------
    WrongCallError
        If no server is known, or a setting makes no sense.
    """
    found = resolve(
        server, user, ca_bundle, method=_noted("auth_method"), provider=_noted("auth_provider")
    )
    if found.is_plain:
        click.echo(
            f"Warning: what is sent to {found.host} travels unprotected, the login too. "
            "Use an https address.",
            err=True,
        )
    return found


def ask_user(connection: Connection) -> Connection:
    """Return the connection with a user, asked for where none is named.

    Raises
    ------
    WrongCallError
        If none is named and nobody can be asked.
    """
    if connection.user:
        return connection
    if not is_interactive():
        raise WrongCallError("No user is named.", hint=f"Use --user or {USER_VARIABLE}.")
    user = str(click.prompt(f"User at {connection.host}", err=True)).strip()
    return replace(connection, user=user)


def ask_password(connection: Connection, *, piped: bool = False) -> str:
    """Return the password: from the environment, else from the person; it is kept nowhere.

    Parameters
    ----------
    piped : bool
        Read it from standard input also where that is no terminal.

    Raises
    ------
    LoginError
        If there is none and nobody can be asked.
    """
    given = os.environ.get(PASSWORD_VARIABLE, "")
    if given:
        return given
    if not (piped or is_interactive()):
        raise LoginError(
            f"There is no password for {connection.user} at {connection.host}.",
            hint=f"Set {PASSWORD_VARIABLE}, or run the command in a terminal, which asks for it.",
        )
    title = f"Password of {connection.user} at {connection.host}"
    return str(click.prompt(title, hide_input=True, err=True))
