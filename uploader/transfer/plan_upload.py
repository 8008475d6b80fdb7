"""Execute a plan: subjects one by one, then sessions side by side, each compared before and after.

A run asks the server what is there and sends the rest; the journal says what in the prearchive is
ours. So any run may be killed at any moment and started again.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from enum import Enum

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError, RefusedError, UnreachableError
from xnat_config.server.paths import data_path
from xnat_config.site import SiteConfig
from xnat_pic.errors import CancelledError, LoginError, WrongCallError, XnatPicError

from ..control import Progress, ProgressMeter, RunControl
from ..errors import RowError, unexpected
from ..findings import Level
from ..planning.journal import Journal, SeriesState
from ..planning.plan import Plan, PlanRow
from ..server.listing import read_item, variables_in
from ..server.project import missing_project
from ..server.variables import find_forms, form_item, write_form, write_values
from ..verification.payload import build_payload
from ..verification.plan_check import RowCheck, Verdict, check
from .arrival import add_repairs, check_archived, edited_objects, refuse_moved, unmended
from .deidentified import refuse_originals
from .direct_archive import OLDEST, send_to_archive
from .jobs import SessionJob, UploadContext, UploadOptions, compare_with_server, rejection
from .prearchive import find_own_session, send_to_prearchive
from .raw_data import RawItem, find_raw, send_raw
from .resource_files import send_side_files
from .subjects import ensure_project, ensure_subjects

_log = logging.getLogger(__name__)


class Outcome(Enum):
    """How a row ended."""

    DONE = "done"
    PARTIAL = "done in part"
    NOTHING_TO_DO = "nothing to do"
    FAILED = "failed"
    STOPPED = "stopped"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class RowResult:
    """How one row ended, and why.

    Attributes
    ----------
    error : XnatPicError, optional
        What kept it from being done.
    """

    row: PlanRow
    outcome: Outcome
    reason: str = ""
    error: XnatPicError | None = None

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<RowResult {self.row.session}: {self.outcome.value}>"


@dataclass
class UploadResult:
    """How an upload ended.

    Attributes
    ----------
    problems : list of XnatPicError
        What concerns no single row, such as scanner data that could not be sent.
    """

    rows: list[RowResult] = field(default_factory=list)
    problems: list[XnatPicError] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show what counts in a line."""
        counts = Counter(row.outcome.value for row in self.rows)
        ends = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"<UploadResult {ends or 'nothing to upload'}>"

    @property
    def exit_code(self) -> int:
        """0 all done, 5 login, 6 server, 8 done in part."""
        errors = [*self.problems, *(row.error for row in self.rows if row.error)]
        unfinished = (Outcome.FAILED, Outcome.STOPPED, Outcome.PARTIAL)
        bad = [row for row in self.rows if row.outcome in unfinished]
        if not bad and not errors:
            return 0
        if any(isinstance(error, LoginError) for error in errors):
            return 5
        done = any(row.outcome in (Outcome.DONE, Outcome.NOTHING_TO_DO) for row in self.rows)
        if not done and errors and all(isinstance(one, UnreachableError) for one in errors):
            return 6
        return 8


def upload(
    plan: Plan,
    client: XnatClient,
    journal: Journal,
    config: SiteConfig,
    options: UploadOptions | None = None,
    *,
    control: RunControl | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_start: Callable[[PlanRow], None] | None = None,
    on_row: Callable[[RowResult], None] | None = None,
) -> UploadResult:
    """Upload every row that can be; the others come back with their reason.

    Parameters
    ----------
    plan : Plan
        With the findings of `with_sessions` or `check_plan`: rows that were changed since are not
        compared with folder and header again.
    client : XnatClient
        Logged in.
    on_progress, on_start, on_row : callable, optional
        Called from worker threads; `on_start` and `on_row` when a row's turn comes and ends.

    Raises
    ------
    XnatPicError
        If the server cannot be asked at all, or a setting makes no sense.
    """
    options = options or UploadOptions()
    control = control or RunControl()
    _check_server(client, journal)
    if options.deidentifier is None and not journal.sessions():
        refuse_originals(client, plan)
    raw = find_raw(options.raw, config.resources) if options.raw else []
    checks = check(
        plan,
        client,
        config,
        journal=journal,
        deidentifier=options.deidentifier,
        create_project=options.create_project,
    )
    total = sum(_bytes_missing(plan, one, options) for one in checks)
    meter = ProgressMeter(total + sum(item.bytes for item in raw), on_progress)
    context = UploadContext(client, journal, config, control, meter, options)
    if options.direct_archive and client.version and client.version < OLDEST:
        raise WrongCallError(
            "This server is too old for --direct-archive, which XNAT has from 1.8.3 on.",
            hint="Leave the option out.",
        )
    run = _UploadRun(context, plan, on_start, on_row)
    good = [one.row for one in run.record_refused(checks)]
    good = run.prepare(good)
    run.send(good)
    run.send_raw(raw)
    return run.result


