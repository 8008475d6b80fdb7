"""Items at their addresses: show, make, change and delete (``/data/projects/P/subjects/S`` ...)."""

import html
import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .. import items, kept_parts, protocols
from ..accounts import demand, may_delete
from ..elements import Element, build, to_json, to_xml
from ..http import Call, endpoint, json_text, text
from ..items import Item, get
from ..refusals import Refused, not_found
from . import experiments, parents, projects, scans, subjects
from .justification import demand_reason

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
        tree = item_tree(connection, item)
    kind = call.format("html")
    if kind == "json":
        return json_text(items_json([tree]))
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
    demand_reason(call)
    above, collection, name = _address(call)
    return _PUT[collection](call, above, name)


@endpoint
def delete(call: Call) -> Response:
    """Delete an item with everything below it; in a project that shares it, end the share."""
    demand_reason(call)
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


# Settings of a project that are kept beside its elements and are no part of its document.
SETTINGS = frozenset(
    ("accessibility", "prearchive_code", "quarantine_code", "current_arc", "meta/status")
)
_BELOW = {
    "experiment": "experiments/experiment",
    "scan": "scans/scan",
    "assessor": "assessors/assessor",
    "reconstruction": "reconstructions/reconstructedImage",
}
_RESOURCES = {
    ("scan", ""): "file",
    ("assessor", "in"): "in/file",
    ("assessor", "out"): "out/file",
    ("reconstruction", "in"): "in/file",
    ("reconstruction", "out"): "out/file",
    ("reconstruction", ""): "out/file",
}
_COUNTED = (
    "SELECT resource.*, COUNT(file.path) - COALESCE((SELECT files FROM lost"
    " WHERE lost.resource = resource.pk), 0) AS files, COALESCE(SUM(file.size), 0) AS bytes"
    " FROM resource LEFT JOIN file ON file.resource = resource.pk"
    " WHERE resource.item IN (SELECT value FROM json_each(?)) GROUP BY resource.pk"
)


@dataclass
class _Rows:
    """Rows of several items, by the items' keys."""

    values: dict[int, dict[str, str]]
    shares: dict[int, list[sqlite3.Row]]
    resources: dict[int, list[sqlite3.Row]]
    kept: dict[str, list[ElementTree.Element]] = field(default_factory=dict)


def item_tree(connection: sqlite3.Connection, item: Item) -> Element:
    """Return an item as a tree, with what is below it; a project without its subjects."""
    found = [item] if item.kind == "project" else _with_below(connection, item)
    rows = _rows(connection, [one.pk for one in found])
    rows.kept = kept_parts.load(connection, (one.id for one in found if one.kind == "assessor"))
    above = get(connection, item.parent) if item.parent is not None else None
    known: dict[int, tuple[Item, Element]] = {}
    for one in found:
        parent = known[one.parent][0] if one.parent in known else above
        element = _element(one, parent, rows)
        if one.parent in known:
            known[one.parent][1].add(_BELOW[one.kind], element)
        known[one.pk] = one, element
    root = known[item.pk][1]
    if item.kind == "project":
        for protocol in protocols.all_of(connection, item.id):
            root.add("studyProtocol", protocol)
    return root


def _with_below(connection: sqlite3.Connection, item: Item) -> list[Item]:
    """Return an item and everything below it, each after what it belongs to."""
    rows = connection.execute(
        "WITH RECURSIVE below(pk, depth) AS (SELECT ?, 0 UNION ALL"
        " SELECT item.pk, depth + 1 FROM item JOIN below ON item.parent = below.pk)"
        " SELECT item.* FROM item JOIN below ON below.pk = item.pk ORDER BY depth, item.pk",
        (item.pk,),
    )
    return [Item(**{key: row[key] for key in row.keys()}) for row in rows]  # noqa: SIM118


def _rows(connection: sqlite3.Connection, keys: list[int]) -> _Rows:
    wanted = (json.dumps(keys),)
    found = _Rows(defaultdict(dict), defaultdict(list), defaultdict(list))
    where = "item IN (SELECT value FROM json_each(?))"
    for row in connection.execute(f"SELECT item, path, value FROM field WHERE {where}", wanted):
        if row["path"] not in SETTINGS:
            found.values[row["item"]][row["path"]] = row["value"]
    for row in connection.execute(f"SELECT * FROM share WHERE {where}", wanted):
        found.shares[row["item"]].append(row)
    for row in connection.execute(_COUNTED, wanted):
        found.resources[row["item"]].append(row)
    return found


def _element(item: Item, parent: Item | None, rows: _Rows) -> Element:
    element = build(item.xsi_type, rows.values[item.pk] | _identity(item, parent))
    element.meta = {"create_event_id": item.pk, "start_date": _long_date(item.insert_date)}
    element.kept = rows.kept.get(item.id, [])
    for row in rows.shares[item.pk]:
        kind = "xnat:projectParticipant" if item.kind == "subject" else "xnat:experimentData_share"
        values = {"project": row["project"], "label": row["label"]}
        element.add("sharing/share", Element(kind, values))
    for row in rows.resources[item.pk]:
        path = _RESOURCES.get((item.kind, row["side"]), "resources/resource")
        element.add(path, _resource(item, row))
    return element


def _identity(item: Item, parent: Item | None) -> dict[str, str]:
    found = {"ID": item.id}
    above = parent.id if parent is not None else ""
    if item.kind in ("subject", "experiment", "assessor"):
        found |= {"project": item.project, "label": item.label}
    if item.kind == "experiment":
        found["subject_ID"] = above
    elif item.kind == "assessor":
        found["imageSession_ID"] = above
    elif item.kind in ("scan", "reconstruction"):
        found["image_session_ID"] = above
    return found


def _resource(item: Item, row: sqlite3.Row) -> Element:
    values = {
        "label": row["label"],
        "xnat_abstractresource_id": str(row["pk"]),
        "URI": f"/data/{item.kind}s/{item.id}/resources/{row['pk']}",
        "format": row["format"],
        "content": row["content"],
        "description": row["description"],
        "file_count": str(row["files"]),
        "file_size": str(row["bytes"]),
    }
    return Element("xnat:resourceCatalog", {key: value for key, value in values.items() if value})


def _long_date(text: str) -> str:
    """Return a listing's date as items tell it: ``Mon Jan 08 10:00:00 UTC 2024``."""
    moment = datetime.strptime(text.partition(".")[0], "%Y-%m-%d %H:%M:%S")
    return moment.strftime("%a %b %d %H:%M:%S UTC %Y")


def items_json(elements: Iterable[Element]) -> dict[str, Any]:
    """Return trees in XNAT's items form."""
    return {"items": [to_json(element) for element in elements]}
