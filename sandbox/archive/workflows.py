"""Workflows: the record of every run of a pipeline or container.

As in `items`, functions take a connection. A workflow is known by item, pipeline and launch time;
what has no column of its own is kept by name in `fields`.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from . import preferences
from .items import Item
from .refusals import Refused

AUTO_RUN = "xnat_tools/AutoRun.xml"
RUNNING_AUTO_RUN = {"pipeline_name": AUTO_RUN, "status": "Running"}
NAMESPACE = "http://nrg.wustl.edu/workflow"
_COLUMNS = ("id", "data_type", "externalid", "pipeline_name", "launch_time", "status")
# Attributes and elements of wrk:Workflow as its schema spells them.
_ATTRIBUTES = (
    "src",
    "type",
    "category",
    "scan_id",
    "current_step_launch_time",
    "current_step_id",
    "create_user",
    "next_step_id",
    "step_description",
    "percentageComplete",
    "jobID",
)
_ELEMENTS = ("comments", "details", "justification", "description")
_BUSY = ("QUEUED", "RUNNING", "HOLD", "AWAITING ACTION")
_TIMES = ("current_step_launch_time",)
PARAMETERS = "parameters"  # JSON of what a run was started with; part of the environment in XML
_SPELLING = {name.lower(): name for name in (*_ATTRIBUTES, *_ELEMENTS, PARAMETERS)}


@dataclass(frozen=True)
class Workflow:
    """One run; `externalid` is its project, `id` the item it runs on."""

    pk: int
    id: str
    data_type: str
    externalid: str
    pipeline_name: str
    launch_time: str
    status: str
    login: str
    fields: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, list[str]]:
        """What the run was started with."""
        found: dict[str, list[str]] = json.loads(self.fields.get(PARAMETERS, "{}"))
        return found

    @property
    def is_open(self) -> bool:
        """Whether the run is not at its end."""
        return not self.status.startswith(("Complete", "Failed", "Killed"))


def moment(text: str = "") -> str:
    """Return a time as the archive keeps it: UTC, with milliseconds; the present by default.

    What is not a time stays as it is.
    """
    try:
        time = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError:
        return text
    if time.tzinfo is not None:
        time = time.astimezone(UTC).replace(tzinfo=None)
    return time.isoformat(" ", "milliseconds")


def _workflow(row: sqlite3.Row) -> Workflow:
    return Workflow(**{**dict(row), "fields": json.loads(row["fields"])})


def get(connection: sqlite3.Connection, number: str | int) -> Workflow | None:
    """Return a workflow by its number."""
    text = str(number)
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        return None
    row = connection.execute("SELECT * FROM workflow WHERE pk = ?", (int(text),)).fetchone()
    return None if row is None else _workflow(row)


def find(
    connection: sqlite3.Connection, wanted: Mapping[str, str], *, like: str = "", limit: int = -1
) -> list[Workflow]:
    """Return workflows, the latest first.

    Parameters
    ----------
    wanted : mapping
        Values of columns that must be equal; other names are looked for in `fields`.
    like : str
        Text that the pipeline's name must contain.
    """
    where, values = ["pipeline_name LIKE ? ESCAPE '\\'"], [f"%{_plain(like)}%"]
    rest = {}
    for name, value in wanted.items():
        if name in (*_COLUMNS, "login"):
            where.append(f"{name} = ?")
            values.append(moment(value) if name == "launch_time" else value)
        else:
            rest[_SPELLING.get(name.lower(), name)] = value
    query = f"SELECT * FROM workflow WHERE {' AND '.join(where)} ORDER BY pk DESC LIMIT ?"
    rows = connection.execute(query, (*values, limit))
    found = [_workflow(row) for row in rows]
    return [one for one in found if all(one.fields.get(k) == v for k, v in rest.items())]


def is_busy(connection: sqlite3.Connection, item: str) -> bool:
    """Tell whether the latest run on an item is queued, running or waiting for somebody."""
    latest = find(connection, {"id": item}, limit=1)
    return bool(latest) and latest[0].status.upper() in _BUSY


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def save(connection: sqlite3.Connection, values: Mapping[str, str], login: str) -> Workflow:
    """Make a workflow, or change the one of the same item, pipeline and launch time.

    Parameters
    ----------
    values : mapping
        By name without prefix; names are compared without case. Names not given keep their value.

    Raises
    ------
    Refused
        400 where a key is missing.
    """
    given = {name.lower(): value for name, value in values.items()}
    for name in ("id", "pipeline_name", "launch_time", "status"):
        if not given.get(name):
            raise Refused(400, f"The workflow's {name} is missing.")
    given["launch_time"] = moment(given["launch_time"])
    row = connection.execute(
        "SELECT * FROM workflow WHERE id = ? AND pipeline_name = ? AND launch_time = ?",
        (given["id"], given["pipeline_name"], given["launch_time"]),
    ).fetchone()
    if row is not None:
        return _change(connection, _workflow(row), given)
    if not given.get("data_type"):
        raise Refused(400, "The workflow's data_type is missing.")
    row = connection.execute(
        "INSERT INTO workflow (id, data_type, externalid, pipeline_name, launch_time, status,"
        " login, fields) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (*(given.get(name, "") for name in _COLUMNS), login, json.dumps(_extra({}, given))),
    ).fetchone()
    return _workflow(row)


def update(connection: sqlite3.Connection, workflow: Workflow, **values: str) -> Workflow:
    """Change a workflow that is known."""
    return _change(connection, workflow, {name.lower(): value for name, value in values.items()})


def _change(connection: sqlite3.Connection, old: Workflow, given: Mapping[str, str]) -> Workflow:
    values = {name: given.get(name) or getattr(old, name) for name in _COLUMNS}
    values["launch_time"] = moment(values["launch_time"])
    row = connection.execute(
        f"UPDATE workflow SET {', '.join(f'{name} = ?' for name in _COLUMNS)}, fields = ?"
        " WHERE pk = ? RETURNING *",
        (*values.values(), json.dumps(_extra(old.fields, given)), old.pk),
    ).fetchone()
    return _workflow(row)


def _extra(old: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    fields = dict(old)
    for key, value in given.items():
        name = _SPELLING.get(key)
        if name is not None:
            fields[name] = moment(value) if key in _TIMES else value
    if given.get("status", "").startswith("Complete"):
        for name in ("current_step_id", "next_step_id"):
            if name.lower() not in given:
                fields.pop(name, None)
    return {name: value for name, value in fields.items() if value}


def open_auto_run(connection: sqlite3.Connection, experiment: Item, login: str) -> None:
    """Open the workflow that a site runs after archiving, where this one does."""
    if preferences.value(connection, "sandboxAutoRunSeconds"):
        values = {
            "id": experiment.id,
            "data_type": experiment.xsi_type,
            "externalid": experiment.project,
            "launch_time": moment(),
            **RUNNING_AUTO_RUN,
        }
        save(connection, values, login)


def record_merge(connection: sqlite3.Connection, experiment: Item, login: str) -> None:
    """Note that an archived session was merged with."""
    values = {
        "id": experiment.id,
        "data_type": experiment.xsi_type,
        "externalid": experiment.project,
        "pipeline_name": "Merged",
        "launch_time": moment(),
        "status": "Complete",
    }
    save(connection, values, login)


def end_auto_runs(connection: sqlite3.Connection) -> None:
    """Complete the workflows after archiving that have been open for their time."""
    life = timedelta(seconds=preferences.value(connection, "sandboxAutoRunSeconds"))
    connection.execute(
        "UPDATE workflow SET status = 'Complete'"
        " WHERE pipeline_name = ? AND status = 'Running' AND launch_time < ?",
        (AUTO_RUN, moment((datetime.now(UTC) - life).isoformat())),
    )


def labels(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, str]:
    """Return the labels of the items that workflows are on, by ID."""
    rows = connection.execute(
        "SELECT id, label FROM item WHERE id IN (SELECT value FROM json_each(?))"
        " AND kind IN ('experiment', 'assessor', 'subject', 'project')",
        (json.dumps(sorted(ids)),),
    )
    return {row[0]: row[1] for row in rows}


def from_xml(body: str | bytes) -> dict[str, str]:
    """Return the values of a ``wrk:Workflow`` document.

    Raises
    ------
    Refused
        422 for anything else.
    """
    try:
        root = ElementTree.fromstring(body)
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise Refused(422, "The workflow is no XML document that can be read.") from error
    if root.tag != f"{{{NAMESPACE}}}Workflow":
        raise Refused(422, "The document is no wrk:Workflow.")
    values = dict(root.attrib)
    for child in root:
        name = str(child.tag).rpartition("}")[2]
        if name in _ELEMENTS:
            values[name] = child.text or ""
    return values


def to_xml(workflow: Workflow) -> str:
    """Return a workflow as a ``wrk:Workflow`` document."""
    values = {
        "ID": workflow.id,
        "data_type": workflow.data_type,
        "ExternalID": workflow.externalid,
        "pipeline_name": workflow.pipeline_name,
        "launch_time": workflow.launch_time.replace(" ", "T"),
        "status": workflow.status,
        **{name: workflow.fields[name] for name in _ATTRIBUTES if name in workflow.fields},
    }
    for name in _TIMES:
        if name in values:
            values[name] = values[name].replace(" ", "T")
    attributes = "".join(f" {name}={quoteattr(value)}" for name, value in values.items() if value)
    inner = _environment(workflow) + "".join(
        f"<wrk:{name}>{escape(workflow.fields[name])}</wrk:{name}>"
        for name in sorted(_ELEMENTS)
        if name in workflow.fields
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<wrk:Workflow xmlns:wrk="{NAMESPACE}"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"{attributes}>{inner}'
        f"</wrk:Workflow>\n"
    )


def _environment(workflow: Workflow) -> str:
    if not workflow.parameters:
        return ""
    parameters = "".join(
        f"<wrk:parameter name={quoteattr(name)}>{escape(','.join(values))}</wrk:parameter>"
        for name, values in workflow.parameters.items()
    )
    return (
        '<wrk:executionEnvironment xsi:type="wrk:xnatExecutionEnvironment">'
        f"<wrk:pipeline>{escape(workflow.pipeline_name)}</wrk:pipeline>"
        f"<wrk:xnatuser>{escape(workflow.login)}</wrk:xnatuser><wrk:host/>"
        f"<wrk:parameters>{parameters}</wrk:parameters>"
        f"<wrk:dataType>{escape(workflow.data_type)}</wrk:dataType>"
        f"<wrk:id>{escape(workflow.id)}</wrk:id>"
        "<wrk:supressNotification>0</wrk:supressNotification></wrk:executionEnvironment>"
    )


def to_item(workflow: Workflow) -> dict[str, Any]:
    """Return a workflow in the form of the item JSON."""
    fields: dict[str, Any] = {
        "wrk_workflowData_id": workflow.pk,
        "id": workflow.id,
        "ID": workflow.id,
        "data_type": workflow.data_type,
        "externalid": workflow.externalid,
        "ExternalID": workflow.externalid,
        "pipeline_name": workflow.pipeline_name,
        "launch_time": workflow.launch_time,
        "status": workflow.status,
        **{name: value for name, value in workflow.fields.items() if name != PARAMETERS},
    }
    if "jobID" in fields:
        fields["jobid"] = fields["jobID"]
    try:
        start = datetime.fromisoformat(workflow.launch_time)
    except ValueError:
        start = datetime.now(UTC)
    meta = {
        "isHistory": False,
        "xsi:type": "wrk:workflowData",
        "start_date": start.strftime("%a %b %d %H:%M:%S UTC %Y"),
    }
    return {"children": [], "meta": meta, "data_fields": fields}
