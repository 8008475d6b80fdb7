"""The way in: one spelling of every address, and who asks."""

import base64
import binascii
import time
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import accounts, initialization
from .archive import Archive
from .http import error_page

# Reached without a login: the page to log in, the login itself, and what a client asks first.
_OPEN = ("/app/template/Login.vm", "/data/services/auth", "/data/JSESSION", "/static/", "/login")
_API = ("/data", "/xapi", "/fs", "/sandbox")
_BROWSERS = ("mozilla", "msie", "applewebkit", "opera")


def normal_path(path: str) -> str:
    """Return one spelling of an address: ``/REST`` is ``/data``, and ``/data/archive`` too."""
    if path == "/REST" or path.startswith("/REST/"):
        path = "/data" + path[5:]
    for alias in ("/data/archive/", "/data/archive"):
        rest = path.removeprefix(alias)
        if rest != path and alias.endswith("/"):
            return "/data/" + rest
    return path if len(path) < 2 else path.rstrip("/") or "/"


class Gate:
    """Middleware that rewrites addresses, finds the user and keeps the session alive."""

    def __init__(self, app: ASGIApp, archive: Archive) -> None:
        self._app = app
        self._archive = archive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        folder = scope["path"].endswith("/") and "/files/" in scope["path"]
        scope["path"] = normal_path(scope["path"]) + ("/" if folder else "")
        # No part of a file is sent for itself: what XNAT answers to that is no use to anybody.
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"range"]
        headers = Headers(scope=scope)
        if _is_foreign(scope["method"], headers):
            page = error_page(403, "A page of another site may not change anything here.")
            await Response(page, 403, media_type="text/html")(scope, receive, send)
            return
        user, token, new = await run_in_threadpool(self._identify, headers, scope["path"])
        scope["user"] = user or accounts.GUEST
        scope["session_token"] = token
        refusal = await run_in_threadpool(self._not_set_up, scope, user, headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if user is None and not scope["path"].startswith(_OPEN):
            await _challenge(scope, headers)(scope, receive, send)
            return
        await self._app(scope, receive, _with_cookies(send, token if new else ""))

    def _identify(self, headers: Headers, path: str) -> tuple[accounts.User | None, str, bool]:
        """Return user, session token, and whether the session was made just now."""
        token = cookie_parser(headers.get("cookie", "")).get("JSESSIONID", "")
        name, secret = _basic(headers.get("authorization", ""))
        with self._archive.database.read() as connection:
            user = accounts.session_user(connection, token) if token else None
        if user is None and name:
            user, token = self._basic_user(name, secret), ""
        if user is None:
            return None, "", False
        with self._archive.database.write() as connection:
            if token:
                connection.execute(
                    "UPDATE web_session SET last_used = ? WHERE token = ? AND last_used < ?",
                    (time.time(), token, time.time() - 5),
                )
                return user, token, False
            return user, accounts.open_session(connection, user), True

    def _basic_user(self, name: str, secret: str) -> accounts.User | None:
        """Return who logs in by Basic, as ``user`` or ``provider/user``."""
        directory = dict(self._archive.settings.directory)
        provider, slash, rest = name.partition("/")
        with self._archive.database.write() as connection:
            if slash and provider in (accounts.LOCAL, accounts.LDAP_PROVIDER):
                return accounts.authenticate(connection, directory, rest, secret, provider=provider)
            return accounts.authenticate(connection, directory, name, secret)

    def _not_set_up(
        self, scope: Scope, user: accounts.User | None, headers: Headers
    ) -> Response | None:
        """Return the answer of a site that is not set up; None where it is, or it does not count.

        A wrong Basic login is refused as ever.
        """
        if initialization.is_initialized(self._archive):
            return None
        basic = headers.get("authorization", "")
        # A wrong login is refused as ever; one that names nobody is a guest's.
        if user is None and basic.startswith("Basic ") and not _basic(basic)[0]:
            if scope["path"] in initialization.OPEN:
                return None
            page = error_page(403, "Site has not yet been configured.")
            return Response(page, 403, media_type="text/html")
        target = initialization.detour(scope["path"], user)
        if not target:
            return None
        return RedirectResponse(f"{scope['scheme']}://{headers.get('host', '')}{target}", 302)


def _is_foreign(method: str, headers: Headers) -> bool:
    """Tell whether a browser sends a change from a page of another site."""
    origin = headers.get("origin")
    if origin is None or method in ("GET", "HEAD", "OPTIONS"):
        return False
    return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _basic(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(value).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def _challenge(scope: Scope, headers: Headers) -> Response:
    """Send browsers to the page to log in; ask programs for credentials."""
    agent = headers.get("user-agent", "").lower()
    is_api = scope["path"].startswith(_API)
    if not is_api or any(mark in agent for mark in _BROWSERS):
        target = "/app/template/Login.vm"
        if scope["path"] != "/":
            target += "?next=" + quote(scope["path"])
        return RedirectResponse(target, 302)
    return Response(
        error_page(401, "Unauthorized"),
        401,
        {"WWW-Authenticate": 'Basic realm="XNAT-PIC sandbox"'},
        "text/html",
    )


def _with_cookies(send: Send, new_token: str) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            moment = int(time.time() * 1000)
            life = accounts.SESSION_TIMEOUT_S * 1000
            headers.append("set-cookie", f'SESSION_EXPIRATION_TIME="{moment},{life}"; Path=/')
            if new_token:
                headers.append(
                    "set-cookie", f"JSESSIONID={new_token}; Path=/; HttpOnly; SameSite=Lax"
                )
        await send(message)

    return wrapped
