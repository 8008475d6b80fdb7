"""Custom variables on the server: their definitions, and the values of subjects and sessions.

XNAT keeps them twice: as classic fields, which every version has and every client reads, and as the
values of custom forms from 1.8.8 on. Both are written; a form is found by its title.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from xnat_config.variables import Variable, Variables

from .client import Client, url_path
from .errors import RefusedError, ServerError

_XNAT = "http://nrg.wustl.edu/xnat"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SUBJECT = "xnat:subjectData"
# What follows the protocols in a project's document.
_AFTER = ("PI", "investigators", "fields")
_FORM_KINDS = {"integer": "number", "float": "number", "boolean": "checkbox", "date": "datetime"}

Definitions = dict[str, dict[str, tuple[str, ...]]]


def read_definitions(client: Client, project: str) -> Definitions:
    """Return what a project defines: allowed values by data type and variable (none: any)."""
    return _definitions(_read_project(client, project))


def _definitions(root: ElementTree.Element) -> Definitions:
    found: Definitions = {}
    for protocol in root.iter(_tag("studyProtocol")):
        fields = found.setdefault(protocol.get("data-type", ""), {})
        for one in protocol.iter(_tag("field")):
            allowed = tuple(value.text or "" for value in one.iter(_tag("possibleValue")))
            fields[one.get("name", "").lower()] = allowed
    return found


def _tag(name: str) -> str:
    return f"{{{_XNAT}}}{name}"


def _read_project(client: Client, project: str) -> ElementTree.Element:
    answer = client.send("GET", url_path("projects", project), params={"format": "xml"})
    try:
        if b"<!DOCTYPE" in answer.content[:2000]:
            raise ElementTree.ParseError
        return ElementTree.fromstring(answer.content)
    except ElementTree.ParseError as error:
        raise ServerError(
            f"The server's document of the project {project} is not what XNAT sends."
        ) from error


def wanted_types(variables: Variables, session_types: Iterable[str]) -> dict[str, list[Variable]]:
    """Return which variables each data type carries."""
    every = list(variables)
    subject = [one for one in every if one.level == "subject"]
    return {_SUBJECT: subject, **dict.fromkeys(sorted(set(session_types)), every)}


def define(
    client: Client, project: str, variables: Variables, session_types: Iterable[str]
) -> list[str]:
    """Define what a project lacks, in the classic way and as a custom form.

    Returns
    -------
    list of str
        Sentences about what was done, and about what could not be.
    """
    wanted = wanted_types(variables, session_types)
    said = _define_classic(client, project, wanted)
    return said + _define_forms(client, project, variables, wanted)


def _define_classic(
    client: Client, project: str, wanted: Mapping[str, list[Variable]]
) -> list[str]:
    root = _read_project(client, project)
    known = _definitions(root)
    said = []
    for data_type, variables in wanted.items():
        missing = [one for one in variables if one.name not in known.get(data_type, {})]
        if missing:
            _add_definition(root, project, data_type, missing)
            names = ", ".join(one.name for one in missing)
            said.append(f"Defined {names} for {data_type} in {project}.")
    if said:
        ElementTree.register_namespace("xnat", _XNAT)
        ElementTree.register_namespace("xsi", _XSI)
        document = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        client.send(
            "PUT",
            url_path("projects", project),
            body=lambda: document,
            content_type="text/xml",
        )
    return said


def _add_definition(
    root: ElementTree.Element, project: str, data_type: str, variables: list[Variable]
) -> None:
    flat = data_type.replace(":", "_")
    protocols = [one for one in root.iter(_tag("studyProtocol"))]
    protocol = next((one for one in protocols if one.get("data-type") == data_type), None)
    if protocol is None:
        protocol = ElementTree.Element(
            _tag("studyProtocol"),
            {
                "ID": f"{project}_{flat}",
                "data-type": data_type,
                "name": data_type.partition(":")[2].removesuffix("Data"),
                f"{{{_XSI}}}type": "xnat:datatypeProtocol",
            },
        )
        after = [k for k, one in enumerate(root) if one.tag in [_tag(name) for name in _AFTER]]
        root.insert(after[0] if after else len(root), protocol)
    definitions = protocol.find(_tag("definitions"))
    if definitions is None:
        definitions = ElementTree.SubElement(protocol, _tag("definitions"))
    group = ElementTree.SubElement(
        definitions,
        _tag("definition"),
        {
            "ID": f"{project}_{flat}_xnat_pic",
            "data-type": data_type,
            "description": "",
            "project-specific": "1",
        },
    )
    fields = ElementTree.SubElement(group, _tag("fields"))
    for one in variables:
        _add_field(fields, data_type, one)


def _add_field(fields: ElementTree.Element, data_type: str, variable: Variable) -> None:
    field = ElementTree.SubElement(
        fields,
        _tag("field"),
        {
            "name": variable.name,
            "datatype": variable.datatype,
            "type": "custom",
            "required": "0",
            "xmlPath": f"{data_type}/fields/field[name={variable.name}]/field",
        },
    )
    if variable.values:
        values = ElementTree.SubElement(field, _tag("possibleValues"))
        for value in variable.values:
            one = ElementTree.SubElement(values, _tag("possibleValue"), {"display": value})
            one.text = value


def find_forms(client: Client, project: str, title: str) -> dict[str, str]:
    """Return the identifier of our form for each data type; none where the server has no forms."""
    found = client.json("/xapi/customforms", {"projectId": project}, lenient=True)
    forms = {}
    for form in found if isinstance(found, list) else []:
        if not isinstance(form, dict):
            continue
        contents = _object(form.get("contents") or form.get("builder") or {})
        if title not in (form.get("title"), contents.get("title")):
            continue
        named = next(
            (str(form[key]) for key in ("formUUID", "formUuid", "uuid", "id") if form.get(key)), ""
        )
        for part in json.dumps(form).replace("\\", "").replace('"', "/").split("/"):
            if part.startswith("xnat:") and part.endswith("Data") and named:
                forms[part] = named
    return forms


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _define_forms(
    client: Client,
    project: str,
    variables: Variables,
    wanted: Mapping[str, list[Variable]],
) -> list[str]:
    version = client.version
    if version and version < (1, 8, 8):
        return []
    said = []
    known = find_forms(client, project, variables.form_title)
    for data_type, ours in wanted.items():
        if data_type in known:
            continue
        try:
            client.send(
                "PUT",
                "/xapi/customforms/save",
                json=_form(project, data_type, variables.form_title, ours),
            )
        except RefusedError as refusal:
            if refusal.status not in (404, 405, 501):
                said.append(
                    f"The server keeps no form for {data_type} ({refusal.message}). The classic "
                    "variables hold the same values; an administrator can add the form."
                )
            break
        said.append(f"Made the form '{variables.form_title}' for {data_type} in {project}.")
    return said


def _form(project: str, data_type: str, title: str, variables: list[Variable]) -> dict[str, Any]:
    components = [
        {
            "type": "select" if one.values else _FORM_KINDS.get(one.datatype, "textfield"),
            "key": one.name,
            "label": one.title,
            "input": True,
            **(
                {"data": {"values": [{"label": value, "value": value} for value in one.values]}}
                if one.values
                else {}
            ),
        }
        for one in variables
    ]
    builder = {"display": "form", "title": title, "settings": {}, "components": components}
    return {
        "submission": {
            "data": {
                "xnatDatatype": {"label": data_type, "value": data_type},
                "isThisASiteWideConfiguration": "no",
                "xnatProject": [{"label": project, "value": project}],
                "zIndex": 10,
                "title": title,
            }
        },
        "builder": json.dumps(builder),
    }


def write_values(
    client: Client, item: str, data_type: str, values: Mapping[str, str], *, make: bool = False
) -> None:
    """Set classic variables of an item in one request; an empty value removes one.

    Parameters
    ----------
    item : str
        Address of the subject or session.
    make : bool
        Make the item if it is not there.
    """
    if values or make:
        pairs = [("xsiType", data_type)]
        pairs += [
            (f"{data_type}/fields/field[name={name}]/field", value or "NULL")
            for name, value in values.items()
        ]
        client.send("PUT", item, params=pairs)


def write_form(client: Client, item: str, form: str, values: Mapping[str, str]) -> None:
    """Set values of our form of an item; an empty value removes one.

    Parameters
    ----------
    item : str
        ``projects/P/subjects/S`` and what may follow.
    form : str
        Identifier from `find_forms`.
    """
    if not values:
        return
    path = f"/xapi/custom-fields/{item}/fields"
    before = client.json(path, lenient=True)
    kept = _object(before.get(form)) if isinstance(before, dict) else {}
    kept.update(values)
    client.send("PUT", path, json={form: {k: v for k, v in kept.items() if v}})


def form_item(*parts: str) -> str:
    """Return an item as the forms address it: ``form_item("projects", "P1")``."""
    return "/".join(quote(part, safe="") for part in parts)
