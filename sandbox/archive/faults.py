"""Faults on purpose, for tests of clients: only in a server started for it.

Rules are set from this machine at ``/sandbox/faults`` (GET lists, POST adds, DELETE clears). The
first rule that fits a request and is not used up decides what happens to it.
"""

import asyncio
import ipaddress
import re
from dataclasses import asdict, dataclass, fields
from fnmatch import translate
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import accounts
from .archive import Archive
from .gate import normal_path
from .http import error_page, phrase

ADDRESS = "/sandbox/faults"
_LOGIN_PAGE = (
    '<!DOCTYPE html>\n<html lang="en"><head><title>Sign in</title></head><body>'
    '<form method="post"><input name="user"><input name="password" type="password"></form>'
    "</body></html>\n"
)


@dataclass
class Rule:
    """What goes wrong, with which requests, and how often.

    Attributes
    ----------
    method : str
        HTTP method; empty for any.
    path : str
        Pattern of the address with ``*`` and ``?``, in its spelling below ``/data``.
    count : int
        How many requests it is applied to; 0 for every one.
    skip : int
        How many fitting requests pass first.
    status : int
        Answer this status, and do nothing; 0 for no.
    delay_s : float
        Seconds to wait first.
    drop_login : bool
        End the session and forget who asks.
    cut_request_after, cut_answer_after : int
        Cut the connection after so many bytes of the body; -1 for no.
    lose_answer : bool
        Do the work, then cut the connection without an answer.
    empty_answer : bool
        Do the work, then answer 200 with nothing in it.
    login_page : bool
        Do nothing, and answer 200 with a page that asks for a password, as a proxy does.
    """

    path: str = "*"
    method: str = ""
    count: int = 1
    skip: int = 0
    status: int = 0
    delay_s: float = 0.0
    drop_login: bool = False
    cut_request_after: int = -1
    cut_answer_after: int = -1
    lose_answer: bool = False
    empty_answer: bool = False
    login_page: bool = False
    hits: int = 0

    def applies(self, method: str, path: str) -> bool:
        """Tell whether a request meets this fault; one that is let pass is counted."""
        used_up = self.count and self.hits >= self.count
        fits = self.method.upper() in ("", method) and re.match(translate(self.path), path)
        if used_up or not fits:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


def rule(values: Any) -> Rule:
    """Return the rule of a JSON object.

    Raises
    ------
    ValueError
        For names or values that no rule has.
    """
    known = {one.name: type(one.default) for one in fields(Rule)}
    if not isinstance(values, dict):
        raise ValueError("A rule is a JSON object.")
    for name, value in values.items():
        wanted = known.get(name)
        number = wanted is float and type(value) is int
        if wanted is None or not (type(value) is wanted or number):
            raise ValueError(f"A rule has no {name} of this kind; it has {', '.join(known)}.")
    return Rule(**values)


class Faults:
    """The outermost layer of a server with faults."""

    def __init__(self, app: ASGIApp, archive: Archive) -> None:
        self._app = app
        self._archive = archive
        self.rules: list[Rule] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, rightly or wrongly."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == ADDRESS:
            response = await self._administer(Request(scope, receive))
            await response(scope, receive, send)
            return
        path = normal_path(scope["path"])
        found = next((one for one in self.rules if one.applies(scope["method"], path)), None)
        if found is None:
            await self._app(scope, receive, send)
        else:
            await self._spoil(found, scope, receive, send)

    async def _administer(self, request: Request) -> Response:
        client = request.client.host if request.client else ""
        if not _is_loopback(client) or "origin" in request.headers:
            return PlainTextResponse("Faults are set from programs on this machine only.", 403)
        if request.method == "DELETE":
            self.rules.clear()
        elif request.method == "POST":
            try:
                found = await request.json()
                self.rules += [rule(one) for one in (found if isinstance(found, list) else [found])]
            except ValueError as error:
                return PlainTextResponse(str(error), 400)
        return JSONResponse([asdict(one) for one in self.rules])

    async def _spoil(self, fault: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault.status:
            page = error_page(fault.status, phrase(fault.status))
            await Response(page, fault.status, media_type="text/html")(scope, receive, send)
            return
        if fault.login_page:
            await Response(_LOGIN_PAGE, 200, media_type="text/html")(scope, receive, send)
            return
        if fault.drop_login:
            self._drop_login(scope)
        line, answer = _Line(receive, send), send
        if fault.cut_request_after >= 0:
            receive = line.cut_request(fault.cut_request_after)
        if fault.cut_answer_after >= 0:
            send = line.cut_answer(fault.cut_answer_after)
        if fault.lose_answer or fault.empty_answer:
            send = _nowhere
        await self._app(scope, receive, line.drop_after_cut(send))
        if fault.lose_answer:
            await line.cut()
        elif fault.empty_answer:
            await Response()(scope, receive, answer)

    def _drop_login(self, scope: Scope) -> None:
        token = cookie_parser(Headers(scope=scope).get("cookie", "")).get("JSESSIONID", "")
        with self._archive.database.write() as connection:
            accounts.close_session(connection, token)
        forgotten = (b"cookie", b"authorization")
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in forgotten]


class _Line:
    """The connection of one request, which can be cut."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_cut = False

    async def cut(self) -> None:
        """Close the connection after what was sent, and wait until that is seen."""
        self._is_cut = True
        # The server's own object for this request is what its `send` is bound to.
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is None:
            raise ConnectionAbortedError("This server gives no hold of its connections.")
        transport.close()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def cut_request(self, after: int) -> Receive:
        left = after

        async def receive() -> Message:
            nonlocal left
            message = {"type": "http.disconnect"} if self._is_cut else await self._receive()
            left -= len(message.get("body", b""))
            if left < 0 and not self._is_cut:
                await self.cut()
                return {"type": "http.disconnect"}
            return message

        return receive

    def cut_answer(self, after: int) -> Send:
        left = after

        async def send(message: Message) -> None:
            nonlocal left
            body = message.get("body", b"")
            if len(body) <= left or message["type"] != "http.response.body":
                left -= len(body)
                await self._send(message)
                return
            await self._send({**message, "body": body[:left], "more_body": True})
            await self.cut()

        return send

    def drop_after_cut(self, send: Send) -> Send:
        async def drop(message: Message) -> None:
            if not self._is_cut:
                await send(message)

        return drop


async def _nowhere(_message: Message) -> None:
    """Send nothing."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
