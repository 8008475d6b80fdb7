"""Items at their addresses: show, make, change and delete (``/data/projects/P/subjects/S`` ...)."""

import html
from collections.abc import Callable

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .. import documents, items
from ..accounts import demand, may_delete
from ..elements import to_xml
from ..http import Call, endpoint, json_text, text
from ..items import Item
from ..refusals import Refused, not_found
from . import experiments, parents, projects, scans, subjects

_PUT: dict[str, Callable[[Call, str, str], Response]] = {
    "projects": projects.put,
    "subjects": subjects.put,
    "experiments": experiments.put,
    "assessors": experiments.put_assessor,
    "scans": scans.put,
    "reconstructions": scans.put_reconstruction,
}


def _address(call: Call) -> tuple[str, str, str]:
    """Return what is above the addressed item, the collection it is in, and its name."""
    parts = call.path("parent").split("/")
    if len(parts) % 2:
        raise Refused(400, "This address is of files: add /resources or /files.")
    return "/".join(parts[:-2]), parts[-2], parts[-1]


@endpoint
def show(call: Call) -> Response:
    """Return an item as JSON or XML, or as a page for people."""
    _address(call)
    with call.archive.database.read() as connection:
        item = parents.resolve(connection, call.user, call.path("parent")).one
        tree = documents.tree(connection, item)
    kind = call.format("html")
    if kind == "json":
        return json_text(documents.items_json([tree]))
    if kind == "xml":
        return Response(to_xml(tree), media_type="text/xml")
    return HTMLResponse(_page(item, tree.values))


def _page(item: Item, values: dict[str, str]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in values.items()
    )
    name = html.escape(f"{item.kind} {item.label}")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><title>{name}</title></head><body>'
        f"<h1>{name}</h1><p>XNAT-PIC sandbox: ask with format=json or format=xml.</p>"
        f"<table>{rows}</table></body></html>\n"
    )


@endpoint
def put(call: Call) -> Response:
    """Make an item or change it."""
    above, collection, name = _address(call)
    return _PUT[collection](call, above, name)


@endpoint
def delete(call: Call) -> Response:
    """Delete an item with everything below it; in a project that shares it, end the share."""
    _, collection, name = _address(call)
    if collection == "projects":
        return projects.delete(call, name)
    with call.archive.database.write() as connection:
        item = parents.resolve(connection, call.user, call.path("parent")).one
        named = items.find_project(connection, _project_named(call.path("parent")))
        shared = named is not None and item.kind in ("subject", "experiment", "assessor")
        blobs: list[str] = []
        if named is not None and shared and named.id != item.project:
            demand(may_delete(connection, call.user, named.id))
            connection.execute(
                "DELETE FROM share WHERE item = ? AND project = ?", (item.pk, named.id)
            )
        else:
            demand(may_delete(connection, call.user, item.project))
            blobs = items.delete(connection, item)
    call.archive.blobs.remove(blobs)
    return text()


def _project_named(address: str) -> str:
    parts = address.split("/")
    return parts[1] if parts[0] == "projects" else ""


@endpoint
def status(call: Call) -> Response:
    """Return whether an experiment is active or in quarantine."""
    with call.archive.database.read() as connection:
        item = parents.resolve(connection, call.user, call.path("parent")).one
        if item.kind not in ("experiment", "assessor"):
            raise not_found("experiment")
        return text(items.fields(connection, item).get("meta/status", "active"))


routes = [
    Route("/data/{parent:parent}/status", status, methods=["GET"]),
    Route("/data/{parent:parent}", show, methods=["GET"]),
    Route("/data/{parent:parent}", put, methods=["PUT", "POST"]),
    Route("/data/{parent:parent}", delete, methods=["DELETE"]),
]
