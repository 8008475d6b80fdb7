"""Field definitions of a project: one protocol for each data type, kept as its document."""

import sqlite3
from collections.abc import Iterable
from xml.etree.ElementTree import Element as XmlElement

from . import schema
from .elements import Element, from_xml, parse, to_xml
from .refusals import Refused, not_found

_TYPE = "xnat:datatypeProtocol"
_ROOT = "xnat:studyProtocol"


def all_of(connection: sqlite3.Connection, project: str) -> list[Element]:
    """Return a project's protocols: those kept, and an empty one for each usual data type."""
    rows = connection.execute(
        "SELECT body FROM document WHERE owner = ? AND kind = 'protocol' ORDER BY name", (project,)
    )
    found = [from_xml(parse(row["body"].encode()), _TYPE) for row in rows]
    kept = {one.values.get("data-type") for one in found}
    usual = [name for name in schema.facts()["protocols"]["types"] if name not in kept]
    return [_empty(project, name) for name in usual] + found


def _empty(project: str, data_type: str) -> Element:
    """Return a protocol that defines no fields of its own."""
    definition = Element(
        "xnat:fieldDefinitionGroup",
        {"ID": "default", "data-type": data_type, "description": "", "project-specific": "0"},
    )
    made = Element(_TYPE, {"ID": protocol_id(project, data_type), "data-type": data_type})
    made.values["name"] = schema.display_names(data_type)[1]
    made.add("definitions/definition", definition)
    return made


def protocol_id(project: str, data_type: str) -> str:
    """Return the ID of a project's protocol for a data type."""
    return f"{project}_{data_type.replace(':', '_')}"


def find(connection: sqlite3.Connection, project: str, name: str) -> bytes:
    """Return one protocol as a document, by its ID or data type.

    Raises
    ------
    Refused
        404 where there is none.
    """
    for one in all_of(connection, project):
        if name in (one.values.get("ID"), one.values.get("data-type")):
            return to_xml(one, _ROOT)
    raise not_found("protocol")


def save(connection: sqlite3.Connection, project: str, root: XmlElement) -> None:
    """Keep a protocol's document.

    Raises
    ------
    Refused
        422 for a document that is no protocol.
    """
    if root.tag.rpartition("}")[2] not in ("studyProtocol", "datatypeProtocol"):
        raise Refused(422, "The document is not a protocol: send an xnat:studyProtocol.")
    save_all(connection, project, [from_xml(root, _TYPE)])


def save_all(connection: sqlite3.Connection, project: str, found: Iterable[Element]) -> None:
    """Keep protocols.

    Raises
    ------
    Refused
        422 for one without a data type.
    """
    for one in found:
        data_type = one.values.get("data-type", "")
        if not data_type:
            raise Refused(422, "A protocol must name its data type (attribute data-type).")
        one.values.setdefault("ID", protocol_id(project, data_type))
        connection.execute(
            "INSERT INTO document VALUES (?, 'protocol', ?, ?)"
            " ON CONFLICT DO UPDATE SET body = excluded.body",
            (project, one.values["ID"], to_xml(one, _ROOT).decode()),
        )


def forget_others(connection: sqlite3.Connection, project: str, kept: Iterable[Element]) -> None:
    """Remove the protocols that are not among these."""
    names = {one.values.get("ID") for one in kept}
    rows = connection.execute(
        "SELECT name FROM document WHERE owner = ? AND kind = 'protocol'", (project,)
    ).fetchall()
    for row in rows:
        if row["name"] not in names:
            connection.execute(
                "DELETE FROM document WHERE owner = ? AND kind = 'protocol' AND name = ?",
                (project, row["name"]),
            )
