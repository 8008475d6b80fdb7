"""Turn templates into answers; refusals become pages that people can read."""

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from .. import accounts, schema
from ..http import Call, Endpoint, endpoint, phrase
from ..refusals import Refused
from . import views


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__ or ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bytes"] = views.byte_size
    environment.filters["type"] = lambda name: schema.display_names(name)[0]
    environment.filters["part"] = lambda text: quote(str(text), safe="")
    return environment


def render(call: Call, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    user = None if call.user is accounts.GUEST else call.user
    text = _environment().get_template(template).render(user=user, **values)
    headers = {
        "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(text, status, headers)


def page(function: Callable[[Call], Response]) -> Endpoint:
    """Turn a function into the endpoint of a page."""

    def answer(call: Call) -> Response:
        try:
            return function(call)
        except Refused as refusal:
            return render(
                call,
                "refusal.html",
                refusal.status,
                heading=phrase(refusal.status),
                sentence=refusal.message,
            )

    return endpoint(answer)
