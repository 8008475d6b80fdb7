"""Custom forms (XNAT 1.8.8 and later): the documents that define them, and how one is found.

A server gives each form an identifier of its own, so a form is found by its title.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .variables import Variable

SINCE = (1, 8, 8)
SITE = "Site"
_KINDS = {"integer": "number", "float": "number", "boolean": "checkbox", "date": "datetime"}


@dataclass(frozen=True)
class FormPlace:
    """Where a form applies.

    Attributes
    ----------
    entity : str
        ID of a project; ``Site`` for all of them.
    row : str
        The server's name for the form at this place, which its calls ask for.
    """

    entity: str
    row: str
    is_enabled: bool


@dataclass(frozen=True)
class Form:
    """A form as a server lists it.

    Attributes
    ----------
    name : str
        Its identifier, under which values are stored.
    components : tuple of tuple
        Key, kind, label and allowed values of each field.
    """

    name: str
    title: str
    data_type: str
    components: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    places: tuple[FormPlace, ...] = ()

    def place_in(self, project: str) -> FormPlace | None:
        """Return where the form applies to a project: its own place, else that of the site."""
        by_entity = {one.entity: one for one in self.places}
        return by_entity.get(project) or by_entity.get(SITE)


def components(variables: Iterable[Variable]) -> list[dict[str, Any]]:
    """Return the form.io components of variables."""
    return [
        {
            "type": "select" if one.values else _KINDS.get(one.datatype, "textfield"),
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


def form_document(
    project: str, data_type: str, title: str, variables: Iterable[Variable]
) -> dict[str, Any]:
    """Return what is sent to make a form for a data type in a project."""
    builder = {
        "display": "form",
        "title": title,
        "settings": {},
        "components": components(variables),
    }
    return {
        "submission": {
            "data": {
                "xnatDatatype": {"label": data_type, "value": data_type},
                "isThisASiteWideConfiguration": "NO",
                "xnatProject": [{"label": project, "value": project}],
                "zIndex": 10,
                "title": title,
            }
        },
        "builder": builder,
    }


def forms_in(listing: Any, title: str) -> list[Form]:
    """Return the forms of a title in a server's list; what is no form is left out."""
    found = []
    for form in listing if isinstance(listing, list) else []:
        if not isinstance(form, dict):
            continue
        contents = as_object(form.get("contents") or form.get("builder") or {})
        if title not in (form.get("title"), contents.get("title")):
            continue
        keys = ("formUUID", "formUuid", "uuid", "id")
        name = next((str(form[key]) for key in keys if form.get(key)), "")
        rows = [one for one in form.get("appliesToList") or [] if isinstance(one, dict)]
        places = tuple(
            FormPlace(
                str(one.get("entityId") or SITE),
                str(one.get("idCustomVariableFormAppliesTo") or ""),
                one.get("status") == "enabled",
            )
            for one in rows
        )
        inside = shape(contents.get("components"))
        found += [Form(name, title, one, inside, places) for one in _data_types(form) if name]
    return found


def _data_types(form: dict[str, Any]) -> list[str]:
    parts = json.dumps(form).replace("\\", "").replace('"', "/").split("/")
    return [one for one in parts if one.startswith("xnat:") and one.endswith("Data")]


def shape(found: Any) -> tuple[tuple[str, str, str, tuple[str, ...]], ...]:
    """Return what counts in a form's components: key, kind, label, allowed values."""
    shapes = []
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict):
            continue
        values = as_object(one.get("data") or {}).get("values") or []
        allowed = tuple(str(v.get("value", "")) for v in values if isinstance(v, dict))
        named = (str(one.get("key", "")), str(one.get("type", "")), str(one.get("label", "")))
        shapes.append((*named, allowed))
    return tuple(shapes)


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, also one that is written as text; empty where it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
