"""Workflows: the state of runs (data/workflows, data/services/workflows)."""

import sqlite3

from starlette.responses import Response
from starlette.routing import Route

from .. import accounts, items, workflows
from ..accounts import User, demand
from ..http import Call, endpoint, json_text, table_response, text
from ..refusals import Refused, not_found
from ..workflows import Workflow

_PREFIX = "wrk:workflowdata/"
_NOT_VALUES = ("format", "req_format", "xnat_csrf", "event_reason", "event_id")
_COLUMNS = (
    "wrk_workflowData_id",
    "id",
    "label",
    "data_type",
    "externalid",
    "pipeline_name",
    "launch_time",
    "status",
    "current_step_id",
    "current_step_launch_time",
    "step_description",
    "percentageComplete",
    "create_user",
)


def may_see(connection: sqlite3.Connection, user: User, workflow: Workflow) -> bool:
    """Tell whether a user may see a run: who started it, and who may read its project or item."""
    if user.is_admin or user.login == workflow.login:
        return True
    for found in (
        items.find_experiment(connection, workflow.id),
        items.find_project(connection, workflow.externalid) if workflow.externalid else None,
    ):
        if found is not None and accounts.may_read(connection, user, found):
            return True
    return False


def _values(call: Call) -> dict[str, str]:
    """Return the workflow's values among the parameters; the first of a repeated one counts."""
    values: dict[str, str] = {}
    for name, value in call.params:
        key = name.lower().removeprefix(_PREFIX)
        if key not in _NOT_VALUES and key == key.strip("/") and key not in values:
            values[key] = value
    return values


@endpoint
def put_workflow(call: Call) -> Response:
    """Make or change a workflow from parameters or a ``wrk:Workflow`` document.

    XNAT asks for an administrator. Here whoever started a run may report on it as well, because
    the engine reports with the token of the one who launched.
    """
    given = _given(call)
    with call.archive.database.write() as connection:
        known = _known(connection, given)
        demand(call.user.is_admin or (known is not None and _may_change(call.user, known)))
        workflows.save(connection, given, call.user.login)
    return text()


@endpoint
def put_workflow_values(call: Call) -> Response:
    """Change the values that are given of one workflow, and nothing else of it."""
    given = _given(call)
    with call.archive.database.write() as connection:
        known = workflows.get(connection, call.path("number"))
        if known is None:
            raise Refused(404, "Unable to find the specified workflow.")
        if not _may_change(call.user, known):
            raise Refused(403, "Only who started a run and administrators may change its workflow.")
        workflows.update(connection, known, **given)
    return text()


def _given(call: Call) -> dict[str, str]:
    """Return a document's values, and the parameters', which win."""
    document = workflows.from_xml(call.document) if call.body.strip() else {}
    return {name.lower(): value for name, value in document.items()} | _values(call)


def _may_change(user: User, workflow: Workflow) -> bool:
    return user.is_admin or user.login == workflow.login


def _known(connection: sqlite3.Connection, given: dict[str, str]) -> Workflow | None:
    key = {name: given.get(name, "") for name in ("id", "pipeline_name", "launch_time")}
    found = workflows.find(connection, key, limit=1) if all(key.values()) else []
    return found[0] if found else None


@endpoint
def find_workflows(call: Call) -> Response:
    """Return the workflows that have the values given."""
    wanted = _values(call)
    if not wanted:
        raise Refused(400, "Name at least one value, such as wrk:workflowData/id.")
    with call.archive.database.read() as connection:
        found = [
            one for one in workflows.find(connection, wanted) if may_see(connection, call.user, one)
        ]
    if not found:
        raise not_found("workflow")
    return _answer(call, found)


@endpoint
def get_workflow(call: Call) -> Response:
    """Return one workflow as item JSON or as a document."""
    return _answer(call, [_one(call)])


@endpoint
def get_workflow_document(call: Call) -> Response:
    """Return one workflow as the document that the engine reads at its start."""
    return Response(workflows.to_xml(_one(call)), media_type="text/xml")


def _one(call: Call) -> Workflow:
    with call.archive.database.read() as connection:
        found = workflows.get(connection, call.path("number"))
        if found is None or not may_see(connection, call.user, found):
            raise not_found("workflow")
    return found


def _answer(call: Call, found: list[Workflow]) -> Response:
    if call.format("json") == "xml":
        return Response(workflows.to_xml(found[0]), media_type="text/xml")
    return json_text({"items": [workflows.to_item(one) for one in found]})


@endpoint
def list_workflows(call: Call) -> Response:
    """List the runs of a pipeline on an experiment, the latest first.

    That is the latest as an item, and 404 where there is none; ``display=ALL`` lists all. Runs of
    a whole project are not to be had: XNAT's own query for them breaks off.
    """
    name, pipeline = call.get("experiment"), call.path("pipeline")
    with call.archive.database.read() as connection:
        session = items.find_experiment(connection, name, call.get("project")) if name else None
        readable = session is not None and accounts.may_read(connection, call.user, session)
        if session is None or not readable or not pipeline:
            raise Refused(404, f"Unable to find workflow entry with pipeline_name {pipeline}")
        wanted = {"id": session.id, "externalid": call.get("project"), "status": call.get("status")}
        known = {key: value for key, value in wanted.items() if value}
        found = workflows.find(connection, known, like=pipeline)
        found = [one for one in found if may_see(connection, call.user, one)]
        labels = workflows.labels(connection, {one.id for one in found})
    if call.get("display").upper() != "ALL":
        if not found:
            raise Refused(404, f"Unable to find workflow entry for pipeline {pipeline} and {name}")
        return _answer(call, found[:1])
    rows = [
        {
            "wrk_workflowData_id": one.pk,
            "label": labels.get(one.id, ""),
            "create_user": one.login,
            **{name: getattr(one, name) for name in ("id", "data_type", "externalid")},
            **{name: getattr(one, name) for name in ("pipeline_name", "launch_time", "status")},
            **{name: one.fields.get(name, "") for name in _COLUMNS[8:12]},
        }
        for one in found
    ]
    return table_response(call, _COLUMNS, rows, title="All workflows")


routes = [
    Route("/data/workflows", put_workflow, methods=["PUT", "POST"]),
    Route("/data/workflows", find_workflows, methods=["GET"]),
    Route("/data/workflows/{number}", get_workflow, methods=["GET"]),
    Route("/data/workflows/{number}", put_workflow_values, methods=["PUT", "POST"]),
    Route("/data/services/workflows/workflowid/{number}", get_workflow_document, methods=["GET"]),
    Route("/data/services/workflows", list_workflows, methods=["GET"]),
    Route("/data/services/workflows/{pipeline:path}", list_workflows, methods=["GET"]),
]
