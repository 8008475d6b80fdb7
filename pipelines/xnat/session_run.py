"""One pipeline on one session: find the scans, download, run, upload."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import RefusedError
from xnat_pic.errors import (
    NothingUsableError,
    WrongCallError,
    XnatPicError,
    describe,
    exit_code_of,
)
from xnat_pic.files import check_writable
from xnat_pic.text import counted

from ..catalog import Pipeline
from ..outputs.nifti import jsonable
from .client import Access, RunClient
from .find import Session, read_session
from .log import Log
from .outcome import IN_PART, RunResult, SessionOutcome
from .parameters import MASK_AVERAGE, RunParameters, parse_parameters
from .run_context import Cancel, Progress, RunContext
from .store import ResultLocation, make_resource, put_file

SUMMARY = "XNAT_PIC_SUMMARY"
_PARTS = ("RAW", "PROCESSED")
_MARK = ".xnat-pic-work"
_TOKEN = 16  # letters of an alias, at least


def run_session(
    access: Access,
    pipeline: str | Pipeline,
    experiment_id: str,
    parameters: Mapping[str, str],
    work: Path,
    *,
    cancel: Cancel = lambda: False,
    report: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda share, doing: None,
) -> SessionOutcome:
    """Run a pipeline on a session; a failure is in the outcome, not raised.

    Parameters
    ----------
    access : Access
        The server.
    pipeline : str or Pipeline
        Of the catalog, such as ``process_T2``. One of the level ``project`` stores its results
        with the subject, in folders by session and scan; another with the scan, and with the
        session a summary and the log.
    experiment_id : str
        ID of the session.
    parameters : mapping of str to str
        Inputs of the catalog by name; an empty value means not given.
    work : Path
        Folder for this session alone; what is made in it is removed when all went well, and kept
        on a failure. One that holds the files of somebody else is refused.
    cancel : callable
        Called between the parts; True ends the run with what there is.
    report : callable
        Called with every line of the log.
    progress : callable
        Called with the share that is done, 0 to 1, and what is done now.

    Returns
    -------
    SessionOutcome
    """
    result = RunResult()
    try:
        _claim_folder(work)
        # The alias of a token is masked too; the short name of a person is no secret.
        alias = access.alias if len(access.alias) >= _TOKEN else ""
        log = Log(work / "LOGS" / "log.txt", (alias, access.secret), report)
    except (XnatPicError, OSError) as error:
        code, failure = exit_code_of(error), describe(error)
        return SessionOutcome(experiment_id, exit_code=code, failure=failure, broken=True)
    session: Session | None = None
    run_parameters: RunParameters | None = None
    code, failure = 0, ""
    try:
        run_parameters = parse_parameters(pipeline, parameters)
        with RunClient(access) as client:
            session = read_session(client, experiment_id)
            log.add(f"{run_parameters.pipeline.name} on {session.label} of {session.subject}")
            run = RunContext(client, run_parameters, session, work, log, result, cancel, progress)
            if not run_parameters.per_subject:
                _check_right(run)
            code, failure = _run_step(run)
            failure = log.masked(failure)
            log.add(failure or f"Done: {result.results} made, {result.found} there already.")
            if not run_parameters.per_subject:
                _store_summary(client, run, code, failure)
    except (XnatPicError, OSError) as error:
        code, failure = _verdict_after(result, error)
        failure = log.masked(failure)
        log.add(failure)
    outcome = _outcome(experiment_id, session, run_parameters, result, code, failure)
    if code == 0:
        for part in (*_PARTS, "LOGS"):
            _remove(work / part)
        with suppress(OSError):
            (work / _MARK).unlink()
            work.rmdir()  # where nothing else is in it
    return outcome


def _claim_folder(work: Path) -> None:
    """Empty what an earlier run left in a folder, and mark the folder as one of runs.

    Raises
    ------
    WrongCallError
        Where there is something that no run made.
    OutputError
        Where nothing can be written.
    """
    check_writable(work)
    parts = [work / part for part in (*_PARTS, "LOGS")]
    ours = (work / _MARK).is_file()
    for part in parts:
        if part.is_symlink() or (not ours and part.exists() and not _is_empty(part)):
            raise WrongCallError(
                f"{work} holds {part.name}, which no run made there.",
                hint="Name another folder to work in.",
            )
    if not ours:
        (work / _MARK).touch()
    for part in parts[:-1]:
        _remove(part)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None


def _run_step(run: RunContext) -> tuple[int, str]:
    """Run the pipeline and return exit code and sentence of failure."""
    try:
        if run.run_parameters.command == MASK_AVERAGE:
            from .regions_step import measure_all

            measure_all(run)
            nothing = f"Nothing in {run.session.label} could be measured."
        else:
            from .maps_step import make_all

            make_all(run)
            nothing = (
                f"{run.session.label} has no scan that serves {run.run_parameters.pipeline.name} "
                f"({run.run_parameters.pipeline.description})."
            )
    except (XnatPicError, OSError) as error:
        return _verdict_after(run.result, error)
    return run.result.verdict(nothing)


def _verdict_after(result: RunResult, error: Exception) -> tuple[int, str]:
    """Return exit code and sentence after a fault that ended the run."""
    if result.results + result.found:
        result.faults.append(error)
        return result.verdict("")
    return exit_code_of(error), describe(error)


def _outcome(
    experiment_id: str,
    session: Session | None,
    run_parameters: RunParameters | None,
    result: RunResult,
    code: int,
    failure: str,
) -> SessionOutcome:
    return SessionOutcome(
        experiment_id=session.id if session else experiment_id,
        label=session.label if session else "",
        subject=session.subject if session else "",
        exit_code=code,
        maps=tuple(result.maps),
        statistics=tuple(result.statistics),
        warnings=tuple(dict.fromkeys(result.notes)),
        failure=failure,
        skipped=code == 0 and result.found > 0 and not result.results,
        parameters=run_parameters.key if run_parameters else "",
        seconds=dict(result.seconds),
        broken=bool(result.faults) or code not in (0, IN_PART, NothingUsableError.exit_code),
        closing=failure
        or f"{counted(result.results, 'result', 'results')} made, {result.found} there already: "
        f"{', '.join(_places(result)) or 'none'}.",
    )


def _places(result: RunResult) -> list[str]:
    """Return where the results of a run lie, each once."""
    rows = [*result.maps, *result.statistics]
    return list(dict.fromkeys(f"scan {one['scan']}, {one['resource']}" for one in rows))


def _check_right(run: RunContext) -> None:
    """Make the resource of the summary, before anything is computed that could not be stored.

    A summary that cannot be stored is no fault of a run: the results' resource decides.

    Raises
    ------
    RefusedError
        Where the user may read the session and not write into it.
    ServerError, LoginError
    """
    try:
        with suppress(XnatPicError):
            make_resource(run.client, ResultLocation(run.session.address, SUMMARY, ""))
            return
        for scan in run.session.scans[:1]:
            make_resource(run.client, run.location(scan, ""))
    except RefusedError as refusal:
        if refusal.status != 403:
            raise
        raise RefusedError(
            f"Results cannot be stored: whoever started the run may read {run.session.label}, and "
            f"not write into the project {run.session.project}.",
            hint="Ask an owner of the project to make them a member, then start again.",
            status=403,
        ) from refusal


def _store_summary(client: XnatClient, run: RunContext, code: int, failure: str) -> None:
    """Store log and summary with the session; a fault of this alone is no fault of the run."""
    outcome = _outcome(run.session.id, run.session, run.run_parameters, run.result, code, failure)
    folder = f"{run.run_parameters.pipeline.name}-{run.run_parameters.key[:8]}"
    location = ResultLocation(run.session.address, SUMMARY, folder)
    summary = run.folder / "LOGS" / "summary.json"
    content = jsonable({**asdict(outcome), "inputs": dict(run.run_parameters.values)})
    text = run.log.masked(json.dumps(content, ensure_ascii=False))
    summary.write_text(text + "\n", encoding="utf-8", newline="\n")
    try:
        make_resource(client, location)
        put_file(client, location, summary.name, summary)
        put_file(client, location, run.log.path.name, run.log.path)
    except (XnatPicError, OSError) as error:
        run.log.add(f"The summary could not be stored: {describe(error)}")


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
