"""The Container Service: launch of wrappers, and containers (xapi/containers).

A container is the run of a wrapper; its number is that of its workflow.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .. import accounts, commands, container_host, items, lookup, workflows
from ..accounts import demand
from ..commands import Wrapper
from ..http import Call, endpoint, json_text, text
from ..items import Item
from ..launching import CONTAINER, Launcher, LaunchRequest, run_folder
from ..refusals import Refused, not_found
from ..workflows import Workflow
from .commands import both, read_json, wrapper_of
from .pipelines import address
from .workflows import may_see

_VERSION = "3.7.3"


@endpoint
def version(_call: Call) -> Response:
    """Return the version of the Container Service whose addresses these are."""
    return json_text({"version": _VERSION})


def _given(call: Call) -> dict[str, str]:
    values = dict(call.params)
    if call.body.strip():
        found = read_json(call.body)
        if not isinstance(found, dict):
            raise Refused(400, "The body must be a JSON map of texts.")
        values |= {
            str(name): value if isinstance(value, str) else json.dumps(value)
            for name, value in found.items()
        }
    return values


def root_input(call: Call, wrapper: Wrapper) -> str:
    """Return the name of the input that says what to run on."""
    inputs = [str(one.get("name")) for one in wrapper.external_inputs]
    return call.path("root") or (inputs[0] if inputs else "")


@endpoint
def launch(call: Call) -> Response:
    """Launch a wrapper."""
    with call.archive.database.read() as connection:
        wrapper = wrapper_of(connection, call)
    given = _given(call)
    try:
        workflow = _launch(call, wrapper, given)
    except Refused as refusal:
        if refusal.status in (403, 404):
            raise
        failure = {"status": "failure", "message": refusal.message, "params": given}
        return json_text(failure | _ids(wrapper), 500)
    answer = {"status": "success", "params": given, "workflow-id": str(workflow.pk)}
    return json_text(answer | _ids(wrapper))


def _ids(wrapper: Wrapper) -> dict[str, int]:
    return {"command-id": int(wrapper.command["id"]), "wrapper-id": wrapper.id}


@endpoint
def launch_many(call: Call) -> Response:
    """Launch a wrapper on each of several items; those that fail do not stop the others."""
    with call.archive.database.read() as connection:
        wrapper = wrapper_of(connection, call)
    given, root = _given(call), root_input(call, wrapper)
    try:
        targets = json.loads(given.get(root, "[]"))
    except ValueError as error:
        raise Refused(400, f"{root} must be a JSON list of items.") from error
    if not isinstance(targets, list) or not targets:
        raise Refused(400, f"{root} must be a JSON list of items.")
    successes, failures = [], []
    for target in targets:
        one = given | {root: str(target)}
        try:
            workflow = _launch(call, wrapper, one)
        except Refused as refusal:
            failures.append({"status": "failure", "message": refusal.message, "params": one})
        else:
            successes.append(
                {"status": "success", "params": one, "workflow-id": str(workflow.pk)}
                | _ids(wrapper)
            )
    return json_text(
        {
            "bulk-launch-id": workflows.moment(),
            "pipeline-name": wrapper.name,
            "successes": successes,
            "failures": failures,
        }
    )


def _launch(call: Call, wrapper: Wrapper, given: Mapping[str, str]) -> Workflow:
    root = root_input(call, wrapper)
    if not given.get(root):
        raise Refused(400, f"Name the {root or 'root input'} to run on.")
    with call.archive.database.read() as connection:
        item, scan = _item(connection, call, given[root])
    return launch_on(call, wrapper, item, given, scan)


def launch_on(
    call: Call, wrapper: Wrapper, item: Item, given: Mapping[str, str], scan: str = ""
) -> Workflow:
    """Launch a wrapper on an item.

    Raises
    ------
    Refused
        403 where it is not enabled or the user may not. What is wrong with the values is found
        later, when the command is put together, and ends the run.
    """
    with call.archive.database.read() as connection:
        _check_launch(connection, call, wrapper, call.path("project") or item.project)
    launcher: Launcher = call.request.app.state.launcher
    command = {**wrapper.command, "wrapper": wrapper.about}
    parameters = {name: [value] for name, value in given.items()}
    request = LaunchRequest(CONTAINER, wrapper.name, parameters, command=command, scan=scan)
    return launcher.launch(request, item, call.user, address(call))


def _fed(wrapper: Wrapper) -> set[str]:
    """Return the command inputs that get their value from the wrapper's inputs."""
    both = (*wrapper.external_inputs, *(wrapper.about.get("derived-inputs") or []))
    return {str(one.get("provides-value-for-command-input")) for one in both}


