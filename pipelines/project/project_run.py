"""One pipeline on every session of a project."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.paths import data_path
from xnat_config.variables import Variables
from xnat_pic.errors import ServerError, WrongCallError, XnatPicError, describe, exit_code_of
from xnat_pic.files import check_writable

from ..errors import StoppedError
from ..xnat.client import Access, RunClient
from ..xnat.find import SessionRow, find_sessions
from ..xnat.outcome import IN_PART
from ..xnat.parameters import RunParameters, find_pipeline, parse_parameters
from ..xnat.run_context import path_part
from ..xnat.session_run import SUMMARY
from ..xnat.store import ResultLocation
from .jobs import Job, run_job
from .lock import LockTimes, ProjectLock
from .outcome import ProjectOutcome, SessionResult, summarise
from .schedule import run_jobs
from .summary import grouped_warnings, send_summary, write_summary

Report = Callable[[str], None]
Progress = Callable[[int, int, SessionResult], None]
_MOST_WORKERS = 4096
_MOST_NOTES = 10  # beside the run; the page of the summary has all of them


def run_project(
    access: Access,
    pipeline: str,
    project: str,
    parameters: Mapping[str, str],
    work: Path,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress = lambda done, total, last: None,
    cancel: Callable[[], bool] = lambda: False,
    report: Report = lambda _: None,
    lock_times: LockTimes | None = None,
) -> ProjectOutcome:
    """Run a pipeline on every session of a project; a failure is in the outcome, not raised.

    Sessions that are done with the same images and parameters are skipped; one that fails stops
    no other. Results go to the subjects, table and page to the project's resource
    ``XNAT_PIC_SUMMARY``, in folders by pipeline and parameters.

    Parameters
    ----------
    access : Access
        The server.
    pipeline : str
        Of the catalog, of the level ``project``.
    project : str
        ID of the project.
    parameters : mapping of str to str
        Inputs of the catalog by name; an empty value means not given.
    work : Path
        Folder for this run alone. What is made in it is removed when all went well.
    scheduler : str, optional
        Address of a Dask scheduler; by default that of the parameters, else processes of this
        machine.
    workers : int, optional
        Sessions at the same time; by default those of the parameters, else the processors.
    progress : callable
        Called with how many sessions of how many have ended, and the last one.
    cancel : callable
        True ends the run with what there is.
    report : callable
        Called with a line for each session, and the closing message.
    lock_times : LockTimes, optional
        Times of the lock.

    Returns
    -------
    ProjectOutcome
    """
    started = time.perf_counter()
    try:
        run = _Run(access, pipeline, project, parameters, work, scheduler, workers, report)
        outcome = run.execute(progress, cancel, lock_times or LockTimes())
    except (XnatPicError, OSError) as error:
        text = describe(error)
        outcome = ProjectOutcome(project, pipeline, exit_code_of(error), text, text, broken=True)
    report(outcome.closing)
    return replace(outcome, seconds=round(time.perf_counter() - started, 3))


class _Run:
    """What the parts of a run share; raises `XnatPicError` for what stops all of it."""

    def __init__(
        self,
        access: Access,
        pipeline: str,
        project: str,
        parameters: Mapping[str, str],
        work: Path,
        scheduler: str | None,
        workers: int | None,
        report: Report,
    ) -> None:
        self.pipeline = find_pipeline(pipeline)
        if self.pipeline.level != "project":
            raise WrongCallError(
                f"{pipeline} works on one session.", hint=f"For a project run {pipeline}_project."
            )
        self.access, self.project, self.parameters = access, project, dict(parameters)
        self.run_parameters: RunParameters = parse_parameters(pipeline, parameters)
        self.scheduler = (
            self.run_parameters.values.get("scheduler", "") if scheduler is None else scheduler
        )
        self.workers = (
            _workers(self.run_parameters.values.get("workers", "")) if workers is None else workers
        )
        self.variables: Variables = load_config().variables
        self.work, self.report = work, report
        self.location = ResultLocation(data_path("projects", project), SUMMARY, self.pipeline.name)

    @property
    def folder(self) -> str:
        """Where the summary goes: the same for the same parameters, another for others."""
        made_with = path_part(self.run_parameters.values.get("made_with", "").strip() or "_")[:8]
        tail = "" if made_with == "_" else f"-{made_with}"
        return f"{self.pipeline.name}/{self.run_parameters.folder}{tail}"

    def execute(
        self, progress: Progress, cancel: Callable[[], bool], lock_times: LockTimes
    ) -> ProjectOutcome:
        check_writable(self.work)
        with (
            ProjectLock(self.access, self.location, lock_times) as lock,
            RunClient(self.access) as client,
        ):
            sessions = [
                one
                for one in find_sessions(client, self.project)
                if one.type == self.pipeline.applies_to
            ]
            self.report(f"{self.pipeline.name} on {self.project}: {len(sessions)} sessions")

            def stop() -> bool:
                return lock.lost or cancel()

            results = self._all(client, sessions, progress, stop)
            lock.check()
            results.sort(key=self._order)
            told = [f"{labels}: {text}" for text, labels in grouped_warnings(results)]
            for line in told[:_MOST_NOTES]:
                self.report(f"note: {line}")
            outcome = summarise(self.pipeline.name, self.project, results)
            outcome = replace(outcome, warnings=tuple(told[:_MOST_NOTES]))
            if len(results) < len(sessions):
                outcome = _stopped(outcome, len(results), len(sessions))
            if any(one.rows for one in results) or outcome.failed:
                outcome = self._send(client, outcome, results)
        if outcome.exit_code == 0:
            shutil.rmtree(self.work, ignore_errors=True)
        return outcome

    def _all(
        self,
        client: RunClient,
        sessions: Sequence[SessionRow],
        progress: Progress,
        stop: Callable[[], bool],
    ) -> list[SessionResult]:
        """Run every session and return the results."""
        results: dict[int, SessionResult] = {}

        def make(number: int) -> Job:
            one = sessions[number]
            folder = None if self.scheduler else self.work / "SESSIONS" / path_part(one.label)
            # The token is the newest one: this run may outlive the first.
            return Job(
                client.access, self.pipeline.name, self.project, one, self.parameters,
                self.variables, folder,
            )  # fmt: skip

        def failed(number: int, error: BaseException) -> SessionResult:
            one = sessions[number]
            return SessionResult(one.id, one.label, one.subject, IN_PART, _lost(error), broken=True)

        ended = run_jobs(
            make, len(sessions), run_job, failed,
            scheduler=self.scheduler, workers=self.workers, local_folder=self.work / "DASK",
            cancel=stop,
        )  # fmt: skip
        with closing(ended):  # here, whatever ends the loop
            for number, result in ended:
                results[number] = result
                why = f". {result.failure}" if result.failure else ""
                self.report(
                    f"{len(results)} of {len(sessions)}: {result.label}: {result.state}{why}"
                )
                progress(len(results), len(sessions), result)
        return list(results.values())

    def _order(self, one: SessionResult) -> tuple[str, tuple[int, float, str], str]:
        """Return what sorts sessions: by subject, timepoints in their order."""
        when = str(one.rows[0].get("timepoint", "")) if one.rows else ""
        return (one.subject, self.variables.timepoint_key(when), one.label)

    def _send(
        self, client: XnatClient, outcome: ProjectOutcome, results: Sequence[SessionResult]
    ) -> ProjectOutcome:
        """Make the summary and store it; where that fails, the outcome says so."""
        outcome = replace(outcome, resource=SUMMARY, folder=self.folder)
        folder = self.work / "SUMMARY" / "result"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_summary(folder, outcome, results, self.run_parameters, self.variables)
        try:
            send_summary(
                client,
                replace(self.location, folder=self.folder),
                folder,
                outcome,
                self.run_parameters,
            )
        except (XnatPicError, OSError) as error:
            text = f"{outcome.closing} The summary could not be stored: {describe(error)}"
            code = outcome.exit_code or (IN_PART if outcome.done else ServerError.exit_code)
            return replace(outcome, exit_code=code, failure=text, closing=text, broken=True)
        return outcome


def _workers(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_WORKERS:
        raise WrongCallError(
            f"{text!r} is no number of workers (parallel_sessions).",
            hint=f"Give 1 to {_MOST_WORKERS}, or nothing.",
        )
    return int(text)


def _stopped(outcome: ProjectOutcome, ended: int, total: int) -> ProjectOutcome:
    text = f"{outcome.closing} The run was stopped after {ended} of {total} sessions."
    text += " Start it again to do the rest."
    code = StoppedError.exit_code
    return replace(outcome, exit_code=code, failure=text, closing=text, broken=True)


def _lost(error: BaseException) -> str:
    if type(error).__name__ == "KilledWorker":
        return (
            "The process that worked on it ended several times, usually for lack of memory. "
            "Use fewer workers, or a machine with more memory."
        )
    return f"The cluster lost it ({type(error).__name__}). Run the pipeline again."
