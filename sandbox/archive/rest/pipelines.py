"""Pipelines of the classic engine: lists, details, launch (data/.../pipelines)."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from starlette.responses import Response
from starlette.routing import Route

from .. import actions, catalogue, items, lookup, preferences, schema_links
from ..accounts import demand
from ..catalogue import ProjectPipeline, SitePipeline
from ..descriptors import Input, to_json
from ..http import Call, endpoint, json_text, table_response, text
from ..items import Item
from ..launching import ENGINE, Launcher, LaunchRequest
from ..refusals import Refused, not_found
from ..workflows import Workflow

_COLUMNS = ("Name", "Path", "Description", "Applies To", "Datatype", "StepId", "DisplayText")
_NOT_PARAMETERS = ("match", "legacy", "format", "xnat_csrf", "event_reason", "project", "_")


def _row(one: ProjectPipeline, applies_to: str) -> dict[str, str]:
    values = (one.name, one.path, one.description, applies_to, one.datatype, one.step_id)
    return dict(zip(_COLUMNS, (*values, one.display), strict=True))


def _site_row(one: SitePipeline) -> dict[str, str]:
    about = one.descriptor
    values = (about.name, one.path, about.description, about.applies_to, about.applies_to, "", "")
    return dict(zip(_COLUMNS, values, strict=True))


def _listed(connection: sqlite3.Connection, project: Item, datatype: str) -> list[dict[str, str]]:
    site = {one.path: one for one in catalogue.site_pipelines(connection)}
    return [
        _row(one, site[one.path].descriptor.applies_to if one.path in site else one.datatype)
        for one in catalogue.project_pipelines(connection, project.id)
        if datatype in ("", one.datatype)
    ]


@endpoint
def list_project(call: Call) -> Response:
    """List the pipelines a project uses; with ``additional=true`` those of the site it does not."""
    with call.archive.database.read() as connection:
        project = lookup.project(connection, call.user, call.path("project"), own=True)
        if call.format("json") == "xml":
            return _spec(connection, project)
        rows = _listed(connection, project, "")
        if call.flag("additional"):
            used = {row["Path"] for row in rows}
            rows = [
                _site_row(one)
                for one in catalogue.site_pipelines(connection)
                if one.path not in used
            ]
    return table_response(call, _COLUMNS, rows, title="Pipelines")


@endpoint
def remove_project(call: Call) -> Response:
    """Take a pipeline from a project."""
    if not (call.get("path") and call.get("datatype")):
        raise Refused(417, "Expecting path and datatype as query parameters")
    with call.archive.database.write() as connection:
        project = lookup.project(connection, call.user, call.path("project"), own=True)
        catalogue.remove_from_project(
            connection, project.id, call.get("path"), call.get("datatype")
        )
    return text()


def _spec(connection: sqlite3.Connection, project: Item) -> Response:
    known = items.fields(connection, project)
    body = catalogue.archive_spec(
        project.id,
        catalogue.project_pipelines(connection, project.id),
        known.get("prearchive_code", "0"),
        known.get("quarantine_code", "0"),
    )
    return Response(body, media_type="text/xml")


@endpoint
def get_spec(call: Call) -> Response:
    """Return a project's archive specification."""
    with call.archive.database.read() as connection:
        return _spec(connection, lookup.project(connection, call.user, call.path("project")))


@endpoint
def get_pipeline(call: Call) -> Response:
    """Return what a project's pipeline is and asks for."""
    with call.archive.database.read() as connection:
        project = lookup.project(connection, call.user, call.path("project"))
        _, site = find_pipeline(connection, project, call.path("name"))
    return json_text(to_json(site.descriptor, site.path))


def find_pipeline(
    connection: sqlite3.Connection, project: Item, name: str
) -> tuple[ProjectPipeline, SitePipeline]:
    """Return a pipeline of a project by step id or name, and its descriptor.

    Raises
    ------
    Refused
        404 where the project does not use it.
    """
    found = catalogue.find_project_pipeline(connection, project.id, name)
    site = catalogue.find_site(connection, found.path) if found is not None else None
    if found is None or site is None:
        raise not_found("pipeline")
    return found, site


