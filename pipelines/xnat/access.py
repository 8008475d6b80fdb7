"""Where an XNAT server is and how to log in; connections are opened where they are used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client


@dataclass(frozen=True)
class Patience:
    """How a client waits.

    Attributes
    ----------
    attempts : int
        Tries of a request in all.
    first_wait_s, longest_wait_s : float
        The wait doubles from the first to the longest; a tenth is added or taken by chance.
    connect_s, read_s : float
        For the connection, and for the next byte of an answer.
    beat_s : float
        Between signs of life that keep the session open while nothing is asked (a server ends idle
        ones, usually after 15 minutes). At the first one a token of the run's own is asked for.
    renew_s : float
        Age of a token at which another is asked for, at half its life at the latest; a token
        usually lives for two days.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    connect_s: float = 12.0
    read_s: float = 300.0
    beat_s: float = 240.0
    renew_s: float = 3600.0


@dataclass(frozen=True)
class Access:
    """What is needed to reach a server. It can be sent to another process.

    Attributes
    ----------
    server : str
        Address without a trailing slash.
    alias, secret : str
        Short-lived alias token, in the place of user and password; never shown.
    ca_bundle : Path or None
        File of certificates to trust instead of the usual ones.
    patience : Patience
        How long to wait, and how often to try.
    """

    server: str
    alias: str = field(repr=False)
    secret: str = field(repr=False)
    ca_bundle: Path | None = None
    patience: Patience = Patience()

    def client(self) -> Client:
        """Return a client that logs in at its first request; use it in `with`."""
        from .client import Client

        return Client(self)

    def interface(self) -> Any:
        """Return a ``pyxnat.Interface`` for this server; disconnect it after use."""
        from pyxnat import Interface

        return Interface(
            server=self.server,
            user=self.alias,
            password=self.secret,
            verify=str(self.ca_bundle) if self.ca_bundle else True,
        )

    def renewed(self) -> Access:
        """Return the same access with a fresh token, for runs that outlive the first.

        Raises
        ------
        LoginError, ServerError
        """
        with self.client() as client:
            client.renew()
            return client.access
