"""Which resources and files an address means, as the rows of a listing.

One query for all files of all items asked for, never one for each.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from . import items
from .filing import File, Resource
from .items import Item


@dataclass(frozen=True)
class Filed:
    """A file with the resource and the item it belongs to."""

    file: File
    resource: Resource
    item: Item


@dataclass(frozen=True)
class Counted:
    """A resource with its item, how many files it holds (as counted last) and their bytes."""

    resource: Resource
    item: Item
    count: int
    size: int


_FILE: tuple[str, ...] = (
    "resource",
    "path",
    "blob",
    "size",
    "digest",
    "format",
    "content",
    "tags",
    "description",
)
_FILE += ("created", "created_by", "uid")
_RESOURCE = ("pk", "item", "side", "label", "format", "content", "tags", "description")


def _file(row: sqlite3.Row) -> File:
    return File(**{name: row["file_" + name] for name in _FILE})


def _resource(row: sqlite3.Row) -> Resource:
    return Resource(**{name: row[name] for name in _RESOURCE})


def with_lower(connection: sqlite3.Connection, found: Iterable[Item]) -> list[Item]:
    """Return items together with all that is below them."""
    rows = connection.execute(
        "WITH RECURSIVE below(pk) AS (SELECT value FROM json_each(?) UNION ALL"
        " SELECT item.pk FROM item JOIN below ON item.parent = below.pk)"
        " SELECT item.* FROM item JOIN below ON below.pk = item.pk",
        (json.dumps([one.pk for one in found]),),
    )
    return [Item(**{key: row[key] for key in row.keys()}) for row in rows]  # noqa: SIM118


def _wanted(name: str) -> str:
    return json.dumps([part.strip() for part in name.split(",")] + [name]) if name else ""


_CHOSEN = (
    " item IN (SELECT value FROM json_each(?)) AND (? = '' OR side = ?) AND (? = '' OR label IN"
    " (SELECT value FROM json_each(?)) OR CAST(pk AS TEXT) IN (SELECT value FROM json_each(?)))"
)


def _arguments(found: Iterable[Item], side: str, name: str) -> tuple[str, ...]:
    wanted = _wanted(name)
    keys = json.dumps([one.pk for one in found])
    return (keys, side, side, wanted, wanted or "[]", wanted or "[]")


def resources(
    connection: sqlite3.Connection, found: Sequence[Item], side: str = "", name: str = ""
) -> list[Counted]:
    """Return the resources of items.

    Parameters
    ----------
    side : str
        ``in`` or ``out`` for those alone, empty for all.
    name : str
        Number or label, or several with commas between; empty for all.
    """
    rows = connection.execute(
        "SELECT resource.*, count(path) - coalesce((SELECT files FROM lost"
        " WHERE lost.resource = resource.pk), 0) AS n, coalesce(sum(size), 0) AS bytes"
        " FROM resource LEFT JOIN file ON file.resource = resource.pk"
        f" WHERE {_CHOSEN} GROUP BY resource.pk ORDER BY resource.pk",
        _arguments(found, side, name),
    )
    by_key = {one.pk: one for one in found}
    return [Counted(_resource(row), by_key[row["item"]], row["n"], row["bytes"]) for row in rows]


def files(
    connection: sqlite3.Connection, found: Sequence[Item], side: str = "", name: str = ""
) -> list[Filed]:
    """Return the files of items' resources; parameters as in `resources`."""
    columns = ", ".join(f"file.{column} AS file_{column}" for column in _FILE)
    chosen = _CHOSEN.replace("label", "resource.label")
    rows = connection.execute(
        f"SELECT resource.*, {columns} FROM resource JOIN file ON file.resource = resource.pk"
        f" WHERE {chosen} ORDER BY resource.pk, path",
        _arguments(found, side, name),
    )
    by_key = {one.pk: one for one in found}
    return [Filed(_file(row), _resource(row), by_key[row["item"]]) for row in rows]


class Addresses:
    """URIs of resources; each item's is looked up once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[int, str] = {}

    def of(self, item: Item) -> str:
        """Return an item's URI."""
        if item.kind == "cache":
            return "/data/user/cache"
        if item.pk not in self._known:
            self._known[item.pk] = items.uri(self._connection, item)
        return self._known[item.pk]

    def resource(self, item: Item, resource: Resource) -> str:
        """Return a resource's URI, with its number."""
        side = f"/{resource.side}" if resource.side else ""
        return f"{self.of(item)}{side}/resources/{resource.pk}"

    def file(self, filed: Filed) -> str:
        """Return a file's URI, with its path as it is stored."""
        return f"{self.resource(filed.item, filed.resource)}/files/{filed.file.path}"


def member_name(
    above: Item, filed: Filed, structure: str, *, scan_type: str = "", session: str = ""
) -> str:
    """Return the name of a file in a downloaded archive.

    Parameters
    ----------
    above : Item
        The session, subject or project the download is of.
    structure : str
        ``simplified`` leaves the levels out, ``legacy`` leaves ``resources`` and ``files`` out.
    scan_type : str
        Type of the scan the file belongs to.
    session : str
        Label of the session it belongs to, where the download is of more than that.
    """
    item, label, path = filed.item, filed.resource.label, filed.file.path
    plain = "".join(sign if sign.isalnum() or sign == "_" else "_" for sign in scan_type)
    if item.kind == "scan":
        own = f"scans/{quote(item.id, safe='')}" + (f"-{plain}" if plain else "")
    elif item.kind in ("assessor", "reconstruction"):
        own = f"{item.kind}s/{quote(item.label, safe='')}"
        own += f"/{filed.resource.side}" if filed.resource.side else ""
    elif item.pk != above.pk:
        own = quote(item.label, safe="")
    else:
        own = ""
    head = "".join(f"{part}/" for part in (above.label, session, own) if part)
    if structure == "simplified":
        return f"{head}{label}/{path}".replace("/scans/", "/")
    if structure == "legacy":
        return f"{head}{label}/{path}"
    return f"{head}resources/{label}/files/{path}"
