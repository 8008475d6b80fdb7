"""Variables as custom forms: one of a study's variables for each data type, one of the animal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from .. import forms
from ..definitions import SUBJECT
from ..forms import Form
from ..server.client import XnatClient
from ..server.paths import path_of
from ..variables import Variable
from .model import Key
from .specification import InstallationSpec


class FormComponent:
    """Custom forms of a project, found by their title."""

    kind = "form"

    def __init__(self, server: XnatClient, spec: InstallationSpec) -> None:
        self._server = server
        self._spec = spec
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
        return self._server.find_json("/xapi/customforms") is not None

    def desired(self) -> dict[Key, Any]:
        """Return the fields of every form."""
        if not self._spec.forms:
            return {}
        return {
            Key(self.kind, project, name): _fields(forms.shape(forms.components(listed)))
            for project in self._spec.projects
            for name, (_, _, listed) in self._forms.items()
            if listed
        }

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the forms that the server has for these keys."""
        return {key: _fields(form.components) for key, form in self._find(keys).items()}

    def _find(self, keys: Iterable[Key]) -> dict[Key, Form]:
        asked = list(keys)
        known: dict[Key, Form] = {}
        for project in {key.project for key in asked}:
            listing = self._server.find_json("/xapi/customforms", {"projectId": project})
            for title in {key.name.rpartition(" (")[0] for key in asked}:
                for form in forms.forms_in(listing, title):
                    known[Key(self.kind, project, f"{title} ({form.data_type})")] = form
        return {key: known[key] for key in asked if key in known}

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
        """Return that a form is changed in XNAT, because values hang on its identifier."""
        return "Change it in XNAT's form editor: values hang on the form's identifier."

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Make forms."""
        for key, _ in items:
            title, data_type, listed = self._forms[key.name]
            document = forms.form_document(key.project, data_type, title, listed)
            self._server.send("PUT", "/xapi/customforms/save", json=document)

    def remove(self, key: Key) -> str:
        """Delete a form, unless subjects or sessions have values of it."""
        form = self._find([key]).get(key)
        if form is None:
            return ""
        if others := [place for place in form.places if place != key.project]:
            return f"It is used by {', '.join(others)} too."
        if self._server.find_json(path_of("xapi", "customforms", "hasdata", form.row)) is not False:
            return "It holds values, or the server does not tell: delete it in XNAT if you want to."
        self._server.send("DELETE", path_of("xapi", "customforms", form.row))
        return "The server keeps it: delete it in XNAT." if self._find([key]) else ""


def _fields(found: Iterable[tuple[str, str, str, tuple[str, ...]]]) -> dict[str, Any]:
    listed = list(found)
    fields = {
        key: {"type": kind, "label": label, "values": list(values)}
        for key, kind, label, values in listed
    }
    return {"order": [key for key, *_ in listed], **fields}
