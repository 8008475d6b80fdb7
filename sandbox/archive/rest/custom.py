"""Custom fields: JSON values beside an item's elements (xapi/custom-fields)."""

import json
import sqlite3
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from ..accounts import demand, may_delete
from ..http import Call, endpoint, json_text, text
from ..items import Item
from ..refusals import Refused
from . import parents


def _item(connection: sqlite3.Connection, call: Call, *, edit: bool = False) -> Item:
    """Return the item of an address.

    Raises
    ------
    Refused
        403 where it is not there, may not be read or changed; a project is changed by its owners.
    """
    try:
        found = parents.resolve(connection, call.user, call.path("parent"), edit=edit).one
    except Refused as refusal:
        raise Refused(403, "Invalid permissions.") if refusal.status == 404 else refusal from None
    if edit and found.kind == "project":
        demand(may_delete(connection, call.user, found.id))
    return found


def _values(connection: sqlite3.Connection, item: Item) -> dict[str, Any]:
    rows = connection.execute("SELECT name, value FROM custom_field WHERE item = ?", (item.pk,))
    return {row["name"]: json.loads(row["value"]) for row in rows}


@endpoint
def get_fields(call: Call) -> Response:
    """Return an item's custom fields, all or those named in ``fieldNames``."""
    with call.archive.database.read() as connection:
        found = _values(connection, _item(connection, call))
    wanted = [name for part in call.all("fieldNames") for name in part.split(",") if name]
    return json_text({k: v for k, v in found.items() if k in wanted} if wanted else found)


@endpoint
def get_field(call: Call) -> Response:
    """Return one custom field as text."""
    with call.archive.database.read() as connection:
        found = _values(connection, _item(connection, call))
    name = call.path("name")
    if name not in found:
        raise Refused(404, f"There is no custom field {name}.")
    value = found[name]
    return text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@endpoint
def put_fields(call: Call) -> Response:
    """Merge custom fields key by key; the answer is all of them."""
    told = _json_object(call)
    with call.archive.database.write() as connection:
        item = _item(connection, call, edit=True)
        connection.executemany(
            "INSERT OR REPLACE INTO custom_field VALUES (?, ?, ?)",
            [(item.pk, name, json.dumps(value)) for name, value in told.items()],
        )
        return json_text(_values(connection, item))


@endpoint
def delete_field(call: Call) -> Response:
    """Remove a custom field; the answer is the rest."""
    with call.archive.database.write() as connection:
        item = _item(connection, call, edit=True)
        removed = connection.execute(
            "DELETE FROM custom_field WHERE item = ? AND name = ?", (item.pk, call.path("name"))
        )
        if removed.rowcount == 0:
            raise Refused(404, f"There is no custom field {call.path('name')}.")
        return json_text(_values(connection, item))


def _json_object(call: Call) -> dict[str, Any]:
    try:
        told = json.loads(call.body)
    except ValueError as error:
        raise Refused(400, "Send a JSON object.") from error
    if not isinstance(told, dict):
        raise Refused(400, "Send a JSON object.")
    return told


_FIELDS = "/xapi/custom-fields/{parent:parent}/fields"

routes = [
    Route(_FIELDS, get_fields, methods=["GET"]),
    Route(_FIELDS, put_fields, methods=["PUT"]),
    Route(_FIELDS + "/{name}", get_field, methods=["GET"]),
    Route(_FIELDS + "/{name}", delete_field, methods=["DELETE"]),
]
