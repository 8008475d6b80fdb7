"""Pipelines of the Container Service: commands of the site, and where they may be launched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from ..server.client import XnatClient
from ..server.paths import path_of
from .catalog import Catalog
from .model import SITE, Component, Key
from .specification import InstallationSpec

_NONE = "This server has no Container Service, or does not open it to this user."
_ON = {"enabled": True}


class Service:
    """What the Container Service has."""

    def __init__(self, server: XnatClient, spec: InstallationSpec) -> None:
        self.server = server
        self.spec = spec

    def commands(self) -> dict[str, dict[str, Any]] | None:
        """Return the commands by name, None where there is no service."""
        found = self.server.find_json("/xapi/commands")
        if not isinstance(found, list):
            return None
        return {str(one.get("name", "")): one for one in found if isinstance(one, dict)}

    @cached_property
    def is_there(self) -> bool:
        """Whether the service answers."""
        return self.commands() is not None

    @cached_property
    def used_elsewhere(self) -> dict[str, str]:
        """Another project for each wrapper that one uses, by command and wrapper."""
        used: dict[str, str] = {}
        types = ("xnat:projectData", "xnat:mrScanData", *self.spec.session_types)
        for row in self.server.find_rows("/data/projects"):
            project = row.get("ID", "")
            if project in self.spec.projects:
                continue
            for xsi_type in types:
                asked = {"project": project, "xsiType": xsi_type}
                listed = self.server.find_json("/xapi/commands/available", asked)
                for one in listed if isinstance(listed, list) else []:
                    if one.get("enabled") is not True:
                        continue  # the list names all that may be launched
                    name = f"{one.get('command-name')}/{one.get('wrapper-name')}"
                    used.setdefault(name, project)
        return used


class CommandComponent(Component):
    """Commands of the site."""

    kind = "command"

    def __init__(self, service: Service, catalog: Catalog) -> None:
        self._service = service
        self._catalog = catalog

    def desired(self) -> dict[Key, Any]:
        """Return the commands of the folder."""
        return {Key(self.kind, SITE, name): one for name, one in self._catalog.commands.items()}

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the commands that the service has."""
        known = self._service.commands() or {}
        return {key: known[key.name] for key in keys if key.name in known}

    def obstacle(self, key: Key) -> str:
        """Tell whether there is no Container Service."""
        return "" if self._service.is_there else _NONE

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Add commands, or put new ones in the place of old ones."""
        known = self._service.commands() or {}
        for key, document in items:
            number = known.get(key.name, {}).get("id")
            parts = ["xapi", "commands"] + ([str(number)] if number is not None else [])
            self._service.server.send("POST", path_of(*parts), json=document)

    def remove(self, key: Key) -> str:
        """Delete a command that no other project uses."""
        command = (self._service.commands() or {}).get(key.name)
        if command is None:
            return ""
        for name, project in self._service.used_elsewhere.items():
            if name.partition("/")[0] == key.name:
                return f"The project {project} uses it too."
        self._service.server.send("DELETE", path_of("xapi", "commands", str(command["id"])))
        return ""


class LaunchComponent(Component):
    """Where commands may be launched: on the site, and in each project."""

    kind = "launch"

    def __init__(self, service: Service, catalog: Catalog) -> None:
        self._service = service
        self._catalog = catalog

    def desired(self) -> dict[Key, Any]:
        """Return every wrapper of every command, on the site and in each project."""
        return {
            Key(self.kind, place, f"{name}/{one['name']}"): _ON
            for place in (SITE, *self._service.spec.projects)
            for name, command in self._catalog.commands.items()
            for one in command["xnat"]
        }

    def read(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Return the wrappers that are enabled."""
        known = self._service.commands() or {}
        return {key: _ON for key in keys if self._is_enabled(key, known)}

    def _is_enabled(self, key: Key, known: dict[str, dict[str, Any]]) -> bool:
        name, _, wrapper = key.name.partition("/")
        command = known.get(name, {})
        if not any(one.get("name") == wrapper for one in command.get("xnat") or []):
            return False
        answer = self._service.server.find_json(_address(command, wrapper, key.project, "enabled"))
        if isinstance(answer, dict):
            return answer.get(f"enabled-for-{'project' if key.project else 'site'}") is True
        return answer is True

    def obstacle(self, key: Key) -> str:
        """Tell whether there is no Container Service."""
        return "" if self._service.is_there else _NONE

    def batches(self, keys: Iterable[Key]) -> list[list[Key]]:
        """Return the wrappers one by one, on the site before the projects."""
        return [[key] for key in sorted(keys)]

    def create(self, items: Sequence[tuple[Key, Any]]) -> None:
        """Enable wrappers."""
        known = self._service.commands() or {}
        for key, _ in items:
            self._set(key, "enabled", known)

    def _set(self, key: Key, word: str, known: dict[str, dict[str, Any]]) -> None:
        name, _, wrapper = key.name.partition("/")
        command = known.get(name)
        if command is not None:
            address = _address(command, wrapper, key.project, word)
            self._service.server.send("PUT", address)

    def remove(self, key: Key) -> str:
        """Disable a wrapper; on the site only where no other project uses it."""
        if not key.project and (other := self._service.used_elsewhere.get(key.name)):
            return f"The project {other} uses it too."
        self._set(key, "disabled", self._service.commands() or {})
        return ""


def _address(command: dict[str, Any], wrapper: str, project: str, word: str) -> str:
    above = ("projects", project) if project else ()
    number = str(command.get("id", ""))
    return path_of("xapi", *above, "commands", number, "wrappers", wrapper, word)
