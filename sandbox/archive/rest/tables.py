"""Listings of projects, subjects, experiments, scans, assessors and reconstructions."""

from starlette.responses import Response
from starlette.routing import Route

from .. import columns
from ..http import Call, Endpoint, endpoint, table_response
from ..items import Item
from ..listing import Listing, run
from ..refusals import not_found
from . import parents

# What may be right above the items of a kind; subjects and experiments also have their project.
_PARENTS = {
    "subject": ("project",),
    "experiment": ("project", "subject"),
    "assessor": ("experiment",),
    "scan": ("experiment",),
    "reconstruction": ("experiment",),
}


def _lister(kind: str) -> Endpoint:
    def listed(call: Call) -> Response:
        wanted = Listing(kind, call.user, call.params)
        with call.archive.database.read() as connection:
            address = call.path("parent")
            if address:
                above = parents.resolve(connection, call.user, address).one
                if above.kind not in _PARENTS[kind]:
                    raise not_found(f"{above.kind}'s {kind}s")
                _restrict(wanted, above)
                if above.kind == "subject" and address.startswith("projects/"):
                    named = "/".join(address.split("/")[:2])
                    wanted.project = parents.resolve(connection, call.user, named).one
            rows = run(connection, wanted)
        title = columns.title(kind) if kind == "project" or not address else ""
        return table_response(call, wanted.columns, rows, title=title)

    return endpoint(listed)


def _restrict(wanted: Listing, above: Item) -> None:
    if above.kind == "project":
        wanted.project = above
    else:
        wanted.parent = above


routes = [
    *(
        Route(f"/data/{kind}s", _lister(kind), methods=["GET"])
        for kind in ("project", "subject", "experiment")
    ),
    *(
        Route(f"/data/{{parent:parent}}/{kind}s", _lister(kind), methods=["GET"])
        for kind in ("subject", "experiment", "assessor", "scan", "reconstruction")
    ),
]
