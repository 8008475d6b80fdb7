"""Where an XNAT server is and how to log in; connections are opened where they are used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client


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
    """

    server: str
    alias: str = field(repr=False)
    secret: str = field(repr=False)
    ca_bundle: Path | None = None

    def client(self) -> Client:
        """Return a client that logs in at its first request; close it, or use it in `with`."""
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