def _check_launch(
    connection: sqlite3.Connection, call: Call, wrapper: Wrapper, project: str
) -> None:
    place = lookup.project(connection, call.user, project)
    demand(commands.may_launch(connection, call.user, wrapper, place))
    on = commands.is_enabled(connection, wrapper)
    if not (on and commands.is_enabled(connection, wrapper, project)):
        raise Refused(403, f"The wrapper {wrapper.name} is not enabled for this project.")


def _item(connection: sqlite3.Connection, call: Call, value: str) -> tuple[Item, str]:
    """Return the item a root value names (an ID or a URI), and the scan ID if it is one."""
    parts = [part for part in value.split("/") if part]
    named = dict(pairwise(parts))
    project = named.get("projects", call.path("project"))
    for kind in ("assessors", "experiments", "subjects", "projects"):
        name = named.get(kind) or (parts[0] if len(parts) == 1 else "")
        found = _FINDERS[kind](connection, name, project) if name else None
        if found is not None and accounts.may_read(connection, call.user, found):
            return found, named.get("scans", "")
        if kind in named:
            break
    raise Refused(400, f"{value} is no item that can be found.")


def _experiment(connection: sqlite3.Connection, name: str, project: str) -> Item | None:
    found = items.find_experiment(connection, name, project)
    return found or items.find_experiment(connection, name)


_FINDERS: dict[str, Callable[[sqlite3.Connection, str, str], Item | None]] = {
    "assessors": _experiment,
    "experiments": _experiment,
    "subjects": items.find_subject,
    "projects": lambda connection, name, _: items.find_project(connection, name),
}


@endpoint
def launch_form(call: Call) -> Response:
    """Describe what a launch asks for: who is launched, its inputs, and their values here."""
    with call.archive.database.read() as connection:
        wrapper = wrapper_of(connection, call)
        if call.path("project"):
            lookup.project(connection, call.user, call.path("project"))
    fed = _fed(wrapper)
    outer = list(wrapper.external_inputs)
    inner = [one for one in wrapper.command.get("inputs") or [] if one.get("name") not in fed]
    command = wrapper.command
    return json_text(
        {
            "meta": {
                **_ids(wrapper),
                "command-name": command["name"],
                "command-label": command.get("label"),
                "command-description": command.get("description"),
                "wrapper-name": wrapper.name,
                "wrapper-description": wrapper.about.get("description"),
                "image-name": command["image"],
                "image-type": command["type"],
            },
            "container-server-config": {"swarm-constraints": None},
            "input-config": [_input_config(one) for one in (*outer, *inner)],
            "input-values": [_input_values(call, one) for one in (*outer, *inner)],
        }
    )


_UI_TYPES = {"boolean": "boolean", "select-one": "select-one", "select-many": "select-many"}


def _input_config(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": one.get("name"),
        "label": one.get("label") or one.get("name"),
        "description": one.get("description"),
        "advanced": False,
        "required": bool(one.get("required")),
        "user-settable": True,
        "multiple": False,
        "input-type": _UI_TYPES.get(str(one.get("type")), "text"),
        "select-values": one.get("select-values") or [],
        "children": [],
    }


def _input_values(call: Call, one: Mapping[str, Any]) -> dict[str, Any]:
    default = one.get("default-value")
    value = call.get(str(one.get("name"))) or ("" if default is None else str(default))
    return {
        "name": one.get("name"),
        "values": [{"value": value, "label": value, "children": []}],
    }


@endpoint
def docker_server(call: Call) -> Response:
    """Return where the Container Service runs containers."""
    with call.archive.database.read() as connection:
        return json_text(container_host.get(connection))


@endpoint
def set_docker_server(call: Call) -> Response:
    """Set where containers run; administrators may."""
    demand(call.user.is_admin)
    given = read_json(call.body)
    with call.archive.database.write() as connection:
        return json_text(container_host.store(connection, given), 201)


