"""Talk to XNAT: one login, requests repeated where that does no harm, no redirect followed.

The only class of the product that sends. Redirects are never followed: a login and what is sent go
to the server that was named, and to no other.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter

from .connection import Connection
from .errors import (
    LoginError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ServerError,
    UnreachableError,
    UntrustedError,
)
from .faults import no_answer, reason_of, server_fault
from .login import Login
from .retry import IDEMPOTENT_METHODS, RetryPolicy

Params = Mapping[str, str] | list[tuple[str, str]]
Body = Callable[[], Any]
Answer = requests.Response
_Outcome = tuple[requests.Response | None, requests.RequestException | None]

_CONNECTIONS = 16
_LOGIN_ATTEMPTS = 4  # of the first login: a wrong address shows there
_RENEWALS = 3  # of the login for one request: a server may take it and lose it again at once
_SESSION_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_LOGIN_PAGE = "/app/template/Login"
_SETUP_PAGES = ("/setup", "/app/template/Unconfigured.vm")
_READING = ("GET", "HEAD", "OPTIONS")
_CHANGED_DATA = re.compile(r"/data/(?:archive/)?(?:projects|subjects|experiments)/")
_PASSWORD_FIELD = re.compile(rb"""<input\b[^>]*\btype\s*=\s*["']?password""", re.IGNORECASE)
_LONGEST_PAGE = 1 << 20
_LACKS_RIGHT = "The user lacks the right for it."


class _Basic(requests.auth.HTTPBasicAuth):
    """A login in the header, as UTF-8: requests would take text for Latin-1."""

    def __init__(self, login: Login) -> None:
        super().__init__(login.name.encode("utf-8"), login.secret.encode("utf-8"))


class _NoLogin(requests.auth.AuthBase):
    """Send no login with a request; being set, it keeps requests from reading a ``.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request as it is."""
        return request


