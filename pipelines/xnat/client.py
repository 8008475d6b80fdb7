"""Ask an XNAT server: one login, requests repeated with patience, a token renewed in time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests

from xnat_config.server.client import NoLogin

from .access import Access
from .errors import LoginError, MissingError, ServerError

_AGAIN = frozenset({429, 500, 502, 503, 504})
_PIECE = 1 << 20
_LONGEST_REASON = 200
_LOGINS = 3  # in a row, each taken and lost again at once
# What another try may mend; an answer that is cut off too.
_PASSING = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


def path_of(*parts: str) -> str:
    """Return an address with each part encoded: ``path_of("projects", "a b")``."""
    return "/data/" + "/".join(quote(part, safe="") for part in parts)


class Client:
    """One server, asked as one user. Requests come from one thread; signs of life from another.

    Parameters
    ----------
    access : Access
        The attribute of the same name changes when the token is renewed.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._patience = access.patience
        self._session = requests.Session()
        self._session.auth = NoLogin()
        if access.ca_bundle is not None:
            self._session.verify = str(access.ca_bundle)
        self._lock = threading.Lock()
        self._logged_in = False
        self._renew_at = 0.0  # of the monotonic clock: at the first sign of life
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Log in, and stay logged in."""
        self._log_in()
        threading.Thread(target=self._stay, name="xnat-stay", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out."""
        self._over.set()
        with self._lock:
            if self._logged_in:
                with suppress(requests.RequestException):
                    self._send("DELETE", "/data/JSESSION", {"timeout": 10})
            self._logged_in = False
            self._session.close()

    # --- login ----------------------------------------------------------------------------------

    def _log_in(self) -> None:
        with self._lock:
            self._session.cookies.clear()
            answer = self._patiently("POST", "/data/JSESSION", {"auth": self._login()})
            if answer.status_code in (401, 403):
                raise LoginError(
                    f"{self.access.server} does not take the login that this run was given.",
                    hint="It may have expired: start the run again.",
                )
            self._check(answer, "POST", "/data/JSESSION")
            session = answer.text.partition(";")[0].strip()
            if "JSESSIONID" not in self._session.cookies and session.isalnum():
                self._session.cookies.set("JSESSIONID", session)
            self._logged_in = True

    def _login(self) -> tuple[bytes, bytes]:
        # As bytes, because requests would take text for Latin-1.
        return self.access.alias.encode(), self.access.secret.encode()

    def _stay(self) -> None:
        """Keep the session open and the token fresh, until the client is closed."""
        while not self._over.wait(self._patience.beat_s):
            with suppress(requests.RequestException, ServerError, LoginError):
                if time.monotonic() >= self._renew_at:
                    self.renew()
                else:
                    with self._lock:
                        self._send("GET", "/data/JSESSION", {})

    def renew(self) -> None:
        """Ask for a fresh token and use it from now on.

        Raises
        ------
        LoginError, ServerError
        """
        answer = self.request("GET", "/data/services/tokens/issue")
        try:
            content = answer.json()
            alias, secret = str(content["alias"]), str(content["secret"])
            life = float(content.get("estimatedExpirationTime") or 0) / 1000 - time.time()
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(f"{self.access.server} gave no token.") from error
        self.access = replace(self.access, alias=alias, secret=secret)
        wait = min(self._patience.renew_s, life / 2) if life > 0 else self._patience.renew_s
        self._renew_at = time.monotonic() + wait

    # --- requests -------------------------------------------------------------------------------

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request that may be repeated, and return its answer.

        Parameters
        ----------
        method, path : str
            Such as ``GET`` and ``/data/projects``.
        options : Any
            Of `requests.Session.request`; ``file`` is a path whose content is the body, ``accept``
            are statuses that are as good as success.

        Raises
        ------
        LoginError
            Where the login is no longer taken.
        MissingError
            For 404.
        ServerError
            For every other refusal, and where no answer comes.
        """
        accept = options.pop("accept", ())
        with self._lock:
            answer = self._patiently(method, path, options)
        for _ in range(_LOGINS):
            if answer.status_code != 401:
                break
            answer.close()
            self._log_in()
            with self._lock:
                answer = self._patiently(method, path, options)
        if answer.status_code not in accept:
            self._check(answer, method, path)
        return answer

    def _patiently(self, method: str, path: str, options: Mapping[str, Any]) -> requests.Response:
        """Send until there is an answer that repeating would not change."""
        patience = self._patience
        for attempt in range(1, patience.attempts + 1):
            last = attempt == patience.attempts
            try:
                answer = self._send(method, path, options)
                if answer.status_code not in _AGAIN or last:
                    return answer
                answer.close()
            except requests.exceptions.SSLError as error:
                raise ServerError(
                    f"{self.access.server} shows a certificate that is not trusted.",
                    hint="Name the file of its certificates with XNAT_PIC_CA_BUNDLE.",
                ) from error
            except _PASSING as error:
                if last:
                    raise ServerError(
                        f"{self.access.server} does not answer.", hint="Try again later."
                    ) from error
            self.pause(attempt)
        raise AssertionError("the last attempt returns or raises")

    def pause(self, attempt: int) -> None:
        """Wait after an attempt, counted from 1."""
        wait = min(
            self._patience.first_wait_s * 2.0 ** (attempt - 1), self._patience.longest_wait_s
        )
        self._over.wait(wait * random.uniform(0.9, 1.1))

    def _send(self, method: str, path: str, options: Mapping[str, Any]) -> requests.Response:
        given = dict(options)
        file: Path | None = given.pop("file", None)
        given.setdefault("timeout", (self._patience.connect_s, self._patience.read_s))
        url = self.access.server + path
        if file is None:
            return self._session.request(method, url, allow_redirects=False, **given)
        with file.open("rb") as body:
            return self._session.request(method, url, data=body, allow_redirects=False, **given)

    def _check(self, answer: requests.Response, method: str, path: str) -> None:
        status = answer.status_code
        if status < 300:
            return
        where = f"{self.access.server} answered {status} to {method} {path}"
        reason = _reason(answer)
        answer.close()
        if status == 401:
            raise LoginError(
                f"{self.access.server} has ended the login of this run.",
                hint="Start the run again.",
            )
        if status < 400:
            raise ServerError(
                f"{self.access.server} sends to another address.",
                hint="Use the address that the browser shows.",
            )
        text = f"{where}{': ' + reason if reason else ''}."
        if status == 404:
            raise MissingError(text)
        if status == 403:
            raise ServerError(text, hint="The user who started the run lacks the right for it.")
        raise ServerError(text, hint="Try again later, or ask the server's administrator.")

    # --- answers --------------------------------------------------------------------------------

    def rows(self, path: str, **params: str) -> list[dict[str, str]]:
        """Return the rows of a listing; parameters as of `request`."""
        content = self._json(path, params)
        try:
            return [
                {str(key): str(value) for key, value in row.items()}
                for row in content["ResultSet"]["Result"]
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise ServerError(f"{self.access.server} gave no listing for {path}.") from error

    def fields(self, path: str) -> dict[str, str]:
        """Return the ``data_fields`` of an item as it is now; parameters as of `request`."""
        content = self._json(path, {})
        try:
            current = [i for i in content["items"] if not i.get("meta", {}).get("isHistory")]
            return {str(k): str(v) for k, v in current[0]["data_fields"].items()}
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ServerError(f"{self.access.server} gave no item for {path}.") from error

    def _json(self, path: str, params: Mapping[str, str]) -> Any:
        answer = self.request("GET", path, params={**params, "format": "json"})
        try:
            return answer.json()
        except ValueError as error:
            raise ServerError(
                f"{self.access.server} answered {path} with something that is no JSON.",
                hint="Is it the address of an XNAT server?",
            ) from error

    @contextmanager
    def stream(self, path: str, **params: str) -> Iterator[Iterator[bytes]]:
        """Yield the bytes of an answer in pieces; errors as of `request`.

        A connection that breaks raises `requests.RequestException`: begin again.
        """
        answer = self.request("GET", path, params=params, stream=True)
        with answer:
            yield answer.iter_content(_PIECE)

    def read(self, path: str, enough: Callable[[bytearray], bool] = lambda _: False) -> bytes:
        """Return the bytes of an answer; one that breaks off is asked for again.

        Parameters
        ----------
        path : str
            Address.
        enough : callable
            Told what has come so far; True ends the reading.

        Raises
        ------
        LoginError, ServerError
            As of `request`.
        """
        for attempt in range(1, self._patience.attempts + 1):
            data = bytearray()
            try:
                with self.stream(path) as pieces:
                    for piece in pieces:
                        data += piece
                        if enough(data):
                            break
                return bytes(data)
            except requests.RequestException as error:
                if attempt == self._patience.attempts:
                    raise ServerError(
                        f"The connection to {self.access.server} breaks off.",
                        hint="Try again later.",
                    ) from error
            self.pause(attempt)
        raise AssertionError("the last attempt returns or raises")


def _reason(answer: requests.Response) -> str:
    """Return what an error page says in its heading, or a short plain text."""
    with suppress(requests.RequestException):
        text = answer.text[:20_000]
        if "<h3>" in text:
            text = text.partition("<h3>")[2].partition("</h3>")[0]
        elif "<" in text:
            return ""
        return " ".join(text.split())[:_LONGEST_REASON].rstrip(".")
    return ""
