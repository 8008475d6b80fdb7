"""What somebody logs in with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum


class Store(Enum):
    """Where a login is kept."""

    KEYRING = "keyring"
    FILE = "file"
    MEMORY = "memory"

    @property
    def title(self) -> str:
        """The store in words for a person."""
        return {
            Store.KEYRING: "the keyring of this system",
            Store.FILE: "an encrypted file with your passphrase",
            Store.MEMORY: "memory only: it is forgotten when the program ends",
        }[self]


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
        Unix time at which a token ends; 0 for a password.
    """

    user: str
    name: str = field(repr=False)
    secret: str = field(repr=False)
    expires_s: float = 0.0
    store: Store = Store.MEMORY

    @property
    def is_token(self) -> bool:
        """Whether this is an alias token and no password."""
        return self.expires_s > 0

    def is_expired(self, margin_s: float = 60.0) -> bool:
        """Tell whether the token's time is over, or nearly so."""
        return self.is_token and time.time() > self.expires_s - margin_s

    def __reduce__(self) -> str:
        """Refuse to be pickled: a login stays in this process."""
        raise TypeError("A login is not passed on to another process.")


def from_password(user: str, password: str) -> Login:
    """Return a login with a password, kept in memory only."""
    return Login(user, user, password)
