"""Subjects: make, change, rename."""

import sqlite3

from starlette.responses import Response

from .. import accounts, changes, items
from ..accounts import demand
from ..changes import Change
from ..http import Call, text
from ..items import Item
from ..refusals import Refused, not_found
from . import parents


def put(call: Call, above: str, name: str) -> Response:
    """Make a subject (201) or change one (200); the answer is its ID."""
    change = changes.read(call, "subject")
    with call.archive.database.write() as connection:
        project = _project(connection, call, above, change)
        found = items.find_subject(connection, name, project.id if project else "")
        if found is None:
            if project is None:
                raise Refused(422, "A subject belongs to a project: name it in the address.")
            label = change.identity.get("label") or name
            found = create(connection, call, project, label)
            items.set_fields(connection, found, change.values)
            return text(found.id, 201)
        return _change(connection, call, found, project, change)


def _project(connection: sqlite3.Connection, call: Call, above: str, change: Change) -> Item | None:
    if above:
        return parents.resolve(connection, call.user, above).one
    named = change.identity.get("project", "")
    return items.find_project(connection, named) if named else None


def create(connection: sqlite3.Connection, call: Call, project: Item, label: str) -> Item:
    """Make a subject.

    Raises
    ------
    Refused
        403 for a missing right; 409 if the label is in use.
    """
    demand(accounts.may_edit(connection, call.user, project.id))
    return items.create(
        connection,
        "subject",
        label=label,
        xsi_type="xnat:subjectData",
        project=project.id,
        parent=project,
        user=call.user.login,
    )


def _change(
    connection: sqlite3.Connection, call: Call, found: Item, project: Item | None, change: Change
) -> Response:
    if not accounts.may_read(connection, call.user, found):
        raise not_found("subject")
    demand(accounts.may_edit(connection, call.user, found.project))
    label = call.get("label")
    if label and label != found.label:
        rename(connection, found, project, label)
        return text()
    check_identity(found, change)
    if change.replaces:
        connection.execute("DELETE FROM field WHERE item = ?", (found.pk,))
    items.set_fields(connection, found, change.values)
    typed = change.identity.get("label", found.label)
    if typed != found.label and project is not None and project.id == found.project:
        items.rename(connection, found, typed)
    return text(found.id)


def rename(connection: sqlite3.Connection, found: Item, project: Item | None, label: str) -> None:
    """Give an item another label, in the project that owns it or in one that shares it.

    Raises
    ------
    Refused
        409 if the label is in use.
    """
    if project is None or project.id == found.project:
        items.rename(connection, found, label)
        return
    items.check_name(label)
    find = items.find_subject if found.kind == "subject" else items.find_experiment
    other = find(connection, label, project.id)
    if other is not None and other.pk != found.pk:
        raise Refused(409, "Specified label is already in use.")
    connection.execute(
        "UPDATE share SET label = ? WHERE item = ? AND project = ?", (label, found.pk, project.id)
    )


def check_identity(found: Item, change: Change) -> None:
    """Refuse to change an item's ID or project.

    Raises
    ------
    Refused
        400 for the ID, 409 for the project.
    """
    if change.identity.get("id", found.id) not in (found.id, found.label):
        raise Refused(400, "ID cannot be modified")
    if change.identity.get("project", found.project) != found.project:
        raise Refused(409, "Project must be modified through separate URI.")
