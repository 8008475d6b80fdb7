"""Steps of a descriptor as instances: one for each value of a loop that a step runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from .documents import children, read_resource, text
from .errors import RunError
from .expressions import Values
from .shell import Command, command

_REFUSED = ("gotoStepId", "awaitApprovalToProceed")


@dataclass
class Instance:
    """One step, for one value of each of its loops.

    Attributes
    ----------
    name : str
        ``STEP`` or ``STEP:value``.
    status : str
        Queued, Running, Complete, Failed or Skipped.
    versions : dict
        What the programs said about themselves, by command.
    """

    name: str
    about: str
    step: Element
    loop_values: Mapping[str, str]
    status: str = "Queued"
    shown: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()

    @property
    def precondition(self) -> str:
        """Condition as it stands in the descriptor."""
        return self.step.get("precondition", "")

    @property
    def strict(self) -> bool:
        """Whether a condition that does not hold ends the run."""
        return self.step.get("preconditionType", "relaxed") == "strict"

    @property
    def continue_on_failure(self) -> bool:
        """Whether the run goes on after a failure of it."""
        return self.step.get("continueOnFailure", "false") in ("true", "1")


def instances(root: Element, values: Values) -> list[Instance]:
    """Return the instances of all steps in their order.

    Raises
    ------
    RunError
        For a step that uses what is not run here, or for two steps of one name.
    """
    steps = children(root, "steps/step")
    names = [one.get("id", "") for one in steps]
    if len(set(names)) != len(names) or not all(names):
        raise RunError("The steps of the descriptor need names of their own.")
    found = []
    for step in steps:
        name = step.get("id", "")
        for attribute in _REFUSED:
            if step.get(attribute) not in (None, "", "false", "0"):
                raise RunError(f"Step {name} uses {attribute}, which is not run here.")
        if children(step, "pipelet"):
            raise RunError(f"Step {name} uses a pipelet, which is not run here.")
        for loop_values in values.loop_values(_expressions(step)):
            suffix = "".join(f":{value}" for value in loop_values.values())
            about = step.get("description", "")
            about = values.one(about, loop_values) if about.startswith("^") else about
            found.append(Instance(name + suffix, about, step, loop_values))
    return found


def _expressions(step: Element) -> list[str]:
    return [
        step.get("precondition", ""),
        step.get("workdirectory", ""),
        step.get("description", ""),
        *(one.text or "" for one in children(step, "resource/argument/value")),
    ]


def commands(instance: Instance, values: Values, catalog: Path) -> list[Command]:
    """Return the commands of an instance.

    Raises
    ------
    RunError
        Where a program is not described, or an expression cannot be evaluated.
    """
    made = []
    for called in children(instance.step, "resource"):
        name, location = called.get("name", ""), called.get("location", "")
        given: dict[str, list[str]] = {}
        for argument in children(called, "argument"):
            listed = given.setdefault(argument.get("id", ""), [])
            for value in children(argument, "value"):
                listed += values.evaluate(value.text or "", instance.loop_values)
        made.append(command(read_resource(catalog, location, name), given, catalog))
    return made


def folder(instance: Instance, values: Values, default: Path) -> Path:
    """Return the work directory of an instance.

    Raises
    ------
    RunError
        Where it does not exist.
    """
    wanted = instance.step.get("workdirectory", "")
    path = Path(values.one(wanted, instance.loop_values)) if wanted else default
    if not path.is_dir():
        raise RunError(f"The work directory {path} of step {instance.name} does not exist.")
    return path


def log_prefix(root: Element, values: Values, default: Path) -> Path:
    """Return what the names of the log files begin with; their folder is made.

    Raises
    ------
    RunError
        Where the expression cannot be evaluated.
    """
    wanted = text(root, "outputFileNamePrefix")
    prefix = Path(values.one(wanted)) if wanted else default
    if not prefix.is_absolute():
        raise RunError(f"The prefix of the log files, {prefix}, is no whole path.")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    return prefix
