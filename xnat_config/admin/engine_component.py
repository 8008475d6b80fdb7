"""Pipelines of the classic engine: added by hand, described here step by step, then verified.

The engine reads its descriptors from a folder of its own machine, and XNAT adds them to the site
and to projects on pages only: it has no call for either. It has calls to list and to remove them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from ..server.client import XnatClient
from ..server.paths import path_of
from .catalog import Catalog, Descriptor
from .model import Component, Key
from .specification import InstallationSpec

_CATALOG = "/data/xnat/pipeline/catalog"
_SITE_PAGE = "/app/template/XDATScreen_manage_pipeline.vm"
_PROJECT_PAGE = "/app/action/ManagePipeline"
_NONE = "This server has no classic pipeline engine, or does not open it to this user."


class EngineComponent(Component):
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
    def _on_site(self) -> dict[str, dict[str, str]]:
        """What the site offers and a project does not use, by path below the catalog."""
        return {
            _short(row.get("Path", "")): row
            for project in self._spec.projects
            for row in self._rows(project, additional=True)
        }

    def obstacle(self, key: Key) -> str:
        """Tell whether there is no engine."""
        return "" if self.is_there else _NONE

    def manual_step(self, key: Key) -> str:
        """Return the pages, buttons and values that add a pipeline to its project."""
        one = self._descriptors[key.name]
        row = self._on_site.get(one.path)
        path = row.get("Path", "") if row else f"{_CATALOG}/{one.path}"
        steps = [] if row else [_offer(one, self._server.server)]
        target = {
            "task": "projectpipeline",
            "template": "PipelineScreen_add_project_pipeline.vm",
            "project": key.project,
            "pipeline_path": path,
            "datatype": one.datatype,
        }
        address = f"{self._server.server}{_PROJECT_PAGE}?{urlencode(target, safe='/:')}"
        steps.append(
            f"As an owner of {key.project} open {address} and press Submit; change nothing there."
        )
        return " ".join(steps)

    def change_obstacle(self, key: Key) -> str:
        """Return that a pipeline is taken away and added by hand."""
        return (
            f"Delete it on the page Pipelines of {key.project}; apply then says how to add it anew."
        )

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Do nothing: a person adds pipelines, see `manual_step`."""

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


def _offer(one: Descriptor, server: str) -> str:
    """Return how an administrator makes the site offer a descriptor."""
    return (
        "Copy the folder engine of the catalog into the engine's catalog folder. As an "
        f"administrator open {server}{_SITE_PAGE}, press Add Pipeline to Repository, write the "
        f"descriptor's path on the server ({_CATALOG}/{one.path}, if the engine is in its usual "
        "place), leave the other field empty and press Add."
    )
