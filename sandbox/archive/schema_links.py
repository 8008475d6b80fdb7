"""Values of a session that a pipeline's launch form offers: what a schema link leads to.

A schema link is an element path from a session type, such as
``xnat:imageSessionData/scans/scan/ID``.
"""

import sqlite3
from dataclasses import dataclass

from . import items
from .items import Item

_BELOW = {
    "scans/scan": "scan",
    "assessors/assessor": "assessor",
    "reconstructions/reconstructedimage": "reconstruction",
}


@dataclass(frozen=True)
class Choice:
    """One value, and what people are told of it."""

    value: str
    text: str


def resolve(connection: sqlite3.Connection, session: Item, link: str) -> list[Choice]:
    """Return the values that a schema link has in a session; none for a link it cannot follow."""
    path = link.partition("/")[2]
    for element, kind in _BELOW.items():
        if path.lower().startswith(element + "/"):
            return _below(connection, session, kind, path[len(element) + 1 :])
    value = _value(session, items.fields(connection, session), path)
    if not value and path.lower() == "subject_id" and session.parent is not None:
        subject = items.get(connection, session.parent)
        value = subject.id if subject is not None else ""
    return [Choice(value, "")] if value else []


def _below(connection: sqlite3.Connection, session: Item, kind: str, path: str) -> list[Choice]:
    choices = []
    for child in items.children(connection, session, kind):
        known = items.fields(connection, child)
        value = _value(child, known, path)
        if value:
            words = (known.get("type", ""), known.get("series_description", ""))
            text = next((one for one in words if one), child.label)
            choices.append(Choice(value, text if text != value else ""))
    return choices


def _value(item: Item, known: dict[str, str], path: str) -> str:
    own = {"id": item.id, "label": item.label, "project": item.project, "xsi:type": item.xsi_type}
    found = own.get(path.lower().lstrip("@"))
    if found is None:
        lower = {name.lower(): value for name, value in known.items()}
        found = lower.get(path.lower(), "")
    return found
