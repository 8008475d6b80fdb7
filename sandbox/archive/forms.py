"""Custom forms as XNAT keeps them: a form.io document, and rows of where it applies.

A place is a project and a data type, or the whole site and a data type; it has one number whatever
forms apply to it. A row is a form at a place and is named ``<form>_<place>``.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .database import next_number

ENABLED, DISABLED, OPTED_OUT = "enabled", "disabled", "optedout"
SITE = ""
_SITE_NAME = "Site"
_KIND = "form"
_READ = "SELECT body FROM document WHERE owner = '' AND kind = 'form' ORDER BY rowid"


@dataclass
class FormRow:
    """A form at one place; `project` is empty for the whole site."""

    place: int
    project: str
    status: str = ENABLED


@dataclass
class StoredForm:
    """A form and where it applies.

    Attributes
    ----------
    uuid : str
        The key under which items keep its values.
    builder : dict
        Its form.io document.
    created : int
        Milliseconds since 1970.
    """

    number: int
    uuid: str
    data_type: str
    builder: dict[str, Any]
    order: int
    login: str
    created: int
    rows: list[FormRow] = field(default_factory=list)

    def row_id(self, row: FormRow) -> str:
        """Return the name of a row."""
        return f"{self.number}_{row.place}"

    def applies_to(self, project: str) -> bool:
        """Tell whether the form is shown for items of a project."""
        by_place = {row.project: row.status for row in self.rows}
        own = by_place.get(project)
        if own is not None:
            return own == ENABLED
        return by_place.get(SITE) == ENABLED

    def is_of_site(self) -> bool:
        """Tell whether the form applies to the whole site."""
        return any(row.project == SITE for row in self.rows)


def every(connection: sqlite3.Connection) -> list[StoredForm]:
    """Return all forms in the order in which they were made."""
    return [_parse(json.loads(row[0])) for row in connection.execute(_READ)]


def _parse(body: dict[str, Any]) -> StoredForm:
    return StoredForm(**{**body, "rows": [FormRow(**row) for row in body["rows"]]})


def store(connection: sqlite3.Connection, form: StoredForm) -> None:
    """Store a form; one that applies nowhere any more is deleted."""
    if not form.rows:
        connection.execute(
            "DELETE FROM document WHERE owner = '' AND kind = ? AND name = ?", (_KIND, form.uuid)
        )
        return
    body = {**vars(form), "rows": [vars(row) for row in form.rows]}
    connection.execute(
        "INSERT INTO document VALUES ('', ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
        (_KIND, form.uuid, json.dumps(body)),
    )


def create(
    connection: sqlite3.Connection,
    data_type: str,
    builder: dict[str, Any],
    projects: list[str],
    *,
    order: int,
    login: str,
) -> StoredForm:
    """Make a form for projects, or with none for the whole site."""
    form = StoredForm(
        number=next_number(connection, _KIND),
        uuid=str(uuid.uuid4()),
        data_type=data_type,
        builder=builder,
        order=order,
        login=login,
        created=int(time.time() * 1000),
    )
    for project in projects or [SITE]:
        add_place(connection, form, project)
    store(connection, form)
    return form


def add_place(
    connection: sqlite3.Connection, form: StoredForm, project: str, status: str = ENABLED
) -> None:
    """Let a form apply to a project, or to the site; a row that is there is left as it is."""
    if all(row.project != project for row in form.rows):
        place = _place(connection, form.data_type, project)
        form.rows.append(FormRow(place, project, status))


def _place(connection: sqlite3.Connection, data_type: str, project: str) -> int:
    for form in every(connection):
        if form.data_type == data_type:
            for row in form.rows:
                if row.project == project:
                    return row.place
    return next_number(connection, "form place")


def find_row(connection: sqlite3.Connection, row_id: str) -> tuple[StoredForm, FormRow] | None:
    """Return a form and its row by the row's name; None for a bad name and for no such row."""
    for form in every(connection):
        for row in form.rows:
            if form.row_id(row) == row_id:
                return form, row
    return None


def is_row_id(row_id: str) -> bool:
    """Tell whether a text has the form of a row's name."""
    parts = row_id.split("_")
    return len(parts) >= 2 and all(_is_integer(part) for part in parts[:2])


def _is_integer(text: str) -> bool:
    return text.strip().removeprefix("-").isdecimal()


def has_data(connection: sqlite3.Connection, form: StoredForm) -> bool:
    """Tell whether an item holds a value of one of the form's fields."""
    names = set(_field_names(form.builder))
    rows = connection.execute("SELECT value FROM custom_field WHERE name = ?", (form.uuid,))
    values = (json.loads(row[0]) for row in rows)
    return any(isinstance(one, dict) and not names.isdisjoint(one) for one in values)


def _field_names(component: dict[str, Any]) -> Iterator[str]:
    """Give the names of a form's fields, also those inside panels and columns."""
    for name in ("components", "columns", "rows"):
        for inner in component.get(name) or []:
            for one in inner if isinstance(inner, list) else [inner]:
                if isinstance(one, dict):
                    yield from _field_names(one)
    if component.get("input") is not False and component.get("key") and component.get("type"):
        yield str(component["key"])


def delete_row(connection: sqlite3.Connection, form: StoredForm, row: FormRow) -> str:
    """Delete a row, or disable it where the form has values; return what was done.

    With the last row the form goes, and opt-outs go with any.
    """
    if has_data(connection, form):
        row.status = DISABLED
        store(connection, form)
        return DISABLED
    form.rows = [one for one in form.rows if one is not row and one.status != OPTED_OUT]
    store(connection, form)
    return "deleted"


def promote(connection: sqlite3.Connection, form: StoredForm) -> None:
    """Let a form apply to the whole site, and to no project of its own."""
    form.rows = []
    add_place(connection, form, SITE)
    store(connection, form)


def as_listed(connection: sqlite3.Connection, form: StoredForm, project: str) -> dict[str, Any]:
    """Return a form as the list of forms shows it, for a project or (empty) in full."""
    rows = [row for row in form.rows if project in ("", row.project) or row.project == SITE]
    rows.sort(key=lambda row: row.project != SITE)
    return {
        "appliesToList": [
            {
                "entityId": row.project or _SITE_NAME,
                "idCustomVariableFormAppliesTo": form.row_id(row),
                "status": row.status,
            }
            for row in rows
        ],
        "contents": json.dumps(form.builder, ensure_ascii=False),
        "formId": str(form.number),
        "formUUID": form.uuid,
        "formDisplayOrder": form.order,
        "path": f"datatype/{form.data_type}",
        "scope": "Site" if form.is_of_site() else "Project",
        "doProjectsShareForm": sum(bool(row.project) for row in form.rows) > 1,
        "username": form.login,
        "dateCreated": form.created,
        "hasData": has_data(connection, form),
    }