@endpoint
def list_images(call: Call) -> Response:
    """List the images of the host; those that commands name besides, unless ``installed``."""
    with call.archive.database.read() as connection:
        there = container_host.images(connection)
        named = [] if call.flag("installed") else commands.every(connection)
    listed = [
        {"image-id": f"sha256:{index:064x}", "tags": [one], "labels": {}}
        for index, one in enumerate(there, 1)
    ]
    missing = sorted({str(one["image"]) for one in named} - set(there))
    return json_text(listed + [{"image-id": None, "tags": [one], "labels": {}} for one in missing])


def _container(one: Workflow, known: Mapping[str, Wrapper]) -> dict[str, Any]:
    wrapper = known.get(one.pipeline_name)
    return {
        "id": one.pk,
        "container-id": one.fields.get("jobID", ""),
        "workflow-id": str(one.pk),
        "status": one.status,
        "status-time": one.launch_time,
        "user-id": one.login,
        "project": one.externalid,
        "command-id": wrapper.command["id"] if wrapper else None,
        "wrapper-id": wrapper.id if wrapper else None,
        "docker-image": wrapper.command["image"] if wrapper else "",
        "command-line": wrapper.command.get("command-line", "") if wrapper else "",
        "env": {},
        "mounts": [],
        "inputs": [
            {"name": name, "value": ",".join(values)} for name, values in one.parameters.items()
        ],
        "outputs": [],
        "history": [{"status": one.status, "message": one.fields.get("details", "")}],
        "log-paths": [],
    }


def _runs(connection: sqlite3.Connection, call: Call) -> list[Workflow]:
    wanted = {"type": CONTAINER, "src": "sandbox"}
    if call.path("project"):
        wanted["externalid"] = lookup.project(connection, call.user, call.path("project")).id
    found = workflows.find(connection, wanted)
    return [one for one in found if may_see(connection, call.user, one)]


@endpoint
def list_containers(call: Call) -> Response:
    """List the runs of wrappers, the latest first."""
    with call.archive.database.read() as connection:
        known = {one.name: one for one in commands.wrappers(connection)}
        return json_text([_container(one, known) for one in _runs(connection, call)])


@endpoint
def get_container(call: Call) -> Response:
    """Return one run, or its log."""
    with call.archive.database.read() as connection:
        one = workflows.get(connection, call.path("container"))
        if one is None or one.fields.get("type") != CONTAINER:
            raise not_found("container")
        if not may_see(connection, call.user, one):
            raise not_found("container")
        known = {wrapper.name: wrapper for wrapper in commands.wrappers(connection)}
    log = call.path("log")
    if log or call.request.url.path.endswith("/logs"):
        return text(_log_of(call, one, log or "stderr"))
    return json_text(_container(one, known))


def _log_of(call: Call, one: Workflow, name: str) -> str:
    """Return what a run wrote; what kept it from writing anything is among its errors."""
    path = run_folder(call.archive, one.pk) / f"{name}.log"
    if name in ("stdout", "stderr") and path.is_file():
        return path.read_text("utf-8", "replace")
    return one.fields.get("details", "") if name == "stderr" else ""


@endpoint
def act(_call: Call) -> Response:
    """Refuse: this server keeps no container that it could end."""
    raise Refused(404, "No such container is under way here: end the run at its runner.")


routes = [
    Route("/xapi/containers/version", version, methods=["GET"]),
    Route("/xapi/docker/server", docker_server, methods=["GET"]),
    Route("/xapi/docker/server", set_docker_server, methods=["POST"]),
    Route("/xapi/docker/images", list_images, methods=["GET"]),
    *both("/root/{root}/launch", launch, "POST"),
    *both("/root/{root}/launch", launch_form, "GET"),
    *both("/root/{root}/bulklaunch", launch_many, "POST"),
    *both("/launch", launch, "POST"),
    *both("/launch", launch_form, "GET"),
    *both("/bulklaunch", launch_many, "POST"),
    Route("/xapi/containers", list_containers, methods=["GET"]),
    Route("/xapi/projects/{project}/containers", list_containers, methods=["GET"]),
    Route("/xapi/containers/{container}", get_container, methods=["GET"]),
    Route("/xapi/containers/{container}/logs", get_container, methods=["GET"]),
    Route("/xapi/containers/{container}/logs/{log}", get_container, methods=["GET"]),
    Route("/xapi/containers/{container}/kill", act, methods=["POST"]),
    Route("/xapi/containers/{container}/finalize", act, methods=["POST"]),
]
