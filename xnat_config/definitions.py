"""Classic definitions of custom variables, as they stand in a project's XML document.

XNAT keeps one protocol for each data type; ours is one group of fields in it, with an ID of its
own, so that what others defined is never touched.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .variables import Variable

SUBJECT = "xnat:subjectData"
# A server whose Java knows ASCII alone by default loses other letters where no charset is named.
CONTENT_TYPE = "text/xml; charset=UTF-8"
_XNAT = "http://nrg.wustl.edu/xnat"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
# What follows the protocols in a project's document.
_AFTER = ("PI", "investigators", "fields")


@dataclass(frozen=True)
class Definition:
    """A variable as a project defines it.

    Attributes
    ----------
    group : str
        ID of the group of fields it stands in.
    values : tuple of str
        The values allowed; empty where any is.
    """

    name: str
    datatype: str
    values: tuple[str, ...]
    group: str


def parse_project(content: bytes) -> Element:
    """Return the root of a project's document.

    Raises
    ------
    ValueError
        If it is no XML document, or declares a document type.
    """
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("a document type is declared")
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError("no XML") from error


def to_bytes(root: Element) -> bytes:
    """Return a document as it is sent."""
    ElementTree.register_namespace("xnat", _XNAT)
    ElementTree.register_namespace("xsi", _XSI)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def definitions(root: Element) -> dict[str, dict[str, Definition]]:
    """Return what a project defines, by data type and by name in lower case."""
    found: dict[str, dict[str, Definition]] = {}
    for protocol in root.iter(_tag("studyProtocol")):
        fields = found.setdefault(protocol.get("data-type", ""), {})
        for group in protocol.iter(_tag("definition")):
            for one in group.iter(_tag("field")):
                name = one.get("name", "").lower()
                values = tuple(value.text or "" for value in one.iter(_tag("possibleValue")))
                fields[name] = Definition(
                    name, one.get("datatype", ""), values, group.get("ID", "")
                )
    return found


def group_id(project: str, data_type: str) -> str:
    """Return the ID of our group of fields."""
    return f"{project}_{data_type.replace(':', '_')}_xnat_pic"


def protocol_of(root: Element, data_type: str) -> Element | None:
    """Return the protocol of a data type, None where the project has none."""
    for one in root.iter(_tag("studyProtocol")):
        if one.get("data-type") == data_type:
            return one
    return None


def add_fields(root: Element, project: str, data_type: str, variables: Iterable[Variable]) -> None:
    """Define variables for a data type; one of the same name in our group is replaced."""
    protocol = protocol_of(root, data_type)
    if protocol is None:
        protocol = _new_protocol(root, project, data_type)
    groups = protocol.find(_tag("definitions"))
    if groups is None:
        groups = ElementTree.SubElement(protocol, _tag("definitions"))
    ours = group_id(project, data_type)
    group = next((one for one in groups if one.get("ID") == ours), None)
    if group is None:
        about = {"ID": ours, "data-type": data_type, "description": "", "project-specific": "1"}
        group = ElementTree.SubElement(groups, _tag("definition"), about)
    fields = group.find(_tag("fields"))
    if fields is None:
        fields = ElementTree.SubElement(group, _tag("fields"))
    for one in variables:
        for old in [old for old in fields if old.get("name", "").lower() == one.name]:
            fields.remove(old)
        _add_field(fields, data_type, one)


def _new_protocol(root: Element, project: str, data_type: str) -> Element:
    protocol = ElementTree.Element(
        _tag("studyProtocol"),
        {
            "ID": f"{project}_{data_type.replace(':', '_')}",
            "data-type": data_type,
            "name": data_type.partition(":")[2].removesuffix("Data"),
            f"{{{_XSI}}}type": "xnat:datatypeProtocol",
        },
    )
    after = [k for k, one in enumerate(root) if one.tag in [_tag(name) for name in _AFTER]]
    root.insert(after[0] if after else len(root), protocol)
    return protocol


def _add_field(fields: Element, data_type: str, variable: Variable) -> None:
    about = {
        "name": variable.name,
        "datatype": variable.datatype,
        "type": "custom",
        "required": "0",
        "xmlPath": f"{data_type}/fields/field[name={variable.name}]/field",
    }
    field = ElementTree.SubElement(fields, _tag("field"), about)
    if variable.values:
        values = ElementTree.SubElement(field, _tag("possibleValues"))
        for value in variable.values:
            one = ElementTree.SubElement(values, _tag("possibleValue"), {"display": value})
            one.text = value


def drop_fields(protocol: Element, project: str, names: Iterable[str]) -> None:
    """Take variables out of our group in a protocol; an empty group goes too."""
    unwanted = set(names)
    ours = group_id(project, protocol.get("data-type", ""))
    for groups in protocol.iter(_tag("definitions")):
        for group in [one for one in groups if one.get("ID") == ours]:
            for fields in group.iter(_tag("fields")):
                for one in [one for one in fields if one.get("name", "").lower() in unwanted]:
                    fields.remove(one)
            if next(group.iter(_tag("field")), None) is None:
                groups.remove(group)


def _tag(name: str) -> str:
    return f"{{{_XNAT}}}{name}"
