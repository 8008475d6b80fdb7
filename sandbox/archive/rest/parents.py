"""What a resource belongs to: the part of an address before ``/resources`` or ``/files``.

A route names it ``{parent:parent}``; `resolve` finds the items it means.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.convertors import Convertor, register_url_convertor

from .. import accounts, items
from ..accounts import User, demand
from ..items import Item
from ..refusals import not_found

CACHE = "user/cache"
_SINGULAR = {
    "projects": "project",
    "subjects": "subject",
    "experiments": "experiment",
    "scans": "scan",
    "assessors": "assessor",
    "reconstructions": "reconstruction",
}


class _ParentConvertor(Convertor[str]):
    """The part of a path that leads to an item, such as ``experiments/E1/scans/2``."""

    regex = (
        "(?:projects|subjects|experiments)/[^/]+"
        "(?:/(?:subjects|experiments|scans|assessors|reconstructions)/[^/]+)*(?:/(?:in|out))?"
        "|user/cache"
    )

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("parent", _ParentConvertor())


@dataclass(frozen=True)
class Parent:
    """The items an address means: one, or several scans.

    Attributes
    ----------
    items : tuple of Item
        More than one, or none, only for lists such as ``scans/ALL``.
    side : str
        ``in`` or ``out`` of an assessor or reconstruction, else empty.
    above : Item
        The session, subject or project that names a download.
    """

    items: tuple[Item, ...]
    side: str
    above: Item

    @property
    def one(self) -> Item:
        """The item, where there must be exactly one."""
        if len(self.items) != 1:
            raise not_found("resource's owner")
        return self.items[0]


def resolve(connection: sqlite3.Connection, user: User, text: str, *, edit: bool = False) -> Parent:
    """Find what an address means.

    Parameters
    ----------
    text : str
        Such as ``projects/P1/subjects/S1/experiments/E1/scans/1,2`` or ``.../assessors/A/out``.
    edit : bool
        Whether the user must be allowed to change it.

    Raises
    ------
    Refused
        404 where it does not exist or may not be read; 403 for a missing right.
    """
    if text == CACHE:
        return _cache(connection, user, make=edit)
    parts = text.split("/")
    side = parts.pop() if len(parts) % 2 else ""
    found: tuple[Item, ...] = ()
    project = ""
    above: Item | None = None
    for kinds, name in zip(parts[::2], parts[1::2], strict=True):
        kind = _SINGULAR[kinds]
        if kind in ("project", "subject", "experiment"):
            above = _named(connection, kind, name, project, above)
            if above is None:
                raise not_found(kind)
            if not accounts.may_read(connection, user, above):
                demand(kind != "project" or not accounts.is_protected(connection, above.id))
                raise not_found(kind)
            project = above.id if kind == "project" else project
            found = (above,)
        else:
            found = _below(connection, found, kind, name)
    assert above is not None
    demand(not edit or all(accounts.may_edit(connection, user, one.project) for one in found))
    return Parent(found, side, above)


def _cache(connection: sqlite3.Connection, user: User, *, make: bool) -> Parent:
    """Return the item that holds a user's own files for a while; make it where it must be."""
    demand(user is not accounts.GUEST)
    identifier = f"cache {user.login}"
    row = connection.execute(
        "SELECT pk FROM item WHERE kind = 'cache' AND id = ?", (identifier,)
    ).fetchone()
    if row is not None:
        found = items.get(connection, row["pk"])
    elif make:
        found = items.create(
            connection,
            "cache",
            label=user.login,
            xsi_type="",
            project=identifier,
            parent=None,
            user=user.login,
            identifier=identifier,
        )
    else:
        raise not_found("resource")
    assert found is not None
    return Parent((found,), "", found)


def may_delete(connection: sqlite3.Connection, user: User, item: Item) -> bool:
    """Tell whether a user may delete files of an item."""
    return item.kind == "cache" or accounts.may_delete(connection, user, item.project)


def _named(
    connection: sqlite3.Connection, kind: str, name: str, project: str, above: Item | None
) -> Item | None:
    if kind == "project":
        return items.find_project(connection, name)
    if kind == "subject":
        return items.find_subject(connection, name, project)
    subject = above.pk if above is not None and above.kind == "subject" else None
    within = project or (above.project if above is not None else "")
    return items.find_experiment(connection, name, within, subject)


def _below(
    connection: sqlite3.Connection, above: tuple[Item, ...], kind: str, name: str
) -> tuple[Item, ...]:
    """Return children by ID or label; of scans also by type, ``ALL`` and comma lists."""
    if len(above) != 1 or above[0].kind not in ("experiment", "assessor"):
        raise not_found(kind)
    single = items.find_child(connection, above[0], kind, name)
    if single is not None:
        return (single,)
    every = items.children(connection, above[0], kind)
    wanted = {part.strip() for part in name.split(",")}
    if {"ALL", "*"} & {part.upper() for part in wanted}:
        return tuple(every)
    types = scan_types(connection, every) if kind == "scan" else {}
    chosen = tuple(one for one in every if {one.id, one.label, types.get(one.pk, one.id)} & wanted)
    if not chosen:
        raise not_found(kind)
    return chosen


def scan_types(connection: sqlite3.Connection, found: Iterable[Item]) -> dict[int, str]:
    """Return the type of each scan that has one, by the scan's key."""
    rows = connection.execute(
        "SELECT item, value FROM field WHERE path = 'type'"
        " AND item IN (SELECT value FROM json_each(?))",
        (json.dumps([one.pk for one in found]),),
    )
    return {row["item"]: row["value"] for row in rows}