class XnatSession:
    """Requests to a server, logged in while its block runs; safe to use from several threads.

    Parameters
    ----------
    connection : Connection
        Which server.
    login : Login
        As whom.
    agent : str
        Name of the program, which the server's log shows, and its history of changes as reason.
    retry : RetryPolicy, optional
        When requests are repeated.
    sleep : callable, optional
        Waits a number of seconds; a caller that can be stopped gives its own.
    on_answer : callable, optional
        Given every answer, with its request, before anybody reads it.
    """

    def __init__(
        self,
        connection: Connection,
        login: Login,
        *,
        agent: str = "xnat-pic",
        retry: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        on_answer: Callable[[requests.Response], None] | None = None,
    ) -> None:
        self.connection = connection
        self.retry = retry or RetryPolicy()
        self.server = connection.server
        self._login = login
        self._agent = agent
        self._sleep = sleep
        self._on_answer = on_answer
        self._lock = threading.RLock()
        self._session: requests.Session | None = None
        self._logins = 0

    def __repr__(self) -> str:
        """Show server and user."""
        return f"<XnatClient {self.user} at {self.connection.host}>"

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

    # --- login ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Log in, where that was not done yet.

        Raises
        ------
        LoginError
            If the server refuses the login.
        ServerError
            If it cannot be reached, or is no XNAT.
        """
        with self._lock:
            if self._session is None:
                self._log_in()

    def close(self) -> None:
        """End the session on the server; nothing is raised where that fails."""
        with self._lock:
            session, self._session = self._session, None
        if session is None:
            return
        try:
            session.delete(
                f"{self.server}/data/JSESSION",
                timeout=10,
                verify=self._verify(),
                allow_redirects=False,
            )
        except requests.RequestException:
            logging.getLogger(__name__).debug("the server's session was left to expire")
        session.close()

    def use_login(self, login: Login) -> None:
        """Log in as `login` from the next login on; the session that is open goes on."""
        with self._lock:
            self._login = login

    def check_login(self) -> None:
        """Ask whether the session still lives, and log in again where it does not."""
        self.send("GET", "/data/JSESSION", read_timeout_s=30)

    def _verify(self) -> str | bool:
        return str(self.connection.ca_bundle) if self.connection.ca_bundle else True

    def _log_in(self) -> None:
        """Log in, repeated as other requests are; the lock is held."""
        if self._login.is_expired():
            raise LoginError("The stored login has expired.", hint=_renew_hint(self._login))
        session = requests.Session()
        session.auth = _NoLogin()
        session.headers["User-Agent"] = self._agent
        # What decides and proves is what the server has now, and no copy of a proxy on the way.
        session.headers["Cache-Control"] = "no-cache"
        if self._on_answer is not None:
            session.hooks["response"].append(_hook(self._on_answer))
        session.trust_env = not self.connection.is_loopback  # no proxy leads back here
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        attempts = self.retry.attempts
        if not self._logins:
            attempts = min(attempts, _LOGIN_ATTEMPTS)
        try:
            answer = self._repeat(lambda: self._try_login(session), attempts)
            if answer.status_code in (401, 403) or _is_login_page(answer):
                raise self._refused_login()
            if answer.status_code == 400 and (self._login.method or self._login.provider):
                raise self._unknown_provider()
            missing = answer.status_code == 404  # as any other server says, or a wrong path on this
            token = "" if missing else self._accepted(answer, ()).text.partition(";")[0].strip()
            if not _SESSION_ID.fullmatch(token):
                raise ServerError(
                    f"{self.connection.server} does not answer like an XNAT.",
                    hint="Check the address; a proxy or a login page may stand in between.",
                )
            if "JSESSIONID" not in session.cookies:
                session.cookies.set("JSESSIONID", token)
        except BaseException:
            session.close()
            raise
        self._session = session
        self._logins += 1

    def _try_login(self, session: requests.Session) -> _Outcome:
        """Send the login once; again where the server's own root stands elsewhere on it."""
        outcome = _request(session, **self._login_request())
        answer = outcome[0]
        if (
            answer is not None
            and 300 <= answer.status_code < 400
            and not _is_login_page(answer)
            and self._is_other_root(answer.headers.get("location", ""))
        ):
            return _request(session, **self._login_request())
        return outcome

    def _login_request(self) -> dict[str, Any]:
        login = self._login
        options: dict[str, Any] = {
            "timeout": (self.connection.connect_timeout_s, self.connection.read_timeout_s),
            "verify": self._verify(),
        }
        if login.is_token:
            address = f"{self.server}/data/JSESSION"
            return {"method": "POST", "url": address, "auth": _Basic(login), **options}
        form = {
            "username": login.name,
            "password": login.secret,
            "provider": login.method,
            "authenticatorId": login.provider,
        }
        return {
            "method": "PUT",
            "url": f"{self.server}/data/services/auth",
            "data": {name: value for name, value in form.items() if value},
            **options,
        }

    def _is_other_root(self, target: str) -> bool:
        """Follow the server's own root to another path of the same scheme, host and port."""
        here, there = urlsplit(self.server), urlsplit(target)
        if (there.scheme, there.netloc.lower()) != (here.scheme, here.netloc):
            return False
        root, found, _ = there.path.partition("/data/")
        if not found or root == here.path:
            return False
        self.server = urlunsplit((here.scheme, here.netloc, root, "", ""))
        return True

    def _refused_login(self) -> LoginError:
        if self._login.is_token:
            text = "The stored login is no longer valid."
        else:
            text = f"{self.connection.host} refuses the login of {self.user}."
        hint = _renew_hint(self._login)
        if not (self._login.is_token or self._login.method or self._login.provider):
            hint += (
                " An account of a directory needs its method at the first login: "
                "--auth-method ldap, or XNAT_PIC_AUTH_METHOD=ldap."
            )
        return LoginError(text, hint=hint)

    def _unknown_provider(self) -> LoginError:
        login, host = self._login, self.connection.host
        if login.provider:
            text = f"{host} knows no authentication provider {login.provider}."
            hint = "Correct --auth-provider: the site's administrator knows its id."
        else:
            text = f"{host} has several authentication providers of the method {login.method}."
            hint = "Name one with --auth-provider: the site's administrator knows its id."
        return LoginError(text, hint=hint)

    def _log_in_again(self, logins: int) -> None:
        """Log in again, unless another thread just did."""
        with self._lock:
            if self._logins != logins:
                return
            old, self._session = self._session, None
            if old is not None:
                old.close()
            self._log_in()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Body | None = None,
        json: Any = None,
        content_type: str = "",
        repeat: bool | None = None,
        accept: Collection[int] = (),
        read_timeout_s: float | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request and return its answer.

        Parameters
        ----------
        method, path : str
            Such as ``GET`` and ``/data/projects``.
        body : callable, optional
            Makes the body anew for each attempt: bytes, an open file (closed afterwards), or blocks
            of bytes. One with ``len()`` is sent with its length, another one in chunks.
        repeat : bool, optional
            Whether a second time does no harm. By default that is so for every method but POST.
            Otherwise a lost answer and a fault of the server raise `LostAnswerError` at once, and
            the caller looks what was done before it tries again.
        accept : collection of int
            Statuses that are as good as success, a redirect or a refusal among them.
        stream : bool
            Leave the body on the line; `stream` and `read` are the safer calls.

        Raises
        ------
        RefusedError
            With the server's reason, on a status of 4xx; `MissingError` for 404.
        LoginError
            If the login ended and cannot be renewed.
        LostAnswerError
            See `repeat`.
        UnreachableError
            After the last attempt.
        """
        if repeat is None:
            repeat = method.upper() in IDEMPOTENT_METHODS
        options: dict[str, Any] = {
            "params": self._with_reason(method, path, params),
            "json": json,
            "headers": {"Content-Type": content_type} if content_type else {},
            "timeout": (
                self.connection.connect_timeout_s,
                read_timeout_s or self.connection.read_timeout_s,
            ),
            "stream": stream,
        }
        for renewals_left in range(_RENEWALS, -1, -1):
            self.open()
            logins = self._logins
            answer = self._repeat(
                lambda: self._try(method, path, body, **options),
                self.retry.attempts if repeat else 1,
                accept,
                # An expired login shows as a cut connection in mid-body.
                self.check_login if body is not None else None,
                kind=UnreachableError if repeat else LostAnswerError,
            )
            if not (
                answer.status_code == 401
                or _is_login_page(answer)
                or (not stream and _asks_for_password(answer))
            ):
                return self._accepted(answer, accept)
            answer.close()
            if renewals_left:
                self._log_in_again(logins)
        raise LoginError("The server no longer accepts the login.", hint=_renew_hint(self._login))

    def _with_reason(self, method: str, path: str, params: Params | None) -> Params | None:
        """Add why something is changed: a site may refuse a change without a reason."""
        if method.upper() in _READING or not _CHANGED_DATA.match(path):
            return params
        pairs = list(params.items()) if isinstance(params, Mapping) else list(params or ())
        if all(name != "event_reason" for name, _ in pairs):
            pairs.append(("event_reason", self._agent))
        return pairs

    def pause(self, attempt: int) -> None:
        """Wait after an attempt, counted from 1, of work that is more than one request."""
        self._sleep(self.retry.wait_s(attempt))

    def _repeat(
        self,
        once: Callable[[], _Outcome],
        attempts: int,
        accept: Collection[int] = (),
        after_cut: Callable[[], None] | None = None,
        kind: type[UnreachableError] = UnreachableError,
    ) -> requests.Response:
        """Send until there is an answer that repeating would not change.

        Raises
        ------
        UnreachableError
            After the last attempt, of the `kind` wanted; `UntrustedError` at once.
        """
        statuses = self.retry.statuses.difference(accept)
        for attempt in range(1, attempts + 1):
            answer, fault = once()
            if answer is not None and answer.status_code not in statuses:
                return answer
            error = no_answer(self.connection, fault) if answer is None else server_fault(answer)
            if answer is not None:
                answer.close()
            if isinstance(error, UntrustedError):
                raise error
            if attempt == attempts:
                raise kind(error.message, hint=error.hint, status=error.status)
            self._sleep(self.retry.wait_s(attempt, None if answer is None else answer.headers))
            if answer is None and after_cut is not None:
                after_cut()
        raise AssertionError("the last attempt returns or raises")

    def _try(self, method: str, path: str, body: Body | None, **options: Any) -> _Outcome:
        session = self._session
        if session is None:
            raise LoginError("The session was closed.", hint=_renew_hint(self._login))
        content = body() if body else None
        try:
            return _request(
                session,
                method=method,
                url=self.server + path,
                data=content,
                verify=self._verify(),
                **options,
            )
        finally:
            close = getattr(content, "close", None)
            if close is not None:
                close()

    def _accepted(self, answer: requests.Response, accept: Collection[int]) -> requests.Response:
        status = answer.status_code
        if status in accept or status < 300 or status == 304:
            return answer
        if status >= 500 and status != 501:  # 501 is a refusal: this server does not have it
            raise server_fault(answer)
        if status >= 400:
            kind = MissingError if status == 404 else RefusedError
            hint = _LACKS_RIGHT if status == 403 else ""
            raise kind(reason_of(answer), hint=hint, status=status)
        target = urlsplit(answer.headers.get("location", ""))
        if target.path.endswith(_SETUP_PAGES):
            answer.close()
            raise ServerError(
                f"The XNAT at {self.connection.host} has not been set up yet.",
                hint="Let its administrator log in with a browser and save the site's settings.",
                status=status,
            )
        where = f" ({target.scheme}://{target.netloc})" if target.netloc else ""
        answer.close()
        raise ServerError(
            f"The server sends requests on to another address{where}.",
            hint="Use the address that your browser shows when you are logged in.",
            status=status,
        )


def _hook(on_answer: Callable[[requests.Response], None]) -> Callable[..., None]:
    def call(answer: requests.Response, *_: Any, **__: Any) -> None:
        on_answer(answer)

    return call


def _request(session: requests.Session, **options: Any) -> _Outcome:
    """Send once, to the server that is named and to no other."""
    try:
        return session.request(allow_redirects=False, **options), None
    except requests.RequestException as fault:
        return None, fault


def _is_login_page(answer: requests.Response) -> bool:
    return answer.status_code in (302, 303) and _LOGIN_PAGE in answer.headers.get("location", "")


def _asks_for_password(answer: requests.Response) -> bool:
    """Tell whether an answer of 200 is the login page of what stands between us and the server."""
    if answer.status_code != 200 or "html" not in answer.headers.get("Content-Type", ""):
        return False
    return _PASSWORD_FIELD.search(answer.content[:_LONGEST_PAGE]) is not None


def _renew_hint(login: Login) -> str:
    if login.is_token:
        return "Log in again, or start the run again: what is done stays."
    return "Check user and password; after many failures XNAT locks an account for a while."
