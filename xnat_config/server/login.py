"""Who logs in, with a password or with a token that stands for a person for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NoReturn

from .connection import Connection


@dataclass(frozen=True)
class Login:
    """Name and secret to log in with: user and password, or the two parts of an alias token.

    Attributes
    ----------
    user : str
        The person, also for a token.
    name, secret : str
        What is sent. Neither the secret nor a token's name is ever shown.
    expires_s : float
        Unix time at which a token ends; 0 for a password or where it is not known.
    is_token : bool
        Whether this is an alias token and no password.
    method : str
        XNAT's authentication method, such as ``ldap``; empty for its own accounts.
    provider : str
        Id of the provider, where a site has several of one method.
    """

    user: str
    name: str = field(repr=False)
    secret: str = field(repr=False)
    expires_s: float = 0.0
    is_token: bool = False
    method: str = ""
    provider: str = ""

    def is_expired(self, margin_s: float = 60.0) -> bool:
        """Tell whether the token's time is over, or nearly so."""
        return 0 < self.expires_s < time.time() + margin_s

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a login stays in this process."""
        raise TypeError("A login is not passed on to another process.")


def password_login(user: str, password: str, *, method: str = "", provider: str = "") -> Login:
    """Return a login with a password, kept in memory only."""
    return Login(user, user, password, method=method, provider=provider)


def connection_login(connection: Connection, password: str) -> Login:
    """Return a login of the connection's user, by its method and provider."""
    return password_login(
        connection.user, password, method=connection.method, provider=connection.provider
    )


def token_login(user: str, alias: str, secret: str, expires_s: float = 0.0) -> Login:
    """Return a login with an alias token that the server made."""
    return Login(user, alias, secret, expires_s, is_token=True)
