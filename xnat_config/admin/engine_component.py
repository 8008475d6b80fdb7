"""Pipelines of the classic engine: registered on the site by hand, enabled in projects from here.

The engine reads its descriptors from a folder of its own machine, which no call of XNAT can write.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Any

from xnat_pic.errors import ServerError

from ..server.client import XnatClient
from ..server.paths import path_of
from .catalog import Catalog, Descriptor
from .model import Key
from .specification import InstallationSpec

_ARC = "http://nrg.wustl.edu/arc"
_NONE = "This server has no classic pipeline engine, or does not open it to this user."


class EngineComponent:
    """Pipelines that projects use."""

    kind = "pipeline"

    def __init__(self, server: XnatClient, spec: InstallationSpec, catalog: Catalog) -> None:
        self._server = server
        self._spec = spec
        self._descriptors = {one.name: one for one in catalog.descriptors}

    def desired(self) -> dict[Key, Any]:
        """Return every descriptor of the folder, for every project."""
        return {
            Key(self.kind, project, one.name): {"path": one.path, "datatype": one.datatype}
            for project in self._spec.projects
            for one in self._descriptors.values()
        }

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the pipelines that the projects use."""
        asked = list(keys)
        known = {
            Key(self.kind, project, row.get("Name", "")): {
                "path": _short(row.get("Path", "")),
                "datatype": row.get("Datatype", ""),
            }
            for project in {key.project for key in asked}
            for row in self._rows(project)
        }
        return {key: known[key] for key in asked if key in known}

    def _rows(self, project: str, additional: bool = False) -> list[dict[str, str]]:
        more = {"additional": "true"} if additional else {}
        return self._server.find_rows(path_of("data", "projects", project, "pipelines"), more)

    @cached_property
    def is_there(self) -> bool:
        """Whether the engine's list of pipelines answers."""
        project = self._spec.projects[0]
        return self._server.find_json(path_of("data", "projects", project, "pipelines")) is not None

    @cached_property
    def _on_site(self) -> set[str]:
        rows = self._rows(self._spec.projects[0], additional=True)
        return {_short(row.get("Path", "")) for row in rows}

    def obstacle(self, key: Key) -> str:
        """Tell whether there is no engine, or the site does not offer the pipeline yet."""
        if not self.is_there:
            return _NONE
        one = self._descriptors.get(key.name)
        if one is not None and one.path not in self._on_site:
            return (
                f"Copy the folder engine into the engine's catalog folder and add {one.path} on "
                "the page Administer > Pipelines; then run apply again."
            )
        return ""

    def change_obstacle(self, key: Key) -> str:
        """Return that a pipeline is taken away and added by hand."""
        return "Remove it on the project's page of pipelines, then run apply again."

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Add pipelines to the archive specification of their projects."""
        ElementTree.register_namespace("arc", _ARC)
        for project in dict.fromkeys(key.project for key, _ in items):
            address = path_of("data", "projects", project, "archive_spec")
            answer = self._server.send("GET", address)
            try:
                root = ElementTree.fromstring(answer.content)
            except ElementTree.ParseError:
                raise ServerError(
                    f"The archive specification of {project} is not what XNAT sends."
                ) from None
            for key, _ in items:
                if key.project == project:
                    _add(root, self._descriptors[key.name])
            body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
            self._server.send("PUT", address, body=partial(bytes, body), content_type="text/xml")

    def remove(self, key: Key) -> str:
        """Take a pipeline from a project."""
        row = next((row for row in self._rows(key.project) if row.get("Name") == key.name), None)
        if row is None:
            return ""
        self._server.send(
            "DELETE",
            path_of("data", "projects", key.project, "pipelines"),
            params={"path": row.get("Path", ""), "datatype": row.get("Datatype", "")},
        )
        return ""


def _short(path: str) -> str:
    """Return a descriptor's path below the catalog: its folder and name."""
    return "/".join(path.replace("\\", "/").split("/")[-2:])


def _add(root: ElementTree.Element, one: Descriptor) -> None:
    pipelines = _child(root, "pipelines")
    descendants = _child(pipelines, "descendants")
    descendant = next((d for d in descendants if d.get("xsiType") == one.datatype), None)
    if descendant is None:
        descendant = ElementTree.SubElement(descendants, _tag("descendant"))
        descendant.set("xsiType", one.datatype)
    about = {"stepId": one.name, "dependent": "false"}
    pipeline = ElementTree.SubElement(descendant, _tag("pipeline"), about)
    title = one.name[:1].upper() + one.name[1:].replace("_", " ")
    for name, text in (
        ("displayText", title),
        ("name", one.name),
        ("location", one.path),
        ("description", one.description),
    ):
        ElementTree.SubElement(pipeline, _tag(name)).text = text


def _child(above: ElementTree.Element, name: str) -> ElementTree.Element:
    found = above.find(_tag(name))
    return found if found is not None else ElementTree.SubElement(above, _tag(name))


def _tag(name: str) -> str:
    return f"{{{_ARC}}}{name}"
