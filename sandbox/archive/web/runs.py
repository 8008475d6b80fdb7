"""The pages of runs: launch a pipeline or a container, see how runs stand."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .. import accounts, catalogue, commands, items, lookup, workflows
from ..accounts import demand
from ..catalogue import ProjectPipeline, SitePipeline
from ..commands import Wrapper
from ..http import Call
from ..items import Item
from ..refusals import Refused, not_found
from ..rest import containers, pipelines
from ..rest.workflows import may_see
from ..schema_links import Choice
from .rendering import page, render

_SHOWN = 200


@page
def pipeline_form(call: Call) -> Response:
    """Show the launch form of a pipeline, or launch it."""
    with call.archive.database.read() as connection:
        session = _session(connection, call)
        project = items.project_of(connection, session)
        one, site = pipelines.find_pipeline(connection, project, call.path("step"))
        fields = pipeline_fields(connection, one, site, session)
    if call.request.method == "POST":
        run = pipelines.start(call, site, session, answers(call, fields))
        return RedirectResponse(f"/runs/{run.pk}", 303)
    return render(
        call,
        "launch.html",
        session=session,
        title=one.display,
        description=one.description,
        steps=site.descriptor.steps,
        fields=fields,
    )


@page
def wrapper_form(call: Call) -> Response:
    """Show the launch form of a container command, or launch it."""
    with call.archive.database.read() as connection:
        if call.path("project"):
            session = lookup.project(connection, call.user, call.path("project"))
        else:
            session = _session(connection, call)
        wrapper = commands.find_wrapper(connection, call.path("wrapper"))
        fields = wrapper_fields(wrapper)
    if call.request.method == "POST":
        given = {name: ",".join(values) for name, values in answers(call, fields).items()}
        given[containers.root_input(call, wrapper)] = f"/archive/{session.kind}s/{session.id}"
        run = containers.launch_on(call, wrapper, session, given)
        return RedirectResponse(f"/runs/{run.pk}", 303)
    return render(
        call,
        "launch.html",
        session=session,
        title=wrapper.about.get("label") or wrapper.name,
        description=wrapper.about.get("description") or wrapper.command.get("description") or "",
        steps=(),
        fields=fields,
    )


def _session(connection: sqlite3.Connection, call: Call) -> Item:
    return lookup.experiment(connection, call.user, call.path("experiment"), edit=True)


@page
def runs(call: Call) -> Response:
    """List the runs the user may see, the latest first."""
    project = call.get("project")
    with call.archive.database.read() as connection:
        wanted = {"externalid": project} if project else {}
        found = workflows.find(connection, wanted, limit=_SHOWN)
        found = [one for one in found if may_see(connection, call.user, one)]
        labels = workflows.labels(connection, {one.id for one in found})
    return render(call, "runs.html", runs=found, labels=labels, project=project)


@page
def run(call: Call) -> Response:
    """Show one run."""
    with call.archive.database.read() as connection:
        found = workflows.get(connection, call.path("number"))
        if found is None or not may_see(connection, call.user, found):
            raise not_found("run")
        session = items.find_experiment(connection, found.id)
    shown = [(name, ", ".join(values)) for name, values in found.parameters.items()]
    return render(call, "run.html", run=found, session=session, shown=shown)


@page
def use_pipelines(call: Call) -> Response:
    """Show the site's pipelines; let a project's owner take them into use or out of it."""
    with call.archive.database.write() as connection:
        project = lookup.project(connection, call.user, call.path("project"), own=True)
        if call.request.method == "POST":
            _use(connection, call, project)
            return RedirectResponse(f"/projects/{project.id}/pipelines", 303)
        site = catalogue.site_pipelines(connection)
        used = {one.path for one in catalogue.project_pipelines(connection, project.id)}
    return render(call, "pipelines.html", project=project, site=site, used=used)


def _use(connection: sqlite3.Connection, call: Call, project: Item) -> None:
    demand(accounts.may_delete(connection, call.user, project.id))
    found = catalogue.find_site(connection, call.get("path"))
    if found is None:
        raise Refused(404, "Unable to find the specified pipeline.")
    if call.flag("use"):
        catalogue.add_to_project(connection, project.id, found)
    else:
        catalogue.remove_from_project(connection, project.id, found.path)


@page
def add_pipeline(call: Call) -> Response:
    """Show what one pipeline would be in a project, or add it: XNAT has no REST call for it."""
    task, sent = call.get("task"), call.request.method == "POST"
    if not sent and task != "projectpipeline":
        raise Refused(501, "The sandbox has no such page: it only adds a pipeline to a project.")
    with call.archive.database.write() as connection:
        project = lookup.project(connection, call.user, call.get("project"), own=True)
        found = catalogue.find_site(connection, call.get("pipeline_path"))
        if found is None:
            raise Refused(404, "Unable to find the specified pipeline.")
        if sent:
            catalogue.add_to_project(connection, project.id, found, call.get("dataType"))
            return RedirectResponse(f"/projects/{project.id}/pipelines", 303)
    return render(
        call, "add_pipeline.html", project=project, one=found, datatype=call.get("datatype")
    )


_SESSION = "/experiments/{experiment}"
routes = [
    Route("/runs", runs, methods=["GET"]),
    Route("/runs/{number}", run, methods=["GET"]),
]
engine_routes = [
    Route(_SESSION + "/pipelines/{step}", pipeline_form, methods=["GET", "POST"]),
    Route("/projects/{project}/pipelines", use_pipelines, methods=["GET", "POST"]),
    Route("/app/action/ManagePipeline", add_pipeline, methods=["GET", "POST"]),
]
container_routes = [
    Route(_SESSION + "/wrappers/{wrapper}", wrapper_form, methods=["GET", "POST"]),
    Route("/projects/{project}/wrappers/{wrapper}", wrapper_form, methods=["GET", "POST"]),
]


@dataclass(frozen=True)
class Field:
    """One question of a form.

    Attributes
    ----------
    kind : str
        ``ticks`` (several of the choices), ``choice`` (one of them) or ``text``.
    values : tuple of str
        What is ticked, chosen or written at first.
    """

    name: str
    description: str
    kind: str
    choices: tuple[Choice, ...]
    values: tuple[str, ...]
    required: bool = False


def pipeline_fields(
    connection: sqlite3.Connection, one: ProjectPipeline, site: SitePipeline, session: Item
) -> list[Field]:
    """Return the questions of a pipeline's descriptor as XNAT's launch page asks them.

    One value is a text that can be changed; of several, none is ticked and none explained.
    """
    fields = []
    for asked in site.descriptor.inputs:
        values = pipelines.input_values(connection, one, asked, session)
        is_list = len(values) > 1 or (bool(asked.schema_link) and not values)
        choices = tuple(Choice(value, "") for value in values) if is_list else ()
        kind, written = ("ticks", ()) if is_list else ("text", tuple(values))
        fields.append(Field(asked.name, "", kind, choices, written))
    return fields


def wrapper_fields(wrapper: Wrapper) -> list[Field]:
    """Return the questions of a command; what its root input provides is not asked."""
    fields = []
    for one in wrapper.command.get("inputs") or []:
        name = str(one.get("name"))
        fed = any(
            name == other.get("provides-value-for-command-input")
            for other in (
                *wrapper.external_inputs,
                *(wrapper.about.get("derived-inputs") or []),
            )
        )
        if not fed:
            fields.append(_wrapper_field(name, one))
    return fields


def _wrapper_field(name: str, one: Mapping[str, object]) -> Field:
    default = one.get("default-value")
    value = "" if default is None else str(default)
    description = str(one.get("description") or one.get("label") or "")
    required = bool(one.get("required"))
    listed = one.get("select-values")
    if one.get("type") == "boolean":
        value = "true" if value.lower() == "true" else "false"
        both = (Choice("true", "yes"), Choice("false", "no"))
        return Field(name, description, "choice", both, (value,), required)
    if isinstance(listed, list) and listed:
        choices = tuple(
            Choice(str(two["value"]), str(two.get("label") or ""))
            if isinstance(two, dict)
            else Choice(str(two), "")
            for two in listed
        )
        kind = "ticks" if one.get("type") == "select-many" else "choice"
        return Field(name, description, kind, choices, (value,) if value else (), required)
    return Field(name, description, "text", (), (value,), required)


def answers(call: Call, fields: list[Field]) -> dict[str, list[str]]:
    """Return what a sent form holds, by question; empty answers are left out."""
    found = {field.name: [value for value in call.all(field.name) if value] for field in fields}
    return {name: values for name, values in found.items() if values}
