"""Custom fields (JSON values beside an item's elements) and custom forms (form.io definitions)."""

import json
import sqlite3
import uuid
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .. import items
from ..accounts import GUEST, demand, may_edit
from ..http import Call, endpoint, json_text, text
from ..items import Item
from ..refusals import Refused, not_found
from . import parents

_FORMS = "SELECT name, body FROM document WHERE owner = '' AND kind = 'form' ORDER BY rowid"


def _item(connection: sqlite3.Connection, call: Call, *, edit: bool = False) -> Item:
    return parents.resolve(connection, call.user, call.path("parent"), edit=edit).one


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


def _forms(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    return {row["name"]: json.loads(row["body"]) for row in connection.execute(_FORMS)}


def _store(connection: sqlite3.Connection, form: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO document VALUES ('', 'form', ?, ?)"
        " ON CONFLICT DO UPDATE SET body = excluded.body",
        (form["formUUID"], json.dumps(form)),
    )


def _applies(form: dict[str, Any], project: str) -> bool:
    """Tell whether a form is used in a project (empty: anywhere)."""
    places = [one["entityId"] for one in form["appliesToList"] if one["status"] == "enabled"]
    if not project:
        return True
    opted_out = any(
        one["entityId"] == project and one["status"] == "optedout" for one in form["appliesToList"]
    )
    return project in places or (form["scope"] == "Site" and "Site" in places and not opted_out)


@endpoint
def list_forms(call: Call) -> Response:
    """List the forms, all or those of a project."""
    demand(call.user is not GUEST)
    with call.archive.database.read() as connection:
        forms = list(_forms(connection).values())
        for form in forms:
            form["hasData"] = _has_data(connection, form["formUUID"])
    return json_text([form for form in forms if _applies(form, call.get("projectId"))])


def _has_data(connection: sqlite3.Connection, name: str) -> bool:
    row = connection.execute("SELECT 1 FROM custom_field WHERE name = ?", (name,)).fetchone()
    return row is not None


@endpoint
def save_form(call: Call) -> Response:
    """Keep a form (201); the answer is its UUID."""
    demand(call.user.is_admin)
    told = _json_object(call)
    submission = told.get("submission") or {}
    data = submission.get("data", submission) if isinstance(submission, dict) else {}
    builder = told.get("builder") or {}
    if isinstance(builder, str):
        builder = _parsed(builder)
    named = data.get("xnatDatatype") or {}
    xsi_type = named.get("value", "") if isinstance(named, dict) else str(named)
    if not xsi_type or not isinstance(builder, dict):
        raise Refused(400, "A form needs its data type and its builder document.")
    projects = [
        str(one.get("value", "")) if isinstance(one, dict) else str(one)
        for one in data.get("xnatProject") or []
    ]
    everywhere = str(data.get("isThisASiteWideConfiguration", "")).lower() in ("yes", "true")
    name = str(data.get("formUUID") or data.get("id") or uuid.uuid4())
    title = str(data.get("formTitle") or builder.get("title") or "")
    form = {
        "formUUID": name,
        "path": f"datatype/{xsi_type}",
        "contents": json.dumps({**builder, "title": title}),
        "scope": "Site" if everywhere or not projects else "Project",
        "username": call.user.login,
        "dateCreated": items.now(),
        "formDisplayOrder": data.get("zIndex", 10),
        "hasData": False,
    }
    with call.archive.database.write() as connection:
        form["formId"] = _number(connection, name)
        form["appliesToList"] = [
            {
                "idCustomVariableFormAppliesTo": f"{form['formId']}-{i}",
                "entityId": place,
                "status": "enabled",
            }
            for i, place in enumerate(["Site"] if form["scope"] == "Site" else projects)
        ]
        _store(connection, form)
    return text(name, 201)


def _parsed(builder: str) -> Any:
    try:
        return json.loads(builder)
    except ValueError as error:
        raise Refused(400, "The form's builder document is not JSON.") from error


def _number(connection: sqlite3.Connection, name: str) -> int:
    known = _forms(connection)
    if name in known:
        return int(known[name]["formId"])
    return max((int(form["formId"]) for form in known.values()), default=0) + 1


@endpoint
def form_of_element(call: Call) -> Response:
    """Return the form of a data type, with the panels of every form that applies."""
    with call.archive.database.read() as connection:
        forms = [
            form
            for form in _forms(connection).values()
            if form["path"] == f"datatype/{call.get('xsiType')}"
            and any(one["status"] == "enabled" for one in form["appliesToList"])
            and _applies(form, call.get("projectId"))
        ]
    if not forms:
        raise Refused(404, "No form is defined for this data type.")
    panels = []
    for form in sorted(forms, key=lambda one: int(one["formDisplayOrder"])):
        contents = json.loads(form["contents"])
        panels.append(
            {
                "type": "container",
                "key": form["formUUID"],
                "label": contents.get("title", ""),
                "components": contents.get("components", []),
            }
        )
    return json_text({"display": "form", "components": panels})


@endpoint
def change_form(call: Call) -> Response:
    """Enable or disable a form, let projects in or out, or give it to the whole site."""
    action, name = call.path("action"), call.path("form")
    if action not in ("enable", "disable", "optin", "optout", "promote"):
        raise not_found("action")
    demand(call.user.is_admin or action in ("optin", "optout"))
    with call.archive.database.write() as connection:
        form = _find(connection, name)
        places = _projects(call)
        demand(all(may_edit(connection, call.user, place) for place in places))
        _apply(form, action, places)
        _store(connection, form)
    return text("")


def _projects(call: Call) -> list[str]:
    told = json.loads(call.body) if call.body.lstrip()[:1] == b"[" else []
    return [str(one) for one in told] or [
        name for name in (call.get("projectId"), call.path("project")) if name
    ]


def _apply(form: dict[str, Any], action: str, places: list[str]) -> None:
    found: list[dict[str, Any]] = form["appliesToList"]
    if action in ("enable", "disable"):
        for one in found:
            one["status"] = f"{action}d"
    elif action == "promote":
        form["scope"] = "Site"
        form["appliesToList"] = [{**found[0], "entityId": "Site", "status": "enabled"}]
    else:
        kept = [one for one in found if one["entityId"] not in places]
        status = "enabled" if action == "optin" else "optedout"
        number = form["formId"]
        added = [
            {
                "idCustomVariableFormAppliesTo": f"{number}-{len(kept) + i}",
                "entityId": place,
                "status": status,
            }
            for i, place in enumerate(places)
        ]
        form["appliesToList"] = kept + added


def _find(connection: sqlite3.Connection, name: str) -> dict[str, Any]:
    """Return a form by its UUID, its number, or a row of where it applies."""
    for form in _forms(connection).values():
        number = str(form["formId"])
        if name in (form["formUUID"], number) or name.partition("-")[0] == number:
            return form
    raise Refused(404, "There is no such form.")


@endpoint
def delete_form(call: Call) -> Response:
    """Delete a form; one whose values are stored is disabled instead."""
    demand(call.user.is_admin)
    with call.archive.database.write() as connection:
        form = _find(connection, call.path("form"))
        if _has_data(connection, form["formUUID"]):
            _apply(form, "disable", [])
            _store(connection, form)
            return text("disabled")
        connection.execute(
            "DELETE FROM document WHERE owner = '' AND kind = 'form' AND name = ?",
            (form["formUUID"],),
        )
    return text("deleted")


@endpoint
def has_data(call: Call) -> Response:
    """Tell whether values of a form are stored."""
    with call.archive.database.read() as connection:
        form = _find(connection, call.path("form"))
        return json_text(_has_data(connection, form["formUUID"]))


_FIELDS = "/xapi/custom-fields/{parent:parent}/fields"

routes = [
    Route(_FIELDS, get_fields, methods=["GET"]),
    Route(_FIELDS, put_fields, methods=["PUT"]),
    Route(_FIELDS + "/{name}", get_field, methods=["GET"]),
    Route(_FIELDS + "/{name}", delete_field, methods=["DELETE"]),
    Route("/xapi/customforms", list_forms, methods=["GET"]),
    Route("/xapi/customforms/save", save_form, methods=["PUT", "POST"]),
    Route("/xapi/customforms/element", form_of_element, methods=["GET"]),
    Route("/xapi/customforms/hasdata/{form}", has_data, methods=["GET"]),
    Route("/xapi/customforms/{action}/{form}", change_form, methods=["POST"]),
    Route("/xapi/customforms/{form}", delete_form, methods=["DELETE"]),
]
