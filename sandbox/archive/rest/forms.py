"""Custom forms of the newer API (xapi/customforms).

Bodies are JSON; a row of where a form applies is named in the body, not in the address. Read in
XNAT's CustomFormsApi and CustomFormManagerServiceImpl.
"""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .. import forms, items
from ..accounts import GUEST, demand, may_delete
from ..forms import DISABLED, ENABLED, OPTED_OUT, SITE, FormRow, StoredForm
from ..http import Call, endpoint, json_text, text
from ..refusals import Refused
from .commands import read_json

_FORBIDDEN = ("<", "&lt;", ">", "&gt;")
_NEW = "-1_-1"
_ROW_KEYS = {"idCustomVariableFormAppliesTo", "entityId", "status"}


@endpoint
def list_forms(call: Call) -> Response:
    """List the forms, all or those of a project."""
    demand(call.user is not GUEST)
    project = call.get("projectId")
    with call.archive.database.read() as connection:
        return json_text(
            [
                listed
                for form in forms.every(connection)
                if (listed := forms.as_listed(connection, form, project))["appliesToList"]
            ]
        )


@endpoint
def save_form(call: Call) -> Response:
    """Store a form (201); the answer is its UUID."""
    demand(call.user.is_admin)
    told = read_json(call.body)
    data = _submission(told)
    builder = _builder(told)
    named = data.get("xnatDatatype")
    data_type = str(named.get("value") or "") if isinstance(named, dict) else ""
    if not data_type:
        raise Refused(500, "The form has no data type.")
    everywhere = str(data["isThisASiteWideConfiguration"]).upper() == "YES"
    projects = [
        str(one.get("value") or "").rpartition(":")[2]
        for one in data.get("xnatProject") or []
        if isinstance(one, dict)
    ]
    row_id = str(data.get("idCustomVariableFormAppliesTo") or _NEW)
    if not forms.is_row_id(row_id):
        raise Refused(500, "Incorrect row id received")
    order = int(data.get("zIndex") or 0)
    with call.archive.database.write() as connection:
        if row_id.partition("_")[0] == "-1":
            places = [] if everywhere else projects
            made = forms.create(
                connection, data_type, builder, places, order=order, login=call.user.login
            )
        else:
            made = _changed(connection, row_id, builder, order)
            for project in projects:
                forms.add_place(connection, made, project)
            forms.store(connection, made)
    return text(made.uuid, 201)


def _submission(told: Any) -> dict[str, Any]:
    submission = told.get("submission") if isinstance(told, dict) else None
    if not isinstance(submission, dict):
        raise Refused(400, 'Invalid form submission: Missing required value "submission"')
    data = submission.get("data")
    if not isinstance(data, dict):
        raise Refused(400, 'Invalid form submission: Submission missing required value "data"')
    everywhere = str(data.get("isThisASiteWideConfiguration") or "")
    if everywhere.upper() not in ("YES", "NO"):
        raise Refused(
            400,
            'Invalid form submission: "isThisASiteWideConfiguration" must be one of {YES, NO}.',
        )
    return data


def _builder(told: dict[str, Any]) -> dict[str, Any]:
    """Return the form.io document: a JSON object, never its text."""
    builder = told.get("builder")
    if not isinstance(builder, dict) or "title" not in builder:
        raise Refused(400, "Missing form title")
    title = str(builder["title"])
    if not title.strip() or any(one in title for one in _FORBIDDEN):
        raise Refused(400, "Invalid characters in form title")
    return builder


def _changed(
    connection: sqlite3.Connection, row_id: str, builder: dict[str, Any], order: int
) -> StoredForm:
    number = row_id.partition("_")[0]
    for form in forms.every(connection):
        if str(form.number) == number:
            form.builder, form.order = builder, order
            return form
    raise Refused(500, "Could not create form")


@endpoint
def form_of_element(call: Call) -> Response:
    """Return the form of a data type, with the panels of every form that applies."""
    project = call.get("projectId")
    with call.archive.database.read() as connection:
        found = [
            form
            for form in forms.every(connection)
            if form.data_type == call.get("xsiType") and form.applies_to(project)
        ]
    if not found:
        raise Refused(404, "Custom Forms Not Found")
    panels = [
        {
            "type": "container",
            "key": form.uuid,
            "label": form.builder["title"],
            "components": form.builder.get("components", []),
        }
        for form in sorted(found, key=lambda one: one.order)
    ]
    return json_text({"display": "form", "components": panels})


