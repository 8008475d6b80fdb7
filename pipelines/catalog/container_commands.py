"""Write commands of the Container Service from the table.

Values reach the program through variables of the environment that the shell expands between double
quotes, never as text of the command line: nothing in them is run, and blanks and quotes survive.
The line names its shell, because not every version of the service starts one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from xnat_config.server.certificates import CERTIFICATES_VARIABLE

from .table import Catalog, Input, Pipeline

SCAN = "_scan"
_WORK, _INPUT, _OUTPUT = "/scratch", "/input", "/output"
# What the step is told about where it runs: the property of XNAT's object for each of its options.
_WHERE = {
    "session": {"project": "project-id", "session": "id", "label": "label"},
    "project": {"project": "id"},
}


@dataclass(frozen=True)
class ContainerOptions:
    """What a site decides about its containers.

    Attributes
    ----------
    network : str
        Docker's network in which the server is found under its name; empty is its default one.
    reserve_memory, limit_memory : int
        MiB that a container is given, and may not exceed; 0 for no such limit.
    limit_cpu : float
        Processors that it may keep busy; 0 for no such limit.
    certificates : str
        Of the site's own authorities, which the step trusts as well: see
        `xnat_config.server.certificates`.
    """

    network: str = ""
    reserve_memory: int = 2000
    limit_memory: int = 8000
    limit_cpu: float = 0.0
    certificates: str = ""


DEFAULT_OPTIONS = ContainerOptions()


def command(
    catalog: Catalog, pipeline: Pipeline, options: ContainerOptions = DEFAULT_OPTIONS
) -> dict[str, Any]:
    """Return the command of a pipeline: the step program, which fetches and sends by itself.

    It logs in with XNAT_HOST, XNAT_USER and XNAT_PASS, the token that the service sets. One for
    projects is started from a project: a batch over sessions would start it once for each of them.

    Parameters
    ----------
    options : ContainerOptions
        Of the site.
    """
    where = _WHERE[pipeline.level]
    words = " ".join(
        f'{option}="${_variable(name)}"'
        for name, option in (
            *((name, f"--{name}") for name in where),
            *((one.name, one.option) for one in pipeline.inputs),
        )
    )
    line = f'{catalog.program} step {pipeline.name} {words} --workdir="$XNAT_PIC_WORK"'
    if options.certificates:
        # In the line: the service keeps no more than 255 letters of a variable.
        line = f'{CERTIFICATES_VARIABLE}="{options.certificates}" {line}'
    content = _head(catalog, pipeline.name, pipeline.label, pipeline.description, line, options)
    if options.network:
        content["network"] = options.network
    content["mounts"] = [{"name": "work", "writable": True, "path": _WORK}]
    names = (*where, *(one.name for one in pipeline.inputs))
    content["environment-variables"] = {_variable(name): _key(name) for name in names} | {
        "XNAT_PIC_WORK": f"{_WORK}/run"
    }
    content["inputs"] = [
        *(_fixed_inputs(name) for name in where),
        *(_input(one) for one in pipeline.inputs),
    ]
    content["outputs"] = []
    content["xnat"] = [_wrapper(pipeline, where)]
    return content


def scan_command(
    catalog: Catalog, pipeline: Pipeline, options: ContainerOptions = DEFAULT_OPTIONS
) -> dict[str, Any]:
    """Return the command that makes the maps of one scan from mounted files, without a login.

    The service mounts the scan's images and collects what was made.
    """
    asked = [one for one in pipeline.inputs if not one.link and one.name != "b0_scan"]
    words = " ".join(
        f'{one.option}="${_variable(one.name)}"'
        for one in asked
        if not (pipeline.models and one.name == "model")  # there the model is the map
    )
    where = '"$XNAT_PIC_INPUT" "$XNAT_PIC_OUTPUT/run${XNAT_WORKFLOW_ID:-}"'
    models = "".join(
        f'[ "$XNAT_PIC_MODEL" = {model} ] && set -- {map_}; '
        for model, map_ in pipeline.models.items()
    )
    line = f'set -- {pipeline.command}; {models}{catalog.program} map "$1" {where} {words}'
    content = _head(
        catalog,
        pipeline.name + SCAN,
        f"{pipeline.label} (one scan)",
        f"{pipeline.description.split(' of ')[0]} of one scan, from mounted files",
        line,
        options,
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


def _head(
    catalog: Catalog, name: str, label: str, about: str, line: str, options: ContainerOptions
) -> dict[str, Any]:
    limits = {
        "reserve-memory": options.reserve_memory,  # MiB
        "limit-memory": options.limit_memory,
        "limit-cpu": options.limit_cpu,
    }
    return {
        "name": name,
        "label": label,
        "description": about,
        "version": catalog.version,
        "schema-version": "1.0",
        "type": "docker",
        "image": catalog.image,
        "override-entrypoint": True,
        **{name: value for name, value in limits.items() if value},
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


def _wrapper(pipeline: Pipeline, where: dict[str, str]) -> dict[str, Any]:
    """Return the wrapper that starts a pipeline from a session, or from a project."""
    level = pipeline.level
    return {
        "name": pipeline.name,
        "label": pipeline.label,
        "description": pipeline.description,
        "contexts": [pipeline.applies_to if level == "session" else "xnat:projectData"],
        "external-inputs": [
            {
                "name": level,
                "description": f"{level.capitalize()} that the run is started from",
                "type": level.capitalize(),
                "required": True,
            }
        ],
        "derived-inputs": [
            {
                "name": f"{level}-{name}",
                "type": "string",
                "required": True,
                "derived-from-wrapper-input": level,
                "derived-from-xnat-object-property": name,
                "provides-value-for-command-input": value,
                "user-settable": False,
            }
            for value, name in where.items()
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
