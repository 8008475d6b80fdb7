"""Projects, subjects, experiments, scans and assessors: find, make, change, delete.

Every function takes a connection of `database.Database`; those that change something need one
from `write`. An item's element values are kept under paths relative to its type.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from . import kept_parts
from .database import next_number
from .refusals import Refused
from .values import check as check_value
from .values import stored_text

SITE = "XNATPIC"
PROJECT_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
EXPERIMENT_LABEL = re.compile(r"[A-Za-z0-9_-]+\Z")
MAX_NAME = 255
_QUOTED = re.compile(r"\[(@?[\w:]+)='([^']*)'\]|\[(@?[\w:]+)=\"([^\"]*)\"\]")


@dataclass(frozen=True)
class Item:
    """One row of the hierarchy.

    Attributes
    ----------
    kind : str
        project, subject, experiment, scan, assessor or reconstruction.
    id : str
        XNAT ID; of a scan the ID within its session.
    project : str
        ID of the owning project.
    parent : int or None
        `pk` of the item above.
    """

    pk: int
    kind: str
    id: str
    label: str
    xsi_type: str
    project: str
    parent: int | None
    insert_date: str
    insert_user: str
    last_modified: str


def now() -> str:
    """Return the present time as XNAT writes it in listings."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-5]


def _item(row: sqlite3.Row | None) -> Item | None:
    return None if row is None else Item(**{key: row[key] for key in row.keys()})  # noqa: SIM118


def get(connection: sqlite3.Connection, pk: int) -> Item | None:
    """Return an item by its key."""
    return _item(connection.execute("SELECT * FROM item WHERE pk = ?", (pk,)).fetchone())


def find_project(connection: sqlite3.Connection, name: str) -> Item | None:
    """Return a project by ID or alias."""
    row = connection.execute(
        "SELECT * FROM item WHERE kind = 'project' AND id = ?", (name,)
    ).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT item.* FROM item JOIN field ON field.item = item.pk WHERE kind = 'project'"
            " AND path LIKE 'aliases/alias%/alias' AND value = ?",
            (name,),
        ).fetchone()
    return _item(row)


def find_subject(connection: sqlite3.Connection, name: str, project: str = "") -> Item | None:
    """Return a subject by ID, or by label within a project that owns it or shares it."""
    return _find_labelled(connection, ("subject",), name, project)


def find_experiment(
    connection: sqlite3.Connection, name: str, project: str = "", subject: int | None = None
) -> Item | None:
    """Return a session or an assessor by ID, or by label within a project.

    Parameters
    ----------
    subject : int, optional
        Key of the subject it must belong to.
    """
    found = _find_labelled(connection, ("experiment", "assessor"), name, project)
    if found is None or subject is None or found.parent == subject:
        return found
    above = get(connection, found.parent) if found.parent is not None else None
    return found if above is not None and above.parent == subject else None


def _find_labelled(
    connection: sqlite3.Connection, kinds: tuple[str, ...], name: str, project: str
) -> Item | None:
    marks = ", ".join("?" for _ in kinds)
    row = connection.execute(
        f"SELECT * FROM item WHERE kind IN ({marks}) AND id = ?",
        (*kinds, name),
    ).fetchone()
    if row is not None and project and row["project"] != project:
        shared = connection.execute(
            "SELECT 1 FROM share WHERE item = ? AND project = ?", (row["pk"], project)
        ).fetchone()
        row = row if shared else None
    if row is None and project:
        row = connection.execute(
            f"SELECT * FROM item WHERE kind IN ({marks}) AND project = ? AND label = ?",
            (*kinds, project, name),
        ).fetchone()
    if row is None and project:
        row = connection.execute(
            f"SELECT item.* FROM item JOIN share ON share.item = item.pk WHERE kind IN ({marks})"
            " AND share.project = ? AND share.label = ?",
            (*kinds, project, name),
        ).fetchone()
    return _item(row)


def find_child(connection: sqlite3.Connection, parent: Item, kind: str, name: str) -> Item | None:
    """Return a scan, assessor or reconstruction of an item by ID, or by label."""
    return _item(
        connection.execute(
            "SELECT * FROM item WHERE parent = ? AND kind = ? AND (id = ? OR label = ?)"
            " ORDER BY id != ?",
            (parent.pk, kind, name, name, name),
        ).fetchone()
    )


def children(connection: sqlite3.Connection, parent: Item, kind: str) -> list[Item]:
    """Return the items of one kind right below another."""
    rows = connection.execute(
        "SELECT * FROM item WHERE parent = ? AND kind = ? ORDER BY pk", (parent.pk, kind)
    )
    return [item for row in rows if (item := _item(row)) is not None]


def new_id(connection: sqlite3.Connection, kind: str) -> str:
    """Return a subject or experiment ID that was never used."""
    letter = "S" if kind == "subject" else "E"
    return f"{SITE}_{letter}{next_number(connection, letter):05d}"


def create(
    connection: sqlite3.Connection,
    kind: str,
    *,
    label: str,
    xsi_type: str,
    project: str,
    parent: Item | None,
    user: str,
    identifier: str = "",
) -> Item:
    """Make an item and return it.

    Parameters
    ----------
    identifier : str
        ID of a project, scan or reconstruction; subjects, experiments and assessors get one.

    Raises
    ------
    Refused
        409 if the label or ID is in use; 403 for the ID of a deleted project; 417 or 400 for a
        bad label.
    """
    if kind == "project":
        _check_project_id(connection, identifier)
    elif kind in ("experiment", "assessor") and not EXPERIMENT_LABEL.match(label):
        raise Refused(417, "Invalid character in experiment label.")
    for name in filter(None, (label, identifier)):
        check_name(name)
    identifier = identifier or new_id(connection, kind)
    moment = now()
    try:
        row = connection.execute(
            "INSERT INTO item (kind, id, label, xsi_type, project, parent, insert_date,"
            " insert_user, last_modified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (
                kind,
                identifier,
                label or identifier,
                xsi_type,
                project or identifier,
                parent.pk if parent else None,
                moment,
                user,
                moment,
            ),
        ).fetchone()
    except sqlite3.IntegrityError as error:
        raise Refused(409, "Specified label is already in use.") from error
    made = _item(row)
    assert made is not None
    return made


