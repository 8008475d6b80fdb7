"""Plan, apply and remove: what is desired, what is there, what an earlier apply made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xnat_pic.errors import ServerError, WrongCallError, describe

from ..server.client import NOT_THERE, XnatClient
from ..server.errors import RefusedError, UnreachableError
from ..server.paths import data_path
from .catalog import Catalog
from .container_components import CommandComponent, LaunchComponent, Service
from .container_settings import container_notes
from .engine_component import EngineComponent
from .form_component import FormComponent
from .model import Component, Item, Key, State, covers, decide, difference
from .record import ConventionsComponent, Record
from .runs import OpenRun, find_open_runs
from .specification import InstallationSpec
from .variable_component import VariableComponent

_OHIF = "ohif"
_NOT_SHOWN = "The server took it and does not show it."


@dataclass(frozen=True)
class Facts:
    """What the server is and has.

    Attributes
    ----------
    viewer : bool
        Whether the OHIF viewer with its ROI plugin is there.
    odd_labels : dict
        For each project how many sessions' labels break the rules, of how many.
    runs : tuple of str
        What is to be said of runs of the classic engine that wait, or died without saying so.
    container_settings : tuple of str
        What an administrator should look at before containers are started.
    """

    version: str
    forms: bool
    engine: bool
    containers: bool
    viewer: bool
    odd_labels: dict[str, tuple[int, int]]
    runs: tuple[str, ...] = ()
    container_settings: tuple[str, ...] = ()


class Installation:
    """One specification on one server.

    Parameters
    ----------
    delete_values_of : sequence of str
        Names of forms whose values `remove` deletes with them.

    Raises
    ------
    WrongCallError
        If a project is not on the server, or there is no form of such a name.
    """

    def __init__(
        self,
        server: XnatClient,
        spec: InstallationSpec,
        catalog: Catalog | None = None,
        delete_values_of: Sequence[str] = (),
    ) -> None:
        self.server = server
        self.spec = spec
        catalog = catalog or Catalog()
        _check_projects(server, spec)
        service = Service(server, spec)
        forms = FormComponent(server, spec, delete_values_of)
        self._engine = EngineComponent(server, spec, catalog)
        self._catalog = catalog
        self._service = service
        # In the order of work: a command is there before it can be launched.
        self._components: tuple[Component, ...] = (
            VariableComponent(server, spec),
            forms,
            ConventionsComponent(server, spec),
            self._engine,
            CommandComponent(service, catalog),
            LaunchComponent(service, catalog),
        )
        self.record = Record(server, spec.projects)
        recorded = (key.name for key in self.record.documents if key.kind == forms.kind)
        _check_names(delete_values_of, {*forms.names, *recorded})

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
            odd_labels={project: self._odd_labels(project) for project in self.spec.projects},
            runs=tuple(one.sentence for one in self._open_runs() if one.sentence),
            container_settings=self.container_settings(),
        )

    def container_settings(self) -> tuple[str, ...]:
        """Return what to look at before containers are started; nothing without the service."""
        if not self._service.is_there:
            return ()
        return tuple(container_notes(self.server, self._catalog.commands.values()))

    def _open_runs(self) -> list[OpenRun]:
        return find_open_runs(self.server, self.spec.projects) if self._engine.is_there else []

    def dead_runs(self) -> list[OpenRun]:
        """Return the runs of the classic engine that died without saying so."""
        return [one for one in self._open_runs() if one.is_dead]

    def _odd_labels(self, project: str) -> tuple[int, int]:
        address = data_path("projects", project, "experiments")
        labels = [
            row.get("label", "") for row in self.server.find_rows(address, {"columns": "label"})
        ]
        rules = self.spec.config.labels
        return sum(not rules.is_clean(label) for label in labels), len(labels)

    def plan(self) -> list[Item]:
        """Return the state of everything that should be there; nothing is changed."""
        return [item for component in self._components for item in self._plan(component)]

    def _plan(self, component: Component) -> list[Item]:
        desired = component.desired()
        obstacles = {key: component.obstacle(key) for key in desired}
        found = component.read(key for key in desired if not obstacles[key])
        items = []
        for key, document in desired.items():
            if obstacles[key]:
                items.append(Item(key, State.IMPOSSIBLE, obstacles[key], document))
                continue
            if key not in found and (step := component.manual_step(key)):
                items.append(Item(key, State.MANUAL, step, document))
                continue
            item = decide(key, document, found.get(key), self.record.documents.get(key))
            if item.state is State.UPDATE and (reason := component.change_obstacle(key)):
                item = replace(item, state=State.OTHER, message=f"{item.message} {reason}")
            items.append(item)
        return items

    def apply(self) -> list[Item]:
        """Put in place what is missing; return everything with what became of it."""
        return [item for component in self._components for item in self._apply(component)]

    def _apply(self, component: Component) -> list[Item]:
        items = self._plan(component)
        added = {one.key: one.desired for one in items if one.state is State.ADD}
        changed = {one.key: one.desired for one in items if one.state is State.UPDATE}
        # What a person makes for us is ours to remove.
        by_hand = {one.key: one.desired for one in items if one.state is State.MANUAL}
        if any(self.record.documents.get(key) != one for key, one in by_hand.items()):
            self.record.remember(by_hand)
        if not added and not changed:
            return items
        if added:  # before the work: what a cut connection leaves behind is known as ours
            self.record.remember(added)
        failures = _create(component, {**added, **changed})
        found = component.read([*added, *changed])
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
            else replace(one, state=State.DONE, message="")
            if one.key in there
            else replace(one, state=State.FAILED, message=failures.get(one.key, _NOT_SHOWN))
            for one in items
        ]

    def removal(self) -> list[Item]:
        """Return what remove would do; nothing is changed."""
        return [
            item for component in reversed(self._components) for item in self._removal(component)
        ]

    def _removal(self, component: Component) -> list[Item]:
        ours = {
            key: one for key, one in self.record.documents.items() if key.kind == component.kind
        }
        found = component.read(ours)
        items = []
        for key, document in sorted(ours.items(), key=lambda pair: pair[0], reverse=True):
            if key not in found:
                items.append(Item(key, State.REMOVED, "It is not there any more."))
            elif covers(found[key], document):
                items.append(Item(key, State.REMOVE, component.removal_note(key)))
            else:
                message = f"{difference(found[key], document)}. It stays."
                items.append(Item(key, State.EDITED, message))
        return items

    def remove(self) -> list[Item]:
        """Take away what apply made and nobody changed since."""
        done = []
        for component in reversed(self._components):
            items = [self._remove(component, item) for item in self._removal(component)]
            self.record.forget(one.key for one in items if one.state is State.REMOVED)
            done += items
        return done

    def _remove(self, component: Component, item: Item) -> Item:
        if item.state is not State.REMOVE:
            return item
        try:
            reason = component.remove(item.key)
        except ServerError as fault:
            _stop_without_server(fault)
            return replace(item, state=State.FAILED, message=describe(fault))
        if not reason:
            return replace(item, state=State.REMOVED)
        left = component.read([item.key])
        if any(not covers(one, self.record.documents[key]) for key, one in left.items()):
            self.record.remember(left)  # the server changed it, not a person
        return replace(item, state=State.KEPT, message=reason)


def _create(component: Component, documents: dict[Key, Any]) -> dict[Key, str]:
    """Make things; return why the server refuses some, each with its own reason."""
    failures = {}
    for keys in component.batches(documents):
        try:
            component.create([(key, documents[key]) for key in keys])
        except RefusedError as refusal:
            reason = describe(refusal)
            if refusal.status in NOT_THERE - {400, 403}:
                reason = f"This server has no such call ({reason}). Do it on its pages."
            failures.update(dict.fromkeys(keys, reason))
        except ServerError as fault:
            _stop_without_server(fault)
            failures.update(dict.fromkeys(keys, describe(fault)))
    return failures


def _stop_without_server(fault: ServerError) -> None:
    """Raise what is no fault of one thing: nothing answers, so nothing else will be done either."""
    if isinstance(fault, UnreachableError) and not fault.status:
        raise fault


def _check_projects(server: XnatClient, spec: InstallationSpec) -> None:
    missing = [one for one in spec.projects if server.find_json(data_path("projects", one)) is None]
    if missing:
        raise WrongCallError(
            f"{server.connection.host} has no project {', '.join(missing)} that {server.user} may "
            "see. Make it first, or correct projects."
        )


def _check_names(asked: Sequence[str], known: set[str]) -> None:
    if missing := [name for name in asked if name not in known]:
        raise WrongCallError(
            f"There is no form {', '.join(missing)}. There are: {', '.join(sorted(known))}."
        )


def exit_code(items: Iterable[Item]) -> int:
    """Return 0, or 8 where something needs a person."""
    return 8 if any(one.state.needs_attention for one in items) else 0
