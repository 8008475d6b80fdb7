"""Files of ours in a project: what apply made there, and the rules for labels and resources.

They lie in a resource of the project, so that whoever removes the installation finds the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xnat_pic.errors import ServerError

from ..server.client import XnatClient
from ..server.errors import RefusedError
from ..server.paths import path_of
from .model import SITE, Component, Key
from .specification import InstallationSpec

RESOURCE = "XNAT_PIC_ADMIN"
_RECORD, CONVENTIONS = "applied.json", "conventions.json"


def _resource(project: str) -> str:
    return path_of("data", "projects", project, "resources", RESOURCE)


def _read(server: XnatClient, project: str, name: str) -> Any:
    try:
        answer = server.send("GET", f"{_resource(project)}/files/{name}")
    except RefusedError as refusal:
        if refusal.status == 404:
            return None
        raise
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError):
        raise _damaged(project, name) from None


def _damaged(project: str, name: str) -> ServerError:
    return ServerError(
        f"The file {name} of the resource {RESOURCE} in {project} is damaged. Look at it and "
        "delete it; then remove what is there by hand."
    )


def _write(server: XnatClient, project: str, name: str, document: Any) -> None:
    body = json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8")
    server.send(
        "PUT",
        f"{_resource(project)}/files/{name}",
        params={"inbody": "true", "overwrite": "true", "format": "JSON"},
        body=lambda: body,
        content_type="application/octet-stream",
    )


class Record:
    """What apply made: the document of each thing, by project."""

    def __init__(self, server: XnatClient, projects: Sequence[str]) -> None:
        self._server = server
        self._projects = tuple(projects)
        self.documents: dict[Key, Any] = {}
        self._home: dict[Key, str] = {}
        for project in self._projects:
            known = _read(server, project, _RECORD)
            try:
                for row in known["things"] if known is not None else []:
                    key = Key(str(row["kind"]), str(row["project"]), str(row["name"]))
                    if key.project not in (SITE, project):
                        # An owner may write here: what an administrator's remove takes elsewhere
                        # must not be theirs to say.
                        raise _damaged(project, _RECORD)
                    self.documents[key] = row["document"]
                    self._home[key] = project
            except (KeyError, TypeError):
                raise _damaged(project, _RECORD) from None

    def remember(self, made: Mapping[Key, Any]) -> None:
        """Note things as made; those of the site in the record of the first project."""
        for key, document in made.items():
            self.documents[key] = document
            self._home.setdefault(key, key.project or self._projects[0])
        self._save({self._home[key] for key in made})

    def forget(self, keys: Iterable[Key]) -> None:
        """Take things out of the record; an empty record is deleted with its resource."""
        changed = set()
        for key in list(keys):
            if key in self.documents:
                changed.add(self._home.pop(key))
                del self.documents[key]
        self._save(changed)

    def _save(self, projects: Iterable[str]) -> None:
        for project in sorted(projects):
            rows = [
                {"kind": key.kind, "project": key.project, "name": key.name, "document": document}
                for key, document in sorted(self.documents.items(), key=lambda pair: pair[0])
                if self._home[key] == project
            ]
            if rows:
                _write(self._server, project, _RECORD, {"format": 1, "things": rows})
            else:
                self._server.send("DELETE", _resource(project), params={"removeFiles": "true"})


class ConventionsComponent(Component):
    """The rules for labels and resources, as a file that people and programs can read."""

    kind = "conventions"

    def __init__(self, server: XnatClient, spec: InstallationSpec) -> None:
        self._server = server
        self._spec = spec

    def desired(self) -> dict[Key, Any]:
        """Return the rules."""
        if not self._spec.conventions:
            return {}
        rules, names = self._spec.config.labels, self._spec.config.resources
        document = {
            "session_label": rules.template,
            "when": list(rules.when),
            "characters": rules.allowed.pattern,
            "longest_label": rules.max_length,
            "resources": {
                "images": names.dicom,
                "other_dicom": names.secondary,
                "scanner_data_of_project": names.raw_project,
                "scanner_data_of_session": names.raw_session,
                "side_files": {label: list(endings) for label, endings in names.side},
            },
        }
        return {Key(self.kind, one, CONVENTIONS): document for one in self._spec.projects}

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the files that the projects have."""
        known = {key: _read(self._server, key.project, CONVENTIONS) for key in keys}
        return {key: one for key, one in known.items() if one is not None}

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Write the files."""
        for key, document in items:
            _write(self._server, key.project, CONVENTIONS, document)

    def remove(self, key: Key) -> str:
        """Delete a file."""
        self._server.send("DELETE", f"{_resource(key.project)}/files/{CONVENTIONS}")
        return ""
