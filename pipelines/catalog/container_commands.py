"""Write commands of the Container Service from the table.

Values reach the program through variables of the environment that the shell expands between double
quotes, never as text of the command line: nothing in them is run, and blanks and quotes survive.
The line names its shell, because not every version of the service starts one.
"""

from __future__ import annotations

import json
from typing import Any

from .table import Catalog, Input, Pipeline

SCAN = "_scan"
_WORK, _INPUT, _OUTPUT = "/scratch", "/input", "/output"
_RESERVED_MB = 2000
_SESSION = ("project", "session", "label")  # what the step is told about where it runs


def command(catalog: Catalog, pipeline: Pipeline, network: str = "") -> dict[str, Any]:
    """Return the command of a pipeline: the step program, which fetches and sends by itself.

    It logs in with XNAT_HOST, XNAT_USER and XNAT_PASS, the token that the service sets.

    Parameters
    ----------
    network : str
        Docker's network in which the server is found under that name; empty is its default one.
    """
    options = " ".join(
        f'{option}="${_variable(name)}"'
        for name, option in (
            *((name, f"--{name}") for name in _SESSION),
            *((one.name, one.option) for one in pipeline.inputs),
        )
    )
    line = f'{catalog.program} step {pipeline.name} {options} --workdir="$XNAT_PIC_WORK"'
    content = _head(catalog, pipeline.name, pipeline.label, pipeline.description, line)
    if network:
        content["network"] = network
    content["mounts"] = [{"name": "work", "writable": True, "path": _WORK}]
    names = (*_SESSION, *(one.name for one in pipeline.inputs))
    content["environment-variables"] = {_variable(name): _key(name) for name in names} | {
        "XNAT_PIC_WORK": f"{_WORK}/run"
    }
    content["inputs"] = [
        *(_fixed_inputs(name) for name in _SESSION),
        *(_input(one) for one in pipeline.inputs),
    ]
    content["outputs"] = []
    content["xnat"] = [_session_wrapper(pipeline)]
    return content


def scan_command(catalog: Catalog, pipeline: Pipeline) -> dict[str, Any]:
    """Return the command that makes the maps of one scan from mounted files, without a login.

    The service mounts the scan's images and collects what was made.
    """
    asked = [one for one in pipeline.inputs if not one.link and one.name != "b0_scan"]
    options = " ".join(
        f'{one.option}="${_variable(one.name)}"'
        for one in asked
        if not (pipeline.models and one.name == "model")  # there the model is the map
    )
    where = '"$XNAT_PIC_INPUT" "$XNAT_PIC_OUTPUT/run${XNAT_WORKFLOW_ID:-}"'
    models = "".join(
        f'[ "$XNAT_PIC_MODEL" = {model} ] && set -- {map_}; '
        for model, map_ in pipeline.models.items()
    )
    line = f'set -- {pipeline.command}; {models}{catalog.program} map "$1" {where} {options}'
    content = _head(
        catalog,
        pipeline.name + SCAN,
        f"{pipeline.label} (one scan)",
        f"{pipeline.description.split(' of ')[0]} of one scan, from mounted files",
        line,
    )
    content["mounts"] = [
        {"name": "input", "writable": False, "path": _INPUT},
        {"name": "output", "writable": True, "path": _OUTPUT},
    ]
    content["environment-variables"] = {_variable(one.name): _key(one.name) for one in asked} | {
        "XNAT_PIC_INPUT": _INPUT,
        "XNAT_PIC_OUTPUT": _OUTPUT,
    }
    content["inputs"] = [_scan_input(one, pipeline) for one in asked]
    content["outputs"] = [
        {
            "name": "maps",
            "description": pipeline.makes,
            "required": True,
            "mount": "output",
            "path": "",
        }
    ]
    content["xnat"] = [_scan_wrapper(pipeline)]
    return content


def as_json(content: dict[str, Any]) -> str:
    """Return a command as text of a file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _head(catalog: Catalog, name: str, label: str, about: str, line: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "description": about,
        "version": catalog.version,
        "schema-version": "1.0",
        "type": "docker",
        "image": catalog.image,
        "override-entrypoint": True,
        "reserve-memory": _RESERVED_MB,
        "command-line": f"sh -c '{line}'",
    }


def _variable(name: str) -> str:
    return f"XNAT_PIC_{name.upper()}"


def _key(name: str) -> str:
    return f"#{name.upper()}#"


def _fixed_inputs(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "description": f"The {name}, which the service fills in",
        "type": "string",
        "required": True,
        "replacement-key": _key(name),
    }


def _input(one: Input) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": one.name,
        "label": one.label,
        "description": one.help,
        "type": {"choice": "select-one", "boolean": "boolean"}.get(one.type, "string"),
        "required": False,
        "default-value": one.default,
        "replacement-key": _key(one.name),
    }
    if one.type == "boolean":
        content |= {"true-value": "true", "false-value": "false"}
    if one.choices:
        content["select-values"] = list(one.choices)
    if one.type == "list":
        content["description"] += " Separate several with commas; empty means all."
    return content


def _scan_input(one: Input, pipeline: Pipeline) -> dict[str, Any]:
    """Return an input; of models that are maps only those that are maps, and the default."""
    content = _input(one)
    if pipeline.models and one.name == "model":
        content["select-values"] = [one.default, *pipeline.models]
    return content


def _session_wrapper(pipeline: Pipeline) -> dict[str, Any]:
    def derived(name: str, value: str) -> dict[str, Any]:
        return {
            "name": f"session-{name}",
            "type": "string",
            "required": True,
            "derived-from-wrapper-input": "session",
            "derived-from-xnat-object-property": name,
            "provides-value-for-command-input": value,
            "user-settable": False,
        }

    return {
        "name": pipeline.name,
        "label": pipeline.label,
        "description": pipeline.description,
        "contexts": [pipeline.applies_to],
        "external-inputs": [
            {
                "name": "session",
                "description": "Session that the run is started from",
                "type": "Session",
                "required": True,
            }
        ],
        "derived-inputs": [
            derived("project-id", "project"),
            derived("id", "session"),
            derived("label", "label"),
        ],
        "output-handlers": [],
    }


def _scan_wrapper(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name + SCAN,
        "label": f"{pipeline.label} (one scan)",
        "description": f"{pipeline.description.split(' of ')[0]} of one scan",
        "contexts": [pipeline.applies_to.replace("Session", "Scan")],
        "external-inputs": [
            {"name": "scan", "description": "Scan", "type": "Scan", "required": True}
        ],
        "derived-inputs": [
            {
                "name": "scan-dicoms",
                "description": "Images of the scan",
                "type": "Resource",
                "required": True,
                "matcher": "@.label == 'DICOM'",
                "derived-from-wrapper-input": "scan",
                "provides-files-for-command-mount": "input",
            }
        ],
        "output-handlers": [
            {
                "name": "maps-resource",
                "type": "Resource",
                "accepts-command-output": "maps",
                "as-a-child-of": "scan",
                "label": pipeline.resource,
            }
        ],
    }
