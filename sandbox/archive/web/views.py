"""What the pages show, gathered in a few queries each."""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .. import items, listings
from ..items import Item
from ..listings import Counted
from ..snapshots import PICTURED

PAGE = 100  # rows of a table
_VARIABLE = re.compile(r"fields/field\[name=(.+)\]/field\Z")


def byte_size(count: int) -> str:
    """Return a number of bytes for people."""
    size, units = float(count), ["bytes", "KB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" else f"{size:.1f} {units[0]}"


@dataclass
class Row:
    """An item with its element values, and how many items are right below it."""

    item: Item
    label: str
    fields: Mapping[str, str] = field(default_factory=dict)
    below: int = 0
    subject: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """Custom variables by name."""
        found = {}
        for path, value in self.fields.items():
            match = _VARIABLE.match(path)
            if match:
                found[match[1]] = value
        return found

    @property
    def own_paths(self) -> set[str]:
        """Element paths that hold custom variables."""
        return {path for path in self.fields if path.startswith("fields/")}


def rows(
    connection: sqlite3.Connection, project: Item, kind: str, containing: str = "", offset: int = 0
) -> tuple[list[Row], int]:
    """Return subjects or sessions of a project, its own and those shared into it, by label.

    Returns
    -------
    found : list of Row
        At most `PAGE`, from `offset` on.
    total : int
        How many there are.
    """
    chosen = (
        " FROM item LEFT JOIN share ON share.item = item.pk AND share.project = ?1"
        " WHERE kind = ?2 AND (item.project = ?1 OR share.project IS NOT NULL)"
        " AND coalesce(share.label, item.label) LIKE ?3 ESCAPE '\\'"
    )
    plain = re.sub(r"([\\%_])", r"\\\1", containing)
    values = (project.id, kind, f"%{plain}%")
    total = connection.execute(f"SELECT count(*) {chosen}", values).fetchone()[0]
    listed = connection.execute(
        f"SELECT item.*, coalesce(share.label, item.label) AS shown {chosen}"
        f" ORDER BY shown COLLATE NOCASE LIMIT {PAGE} OFFSET ?4",
        (*values, offset),
    ).fetchall()
    found = [
        Row(Item(**{key: row[key] for key in row.keys() if key != "shown"}), row["shown"])  # noqa: SIM118
        for row in listed
    ]
    _add_details(connection, found)
    return found, total


def _add_details(connection: sqlite3.Connection, found: list[Row]) -> None:
    keys = json.dumps([row.item.pk for row in found])
    fields: dict[int, dict[str, str]] = {}
    for row in connection.execute(
        "SELECT item, path, value FROM field WHERE item IN (SELECT value FROM json_each(?))",
        (keys,),
    ):
        fields.setdefault(row["item"], {})[row["path"]] = row["value"]
    counts = connection.execute(
        "SELECT parent, count(*) FROM item WHERE kind IN ('experiment', 'scan') AND parent IN"
        " (SELECT value FROM json_each(?)) GROUP BY parent",
        (keys,),
    )
    below = {row[0]: row[1] for row in counts}
    parents = json.dumps([row.item.parent for row in found])
    labels = connection.execute(
        "SELECT pk, label FROM item WHERE pk IN (SELECT value FROM json_each(?))", (parents,)
    )
    above = {row[0]: row[1] for row in labels}
    for one in found:
        one.fields = fields.get(one.item.pk, {})
        one.below = below.get(one.item.pk, 0)
        one.subject = above.get(one.item.parent, "")


def variable_names(found: Iterable[Row]) -> list[str]:
    """Return the names of all custom variables of some rows."""
    return sorted({name for row in found for name in row.variables})


@dataclass(frozen=True)
class Scan:
    """A scan of a session with its resources."""

    item: Item
    type: str
    description: str
    quality: str
    frames: str
    resources: list[Counted]

    @property
    def has_picture(self) -> bool:
        """Whether there may be an image to show."""
        return any(one.resource.label in PICTURED and one.count for one in self.resources)


def scans(connection: sqlite3.Connection, session: Item) -> list[Scan]:
    """Return the scans of a session in the order of their numbers."""
    found = items.children(connection, session, "scan")
    details = [Row(one, one.label) for one in found]
    _add_details(connection, details)
    by_item: dict[int, list[Counted]] = {}
    for one in listings.resources(connection, found):
        by_item.setdefault(one.item.pk, []).append(one)
    listed = [
        Scan(
            row.item,
            row.fields.get("type", ""),
            row.fields.get("series_description", ""),
            row.fields.get("quality", ""),
            row.fields.get("frames", ""),
            by_item.get(row.item.pk, []),
        )
        for row in details
    ]
    return sorted(listed, key=lambda one: number_first(one.item.id))


def number_first(text: str) -> tuple[int, str]:
    """Return a key that sorts texts by the number they begin with; those without come last."""
    match = re.match(r"\d+", text)
    return (int(match[0]) if match else 10**12, text)


def custom_fields(connection: sqlite3.Connection, item: Item) -> dict[str, str]:
    """Return the custom fields of an item; their values are JSON."""
    listed = connection.execute(
        "SELECT name, value FROM custom_field WHERE item = ? ORDER BY name", (item.pk,)
    )
    return {row[0]: row[1] for row in listed}
