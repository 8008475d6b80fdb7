"""What a worker does: one session, and of its result what the project needs."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xnat_config.variables import Variables
from xnat_pic.errors import XnatPicError, describe, exit_code_of

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
        )


def _run(job: Job, log: deque[str]) -> SessionResult:
    from ..xnat.client import RunClient
    from ..xnat.session_run import run_session
    from .variables import session_variables

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
                found.id, found.label, found.subject, code or IN_PART, describe(error)
            )
        facts: dict[str, object] = {"subject": found.subject, "session": found.label, **values}
        facts["timepoint_days"] = job.variables.timepoint_days(values.get("timepoint", ""))
        rows = summary_rows(outcome.maps, outcome.statistics, facts)
    return SessionResult(
        found.id, found.label, found.subject, code, failure, outcome.skipped, tuple(rows),
        outcome.warnings, dict(outcome.seconds), tuple(log) if code else (),
    )  # fmt: skip


def _message(error: Exception) -> str:
    if isinstance(error, XnatPicError):
        return describe(error)
    return f"An error of this program: {type(error).__name__}: {error}"[:500]


def software() -> str:
    """Return the version of this program where it is asked."""
    from xnat_pic.version import version

    return version()
