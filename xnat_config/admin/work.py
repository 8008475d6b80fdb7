"""Plan, apply and remove: what is wanted, what is there, what an earlier apply made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xnat_pic.errors import ServerError, WrongCallError, describe

from ..server.client import NOT_THERE, XnatClient
from ..server.errors import RefusedError
from ..server.paths import data_path
from .catalog import Catalog
from .classic import ClassicPart
from .container_part import CommandPart, LaunchPart, Service
from .engine_part import EnginePart
from .form_part import FormPart
from .model import Item, Key, Part, State, covers, decide, difference
from .record import ConventionsPart, Record
from .wish import Wish

_OHIF = "ohif"


@dataclass(frozen=True)
class Facts:
    """What the server is and has.

    Attributes
    ----------
    viewer : bool
        Whether the OHIF viewer with its ROI plugin is there.
    odd_labels : dict
        For each project how many sessions' labels break the rules, of how many.
    """

    version: str
    forms: bool
    engine: bool
    containers: bool
    viewer: bool
    odd_labels: dict[str, tuple[int, int]]


class Installation:
    """One wish on one server.

    Raises
    ------
    WrongCallError
        If a project is not on the server.
    """

    def __init__(self, server: XnatClient, wish: Wish, catalog: Catalog | None = None) -> None:
        self.server = server
        self.wish = wish
        catalog = catalog or Catalog()
        _check_projects(server, wish)
        service = Service(server, wish)
        self._engine = EnginePart(server, wish, catalog)
        self._service = service
        # In the order of work: a command is there before it can be launched.
        self._parts: tuple[Part, ...] = (
            ClassicPart(server, wish),
            FormPart(server, wish),
            ConventionsPart(server, wish),
            self._engine,
            CommandPart(service, catalog),
            LaunchPart(service, catalog),
        )
        self.record = Record(server, wish.projects)

    def facts(self) -> Facts:
        """Ask what the server has."""
        plugins = self.server.find_json("/xapi/plugins")
        names = [str(name).lower() for name in plugins] if isinstance(plugins, dict) else []
        return Facts(
            version=self.server.version_text,
            forms=self.server.find_json("/xapi/customforms") is not None,
            engine=self._engine.is_there,
            containers=self._service.is_there,
            viewer=any(_OHIF in name for name in names),
            odd_labels={project: self._odd_labels(project) for project in self.wish.projects},
        )

    def _odd_labels(self, project: str) -> tuple[int, int]:
        address = data_path("projects", project, "experiments")
        labels = [
            row.get("label", "") for row in self.server.find_rows(address, {"columns": "label"})
        ]
        rules = self.wish.config.labels
        return sum(not rules.is_clean(label) for label in labels), len(labels)

    def plan(self) -> list[Item]:
        """Return the state of everything that should be there; nothing is changed."""
        return [item for part in self._parts for item in self._plan(part)]

    def _plan(self, part: Part) -> list[Item]:
        wanted = part.wanted()
        obstacles = {key: part.obstacle(key) for key in wanted}
        found = part.found(key for key in wanted if not obstacles[key])
        items = []
        for key, document in wanted.items():
            if obstacles[key]:
                items.append(Item(key, State.IMPOSSIBLE, obstacles[key], document))
                continue
            item = decide(key, document, found.get(key), self.record.things.get(key))
            if item.state is State.UPDATE and (reason := part.fixed(key)):
                item = replace(item, state=State.OTHER, said=f"{item.said} {reason}")
            items.append(item)
        return items

    def apply(self) -> list[Item]:
        """Put in place what is missing; return everything with what became of it."""
        return [item for part in self._parts for item in self._apply(part)]

    def _apply(self, part: Part) -> list[Item]:
        items = self._plan(part)
        added = {one.key: one.wanted for one in items if one.state is State.ADD}
        changed = {one.key: one.wanted for one in items if one.state is State.UPDATE}
        if not added and not changed:
            return items
        if added:  # before the work: what a cut connection leaves behind is known as ours
            self.record.remember(added)
        failure = _put(part, [*added.items(), *changed.items()])
        found = part.found([*added, *changed])
        said = failure or "The server took it and does not show it."
        there = {
            key
            for key, document in {**added, **changed}.items()
            if key in found and covers(found[key], document)
        }
        if done := {key: one for key, one in changed.items() if key in there}:
            self.record.remember(done)
        self.record.forget(key for key in added if key not in found)
        return [
            one
            if one.state not in (State.ADD, State.UPDATE)
            else replace(one, state=State.DONE, said="")
            if one.key in there
            else replace(one, state=State.FAILED, said=said)
            for one in items
        ]

    def removal(self) -> list[Item]:
        """Return what remove would do; nothing is changed."""
        return [item for part in reversed(self._parts) for item in self._removal(part)]

    def _removal(self, part: Part) -> list[Item]:
        ours = {key: one for key, one in self.record.things.items() if key.kind == part.kind}
        found = part.found(ours)
        items = []
        for key, document in sorted(ours.items(), key=lambda pair: pair[0], reverse=True):
            if key not in found:
                items.append(Item(key, State.GONE, "It is not there any more."))
            elif covers(found[key], document):
                items.append(Item(key, State.TAKE))
            else:
                said = f"{difference(found[key], document)}. It stays."
                items.append(Item(key, State.EDITED, said))
        return items

    def remove(self) -> list[Item]:
        """Take away what apply made and nobody changed since."""
        done = []
        for part in reversed(self._parts):
            items = [self._take(part, item) for item in self._removal(part)]
            self.record.forget(one.key for one in items if one.state is State.GONE)
            done += items
        return done

    def _take(self, part: Part, item: Item) -> Item:
        if item.state is not State.TAKE:
            return item
        try:
            reason = part.take(item.key)
        except RefusedError as refusal:
            return replace(item, state=State.FAILED, said=describe(refusal))
        return replace(item, state=State.KEPT if reason else State.GONE, said=reason)


def _put(part: Part, items: Sequence[tuple[Key, Any]]) -> str:
    """Make things; return why the server refuses, empty where it does not."""
    try:
        part.put(items)
    except RefusedError as refusal:
        if refusal.status in NOT_THERE - {400, 403}:
            return f"This server has no such call ({describe(refusal)}). Do it on its pages."
        return describe(refusal)
    except ServerError as fault:
        return describe(fault)
    return ""


def _check_projects(server: XnatClient, wish: Wish) -> None:
    missing = [one for one in wish.projects if server.find_json(data_path("projects", one)) is None]
    if missing:
        raise WrongCallError(
            f"{server.connection.host} has no project {', '.join(missing)} that {server.user} may "
            "see. Make it first, or correct projects."
        )


def exit_code(items: Iterable[Item]) -> int:
    """Return 0, or 8 where something needs a person."""
    return 8 if any(one.state.needs_attention for one in items) else 0
