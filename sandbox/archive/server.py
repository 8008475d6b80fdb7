"""Put the archive's addresses together into one application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from . import clock
from .archive import Archive, Settings
from .faults import Faults
from .gate import Gate
from .http import error_response, phrase
from .launching import Launcher
from .refusals import Refused
from .rest import (
    anonymise,
    commands,
    containers,
    custom,
    files,
    forms,
    hierarchy,
    imports,
    login,
    mail,
    pipelines,
    prearchive,
    prearchive_actions,
    projects,
    resources,
    roi,
    sharing,
    site,
    snapshots,
    tables,
    unserved,
    upkeep,
    users,
    viewer,
    workflows,
)
from .web import pages, runs


def make_app(archive: Archive) -> ASGIApp:
    """Return the application that serves an archive."""
    routes: list[BaseRoute] = [*login.routes, *workflows.routes, *pipelines.spec_routes]
    routes += mail.routes
    routes += [*files.routes, *resources.routes, *imports.routes, *prearchive.routes]
    routes += [
        *prearchive_actions.routes,
        *upkeep.routes,
        *roi.routes,
        *viewer.routes,
        *snapshots.routes,
    ]
    if archive.settings.engine:
        routes += pipelines.routes
    if archive.settings.containers:
        routes += [*containers.routes, *commands.routes]
    routes += [*anonymise.routes, *site.routes, *users.routes, *custom.routes, *forms.routes]
    routes += [*projects.routes, *sharing.routes]
    routes += [*tables.routes, *hierarchy.routes]
    routes += [*unserved.routes, *web_routes(archive.settings)]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, archive=archive)],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
        lifespan=_life,
    )
    app.state.archive = archive
    app.state.launcher = Launcher(archive)
    served: ASGIApp = Faults(app, archive) if archive.settings.faults else app
    latency_s = archive.settings.latency_s
    return Latency(served, latency_s) if latency_s else served


class Latency:
    """Middleware that takes each request some time later, as over a long way."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await asyncio.sleep(self._seconds)
        await self._app(scope, receive, send)


@asynccontextmanager
async def _life(app: Starlette) -> AsyncIterator[None]:
    """Look after the archive while the server runs; end its runs with it."""
    async with clock.running(app.state.archive):
        try:
            yield
        finally:
            app.state.launcher.close()


def web_routes(settings: Settings) -> list[BaseRoute]:
    """Return the addresses of the pages for people."""
    routes: list[BaseRoute] = [*pages.routes, *runs.routes]
    if settings.engine:
        routes += runs.engine_routes
    if settings.containers:
        routes += runs.container_routes
    return routes


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(request, Refused(error.status_code, phrase(error.status_code)))


def _fault(request: Request, error: Exception) -> Response:
    return error_response(request, Refused(500, f"The server met a fault: {type(error).__name__}."))
