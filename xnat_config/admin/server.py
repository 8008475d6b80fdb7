"""Requests to one XNAT: one login, a cookie, patience where repeating does no harm."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from ..answers import reason_in, version_numbers
from ..asking import NoLogin
from ..connection import Connection
from .errors import LoginRefusedError, RefusedError, ServerFaultError

ATTEMPTS = 4
_REPEATED = frozenset({408, 425, 429, 502, 503, 504})
# What a server answers about an address that it does not have or does not open to the user.
NOT_THERE = frozenset({400, 403, 404, 405, 415, 501})


def path_of(*parts: str) -> str:
    """Return an address with each part encoded: ``path_of("data", "projects", "a b")``."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


class Server:
    """An XNAT, logged in as one user; leaving the block logs out."""

    def __init__(
        self,
        connection: Connection,
        user: str,
        password: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self.user = user
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers["User-Agent"] = "xnat-pic-admin"
        # Never a login from a .netrc: the one given counts. Proxies still come from the system.
        self._session.auth = _Basic(user, password)

    def __enter__(self) -> Self:
        """Log in.

        Raises
        ------
        LoginRefusedError
            If user or password are not accepted.
        ServerFaultError
            If no XNAT answers.
        """
        answer = self.send("GET", "/data/JSESSION")
        if "<" in answer.text[:100]:
            raise ServerFaultError(
                f"{self.connection.server} does not answer like an XNAT. Check the address; a "
                "proxy or a login page may stand in between."
            )
        # From here on the cookie tells who asks: the password is not sent again.
        self._session.auth = NoLogin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out; nothing is raised where that fails."""
        try:
            self._session.delete(
                self.connection.server + "/data/JSESSION", timeout=10, verify=self._verify()
            )
        except requests.RequestException:
            pass  # the server's session ends by itself
        finally:
            self._session.close()

    @property
    def version_text(self) -> str:
        """The server's version as it tells it; empty where it does not."""
        found = self.ask("/xapi/siteConfig/buildInfo")
        text = str(found.get("version", "")) if isinstance(found, dict) else ""
        return "".join(c if c.isprintable() else " " for c in text)[:40]

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version, such as (1, 8, 10); empty where it does not say."""
        return version_numbers(self.version_text)

    def _verify(self) -> str | bool:
        return str(self.connection.ca_bundle) if self.connection.ca_bundle else True

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        content_type: str = "",
    ) -> requests.Response:
        """Send a request; return its answer with a status below 400.

        All methods but POST are repeated where the connection or the server fails.

        Raises
        ------
        RefusedError
            With the server's reason.
        LoginRefusedError
            On status 401.
        ServerFaultError
            If there is no answer, or none that is XNAT's.
        """
        attempts = 1 if method == "POST" else ATTEMPTS
        options: dict[str, Any] = {
            "params": params,
            "json": json,
            "data": data,
            "headers": {"Content-Type": content_type} if content_type else {},
            "timeout": (self.connection.connect_timeout_s, self.connection.read_timeout_s),
            "verify": self._verify(),
            "allow_redirects": False,
        }
        for attempt in range(1, attempts + 1):
            try:
                answer = self._session.request(method, self.connection.server + path, **options)
            except requests.RequestException as fault:
                if attempt == attempts or isinstance(fault, requests.exceptions.SSLError):
                    raise _no_answer(self.connection, fault) from None
            else:
                if answer.status_code not in _REPEATED or attempt == attempts:
                    return self._accepted(answer)
            self._sleep(2.0 ** (attempt - 2))  # 0.5, 1, 2 s
        raise AssertionError("a loop of attempts ends with an answer or an error")

    def _accepted(self, answer: requests.Response) -> requests.Response:
        status = answer.status_code
        if status == 401 or (
            status in (302, 303) and "Login" in answer.headers.get("location", "")
        ):
            raise LoginRefusedError(
                f"{self.connection.host} does not accept the login of {self.user}. Check user and "
                "password."
            )
        said = f"The server answered {status} ({answer.reason})."
        if status >= 500:
            raise ServerFaultError(
                f"The server met a fault (status {status}): {reason_in(answer.content, said)} "
                "Run the same command again later."
            )
        if status >= 400:
            raise RefusedError(reason_in(answer.content, said), status)
        if status >= 300:
            raise ServerFaultError(
                "The server sends requests on to another address. Use the address that your "
                "browser shows when you are logged in."
            )
        return answer

    def ask(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return an answer's JSON; None where the server does not have or open the address.

        Raises
        ------
        ServerFaultError
            If the answer is no JSON, or the server fails.
        """
        asked = {**(params or {}), "format": "json"} if path.startswith("/data") else params
        try:
            answer = self.send("GET", path, params=asked)
        except RefusedError as refusal:
            if refusal.status in NOT_THERE:
                return None
            raise
        try:
            return answer.json()
        except ValueError:
            raise ServerFaultError(
                "The server's answer is not what XNAT sends. Check the address; a proxy or a "
                "login page may stand in between."
            ) from None

    def rows(self, path: str, params: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """Return the rows of a listing as text; none where the server does not have it."""
        found = self.ask(path, params)
        try:
            listed = found["ResultSet"]["Result"] if found is not None else []
            return [{str(k): str(v or "") for k, v in row.items()} for row in listed]
        except (KeyError, TypeError, AttributeError):
            raise ServerFaultError("The server's listing is not what XNAT sends.") from None


class _Basic(requests.auth.HTTPBasicAuth):
    """The login, sent as UTF-8."""

    def __init__(self, user: str, password: str) -> None:
        super().__init__(user.encode("utf-8"), password.encode("utf-8"))


def _no_answer(connection: Connection, fault: Exception) -> ServerFaultError:
    """Put a fault of the connection into words; never the fault's own text."""
    if isinstance(fault, requests.exceptions.SSLError):
        text = f"The certificate of {connection.host} is not trusted, or it speaks no https."
        return ServerFaultError(text + " Check the address, or give --ca-bundle FILE.")
    if isinstance(fault, requests.exceptions.ProxyError):
        text = f"The proxy on the way to {connection.host} does not let the request through."
        return ServerFaultError(text + " Check HTTPS_PROXY and NO_PROXY.")
    if isinstance(fault, requests.Timeout):
        return ServerFaultError(f"{connection.host} did not answer in time. Try again later.")
    text = f"The connection to {connection.host} failed or was cut."
    return ServerFaultError(text + " Check address and network, then run the same command again.")
