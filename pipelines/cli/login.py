"""Which server a command reaches, and by whose login."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .parts import exit_with

if TYPE_CHECKING:
    from ..xnat.access import Access


def person_access(server: str, user: str) -> Access:
    """Return access by the login of a person: environment, else a prompt."""
    from xnat_config.server.connection import PASSWORD_VARIABLE, ConnectionSettingsError, resolve

    from ..xnat.access import Access

    try:
        connection = resolve(server, user)
    except ConnectionSettingsError as error:
        exit_with(str(error), 2)
    if connection.is_plain:
        click.echo(f"note: {connection.host} is reached without encryption.", err=True)
    who = connection.user or click.prompt("User", err=True)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if not password:
        password = click.prompt(f"Password of {who}", hide_input=True, err=True)
    return Access(connection.server, who, password, connection.ca_bundle)


def token_access(host: str, alias: str, secret: str) -> Access:
    """Return access by the token that an engine or a container was given."""
    from xnat_config.server.connection import CA_VARIABLE, ConnectionSettingsError, normal_address

    from ..xnat.access import Access

    bundle = os.environ.get(CA_VARIABLE, "")
    try:
        address = normal_address(host)
    except ConnectionSettingsError as error:
        exit_with(str(error), 2)
    return Access(address, alias, secret, Path(bundle) if bundle else None)
