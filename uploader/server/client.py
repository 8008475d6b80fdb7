"""Talk to XNAT: one login, every request repeated with patience, answers read with suspicion.

xnatpy opens the session (redirects, alias tokens, expired passwords); its requests session then
carries everything, so that bodies are streamed and every status is seen.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from xnat_config.server.connection import Connection
from xnat_config.server.reasons import version_numbers

from ..errors import LoginError, RefusedError, ServerError, UnreachableError, UntrustedError
from .answers import (
    LOG_IN_AGAIN,
    REPEATED_STATUS,
    asked_wait_s,
    expired,
    is_logged_out,
    no_answer,
    reason,
    server_fault,
)
from .login import Login
from .opening import connect

Params = Mapping[str, str] | list[tuple[str, str]]


@dataclass(frozen=True)
class Patience:
    """How often and after what time a request is repeated.

    Attributes
    ----------
    attempts : int
        Tries in all.
    first_wait_s, longest_wait_s : float
        The wait doubles from the first to the longest; a tenth is added or taken by chance.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0

    def wait_s(self, attempt: int, asked_s: float = 0.0) -> float:
        """Return the seconds to wait after an attempt (counted from 1)."""
        wait = min(self.first_wait_s * 2.0 ** (attempt - 1), self.longest_wait_s)
        return max(wait * random.uniform(0.9, 1.1), min(asked_s, self.longest_wait_s))


class LostAnswerError(UnreachableError):
    """No answer came to a request that must not be repeated blindly: look what it did."""


def url_path(*parts: str) -> str:
    """Return a path with each part encoded: ``url_path("projects", "a b")``."""
    return "/data/" + "/".join(quote(part, safe="") for part in parts)


def files_path(parent: str, resource: str, name: str) -> str:
    """Return the address of a file below an item; `name` may have folders."""
    return f"{parent}/resources/{quote(resource, safe='')}/files/{quote(name, safe='/')}"


