"""Inputs of a container command: where each value comes from and where it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..archive.launching import Run
from ..engine.errors import RunError

# What the service refuses in a value that becomes part of the command line, and what divides words.
_RISKY = re.compile(r"""[;&|`$()<>'"\\\n\r*?\[\]{}~!#]""")
_PROPERTIES = ("id", "label", "project-id", "xsiType", "uri")


def resolve(run: Run) -> dict[str, str]:
    """Return the value of every input of the command by its name.

    Raises
    ------
    RunError
        For a required input without a value, or a choice that does not exist.
    """
    derived = _derived(run)
    found = {}
    for one in run.command.get("inputs") or []:
        name = str(one.get("name"))
        value = derived.get(name)
        if value is None:
            given = run.parameters.get(name)
            value = ",".join(given) if given else _text(one.get("default-value"))
        choices = _choices(one)
        if value and choices and value not in choices:
            raise RunError(f"{name} is {value!r}: choose among {', '.join(choices)}.")
        if not value and one.get("required"):
            raise RunError(f"The input {name} is required and has no value.")
        if one.get("type") == "boolean":
            told = one.get("true-value" if value.lower() == "true" else "false-value")
            value = value if told is None else str(told)
        found[name] = value
    return found


def _derived(run: Run) -> dict[str, str]:
    """Return the command inputs that the wrapper's inputs provide."""
    wrapper = run.command["wrapper"]
    externals = wrapper.get("external-inputs") or []
    own = {
        "id": run.scan or run.item,
        "label": run.scan or run.label,
        "project-id": run.project,
        "xsiType": run.xsi_type,
        "uri": f"/archive/experiments/{run.item}" + (f"/scans/{run.scan}" if run.scan else ""),
    }
    found = {}
    for one in externals:
        told = one.get("provides-value-for-command-input")
        if told:
            given = run.parameters.get(str(one.get("name")))
            found[str(told)] = ",".join(given) if given else own["uri"]
    roots = {str(one.get("name")) for one in externals}
    for one in wrapper.get("derived-inputs") or []:
        told, wanted = (
            one.get("provides-value-for-command-input"),
            one.get("derived-from-xnat-object-property"),
        )
        if told and one.get("derived-from-wrapper-input") in roots:
            if wanted not in _PROPERTIES:
                raise RunError(f"The property {wanted} of a wrapper's input is unknown here.")
            found[str(told)] = own[str(wanted)]
    return found


def _choices(one: Mapping[str, Any]) -> list[str]:
    listed: Sequence[Any] = one.get("select-values") or []
    return [str(two["value"]) if isinstance(two, dict) else str(two) for two in listed]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def command_line(command: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """Return the command line with the inputs in it.

    Raises
    ------
    RunError
        For a value that the shell would take for more than a value.
    """
    line = str(command.get("command-line") or "")
    for one in command.get("inputs") or []:
        name = str(one.get("name"))
        key = str(one.get("replacement-key") or f"#{name}#")
        if key not in line:
            continue
        value = values[name]
        if _RISKY.search(value):
            raise RunError(f"{name} holds signs that a command line must not hold: {value!r}.")
        flag = str(one.get("command-line-flag") or "")
        separator = one.get("command-line-separator")
        between = " " if separator is None else str(separator)
        line = line.replace(key, f"{flag}{between}{value}" if flag and value else value)
    return line


def environment(command: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a command declares, with the inputs in them."""
    keys = {
        str(one.get("replacement-key") or f"#{one.get('name')}#"): values[str(one.get("name"))]
        for one in command.get("inputs") or []
    }
    found = {}
    for name, text in (command.get("environment-variables") or {}).items():
        parts = re.split("|".join(f"({re.escape(key)})" for key in keys), str(text)) if keys else []
        filled = "".join(keys.get(part, part) for part in parts if part) if keys else str(text)
        found[str(name)] = filled.replace("\0", "")
    return found
