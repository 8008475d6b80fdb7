"""What an assessor's document holds beyond the schemas here, such as its scans and provenance.

It is stored as it came, shown in both forms of the item, and goes with the item.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from defusedxml.ElementTree import fromstring

from . import schema

KIND = "kept parts"  # of a stored document
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = f"{{{_XSI}}}type"


def take_unknown(root: ElementTree.Element, type_name: str) -> list[ElementTree.Element]:
    """Take the parts out of a document that the schema of its type does not have."""
    known = {node.path.partition("/")[0] for node in schema.data_type(type_name).nodes}
    found = [child for child in root if _name(child) not in known]
    for child in found:
        root.remove(child)
    return found


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def store(
    connection: sqlite3.Connection, project: str, name: str, parts: Iterable[ElementTree.Element]
) -> None:
    """Keep the parts of the document of an item of this ID in the place of earlier ones."""
    whole = ElementTree.Element("kept")
    whole.extend(parts)
    connection.execute(
        "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?)",
        (project, KIND, name, ElementTree.tostring(whole, "unicode")),
    )


def load(
    connection: sqlite3.Connection, names: Iterable[str]
) -> dict[str, list[ElementTree.Element]]:
    """Return the kept parts of items by the items' IDs."""
    rows = connection.execute(
        "SELECT name, body FROM document WHERE kind = ?"
        " AND name IN (SELECT value FROM json_each(?))",
        (KIND, json.dumps(list(names))),
    )
    return {row["name"]: list(fromstring(row["body"])) for row in rows}


def as_children(parts: Iterable[ElementTree.Element]) -> list[dict[str, Any]]:
    """Return parts as children of an entry of XNAT's items JSON."""
    return [_child(part) for part in parts]


def _child(part: ElementTree.Element) -> dict[str, Any]:
    names = {_name(one) for one in part}
    if len(names) == 1 and not part.attrib and not (part.text or "").strip():
        return {"field": f"{_name(part)}/{names.pop()}", "items": [_entry(one) for one in part]}
    return {"field": _name(part), "items": [_entry(part)]}


def _entry(element: ElementTree.Element) -> dict[str, Any]:
    values = {name: value for name, value in element.attrib.items() if name != _TYPE}
    fields = {name.rpartition("}")[2]: value for name, value in values.items()}
    below = []
    for one in element:
        if len(one) or one.attrib:
            below.append(_child(one))
        else:
            fields[_name(one)] = (one.text or "").strip()
    if (element.text or "").strip():
        fields[_name(element)] = (element.text or "").strip()
    meta = {"isHistory": False, "xsi:type": element.get(_TYPE, _name(element))}
    return {"children": below, "meta": meta, "data_fields": fields}


def as_written(part: ElementTree.Element) -> ElementTree.Element:
    """Return a part with prefixes in place of namespaces, to stand in a document of XNAT's."""
    prefixes = {uri: prefix for prefix, uri in schema.facts()["namespaces"].items()} | {_XSI: "xsi"}
    return _written(part, prefixes)


def _written(part: ElementTree.Element, prefixes: dict[str, str]) -> ElementTree.Element:
    declared: dict[str, str] = {}

    def spelled(name: str) -> str:
        uri, _, plain = name.strip("{").rpartition("}")
        if not uri:
            return plain
        if uri not in prefixes:
            prefixes[uri] = declared[uri] = f"p{len(prefixes)}"
        return f"{prefixes[uri]}:{plain}"

    made = ElementTree.Element(spelled(str(part.tag)))
    for name, value in part.attrib.items():
        made.set(spelled(name), value)
    for uri, prefix in declared.items():
        made.set(f"xmlns:{prefix}", uri)
    made.text, inner = part.text, dict(prefixes)
    made.extend(_written(one, inner) for one in part)
    return made