class Client:
    """A logged-in client, safe to use from several threads.

    Parameters
    ----------
    sleep : callable, optional
        Waits a number of seconds; a caller that can be stopped gives its own.
    """

    def __init__(
        self,
        connection: Connection,
        login: Login,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self.patience = patience or Patience()
        self._login = login
        self._sleep = sleep
        self._lock = threading.Lock()
        self._generation = 0
        self._session: Any = None
        self.server = connection.server

    def __enter__(self) -> Self:
        """Log in."""
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out."""
        self.close()

    @property
    def user(self) -> str:
        """The person the server knows us as."""
        return self._login.user

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version, such as (1, 8, 10); empty where it does not say."""
        text = str(self.json("/xapi/siteConfig/buildInfo", lenient=True).get("version", ""))
        return version_numbers(text)

    def open(self) -> None:
        """Log in.

        Raises
        ------
        LoginError
            If the server refuses the login.
        UnreachableError
            If it cannot be reached.
        """
        with self._lock:
            if self._session is None:
                self._open()

    def close(self) -> None:
        """End the session on the server; nothing is raised where that fails."""
        with self._lock:
            session, self._session = self._session, None
        if session is None:
            return
        try:
            session.interface.delete(
                f"{self.server}/data/JSESSION", timeout=10, verify=self._verify()
            )
        except requests.RequestException:
            logging.getLogger(__name__).debug("the server's session was left to expire")
        session.disconnect()

    def _verify(self) -> str | bool:
        return str(self.connection.ca_bundle) if self.connection.ca_bundle else True

    def _open(self) -> None:
        """Log in with patience; the lock is held."""
        if self._login.is_expired():
            raise expired()
        # A wrong address shows at the first login; later on the line may be down for a while.
        attempts = self.patience.attempts if self._generation else min(self.patience.attempts, 4)
        for attempt in range(1, attempts + 1):
            try:
                self._session = connect(self.connection, self._login)
                break
            except UnreachableError as error:
                if attempt == attempts or isinstance(error, UntrustedError):
                    raise
                self._sleep(self.patience.wait_s(attempt))
        self.server = str(self._session.server).rstrip("/")
        self._generation += 1

    def _open_again(self, generation: int) -> None:
        """Log in again, unless another thread just did."""
        with self._lock:
            if self._generation != generation:
                return
            old, self._session = self._session, None
            if old is not None:
                old.disconnect()
            self._open()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Callable[[], Iterable[bytes] | bytes] | None = None,
        json: Any = None,
        content_type: str = "",
        repeat: bool = True,
        read_timeout_s: float | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request and return its answer with a status below 400.

        Parameters
        ----------
        body : callable, optional
            Makes the body anew for each attempt: bytes, or blocks of bytes. One with ``len()``
            is sent with its length, another one in chunks.
        repeat : bool
            False for what must not be done twice: then a lost answer and a fault of the server
            raise `LostAnswerError` at once, and the caller looks before it tries again.

        Raises
        ------
        RefusedError
            With the server's reason, on a status of 4xx.
        LoginError
            If the login ended and cannot be renewed.
        UnreachableError
            After the last attempt.
        """
        renewed = False
        attempt = 0
        headers = {"Content-Type": content_type} if content_type else {}
        while True:
            attempt += 1
            self.open()
            generation = self._generation
            answer, fault = self._try(
                method,
                path,
                params=params,
                data=body() if body else None,
                json=json,
                headers=headers,
                timeout=(
                    self.connection.connect_timeout_s,
                    read_timeout_s or self.connection.read_timeout_s,
                ),
                stream=stream,
            )
            if answer is not None and is_logged_out(answer):
                if renewed:
                    raise LoginError("The server no longer accepts the login.", hint=LOG_IN_AGAIN)
                renewed = True
                attempt -= 1
                self._open_again(generation)
                continue
            if answer is not None and answer.status_code not in REPEATED_STATUS:
                return self._accepted(answer)
            error = no_answer(self.connection, fault) if answer is None else server_fault(answer)
            if not repeat:
                raise LostAnswerError(error.message, hint=error.hint, status=error.status)
            if attempt >= self.patience.attempts:
                raise error
            self._sleep(self.patience.wait_s(attempt, asked_wait_s(answer)))
            if answer is None and body is not None:
                self.check_login()  # an expired login shows as a cut connection in mid-body

    def _try(
        self, method: str, path: str, **options: Any
    ) -> tuple[requests.Response | None, requests.RequestException | None]:
        session = self._session
        if session is None:
            raise LoginError("The session was closed.", hint=LOG_IN_AGAIN)
        try:
            answer: requests.Response = session.interface.request(
                method,
                self.server + path,
                allow_redirects=False,
                verify=self._verify(),
                **options,
            )
        except requests.RequestException as fault:
            return None, fault
        return answer, None

    def _accepted(self, answer: requests.Response) -> requests.Response:
        status = answer.status_code
        if status >= 400:
            raise RefusedError(reason(answer), status=status)
        if 300 <= status < 400 and status not in (301, 304) and "location" in answer.headers:
            raise ServerError(
                "The server sends requests on to another address.",
                hint="Use the address that your browser shows when you are logged in.",
                status=status,
            )
        return answer

    def check_login(self) -> None:
        """Ask whether the session still lives, and log in again where it does not."""
        self.send("GET", "/data/JSESSION", read_timeout_s=30)

    def json(self, path: str, params: Params | None = None, *, lenient: bool = False) -> Any:
        """Return an answer's JSON.

        Parameters
        ----------
        lenient : bool
            Return an empty object where the server does not know the address or forbids it.
        """
        asked = [*_pairs(params), ("format", "json")] if path.startswith("/data") else params
        try:
            answer = self.send("GET", path, params=asked)
        except RefusedError as refusal:
            if lenient and refusal.status in (400, 403, 404, 405, 415, 501):
                return {}
            raise
        try:
            return answer.json()
        except ValueError as error:
            raise ServerError(
                "The server's answer is not what XNAT sends.",
                hint="Check the address; a proxy or a login page may stand in between.",
                status=answer.status_code,
            ) from error

    def rows(self, path: str, params: Params | None = None) -> list[dict[str, str]]:
        """Return the rows of a listing; every value is text."""
        found = self.json(path, params)
        try:
            rows = found["ResultSet"]["Result"]
            return [{str(k): "" if v is None else str(v) for k, v in row.items()} for row in rows]
        except (KeyError, TypeError, AttributeError) as error:
            raise ServerError("The server's listing is not what XNAT sends.") from error

    def exists(self, path: str) -> bool:
        """Tell whether an item is there and may be read."""
        try:
            self.send("GET", path, params={"format": "json"})
        except RefusedError as refusal:
            if refusal.status in (403, 404):
                return False
            raise
        return True


def _pairs(params: Params | None) -> list[tuple[str, str]]:
    if params is None:
        return []
    return list(params.items()) if isinstance(params, Mapping) else list(params)


def named(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return parameters without those whose value is empty."""
    return [(name, value) for name, value in pairs if value]
