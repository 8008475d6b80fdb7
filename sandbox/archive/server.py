"""Put the archive's addresses together into one application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from .archive import Archive
from .gate import Gate
from .http import error_response, phrase
from .refusals import Refused
from .rest import login


def make_app(archive: Archive) -> Starlette:
    """Return the application that serves an archive."""
    routes: list[BaseRoute] = [*login.routes]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, archive=archive)],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
    )
    app.state.archive = archive
    return app


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(request, Refused(error.status_code, phrase(error.status_code)))


def _fault(request: Request, error: Exception) -> Response:
    return error_response(request, Refused(500, f"The server met a fault: {type(error).__name__}."))