def check_name(name: str) -> None:
    """Refuse a label or ID that could not be part of an address or of a path in an archive.

    Raises
    ------
    Refused
        400
    """
    unsafe = any(ord(c) < 32 or ord(c) == 127 or c in "/\\" for c in name)
    if unsafe or name in (".", "..") or len(name) > MAX_NAME:
        raise Refused(400, f"The label {name[:80]!r} is not allowed.")


def _check_project_id(connection: sqlite3.Connection, identifier: str) -> None:
    if not PROJECT_ID.match(identifier):
        raise Refused(417, "Invalid character in project ID.")
    burnt = connection.execute(
        "SELECT 1 FROM burnt_project WHERE id = ? COLLATE NOCASE", (identifier,)
    ).fetchone()
    if burnt:
        raise Refused(
            403,
            f"Project '{identifier}' was used in a previously deleted project"
            " and cannot be reused.",
        )


def rename(connection: sqlite3.Connection, item: Item, label: str) -> None:
    """Give an item another label.

    Raises
    ------
    Refused
        409 if it is in use, 400 if it is not allowed.
    """
    check_name(label)
    try:
        connection.execute(
            "UPDATE item SET label = ?, last_modified = ? WHERE pk = ?", (label, now(), item.pk)
        )
    except sqlite3.IntegrityError as error:
        raise Refused(409, "Specified label is already in use.") from error


def delete(connection: sqlite3.Connection, item: Item) -> list[str]:
    """Delete an item and everything below it; return the blobs to remove after the commit."""
    blobs = [
        row[0]
        for row in connection.execute(
            "WITH RECURSIVE below(pk) AS (SELECT ? UNION ALL"
            " SELECT item.pk FROM item JOIN below ON item.parent = below.pk)"
            " SELECT blob FROM file JOIN resource ON resource.pk = file.resource"
            " JOIN below ON below.pk = resource.item",
            (item.pk,),
        )
    ]
    connection.execute(
        "DELETE FROM document WHERE kind = ? AND name IN (WITH RECURSIVE below(pk) AS"
        " (SELECT ? UNION ALL SELECT item.pk FROM item JOIN below ON item.parent = below.pk)"
        " SELECT item.id FROM item JOIN below ON below.pk = item.pk)",
        (kept_parts.KIND, item.pk),
    )
    connection.execute("DELETE FROM item WHERE pk = ?", (item.pk,))
    if item.kind == "project":
        connection.execute("INSERT OR IGNORE INTO burnt_project VALUES (?)", (item.id,))
        connection.execute("DELETE FROM member WHERE project = ?", (item.id,))
        connection.execute("DELETE FROM document WHERE owner = ?", (item.id,))
    return blobs


def canonical_path(path: str) -> str:
    """Return an element path with its predicates in one spelling: no quotes, no ``[1]``."""

    def plain(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        return f"[{name}={match[2] if match[1] else match[4]}]"

    return _QUOTED.sub(plain, path).replace("[1]", "")


def fields(connection: sqlite3.Connection, item: Item) -> dict[str, str]:
    """Return all element values of an item by path."""
    rows = connection.execute("SELECT path, value FROM field WHERE item = ?", (item.pk,))
    return {row["path"]: row["value"] for row in rows}


def set_fields(
    connection: sqlite3.Connection, item: Item, values: Mapping[str, str | None]
) -> None:
    """Set element values; None and ``NULL`` clear one. Others stay as they are.

    Raises
    ------
    Refused
        400 for a value that its element does not take.
    """
    for path, value in values.items():
        key = canonical_path(path)
        if value is None or value == "NULL":
            connection.execute("DELETE FROM field WHERE item = ? AND path = ?", (item.pk, key))
        else:
            check_value(item.xsi_type, key, value)
            connection.execute(
                "INSERT INTO field VALUES (?, ?, ?)"
                " ON CONFLICT (item, path) DO UPDATE SET value = excluded.value",
                (item.pk, key, stored_text(item.xsi_type, key, value)),
            )
    connection.execute("UPDATE item SET last_modified = ? WHERE pk = ?", (now(), item.pk))


def project_of(connection: sqlite3.Connection, item: Item) -> Item:
    """Return the project that owns an item."""
    found = find_project(connection, item.project)
    assert found is not None
    return found


def uri(connection: sqlite3.Connection, item: Item) -> str:
    """Return an item's URI as listings give it."""
    if item.kind == "project":
        return f"/data/projects/{item.id}"
    if item.kind == "subject":
        return f"/data/subjects/{item.id}"
    if item.kind == "experiment":
        return f"/data/experiments/{item.id}"
    above = get(connection, item.parent) if item.parent is not None else None
    assert above is not None
    return f"/data/experiments/{above.id}/{item.kind}s/{item.id}"


def delete_all(connection: sqlite3.Connection, found: Iterable[Item]) -> list[str]:
    """Delete several items; return the blobs to remove after the commit."""
    return [blob for item in found for blob in delete(connection, item)]
