"""Variables as classic field definitions of a project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from xnat_pic.errors import ServerError

from .. import definitions
from ..definitions import SUBJECT
from ..server.client import XnatClient
from ..server.paths import path_of
from ..variables import Variable
from .model import Component, Key
from .specification import InstallationSpec


def variables_by_type(spec: InstallationSpec) -> dict[str, list[Variable]]:
    """Return which variables each data type carries, those of animals among them."""
    every = list(spec.config.variables)
    subject = [one for one in every if one.level == "subject"]
    return {SUBJECT: [*subject, *spec.animals], **dict.fromkeys(spec.session_types, every)}


class VariableComponent(Component):
    """Field definitions: one group of ours for each data type of a project."""

    kind = "variable"

    def __init__(self, server: XnatClient, spec: InstallationSpec) -> None:
        self._server = server
        self._spec = spec
        self._variables = {
            f"{data_type}/{one.name}": (data_type, one)
            for data_type, listed in variables_by_type(spec).items()
            for one in listed
        }

    def desired(self) -> dict[Key, Any]:
        """Return datatype and values of every variable, by data type and name."""
        if not self._spec.classic:
            return {}
        return {
            Key(self.kind, project, name): _document(one)
            for project in self._spec.projects
            for name, (_, one) in self._variables.items()
        }

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return what the projects define."""
        asked = list(keys)
        known = {
            Key(self.kind, project, f"{data_type}/{name}"): {
                "datatype": one.datatype,
                "values": list(one.values),
            }
            for project in {key.project for key in asked}
            for data_type, fields in definitions.definitions(self._read(project)).items()
            for name, one in fields.items()
        }
        return {key: known[key] for key in asked if key in known}

    def _read(self, project: str) -> Any:
        answer = self._server.send(
            "GET", path_of("data", "projects", project), params={"format": "xml"}
        )
        try:
            return definitions.parse_project(answer.content)
        except ValueError:
            raise ServerError(
                f"The server's document of the project {project} is not what XNAT sends."
            ) from None

    def change_obstacle(self, key: Key) -> str:
        """Tell whether a definition stands in a group of somebody else."""
        data_type, _, name = key.name.partition("/")
        known = definitions.definitions(self._read(key.project)).get(data_type, {})
        if name in known and known[name].group != definitions.group_id(key.project, data_type):
            return f"It stands in the group {known[name].group}, which is not ours."
        return ""

    def batches(self, keys: Iterable[Key]) -> list[list[Key]]:
        """Return the variables of each project: one document defines them."""
        projects: dict[str, list[Key]] = {}
        for key in keys:
            projects.setdefault(key.project, []).append(key)
        return list(projects.values())

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Define variables of one project by one request."""
        project = items[0][0].project
        root = self._read(project)
        ours: dict[str, list[Variable]] = {}
        for key, _ in items:
            data_type, variable = self._variables[key.name]
            ours.setdefault(data_type, []).append(variable)
        for data_type, listed in ours.items():
            definitions.add_fields(root, project, data_type, listed)
        self._server.send(
            "PUT",
            path_of("data", "projects", project),
            body=partial(definitions.to_bytes, root),
            content_type=definitions.CONTENT_TYPE,
        )

    def remove(self, key: Key) -> str:
        """Take a variable out of our group; values that subjects have stay."""
        data_type, _, name = key.name.partition("/")
        protocol = definitions.protocol_of(self._read(key.project), data_type)
        if protocol is None:
            return ""
        definitions.drop_fields(protocol, key.project, [name])
        self._server.send(
            "PUT",
            path_of("data", "projects", key.project, "protocols", protocol.get("ID", "")),
            params={"allowDataDeletion": "true"},
            body=partial(definitions.to_bytes, protocol),
            content_type=definitions.CONTENT_TYPE,
        )
        still = self.read([key])
        return "The server keeps it: delete it on the project's page." if still else ""


def _document(variable: Variable) -> dict[str, Any]:
    return {"datatype": variable.datatype, "values": list(variable.values)}
