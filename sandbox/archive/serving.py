"""Serve an archive from a terminal."""

import ipaddress
import logging
import os
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from xnat_pic.errors import WrongCallError

from . import catalogue
from .archive import DEFAULT_PASSWORD, PASSWORD_VARIABLE, Archive, Settings
from .refusals import Refused
from .server import make_app

USER = "admin"


@dataclass(frozen=True)
class ServerOptions:
    """Where an archive is served, and from which folder.

    Attributes
    ----------
    port : int
        0 takes a free one.
    pipelines : Path or None
        Catalog folder whose descriptors are offered on the site.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8080
    settings: Settings = field(default_factory=Settings)
    pipelines: Path | None = None
    verbose: bool = False


def serve(options: ServerOptions, ready: Callable[[str], None]) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    ready : callable
        Called with the address once requests are answered.

    Raises
    ------
    WrongCallError
        Where the wish cannot be granted: address in use, folder in use, password too well known.
    """
    check_password(options.host)
    listener = _listen(options.host, options.port)
    with listener:
        lock = lock_folder(options.folder)
        try:
            archive = _open(options)
            if options.pipelines is not None:
                _offer(archive, options.pipelines)
            app = make_app(archive)
            if _is_default_password():
                app = LocalNames(app)
            _run(app, listener, options, ready)
        finally:
            lock.close()


def _run(
    app: ASGIApp, listener: socket.socket, options: ServerOptions, ready: Callable[[str], None]
) -> None:
    port = listener.getsockname()[1]
    host = f"[{options.host}]" if ":" in options.host else options.host
    level = logging.INFO if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")  # to stderr
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=options.verbose,
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = _Server(config)
    server.when_ready = lambda: ready(f"http://{host}:{port}")
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    when_ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.when_ready()


def _is_default_password() -> bool:
    return (os.environ.get(PASSWORD_VARIABLE) or DEFAULT_PASSWORD) == DEFAULT_PASSWORD


def check_password(host: str) -> None:
    """Refuse to serve other machines with the password that everybody knows.

    Raises
    ------
    WrongCallError
    """
    if _is_default_password() and not is_loopback(host):
        raise WrongCallError(
            f"The address {host} can be reached from other machines, and the password of"
            f" {USER} is the one that everybody knows.",
            hint=f"Set another one in the environment variable {PASSWORD_VARIABLE}, or leave out"
            " --host.",
        )


def is_loopback(host: str) -> bool:
    """Tell whether a name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":  # there it would let two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WrongCallError(
            f"The address {host}, port {port}, cannot be used: {error.strerror}.",
            hint="Choose another --port, or end the program that uses it.",
        ) from error
    return listener


def lock_folder(folder: Path) -> sqlite3.Connection:
    """Keep other servers away from a folder until what is returned is closed.

    Raises
    ------
    WrongCallError
        If another server has it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(folder / "in-use.sqlite", timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except OSError as error:
        raise WrongCallError(
            f"The folder {folder} cannot be used: {error.strerror}.", hint="Choose another --data."
        ) from error
    except sqlite3.OperationalError as error:
        raise WrongCallError(
            f"The folder {folder} is served already, or cannot be written.",
            hint="End the other server, or choose another --data.",
        ) from error
    return lock


def _open(options: ServerOptions) -> Archive:
    try:
        return Archive(options.folder, options.settings)
    except Refused as refusal:
        raise WrongCallError(refusal.message, hint="Correct --preference.") from refusal


def _offer(archive: Archive, folder: Path) -> None:
    try:
        with archive.database.write() as connection:
            catalogue.register_folder(connection, folder)
    except Refused as refusal:
        raise WrongCallError(refusal.message, hint="Choose another --pipelines.") from refusal


class LocalNames:
    """Middleware that answers only under this machine's own names.

    With the password that everybody knows, a page of another site could otherwise reach the
    server by giving its own name this machine's address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse its name."""
        if scope["type"] == "http" and not is_loopback(_host_name(Headers(scope=scope))):
            message = "This sandbox answers as localhost or 127.0.0.1 only."
            await PlainTextResponse(message, 421)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _host_name(headers: Headers) -> str:
    name: Any = headers.get("host", "localhost")
    if name.startswith("["):
        return str(name.partition("]")[0][1:])
    return str(name.partition(":")[0])
