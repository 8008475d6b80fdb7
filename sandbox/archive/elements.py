"""Values under element paths, the tree they make, and its two forms: items JSON and XML.

A path is relative to a data type, such as ``demographics/gender``, ``parameters/tr`` or
``fields/field[name=dose]/field``; predicates tell repeated elements apart.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from xml.etree import ElementTree

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from . import kept_parts, schema
from .refusals import Refused

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_PART = re.compile(r"[^/\[]+(?:\[[^\]]*\])*")
_PREDICATE = re.compile(r"\[([^\]]*)\]")
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NUMBERS = {
    "xs:integer": int,
    "xs:int": int,
    "xs:long": int,
    "xs:float": float,
    "xs:double": float,
}


@dataclass
class Element:
    """An object of a document.

    Attributes
    ----------
    values : dict of str to str
        Values by path.
    parts : dict of str to dict of str to Element
        Objects below, by path and then by what tells them apart.
    meta : dict
        What the JSON form tells of it besides its type.
    kept : list
        Parts of its document that the schemas here do not have.
    """

    type: str
    values: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, "Element"]] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    kept: list[ElementTree.Element] = field(default_factory=list)

    def add(self, path: str, part: "Element") -> None:
        """Put an object below this one."""
        below = self.parts.setdefault(path, {})
        below[f"[{len(below) + 1}]"] = part


def _split(path: str) -> list[tuple[str, str]]:
    """Return the names of a path with their predicates in one spelling, ``''`` for none."""
    found = []
    for part in _PART.findall(path):
        name = part.partition("[")[0]
        predicate = ""
        for text in _PREDICATE.findall(part):
            key, sign, value = text.partition("=")
            if key.strip().startswith("@xsi:type") or text.strip() in ("1", ""):
                continue
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1]
            predicate = f"[{key.strip().lstrip('@')}{sign}{value}]"
        found.append((name, predicate))
    return found


def plain_path(path: str) -> str:
    """Return a path without its predicates."""
    return "/".join(name for name, _ in _split(path))


def canonical(type_name: str, path: str) -> str:
    """Return a path in the schema's letters, with predicates in one spelling.

    Names that the schema does not have stay as they are.
    """
    return "".join(_canonical(type_name, _split(path))).lstrip("/")


def _canonical(type_name: str, names: list[tuple[str, str]]) -> Iterator[str]:
    kind = schema.data_type(type_name)
    joined = ""
    for i, (name, predicate) in enumerate(names):
        joined += "/" + name
        node = kind.find(joined[1:])
        if node is None:
            continue
        if not node.part:
            if i == len(names) - 1:
                yield "/" + node.path
                return
            continue
        yield "/" + node.path + predicate
        rest = names[i + 1 :]
        below = schema.concrete(node.type)
        text = schema.data_type(below).text
        if text and (not rest or rest[0][0].lower() == text.lower()):
            yield "/" + text
        elif rest:
            yield from _canonical(below, rest)
        return
    yield "".join(f"/{name}{predicate}" for name, predicate in names)


def value_type(type_name: str, path: str) -> str:
    """Return the XML Schema type of a value at a canonical path; ``xs:string`` if unknown."""
    kind = schema.data_type(type_name)
    joined = ""
    names = _split(path)
    for i, (name, _) in enumerate(names):
        joined += "/" + name
        node = kind.find(joined[1:])
        if node is not None and node.part:
            below = schema.concrete(node.type)
            return value_type(below, "/".join(n for n, _ in names[i + 1 :]))
    node = kind.find(joined[1:])
    return node.type if node is not None else "xs:string"


def part_of(path: str, paths: Iterable[str]) -> str:
    """Return which of these parts a path leads into; empty for none."""
    plain = plain_path(path).lower() + "/"
    return next((part for part in paths if plain.startswith(part.lower() + "/")), "")


def build(type_name: str, values: Mapping[str, str]) -> Element:
    """Return the tree of values given by canonical paths."""
    root = Element(type_name)
    for path in sorted(values):
        _set(root, _split(path), values[path])
    return root


def _set(element: Element, names: list[tuple[str, str]], value: str) -> None:
    kind = schema.data_type(element.type)
    joined = ""
    for i, (name, predicate) in enumerate(names):
        joined += "/" + name
        node = kind.find(joined[1:])
        if node is None or not node.part:
            continue
        below = element.parts.setdefault(node.path, {})
        if predicate not in below:
            below[predicate] = Element(schema.concrete(node.type))
            key, sign, told = predicate.strip("[]").partition("=")
            if sign:
                below[predicate].values[key] = told
        _set(below[predicate], names[i + 1 :], value)
        return
    element.values["".join("/" + n + p for n, p in names).lstrip("/")] = value


def flatten(element: Element, skip: Iterable[str] = ()) -> dict[str, str]:
    """Return the values of a tree by canonical path, without the parts to skip.

    Repeated objects are told apart by their ``name``, else by their number.
    """
    found = dict(element.values)
    kind = schema.data_type(element.type)
    for path, below in element.parts.items():
        if path in skip:
            continue
        node = kind.find(path)
        for i, part in enumerate(below.values()):
            predicate = f"[{i + 1}]" if i else ""
            name = part.values.get("name")
            if node is not None and node.many and name:
                predicate = f"[name={name}]"
            for inner, value in flatten(part).items():
                if not (inner == "name" and predicate.startswith("[name=")):
                    found[f"{path}{predicate}/{inner}"] = value
    return found


def to_json(element: Element) -> dict[str, Any]:
    """Return a tree as one entry of XNAT's items JSON."""
    kind = schema.data_type(element.type)
    return {
        "children": [
            {"field": path, "items": [to_json(part) for part in below.values()]}
            for path, below in element.parts.items()
            if below
        ]
        + kept_parts.as_children(element.kept),
        "meta": {"isHistory": False, "xsi:type": element.type, **element.meta},
        "data_fields": {
            path: _json_value(kind, path, value) for path, value in element.values.items()
        },
    }


