"""Variables as custom forms: one of a study's variables for each data type, one of the animal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from .. import forms
from ..definitions import SUBJECT
from ..forms import Form
from ..server.client import XnatClient
from ..server.paths import data_path, path_of
from ..variables import Variable
from .model import Component, Key, covers
from .specification import InstallationSpec

_FORMS = "/xapi/customforms"
_ENABLED = "form enabled"  # no variable can have that name


class FormComponent(Component):
    """Custom forms of a project, found by their title.

    Parameters
    ----------
    delete_values_of : collection of str
        Names of forms whose values go with them; without, a form that has values stays.
    """

    kind = "form"

    def __init__(
        self, server: XnatClient, spec: InstallationSpec, delete_values_of: Iterable[str] = ()
    ) -> None:
        self._server = server
        self._spec = spec
        self._delete_values_of = frozenset(delete_values_of)
        version = server.version
        self._too_old = bool(version) and version < forms.SINCE
        every = list(spec.config.variables)
        subject = [one for one in every if one.level == "subject"]
        title = spec.config.variables.form_title
        self._forms: dict[str, tuple[str, str, list[Variable]]] = {
            f"{title} ({data_type})": (title, data_type, listed)
            for data_type, listed in {
                SUBJECT: subject,
                **dict.fromkeys(spec.session_types, every),
            }.items()
        }
        self._forms[f"{spec.animal_title} ({SUBJECT})"] = (
            spec.animal_title,
            SUBJECT,
            list(spec.animals),
        )

    @cached_property
    def is_there(self) -> bool:
        """Whether the server's list of forms answers."""
        return self._server.find_json(_FORMS) is not None

    @property
    def names(self) -> list[str]:
        """Names of the forms that the installation file asks for."""
        return list(self._forms)

    def desired(self) -> dict[Key, Any]:
        """Return the fields of every form."""
        if not self._spec.forms:
            return {}
        return {
            Key(self.kind, project, name): _document(
                forms.shape(forms.components(listed)), is_enabled=True
            )
            for project in self._spec.projects
            for name, (_, _, listed) in self._forms.items()
            if listed
        }

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the forms that the server has for these keys."""
        found = {}
        for key, form in self._find(keys).items():
            place = form.place_in(key.project)
            found[key] = _document(
                form.components, is_enabled=place is not None and place.is_enabled
            )
        return found

    def _find(self, keys: Iterable[Key]) -> dict[Key, Form]:
        """Return the forms of projects, their own before those of the site.

        The list is read in full: that of one project leaves out where else a form applies.
        """
        asked = set(keys)
        if not asked:
            return {}
        listing = self._server.find_json(_FORMS)
        known: dict[Key, Form] = {}
        for title in {key.name.rpartition(" (")[0] for key in asked}:
            for form in forms.forms_in(listing, title):
                name = f"{title} ({form.data_type})"
                for project in {key.project for key in asked if key.name == name}:
                    key, place = Key(self.kind, project, name), form.place_in(project)
                    if place is not None and (key not in known or place.entity == project):
                        known[key] = form
        return known

    def obstacle(self, key: Key) -> str:
        """Tell whether the server has no forms."""
        since = ".".join(map(str, forms.SINCE))
        if self._too_old:
            return (
                f"XNAT has custom forms from {since} on; this one is {self._server.version_text}."
            )
        if not self.is_there:
            return "This server has no custom forms, or does not open them to this user."
        return ""

    def change_obstacle(self, key: Key) -> str:
        """Return that fields are changed in XNAT; a form that was disabled can be enabled."""
        found, wanted = self.read([key]).get(key), self.desired().get(key)
        if found is not None and wanted is not None and covers({**found, _ENABLED: True}, wanted):
            return ""
        return "Change it in XNAT's form editor: values hang on the form's identifier."

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Make forms; enable those that are there."""
        known = self._find(key for key, _ in items)
        for key, _ in items:
            place = known[key].place_in(key.project) if key in known else None
            if place is None:
                title, data_type, listed = self._forms[key.name]
                document = forms.form_document(key.project, data_type, title, listed)
                self._server.send("PUT", f"{_FORMS}/save", json=document)
            else:
                self._server.send("POST", f"{_FORMS}/enable", json=_rows(place))

    def removal_note(self, key: Key) -> str:
        """Return whose values go with a form, or that its values keep it."""
        form = self._find([key]).get(key)
        place = form.place_in(key.project) if form else None
        if form is None or place is None:
            return ""
        if key.name in self._delete_values_of:
            holders = self._holders(form, key.project)
            return f"With the values of {_count(holders, key)}." if holders else ""
        if self._server.find_json(path_of("xapi", "customforms", "hasdata", place.row)) is True:
            return f"It has values: XNAT only disables it. {_delete_hint(key)}"
        return ""

    def remove(self, key: Key) -> str:
        """Delete a form. XNAT disables one that has values, and answers as if it were deleted."""
        form = self._find([key]).get(key)
        place = form.place_in(key.project) if form else None
        if form is None or place is None:
            return ""
        if others := [one.entity for one in form.places if one.entity != key.project]:
            return f"It is used by {', '.join(others)} too."
        if key.name in self._delete_values_of:
            for address in self._holders(form, key.project):
                self._server.send("DELETE", f"{address}/{form.name}")
        answer = self._server.send("DELETE", _FORMS, json=_rows(place))
        if not self._find([key]):
            return ""
        if "disabled" not in answer.text:
            return "The server keeps it: delete it in XNAT."
        holders = self._holders(form, key.project)
        whose = f"data of {_count(holders, key)}" if holders else "data outside this project"
        return f"Disabled, holds {whose}. {_delete_hint(key)}"

    def _holders(self, form: Form, project: str) -> list[str]:
        """Return the addresses of the fields of a project's items that have values of a form."""
        kind = "subjects" if form.data_type == SUBJECT else "experiments"
        asked = {"columns": "ID"} | ({} if kind == "subjects" else {"xsiType": form.data_type})
        found = []
        for row in self._server.find_rows(data_path("projects", project, kind), asked):
            item = ("projects", project, kind, row.get("ID", ""))
            address = path_of("xapi", "custom-fields", *item, "fields")
            fields = self._server.find_json(address)
            if isinstance(fields, dict) and form.name in fields:
                found.append(address)
        return found


def _rows(place: forms.FormPlace) -> list[dict[str, str]]:
    return [{"idCustomVariableFormAppliesTo": place.row, "entityId": place.entity}]


def _delete_hint(key: Key) -> str:
    return f'To delete these values, too, name the form with --delete-values-of "{key.name}".'


def _count(holders: Sequence[str], key: Key) -> str:
    noun = "subject" if key.name.endswith(f"({SUBJECT})") else "session"
    return f"{len(holders)} {noun}{'' if len(holders) == 1 else 's'}"


def _document(
    found: Iterable[tuple[str, str, str, tuple[str, ...]]], *, is_enabled: bool
) -> dict[str, Any]:
    listed = list(found)
    fields = {
        key: {"type": kind, "label": label, "values": list(values)}
        for key, kind, label, values in listed
    }
    return {"order": [key for key, *_ in listed], **fields, _ENABLED: is_enabled}
