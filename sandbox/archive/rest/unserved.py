"""Addresses that XNAT has and the sandbox does not serve: each says so, with 501."""

from starlette.responses import Response
from starlette.routing import Route

from ..answers import unserved_addresses
from ..http import Call, endpoint
from ..refusals import Refused


@endpoint
def refuse(call: Call) -> Response:
    """Say that XNAT would answer here, and the sandbox does not."""
    raise Refused(501, f"The sandbox does not serve {call.request.url.path}, which XNAT has.")


routes = [Route(row.address, refuse, methods=list(row.methods)) for row in unserved_addresses()]