def _json_value(kind: schema.DataType, path: str, value: str) -> Any:
    node = kind.find(path)
    convert = _NUMBERS.get(node.type) if node is not None else None
    try:
        return convert(value) if convert else value
    except ValueError:
        return value


def to_xml(element: Element, root_name: str = "") -> bytes:
    """Return a tree as an XML document.

    Parameters
    ----------
    root_name : str, optional
        Name of the root where it is not the type's own; the type is then told.
    """
    spaces = schema.facts()["namespaces"]
    used = {"xsi": _XSI, **{prefix: uri for prefix, uri in spaces.items() if prefix != "xdat"}}
    root = ElementTree.Element(root_name or schema.root_element(element.type))
    for prefix, uri in used.items():
        root.set(f"xmlns:{prefix}", uri)
    if root_name:
        root.set("xsi:type", element.type)
    _fill(root, element)
    text: bytes = ElementTree.tostring(root, "utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + text + b"\n"


def _fill(target: ElementTree.Element, element: Element) -> None:
    kind = schema.data_type(element.type)
    for node in kind.nodes:
        value = element.values.get(node.path)
        parts = element.parts.get(node.path, {}).values() if node.part else ()
        if value is None and not parts:
            continue
        prefix = _prefix_of(element.type, node.path)
        *above, name = node.path.split("/")
        holder = _holder(target, above, prefix)
        for part in parts:
            made = ElementTree.SubElement(holder, f"{prefix}:{name}")
            if part.type != node.type and "_" not in part.type.partition(":")[2]:
                made.set("xsi:type", part.type)
            _fill(made, part)
        if value is not None and node.attribute:
            holder.set(name, _UNWRITABLE.sub("", value))
        elif value is not None:
            _holder(holder, [name], prefix).text = _UNWRITABLE.sub("", value)
    target.extend(kept_parts.as_written(one) for one in element.kept)
    if kind.text:
        target.text = _UNWRITABLE.sub("", element.values.get(kind.text, ""))


@cache
def _prefix_of(type_name: str, path: str) -> str:
    """Return the prefix of the schema that an element of a type comes from."""
    owners = [b for b in schema.bases(type_name) if schema.data_type(b).find(path) is not None]
    return (owners or [type_name])[-1].partition(":")[0]


def _holder(target: ElementTree.Element, names: list[str], prefix: str) -> ElementTree.Element:
    """Return the element below a target by its path; it is made where it is missing."""
    for name in names:
        tag = f"{prefix}:{name}"
        found = next((child for child in target if child.tag == tag), None)
        target = ElementTree.SubElement(target, tag) if found is None else found
    return target


def parse(body: str | bytes) -> ElementTree.Element:
    """Return a document's root.

    Raises
    ------
    Refused
        422 for what is no XML or uses entities.
    """
    try:
        root: ElementTree.Element = fromstring(body)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise Refused(422, f"The document is not acceptable XML: {error}") from error
    return root


def from_xml(root: ElementTree.Element, type_name: str = "") -> Element:
    """Return the tree of a document.

    Parameters
    ----------
    type_name : str, optional
        Type of a document whose root does not tell it.

    Raises
    ------
    Refused
        422 for a type that the archive does not know.
    """
    prefixes = {uri: prefix for prefix, uri in schema.facts()["namespaces"].items()}
    uri, _, name = root.tag.strip("{").partition("}")
    named = root.get(f"{{{_XSI}}}type") or schema.type_of_root(f"{prefixes.get(uri, '')}:{name}")
    named = named or type_name
    if not schema.is_known(named):
        raise Refused(422, f"The document's type is not known here: {named or name}.")
    return _read(root, named)


def _read(source: ElementTree.Element, type_name: str) -> Element:
    element = Element(type_name)
    _read_into(element, source, "")
    kind = schema.data_type(type_name)
    if kind.text and source.text and source.text.strip():
        element.values[kind.text] = source.text.strip()
    return element


def _read_into(element: Element, source: ElementTree.Element, prefix: str) -> None:
    kind = schema.data_type(element.type)
    for name, value in source.attrib.items():
        if not name.startswith("{"):
            element.values[prefix + name] = value
    for child in source:
        path = prefix + child.tag.rpartition("}")[2]
        node = kind.find(path)
        if node is not None and node.part:
            named = child.get(f"{{{_XSI}}}type", "") or schema.concrete(node.type)
            element.add(path, _read(child, named))
            continue
        if node is not None and child.text and child.text.strip():
            element.values[path] = child.text.strip()
        _read_into(element, child, path + "/")