def _check_server(client: XnatClient, journal: Journal) -> None:
    before = journal.value("server")
    if before and before != client.connection.server:
        raise WrongCallError(
            f"This plan was uploaded to {before}, and its journal belongs to that server.",
            hint="Copy the plan under another name to upload it to another server.",
        )
    journal.set_value("server", client.connection.server)


def _bytes_missing(plan: Plan, one: RowCheck, options: UploadOptions) -> int:
    if one.has_errors or not one.row.include or one.row.key not in plan.sessions:
        return 0
    payload = build_payload(plan.sessions[one.row.key], options.deidentifier)
    share = one.missing / payload.instances if payload.instances else 0
    return round(payload.bytes * share)


class _UploadRun:
    """The work on all rows."""

    def __init__(
        self,
        context: UploadContext,
        plan: Plan,
        on_start: Callable[[PlanRow], None] | None,
        on_row: Callable[[RowResult], None] | None,
    ) -> None:
        self._tools = context
        self._plan = plan
        self._on_start = on_start
        self._on_row = on_row
        self._forms: dict[str, dict[str, str]] = {}
        self.result = UploadResult()

    def record_refused(self, checks: list[RowCheck]) -> list[RowCheck]:
        """Note the rows that cannot be uploaded; return the others."""
        good = []
        for one in checks:
            if one.verdict is Verdict.LEFT_OUT:
                self._end(RowResult(one.row, Outcome.LEFT_OUT))
                continue
            self._note_planned(one.row)
            errors = [finding for finding in one.findings if finding.level is Level.ERROR]
            if errors or one.row.key not in self._plan.sessions:
                reason = " ".join(finding.message for finding in errors)
                self._end(RowResult(one.row, Outcome.FAILED, reason or "Its files are gone."))
            else:
                good.append(one)
        return good

    def _note_planned(self, row: PlanRow) -> None:
        session = self._plan.sessions.get(row.key)
        series = [(one.uid, len(one.files), one.bytes) for one in session.series] if session else []
        self._tools.journal.add_session(row.key, row.project, row.subject, row.session, series)

    def prepare(self, rows: list[PlanRow]) -> list[PlanRow]:
        """Make projects and subjects; return the rows that can be sent."""
        by_project: dict[str, list[PlanRow]] = defaultdict(list)
        for row in rows:
            by_project[row.project].append(row)
        ready = []
        for project, mine in by_project.items():
            self._tools.meter.set_activity(f"Project {project}")
            try:
                if self._tools.options.create_project:
                    ensure_project(self._tools, project, mine)
                failed = ensure_subjects(self._tools, project, mine)
                title = self._tools.config.variables.form_title
                self._forms[project] = find_forms(self._tools.client, project, title)
            except XnatPicError as error:
                for row in mine:
                    self._fail(row, error)
                continue
            except Exception as error:  # nor one project's
                _log.exception("the preparation of project %s met a fault", project)
                for row in mine:
                    self._fail(row, unexpected(error, f"The preparation of project {project}"))
                continue
            for row in mine:
                if row.key in failed:
                    self._end(RowResult(row, Outcome.FAILED, failed[row.key]))
                else:
                    ready.append(row)
        return ready

    def send(self, rows: list[PlanRow]) -> None:
        """Send sessions side by side; those of one study one after the other."""
        by_study: dict[str, list[PlanRow]] = defaultdict(list)
        for row in rows:
            by_study[self._plan.sessions[row.key].study_uid].append(row)
        with ThreadPoolExecutor(max(self._tools.options.jobs, 1)) as pool:
            pending: set[Future[None]] = {
                pool.submit(self._send_all, mine) for mine in by_study.values()
            }
            try:
                while pending:
                    done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                    for one in done:
                        one.result()
            except BaseException:
                self._tools.control.cancel()
                raise

    def _send_all(self, rows: list[PlanRow]) -> None:
        for row in rows:
            try:
                self._tools.control.wait_if_paused()
                if self._on_start is not None:
                    self._on_start(row)
                result = self._send_one(row)
            except XnatPicError as error:
                self._fail(row, error)
            except Exception as error:  # one row's fault must not end the others
                _log.exception("the upload of %s met a fault", row.session)
                self._fail(row, unexpected(error, f"The upload of {row.session}"))
            else:
                self._tools.journal.set_problem(row.key, result.reason)
                self._end(result)

    def _send_one(self, row: PlanRow) -> RowResult:
        context = self._tools
        session = self._plan.sessions[row.key]
        job = SessionJob(row, build_payload(session, context.options.deidentifier))
        matches = compare_with_server(context, job)
        refuse_moved(context, job, matches)
        edited = edited_objects(context, job, matches)
        replaced = add_repairs(context, job, matches, edited) if context.options.repair else {}
        outcome = Outcome.NOTHING_TO_DO
        if job.pending:
            outcome = Outcome.DONE
            context.meter.set_activity(f"Session {row.session}")
            send = send_to_archive if context.options.direct_archive else send_to_prearchive
            send(context, job)
            check_archived(context, job, compare_with_server(context, job), replaced)
        else:
            _clear_leftover(context, job)
        _set_states(context, job)
        if job.existing is None and job.rejected:
            raise RowError("rejected", rejection(job))
        if job.existing is None:
            raise RowError("lost", f"{row.session} is not on the server.", hint="Run it again.")
        if self._write_variables(job) and outcome is Outcome.NOTHING_TO_DO:
            outcome = Outcome.DONE
        kept = send_side_files(context, session, job.existing.path, row.key)
        context.journal.set_rejected(job.key, job.rejected)
        if job.sent:
            context.journal.set_verified(job.key, "")  # what came is not proved by what was there
        reasons = [rejection(job)] if job.rejected else []
        reasons += [*unmended(context, job, edited), *kept]
        if reasons:
            return RowResult(row, Outcome.PARTIAL, " ".join(reasons))
        return RowResult(row, outcome)

    def _write_variables(self, job: SessionJob) -> bool:
        """Fill in the session's variables, and tell whether any; what the server has stays."""
        assert job.existing is not None
        client, row = self._tools.client, job.row
        there = variables_in(read_item(client, job.existing.path))
        filled = {
            name: value for name, value in row.variables.items() if value and not there.get(name)
        }
        parts = ("projects", row.project, "subjects", job.existing.subject)
        path = data_path(*parts, "experiments", job.existing.label)
        write_values(client, path, job.existing.xsi_type, filled)
        form = self._forms[row.project].get(job.existing.xsi_type, "")
        if form:
            item = form_item(*parts, "experiments", job.existing.label)
            write_form(client, item, form, {k: v for k, v in row.variables.items() if v})
        return bool(filled)

    def send_raw(self, items: list[RawItem]) -> None:
        """Send scanner data into the project."""
        projects = list(dict.fromkeys(row.project for row in self._plan.rows if row.include))
        if not items:
            return
        try:
            if len(projects) != 1:
                raise WrongCallError(
                    "Scanner data goes into one project, and this plan names several.",
                    hint="Upload each project's data with a plan of its own.",
                )
            send_raw(self._tools, projects[0], items)
        except XnatPicError as fault:
            error = fault
            if isinstance(fault, MissingError):  # its own words name no project
                error = RowError("project-missing", missing_project(projects[0]))
            self._tools.journal.add_event("", "problem", error.sentence())
            self.result.problems.append(error)

    def _fail(self, row: PlanRow, error: XnatPicError) -> None:
        message = error.sentence()
        outcome = Outcome.FAILED
        if isinstance(error, CancelledError):
            outcome = Outcome.STOPPED
        else:
            self._tools.journal.set_problem(row.key, message)
        if isinstance(error, LoginError):
            # Nobody can go on without a login: the other sessions stop, too.
            self._tools.control.cancel()
        self._end(RowResult(row, outcome, message, error))

    def _end(self, result: RowResult) -> None:
        if result.outcome is Outcome.FAILED and result.error is None:
            self._tools.journal.set_problem(result.row.key, result.reason)
        self.result.rows.append(result)
        if self._on_row is not None:
            self._on_row(result)


def _clear_leftover(context: UploadContext, job: SessionJob) -> None:
    """Remove a session of ours that waits in the prearchive though the archive has all of it."""
    entry = context.journal.session(job.key)
    if entry is None or not (entry.prearchive or entry.sending):
        return
    found = find_own_session(context, job)
    if found is not None:
        try:
            context.client.send("DELETE", found.path)
        except RefusedError as refusal:
            if refusal.status != 404:
                raise
    context.journal.set_prearchive(job.key, "")


def _set_states(context: UploadContext, job: SessionJob) -> None:
    states = context.journal.states(job.key)
    uids = [
        one.uid
        for one in job.payload.series
        if states.get(one.uid) is not SeriesState.VERIFIED
        and not job.rejected.intersection(one.instances)
    ]
    context.journal.set_state(job.key, uids, SeriesState.ARCHIVED)
