"""The access of a run to its server: the suite's client, with a token that outlives the first."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.errors import LoginError, ServerError
from xnat_config.server.login import Login, connection_login, token_login
from xnat_config.server.retry import RetryPolicy
from xnat_config.server.tokens import issue_token

AGENT = "xnat-pic-pipelines"


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
    retry : RetryPolicy
        When requests are repeated.
    keep_alive_s : float
        Between requests that keep the session open while nothing else is sent (a server ends idle
        ones, usually after 15 minutes). At the first one a token of the run's own is issued.
    read_timeout_s : float
        Wait for an answer; the usual one of a connection by default.
    renew_s : float
        Age of a token at which another is issued, at half its life at the latest; a token usually
        lives for two days.
    """

    server: str
    alias: str = field(repr=False)
    secret: str = field(repr=False)
    ca_bundle: Path | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    keep_alive_s: float = 240.0
    read_timeout_s: float = Connection.read_timeout_s
    renew_s: float = 3600.0

    def with_token(self, token: Login) -> Access:
        """Return the same access by another token."""
        return replace(self, alias=token.name, secret=token.secret)


def issue_access(connection: Connection, password: str) -> Access:
    """Return access by a token that the server issues to a person; the password goes no further.

    Raises
    ------
    LoginError, ServerError
    """
    with XnatClient(connection, connection_login(connection, password), agent=AGENT) as client:
        token = issue_token(client)
        return Access(client.server, token.name, token.secret, connection.ca_bundle)


class RunClient(XnatClient):
    """A client that keeps its session open and its token fresh while its block runs.

    Parameters
    ----------
    access : Access
        The attribute of the same name changes when the token is renewed.
    """

    def __init__(self, access: Access) -> None:
        self._over = threading.Event()
        super().__init__(
            Connection(
                access.server, ca_bundle=access.ca_bundle, read_timeout_s=access.read_timeout_s
            ),
            token_login("the run's token", access.alias, access.secret),
            agent=AGENT,
            retry=access.retry,
            sleep=self._wait,
        )
        self.access = access
        self._renew_at = 0.0  # of the monotonic clock: at the first sign of life

    def __enter__(self) -> Self:
        """Log in, and stay logged in."""
        super().__enter__()
        threading.Thread(target=self._keep_alive, name="xnat-keep-alive", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out."""
        self._over.set()
        super().__exit__(kind, error, trace)

    def _wait(self, seconds: float) -> None:
        self._over.wait(seconds)

    def renew(self) -> None:
        """Let the server issue a fresh token and use it from now on.

        Raises
        ------
        LoginError, ServerError
        """
        token = issue_token(self)
        self.access = self.access.with_token(token)
        # Its end is not handed on: the server alone decides whether it still takes a token.
        self.use_login(token_login(token.user, token.name, token.secret))
        life = token.expires_s - time.time()
        wait = min(self.access.renew_s, life / 2) if life > 0 else self.access.renew_s
        self._renew_at = time.monotonic() + wait

    def _keep_alive(self) -> None:
        """Keep the session open and the token fresh, until the client is closed."""
        while not self._over.wait(self.access.keep_alive_s):
            with suppress(ServerError, LoginError):
                if time.monotonic() >= self._renew_at:
                    self.renew()
                else:
                    self.check_login()
