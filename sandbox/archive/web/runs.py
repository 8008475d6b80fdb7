"""The pages of runs: launch a pipeline or a container, see how runs stand."""

import sqlite3

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .. import accounts, catalogue, commands, items, lookup, workflows
from ..accounts import demand
from ..http import Call
from ..items import Item
from ..refusals import Refused, not_found
from ..rest import containers, pipelines
from ..rest.workflows import may_see
from . import launch_form
from .rendering import page, render

_SHOWN = 200


@page
def pipeline_form(call: Call) -> Response:
    """Show the launch form of a pipeline, or launch it."""
    with call.archive.database.read() as connection:
        session = _session(connection, call)
        project = items.project_of(connection, session)
        one, site = pipelines.find_pipeline(connection, project, call.path("step"))
        fields = launch_form.pipeline_fields(connection, one, site, session)
    if call.request.method == "POST":
        run = pipelines.start(call, one, site, session, launch_form.answers(call, fields))
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
        session = _session(connection, call)
        wrapper = commands.find_wrapper(connection, call.path("wrapper"))
        fields = launch_form.wrapper_fields(wrapper)
    if call.request.method == "POST":
        given = {
            name: ",".join(values) for name, values in launch_form.answers(call, fields).items()
        }
        given[containers.root_input(call, wrapper)] = f"/archive/experiments/{session.id}"
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


_SESSION = "/experiments/{experiment}"
routes = [
    Route("/runs", runs, methods=["GET"]),
    Route("/runs/{number}", run, methods=["GET"]),
]
engine_routes = [
    Route(_SESSION + "/pipelines/{step}", pipeline_form, methods=["GET", "POST"]),
    Route("/projects/{project}/pipelines", use_pipelines, methods=["GET", "POST"]),
]
container_routes = [
    Route(_SESSION + "/wrappers/{wrapper}", wrapper_form, methods=["GET", "POST"]),
]
