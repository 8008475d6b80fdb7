"""One session of a run on a project: the pipeline, and the session's group, timepoint and dose."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import data_path
from xnat_config.variables import Variables
from xnat_pic.errors import LoginError, XnatPicError, describe, exit_code_of
from xnat_pic.version import version

from ..xnat.client import Access
from ..xnat.find import SessionRow
from ..xnat.outcome import IN_PART
from .outcome import SessionResult
from .table import summary_rows

_LOG_LINES = 200


@dataclass(frozen=True)
class Job:
    """One session of a run on a project. It can be sent to another process.

    Attributes
    ----------
    access : Access
        The server.
    pipeline, project : str
        What runs on what.
    session : SessionRow
        The session.
    parameters : mapping of str to str
        Inputs of the pipeline.
    variables : Variables
        Of the site that started the run.
    work : Path or None
        Folder for this session alone; None makes one where the worker is.
    """

    access: Access
    pipeline: str
    project: str
    session: SessionRow
    parameters: Mapping[str, str]
    variables: Variables
    work: Path | None


def run_job(job: Job) -> SessionResult:
    """Run the pipeline on a session; whatever goes wrong is in the result."""
    # One session keeps one processor busy: others work beside it.
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    found = job.session
    log: deque[str] = deque(maxlen=_LOG_LINES)
    try:
        return _run(job, log)
    except Exception as error:  # a fault of one session never stops the others
        return SessionResult(
            found.id,
            found.label,
            found.subject,
            exit_code_of(error),
            _message(error),
            log=tuple(log),
            broken=True,
        )


def _run(job: Job, log: deque[str]) -> SessionResult:
    from ..xnat.client import RunClient
    from ..xnat.session_run import run_session

    found = job.session
    work = job.work or Path(tempfile.mkdtemp(prefix="xnat-pic-session-"))
    outcome = run_session(
        job.access, job.pipeline, found.id, job.parameters, work, report=log.append
    )
    rows: list[dict[str, object]] = []
    code, failure = outcome.exit_code, outcome.failure
    if outcome.maps or outcome.statistics:
        try:
            with RunClient(job.access) as client:
                values = session_variables(client, job.project, found.id, job.variables)
        except XnatPicError as error:
            # The results are there; without its group the session would stand in a wrong place.
            return SessionResult(
                found.id, found.label, found.subject, code or IN_PART, describe(error), broken=True
            )
        facts: dict[str, object] = {"subject": found.subject, "session": found.label, **values}
        facts["timepoint_days"] = job.variables.timepoint_days(values.get("timepoint", ""))
        rows = summary_rows(outcome.maps, outcome.statistics, facts)
    return SessionResult(
        found.id, found.label, found.subject, code, failure, outcome.skipped, tuple(rows),
        outcome.warnings, dict(outcome.seconds), tuple(log) if code else (),
        outcome.broken,
    )  # fmt: skip


def _message(error: Exception) -> str:
    if isinstance(error, XnatPicError):
        return describe(error)
    return f"An error of this program: {type(error).__name__}: {error}"[:500]


def software() -> str:
    """Return the version of this program where it is asked."""
    return version()


def session_variables(
    client: XnatClient, project: str, session: str, names: Variables
) -> dict[str, str]:
    """Return the value of each variable of a session; empty where it has none.

    Of the session's own classic fields, else of its custom form, else, for variables that belong
    to the subject, of the subject's.

    Parameters
    ----------
    client : XnatClient
        The server.
    project, session : str
        Project, and ID of the session.
    names : Variables
        Of the site.

    Raises
    ------
    ServerError, LoginError
        Where the session cannot be read.
    """
    item = client.item(data_path("experiments", session))
    found = classic(item)
    wanted = names.names
    if any(not found.get(name) for name in wanted):
        _add(found, _forms(client, f"projects/{quote(project)}/experiments/{quote(session)}"))
    subject = str(item.get("data_fields", {}).get("subject_ID", ""))
    of_subject = [name for name in wanted if names.of_subject(name)]
    if subject and any(not found.get(name) for name in of_subject):
        theirs = classic(client.item(data_path("subjects", subject)))
        _add(theirs, _forms(client, f"projects/{quote(project)}/subjects/{quote(subject)}"))
        _add(found, {name: theirs.get(name, "") for name in of_subject})
    return {name: found.get(name, "") for name in wanted}


def classic(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the classic custom variables of an item by their names in lower case."""
    found = {}
    for group in _listed(item.get("children")):
        if group.get("field") != "fields/field":
            continue
        for child in _listed(group.get("items")):
            values = child.get("data_fields")
            if isinstance(values, dict) and values.get("name"):
                found[str(values["name"]).lower()] = str(values.get("field", "")).strip()
    return found


def of_forms(content: Any) -> dict[str, str]:
    """Return the plain values of an item's custom forms by their names in lower case."""
    found: dict[str, str] = {}
    for values in content.values() if isinstance(content, dict) else ():
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str | int | float):
                found.setdefault(str(name).lower(), str(value).strip())
    return found


def _forms(client: XnatClient, item: str) -> dict[str, str]:
    """Return the values of an item's custom forms; none on a server without forms."""
    try:
        return of_forms(client.json(f"/xapi/custom-fields/{item}/fields"))
    except LoginError:
        raise
    except XnatPicError:
        return {}


def _add(found: dict[str, str], more: Mapping[str, str]) -> None:
    for name, value in more.items():
        if value and not found.get(name):
            found[name] = value


def _listed(value: Any) -> list[dict[str, Any]]:
    rows: Iterable[Any] = value if isinstance(value, list) else ()
    return [row for row in rows if isinstance(row, dict)]
