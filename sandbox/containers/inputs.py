"""Inputs of a container command: where each value comes from and where it goes.

Read in the service's CommandResolutionServiceImpl and CommandResolutionService.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..archive.launching import Run
from .errors import ResolutionError

# No value of an input may hold one of these, wherever the value is from and wherever it goes.
ILLEGAL = (";", "&&", "||", "`", "(")
_PROPERTIES = ("id", "label", "project-id", "xsiType", "uri")


def resolve(run: Run) -> dict[str, str]:
    """Return the value of every input of the command by its name.

    Raises
    ------
    ResolutionError
        For a required input without a value, and a value that the service refuses.
    """
    derived = _derived(run)
    found, missing = {}, []
    for one in run.command.get("inputs") or []:
        name = str(one.get("name"))
        value = derived.get(name)
        if value is None:
            given = run.parameters.get(name)
            value = ",".join(given) if given else _text(one.get("default-value"))
            # An empty value is one, and the choices of a form bind its page alone.
            if not given and one.get("default-value") is None and one.get("required"):
                missing.append(name)
        if one.get("type") == "boolean":
            told = one.get("true-value" if value.lower() == "true" else "false-value")
            value = value if told is None else str(told)
        found[name] = _checked(name, value)
    if missing:
        several = "s" if len(missing) > 1 else ""
        raise ResolutionError(f"Missing values for required input{several}: {', '.join(missing)}.")
    return found


def _checked(name: str, value: str) -> str:
    for sign in ILLEGAL:
        if sign in value:
            raise ResolutionError(f'Input "{name}" has a value containing illegal string "{sign}".')
    return value


def root_uri(run: Run) -> str:
    """Return how the service calls what it was launched on."""
    kind = "projects" if run.xsi_type == "xnat:projectData" else "experiments"
    return f"/archive/{kind}/{run.item}" + (f"/scans/{run.scan}" if run.scan else "")


def _derived(run: Run) -> dict[str, str]:
    """Return the command inputs that the wrapper's inputs provide."""
    wrapper = run.command["wrapper"]
    externals = wrapper.get("external-inputs") or []
    own = {
        "id": run.scan or run.item,
        "label": run.scan or run.label,
        "project-id": run.project,
        "xsiType": run.xsi_type,
        "uri": root_uri(run),
    }
    found = {}
    for one in externals:
        told = one.get("provides-value-for-command-input")
        given = run.parameters.get(str(one.get("name")))
        value = _checked(str(one.get("name")), ",".join(given) if given else own["uri"])
        if told:
            found[str(told)] = value
    roots = {str(one.get("name")) for one in externals}
    for one in wrapper.get("derived-inputs") or []:
        told, wanted = (
            one.get("provides-value-for-command-input"),
            one.get("derived-from-xnat-object-property"),
        )
        if told and one.get("derived-from-wrapper-input") in roots:
            if wanted not in _PROPERTIES:
                raise ResolutionError(
                    f"The property {wanted} of a wrapper's input is unknown here."
                )
            found[str(told)] = _checked(str(one.get("name")), own[str(wanted)])
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def command_line(command: Mapping[str, Any], values: Mapping[str, str]) -> str:
    """Return the command line with the inputs in it, as text: the shell reads them as its own."""
    line = str(command.get("command-line") or "")
    for one in command.get("inputs") or []:
        name = str(one.get("name"))
        key = str(one.get("replacement-key") or f"#{name}#")
        if key not in line:
            continue
        value = values[name]
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