def _row_ids(body: bytes) -> list[tuple[str, str]]:
    """Return the row and the place of every entry of a list of rows."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, list) or not all(
        isinstance(one, dict) and set(one) <= _ROW_KEYS for one in told
    ):
        raise Refused(500, "The body is no JSON list of rows.")
    return [
        (str(one.get("idCustomVariableFormAppliesTo") or ""), str(one.get("entityId") or ""))
        for one in told
    ]


def _switch(status: str, done: str, failed: str) -> Callable[[Call], Response]:
    def change(call: Call) -> Response:
        demand(call.user.is_admin)
        with call.archive.database.write() as connection:
            for row_id, _ in _row_ids(call.body):
                found = forms.find_row(connection, row_id)
                if found is None:
                    raise Refused(500, failed)
                form, row = found
                if row.status != OPTED_OUT:
                    row.status = status
                    forms.store(connection, form)
        return text(done)

    return change


@endpoint
def promote(call: Call) -> Response:
    """Give a form of projects to the whole site."""
    demand(call.user.is_admin)
    with call.archive.database.write() as connection:
        found = [forms.find_row(connection, row_id) for row_id, _ in _row_ids(call.body)]
        named = [one for one in found if one is not None]
        if not named or len(named) < len(found):
            raise Refused(404, "Form  not found")
        numbers = {form.number for form, _ in named}
        form, row = named[0]
        if len(numbers) > 1 or row.project == SITE:
            raise Refused(
                400,
                "Failed to promote form to site repository. Possibly same form id not provided.",
            )
        forms.promote(connection, form)
    return text("Form promoted to site repository")


@endpoint
def delete_forms(call: Call) -> Response:
    """Delete rows of forms; those whose forms have values are disabled, and that is 200 too."""
    demand(call.user.is_admin)
    done = []
    with call.archive.database.write() as connection:
        for row_id, place in _row_ids(call.body):
            found = forms.find_row(connection, row_id)
            if found is not None:
                done.append(f"{place or 'Site Wide'}: {forms.delete_row(connection, *found)}")
    if not done:
        raise Refused(400, "Custom Form could not be deleted")
    return text("Form " + ",".join(done))


def _projects(connection: sqlite3.Connection, call: Call) -> list[str]:
    told = read_json(call.body)
    if not isinstance(told, list) or not told or not all(str(one).strip() for one in told):
        raise Refused(400, "Projects not passed")
    names = [str(one) for one in told]
    if any(items.find_project(connection, name) is None for name in names):
        raise Refused(404, "Data not found")
    allowed = (may_delete(connection, call.user, name) for name in names)
    demand(all(allowed), "Not enough permissions")
    return names


def _row(connection: sqlite3.Connection, call: Call) -> tuple[StoredForm, FormRow]:
    found = forms.find_row(connection, call.path("row"))
    if found is None:
        raise Refused(400, "Invalid data")
    return found


@endpoint
def opt_in(call: Call) -> Response:
    """Let projects take part in a form; an opt-out of theirs ends."""
    with call.archive.database.write() as connection:
        projects = _projects(connection, call)
        form, row = _row(connection, call)
        for project in projects:
            mine = [one for one in form.rows if one.project == project]
            if mine:
                form.rows = [one for one in form.rows if one not in mine]
            else:
                forms.add_place(connection, form, project, row.status)
        forms.store(connection, form)
    return text("Projects opted into form")


@endpoint
def opt_out(call: Call) -> Response:
    """Let projects leave a form; the only project of a form cannot."""
    with call.archive.database.write() as connection:
        projects = _projects(connection, call)
        form, row = _row(connection, call)
        if row.project == SITE:
            form.rows = [one for one in form.rows if one.project not in projects]
            for project in projects:
                forms.add_place(connection, form, project, OPTED_OUT)
        else:
            if len(form.rows) == 1:
                raise Refused(400, "Invalid data")
            form.rows = [one for one in form.rows if one.project not in projects]
            if not form.rows:
                forms.add_place(connection, form, SITE, DISABLED)
        forms.store(connection, form)
    return text("Projects  have opted out")


@endpoint
def has_data(call: Call) -> Response:
    """Tell whether values of a form are stored; false for a row that is not there."""
    if not forms.is_row_id(call.path("row")):
        raise Refused(500, f"Invalid row ID {call.path('row')}")
    with call.archive.database.read() as connection:
        found = forms.find_row(connection, call.path("row"))
        return json_text(found is not None and forms.has_data(connection, found[0]))


_FORMS = "/xapi/customforms"
_ENABLE = _switch(ENABLED, "Form Enabled", "Custom Form could not be enabled")
_DISABLE = _switch(DISABLED, "Form disabled", "Custom Form could not be disabled")

routes = [
    Route(_FORMS, list_forms, methods=["GET"]),
    Route(_FORMS, delete_forms, methods=["DELETE"]),
    Route(_FORMS + "/save", save_form, methods=["PUT"]),
    Route(_FORMS + "/element", form_of_element, methods=["GET"]),
    Route(_FORMS + "/enable", endpoint(_ENABLE), methods=["POST"]),
    Route(_FORMS + "/disable", endpoint(_DISABLE), methods=["POST"]),
    Route(_FORMS + "/promote", promote, methods=["POST"]),
    Route(_FORMS + "/optin/{row}", opt_in, methods=["POST"]),
    Route(_FORMS + "/optout/{row}", opt_out, methods=["POST"]),
    Route(_FORMS + "/hasdata/{row}", has_data, methods=["GET"]),
]
