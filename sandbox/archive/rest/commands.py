"""Commands of the Container Service and who may use them (xapi/commands)."""

import json
import sqlite3
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .. import commands, lookup
from ..accounts import demand
from ..commands import Wrapper
from ..http import Call, endpoint, json_text, text
from ..refusals import Refused


def read_json(body: bytes) -> Any:
    """Return the JSON of a body.

    Raises
    ------
    Refused
        400 where it is none.
    """
    try:
        return json.loads(body)
    except ValueError as error:
        raise Refused(400, "The body cannot be read as JSON.") from error


def wrapper_of(connection: sqlite3.Connection, call: Call) -> Wrapper:
    """Return the wrapper that an address names, by number or by command and name."""
    return commands.find_wrapper(connection, call.path("wrapper"), call.path("command"))


def both(path: str, function: Any, method: str) -> list[Route]:
    """Return the routes of a wrapper's address in its spellings."""
    ways = ("/wrappers/{wrapper}", "/commands/{command}/wrappers/{wrapper}")
    return [
        Route("/xapi" + project + way + path, function, methods=[method])
        for project in ("/projects/{project}", "")
        for way in ways
    ]


@endpoint
def list_commands(call: Call) -> Response:
    """List all commands."""
    with call.archive.database.read() as connection:
        found = commands.every(connection)
    name, image = call.get("name"), call.get("image")
    return json_text(
        [one for one in found if name in ("", one["name"]) and image in ("", one["image"])]
    )


@endpoint
def get_command(call: Call) -> Response:
    """Return one command with its wrappers."""
    with call.archive.database.read() as connection:
        return json_text(commands.get(connection, call.path("command")))


@endpoint
def add_command(call: Call) -> Response:
    """Keep a new command."""
    demand(call.user.is_admin)
    command = commands.check(read_json(call.body))
    with call.archive.database.write() as connection:
        return json_text(commands.add(connection, command), 201)


@endpoint
def change_command(call: Call) -> Response:
    """Put a command in place of an old one."""
    demand(call.user.is_admin)
    command = commands.check(read_json(call.body))
    with call.archive.database.write() as connection:
        number = commands.get(connection, call.path("command"))["id"]
        commands.change(connection, number, command)
    return json_text(number)


@endpoint
def delete_command(call: Call) -> Response:
    """Delete a command."""
    demand(call.user.is_admin)
    with call.archive.database.write() as connection:
        number = commands.get(connection, call.path("command"))["id"]
        commands.delete(connection, number)
    return Response(status_code=204)


@endpoint
def list_available(call: Call) -> Response:
    """List what may be launched on a type in a project, with what is not enabled there."""
    with call.archive.database.read() as connection:
        name = call.path("project") or call.get("project")
        project = lookup.project(connection, call.user, name)
        xsi_type = call.get("xsiType")
        found = commands.available(connection, call.user, project, xsi_type) if xsi_type else []
    return json_text(found)


@endpoint
def enabled(call: Call) -> Response:
    """Tell whether a wrapper is enabled on the site, and in the project of the address."""
    with call.archive.database.read() as connection:
        wrapper = wrapper_of(connection, call)
        on_site = commands.is_enabled(connection, wrapper)
        if not call.path("project"):
            return json_text(on_site)
        project = lookup.project(connection, call.user, call.path("project"))
        in_project = commands.is_enabled(connection, wrapper, project.id)
    return json_text(
        {
            "enabled-for-site": on_site,
            "enabled-for-project": in_project,
            "project": project.id,
        }
    )


@endpoint
def set_enabled(call: Call) -> Response:
    """Enable or disable a wrapper on the site (administrators) or in a project (owners)."""
    with call.archive.database.write() as connection:
        project = ""
        if call.path("project"):
            project = lookup.project(connection, call.user, call.path("project"), own=True).id
        else:
            demand(call.user.is_admin)
        on = call.request.url.path.rpartition("/")[2] == "enabled"
        commands.enable(connection, wrapper_of(connection, call), project, on=on)
    return text()


routes = [
    Route("/xapi/commands", list_commands, methods=["GET"]),
    Route("/xapi/commands", add_command, methods=["POST"]),
    Route("/xapi/commands/available", list_available, methods=["GET"]),
    Route("/xapi/projects/{project}/commands/available", list_available, methods=["GET"]),
    *both("/enabled", enabled, "GET"),
    *both("/enabled", set_enabled, "PUT"),
    *both("/disabled", set_enabled, "PUT"),
    Route("/xapi/commands/{command}", get_command, methods=["GET"]),
    Route("/xapi/commands/{command}", change_command, methods=["POST"]),
    Route("/xapi/commands/{command}", delete_command, methods=["DELETE"]),
]
