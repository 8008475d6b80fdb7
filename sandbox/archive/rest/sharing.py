"""Sharing of subjects and experiments into other projects."""

import sqlite3

from starlette.responses import Response
from starlette.routing import Route

from .. import accounts, anonymisation, items, lookup
from ..accounts import demand
from ..http import Call, endpoint, table_response, text
from ..items import Item
from ..refusals import Refused, not_found
from . import parents
from .justification import demand_reason

_COLUMNS = ["ID", "label", "secondary_ID", "name"]


def _shared(connection: sqlite3.Connection, call: Call) -> Item:
    item = parents.resolve(connection, call.user, call.path("parent")).one
    if item.kind not in ("subject", "experiment", "assessor"):
        raise not_found("subject or experiment")
    return item


@endpoint
def list_projects(call: Call) -> Response:
    """List the projects an item belongs to, its owner first."""
    with call.archive.database.read() as connection:
        item = _shared(connection, call)
        rows = connection.execute(
            "SELECT project, label FROM share WHERE item = ? ORDER BY project", (item.pk,)
        ).fetchall()
        places = [(item.project, item.label), *((row["project"], row["label"]) for row in rows)]
        listed = []
        for name, label in places:
            project = items.find_project(connection, name)
            known = items.fields(connection, project) if project is not None else {}
            listed.append({**known, "ID": name, "label": label})
    return table_response(call, _COLUMNS, listed)


@endpoint
def share(call: Call) -> Response:
    """Share an item into a project, or make that project its owner (``primary=true``)."""
    demand_reason(call)
    blobs = call.archive.blobs
    with blobs.placing() as placing, call.archive.database.write() as connection:
        item = _shared(connection, call)
        target = lookup.project(connection, call.user, call.path("target"), edit=True)
        label = call.get("label") or item.label
        _check_label(connection, item, target, label)
        if call.flag("primary"):
            demand(accounts.may_delete(connection, call.user, item.project))
            _hand_over(connection, item, target, label)
            for moved in (item, *items.children(connection, item, "experiment")):
                if (now := items.get(connection, moved.pk)) is not None:
                    anonymisation.rewrite_session(connection, placing, now)
            return text()
        if target.id == item.project or _is_shared(connection, item, target):
            raise Refused(409, f"Already assigned to project: {target.id}")
        connection.execute("INSERT INTO share VALUES (?, ?, ?)", (item.pk, target.id, label))
    return text()


def _is_shared(connection: sqlite3.Connection, item: Item, target: Item) -> bool:
    row = connection.execute(
        "SELECT 1 FROM share WHERE item = ? AND project = ?", (item.pk, target.id)
    ).fetchone()
    return row is not None


def _check_label(connection: sqlite3.Connection, item: Item, target: Item, label: str) -> None:
    """Refuse a label that something else of the kind has in a project."""
    items.check_name(label)
    find = items.find_subject if item.kind == "subject" else items.find_experiment
    found = find(connection, label, target.id)
    if found is not None and found.pk != item.pk:
        raise Refused(409, f"Label already in use: {label}")


def _hand_over(connection: sqlite3.Connection, item: Item, target: Item, label: str) -> None:
    """Give an item and what is below it to another project."""
    connection.execute("DELETE FROM share WHERE item = ? AND project = ?", (item.pk, target.id))
    connection.execute(
        "WITH RECURSIVE below(pk) AS (SELECT ? UNION ALL"
        " SELECT item.pk FROM item JOIN below ON item.parent = below.pk)"
        " UPDATE item SET project = ? WHERE pk IN (SELECT pk FROM below) AND project = ?",
        (item.pk, target.id, item.project),
    )
    items.rename(connection, item, label)
    if item.kind == "subject":
        connection.execute("UPDATE item SET parent = ? WHERE pk = ?", (target.pk, item.pk))


@endpoint
def unshare(call: Call) -> Response:
    """End the share of an item in a project."""
    demand_reason(call)
    with call.archive.database.write() as connection:
        item = _shared(connection, call)
        target = lookup.project(connection, call.user, call.path("target"), edit=True)
        if not _is_shared(connection, item, target):
            raise Refused(404, f"It is not shared into project {target.id}.")
        connection.execute("DELETE FROM share WHERE item = ? AND project = ?", (item.pk, target.id))
    return text()


routes = [
    Route("/data/{parent:parent}/projects", list_projects, methods=["GET"]),
    Route("/data/{parent:parent}/projects/{target}", share, methods=["PUT", "POST"]),
    Route("/data/{parent:parent}/projects/{target}", unshare, methods=["DELETE"]),
]
