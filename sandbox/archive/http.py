"""Requests and answers in XNAT's manner: parameters, formats, error pages, who asks."""

import html
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from . import preferences
from .accounts import User
from .archive import Archive
from .refusals import Refused

MAX_BODY = 64 * 2**20
MAX_DRAINED = 2**30
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"


@dataclass
class Call:
    """One request, with what every endpoint needs of it.

    Attributes
    ----------
    params : list of (str, str)
        Query string first, then a form body: the query wins. Repeated names are kept.
    body : bytes
        The body of anything that is no form; empty for endpoints that stream it themselves.
    """

    archive: Archive
    request: Request
    user: User
    params: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def path(self, name: str, default: str = "") -> str:
        """Return a part of the URL path by the name the route gives it."""
        return str(self.request.path_params.get(name, default))

    def get(self, name: str, default: str = "") -> str:
        """Return a parameter; names are compared without case."""
        wanted = name.lower()
        return next((value for key, value in self.params if key.lower() == wanted), default)

    def all(self, name: str) -> list[str]:
        """Return every value of a repeated parameter."""
        wanted = name.lower()
        return [value for key, value in self.params if key.lower() == wanted]

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a parameter as yes or no."""
        value = self.get(name).strip().lower()
        return value in ("true", "1", "yes", "on") if value else default

    def format(self, default: str = "") -> str:
        """Return the format asked for (json, csv, xml, html, zip ...), else the default.

        ``format=`` wins over the ``Accept`` header; of a mime type its last part counts.
        """
        asked = self.get("format").lower() or self.get("requested_format").lower()
        if not asked:
            accept = self.request.headers.get("accept", "").lower().split(",")[0].split(";")[0]
            known = {"application/json": "json", "text/csv": "csv", "text/xml": "xml"}
            asked = known.get(accept.strip(), "")
        return asked.rpartition("/")[2] or default

    @property
    def document(self) -> str | bytes:
        """The body as an XML document.

        Its letters are those of the charset in Content-Type, else of the site's default, whatever
        the document says of itself; only one that came as a file of a form is read by what it says.
        """
        header = self.request.headers.get("content-type", "")
        if self.content_type.startswith("multipart/"):
            return self.body
        named = _CHARSET.search(header)
        with suppress(LookupError):
            if named:
                return self.body.decode(named[1], "replace")
        with self.archive.database.read() as connection:
            default = preferences.value(connection, "sandboxDocumentCharset")
        return self.body.decode(default, "replace")

    @property
    def base(self) -> str:
        """The address that the server was called by, without a slash at its end."""
        return str(self.request.base_url).rstrip("/")

    @property
    def content_type(self) -> str:
        """Content type of the body without its parameters, in lower case."""
        header = self.request.headers.get("content-type", "")
        return header.partition(";")[0].strip().lower()


Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(function: Callable[[Call], Response]) -> Endpoint:
    """Turn a plain function into an endpoint that runs beside the event loop.

    The body is read first (forms into the parameters); `Refused` becomes XNAT's error page.
    """

    async def handle(request: Request) -> Response:
        try:
            call = _call(request)
            await _read_body(call)
            return await run_in_threadpool(function, call)
        except Refused as refusal:
            return error_response(request, refusal)

    return handle


def streaming(function: Callable[[Call], Awaitable[Response]]) -> Endpoint:
    """Turn a coroutine function into an endpoint that reads the body itself.

    It reads ``call.request.stream()``; what blocks belongs into ``run_in_threadpool``.
    """

    async def handle(request: Request) -> Response:
        try:
            try:
                return await function(_call(request))
            except Refused as refusal:
                await _drain(request)
                return error_response(request, refusal)
        except ClientDisconnect:
            return Response(status_code=499)

    return handle


async def _drain(request: Request) -> None:
    """Read the rest of a refused body, so that its sender is there to read the answer."""
    size = 0
    with suppress(RuntimeError):  # it was read to its end
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_DRAINED:
                return


def _call(request: Request) -> Call:
    params = [(k, v) for k, v in request.query_params.multi_items()]
    return Call(request.app.state.archive, request, request.scope["user"], params)


async def _read_body(call: Call) -> None:
    if call.request.method in ("GET", "HEAD"):
        return
    if call.content_type.startswith("multipart/"):
        await _read_form(call)
        return
    parts, size = [], 0
    async for chunk in call.request.stream():
        size += len(chunk)
        if size > MAX_BODY:
            raise Refused(413, "The request is too large for this address.")
        parts.append(chunk)
    call.body = b"".join(parts)
    if call.content_type == _FORM:
        text = call.body.decode("utf-8", "replace")
        call.params += parse_qsl(text, keep_blank_values=True)
        call.body = b""


async def _read_form(call: Call) -> None:
    """Take the texts of a form with several parts, and as body the document among its files."""
    length = call.request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_BODY:
        raise Refused(413, "The request is too large for this address.")
    async with call.request.form() as form:
        for name, value in form.multi_items():
            if isinstance(value, str):
                call.params.append((name, value))
            elif (value.filename or "").lower().endswith(".xml"):
                call.body = await value.read()


def error_page(status: int, message: str) -> str:
    """Return XNAT's status page.

    The open ``<br>`` is part of it: clients tell the page from a document by it.
    """
    return (
        "<html>\n<head>\n   <title>Status page</title>\n</head>\n<body>\n"
        f"<h3>{html.escape(message, quote=False)}</h3>"
        '<p>You can get technical details <a href="http://www.w3.org/Protocols/rfc2616/'
        f'rfc2616-sec10.html#sec10.4.{max(status - 399, 1)}">here</a>.<br>\n'
        'Please continue your visit at our <a href="/">home page</a>.\n</p>\n</body>\n</html>\n'
    )


def error_response(request: Request, refusal: Refused) -> Response:
    """Return a refusal as XNAT does: a page below ``/data``, text elsewhere."""
    if request.url.path.startswith("/xapi"):
        return PlainTextResponse(refusal.message, refusal.status)
    return HTMLResponse(error_page(refusal.status, refusal.message), refusal.status)


def phrase(status: int) -> str:
    """Return the standard words of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