@endpoint
def launch(call: Call) -> Response:
    """Launch a pipeline on a session. A step id that nobody knows is no error, as in XNAT.

    Who may see a session may launch on it; the run then has the rights of that person.
    """
    step = call.path("name")
    with call.archive.database.read() as connection:
        project = lookup.project(connection, call.user, call.path("project"))
        session = lookup.experiment(
            connection, call.user, call.path("experiment"), project.id, edit=step in actions.ACTIONS
        )
        found = None
        with suppress(Refused):
            found = find_pipeline(connection, project, step)
    if step in actions.ACTIONS:
        actions.perform(call.archive, session, step)
        return text()
    if found is None:
        return text()
    one, site = found
    given = _body_parameters(call.document) if call.body.strip() else {}
    for name, value in call.params:
        if name.lower() not in _NOT_PARAMETERS:
            given.setdefault(name, [])
            given[name] += _as_list(value)
    with call.archive.database.read() as connection:
        given |= _defaults(connection, one, site, session, given)
    start(call, site, session, given)
    return text()


def input_values(
    connection: sqlite3.Connection, one: ProjectPipeline, asked: Input, session: Item
) -> list[str]:
    """Return every value that XNAT has for an input: of its schema link, or of its list."""
    default = one.defaults.get(asked.name)
    if asked.schema_link and not default:
        return [two.value for two in schema_links.resolve(connection, session, asked.schema_link)]
    return default.split(",") if default else list(asked.choices)


def _defaults(
    connection: sqlite3.Connection,
    one: ProjectPipeline,
    site: SitePipeline,
    session: Item,
    given: Mapping[str, list[str]],
) -> dict[str, list[str]]:
    """Return what a launch by REST hands on for inputs that it does not name: all their values."""
    found = {
        asked.name: input_values(connection, one, asked, session)
        for asked in site.descriptor.inputs
        if asked.name not in given
    }
    return {name: values for name, values in found.items() if values}


def start(
    call: Call, site: SitePipeline, session: Item, given: Mapping[str, Sequence[str]]
) -> Workflow:
    """Launch a pipeline on a session with parameters as the engine's command line has them."""
    with call.archive.database.read() as connection:
        charset = preferences.value(connection, "sandboxEngineCharset")
    parameters = {
        name: [value.encode(charset, "replace").decode(charset) for value in values]
        for name, values in given.items()
    }
    launcher: Launcher = call.request.app.state.launcher
    request = LaunchRequest(ENGINE, site.path, parameters, catalog=site.folder)
    return launcher.launch(request, session, call.user, address(call))


def address(call: Call) -> str:
    """Return where this server is reached from this machine."""
    host, port = call.request.scope["server"]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _as_list(value: str) -> list[str]:
    """Return a parameter's values: ``[a,b]`` is a list."""
    if value.startswith("[") and value.endswith("]"):
        return [part.strip().strip("\"'") for part in value[1:-1].split(",")]
    return [value]


def _body_parameters(body: str | bytes) -> dict[str, list[str]]:
    """Return the values of the engine's ``Parameters`` document."""
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise Refused(400, "The parameters cannot be read as XML.") from error
    found: dict[str, list[str]] = {}
    for one in root.iterfind(".//{*}parameter"):
        name = (one.findtext("{*}name") or "").strip()
        values = one.find("{*}values")
        if name and values is not None:
            found[name] = [(value.text or "").strip() for value in values]
    return found


@endpoint
def register(call: Call) -> Response:
    """Offer the descriptors of a folder on the server (the sandbox's own address).

    With ``project`` the project uses them at once, under their names.
    """
    demand(call.user.is_admin)
    with call.archive.database.write() as connection:
        paths = catalogue.register_folder(connection, Path(call.get("folder")))
        if call.get("project"):
            project = lookup.project(connection, call.user, call.get("project"))
            for one in catalogue.site_pipelines(connection):
                if one.path in paths:
                    catalogue.add_to_project(connection, project.id, one)
    return json_text(paths)


@endpoint
def unregister(call: Call) -> Response:
    """Take a descriptor from the site (the sandbox's own address)."""
    demand(call.user.is_admin)
    with call.archive.database.write() as connection:
        catalogue.unregister(connection, call.get("path"))
    return text()


_PROJECT = "/data/projects/{project}"
spec_routes = [
    Route(_PROJECT + "/archive_spec", get_spec, methods=["GET"]),
]
routes = [
    Route(_PROJECT + "/pipelines", list_project, methods=["GET"]),
    Route(_PROJECT + "/pipelines", remove_project, methods=["DELETE"]),
    Route(_PROJECT + "/pipelines/{name}", get_pipeline, methods=["GET"]),
    Route(_PROJECT + "/pipelines/{name}/experiments/{experiment}", launch, methods=["POST"]),
    Route("/sandbox/pipelines", register, methods=["POST"]),
    Route("/sandbox/pipelines", unregister, methods=["DELETE"]),
]