Row = Mapping[str, Any]


def table_response(
    call: Call,
    columns: Sequence[str],
    rows: Iterable[Row],
    *,
    title: str = "",
    total: bool = True,
    described: bool = False,
) -> Response:
    """Return a listing as ResultSet JSON, CSV, or a plain HTML or XML table.

    Parameters
    ----------
    total, described : bool
        Whether ``totalRecords`` and the ``Columns`` array are part of the JSON.
    """
    cells = [{name: _cell(row.get(name)) for name in columns} for row in rows]
    kind = call.format("json")
    if kind == "csv":
        lines = [",".join(columns), *(",".join(_csv(row[n]) for n in columns) for row in cells)]
        return Response("\n".join(lines) + "\n", media_type="text/csv")
    if kind == "html":
        return HTMLResponse(_html_table(columns, cells))
    if kind == "xml":
        return Response(_xml_table(columns, cells), media_type="text/xml")
    result: dict[str, Any] = {}
    if described:
        result["Columns"] = [{"key": name} for name in columns]
    result["Result"] = cells
    if title:
        result["title"] = title
    if total:
        result["totalRecords"] = str(len(cells))
    return JSONResponse({"ResultSet": result})


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _csv(value: str) -> str:
    value = value.replace("\r", "").replace("\n", "")
    if "," in value or '"' in value:
        return '"' + value.replace('"', '""') + '"'
    return value


def _html_table(columns: Sequence[str], cells: list[dict[str, str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row[n])}</td>" for n in columns) + "</tr>"
        for row in cells
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _xml_table(columns: Sequence[str], cells: list[dict[str, str]]) -> str:
    head = "".join(f"<column>{html.escape(name)}</column>" for name in columns)
    body = "".join(
        "<row>" + "".join(f"<cell>{html.escape(row[n])}</cell>" for n in columns) + "</row>"
        for row in cells
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ResultSet><results>'
        f"<columns>{head}</columns><rows>{body}</rows></results></ResultSet>"
    )


def text(body: str = "", status: int = 200, media_type: str = "text/plain") -> Response:
    """Return plain text; no charset is added to an empty answer."""
    return Response(body, status, media_type=media_type if body else None)


def json_text(value: Any, status: int = 200) -> Response:
    """Return JSON as XNAT's newer API does, without escaping other letters."""
    return Response(json.dumps(value, ensure_ascii=False), status, media_type="application/json")
