"""One pipeline on one session: find the scans, download, run, upload."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from xnat_config.server.client import XnatClient
from xnat_pic.errors import WrongCallError, XnatPicError, describe, exit_code_of

from ..catalog import Pipeline
from ..outputs.nifti import jsonable
from .client import Access, RunClient
from .find import Session, read_session
from .log import Log
from .outcome import Made, SessionOutcome
from .parameters import MASK_AVERAGE, Asked, ask
from .store import Place, make_resource, put_file
from .work import Cancel, Work

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
    say: Callable[[str], None] = lambda _: None,
) -> SessionOutcome:
    """Run a pipeline on a session; a failure is told in the outcome, not raised.

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
        Asked between the parts; True ends the run with what there is.
    say : callable
        Told every line of the log.

    Returns
    -------
    SessionOutcome
    """
    made = Made()
    try:
        _take(work)
        # The alias of a token is masked too; the short name of a person is no secret.
        alias = access.alias if len(access.alias) >= _TOKEN else ""
        log = Log(work / "LOGS" / "log.txt", (alias, access.secret), say)
    except (XnatPicError, OSError) as error:
        return SessionOutcome(experiment_id, exit_code=exit_code_of(error), failure=describe(error))
    session: Session | None = None
    asked: Asked | None = None
    code, failure = 0, ""
    try:
        asked = ask(pipeline, parameters)
        with RunClient(access) as client:
            session = read_session(client, experiment_id)
            log.say(f"{asked.pipeline.name} on {session.label} of {session.subject}")
            task = Work(client, asked, session, work, log, made, cancel)
            code, failure = _do(task)
            failure = log.clean(failure)
            log.say(failure or f"Done: {made.results} made, {made.found} there already.")
            if not asked.per_subject:
                _tell(client, task, code, failure)
    except (XnatPicError, OSError) as error:
        code, failure = _stopped(made, error)
        failure = log.clean(failure)
        log.say(failure)
    outcome = _outcome(experiment_id, session, asked, made, code, failure)
    if code == 0:
        for part in (*_PARTS, "LOGS"):
            _remove(work / part)
        with suppress(OSError):
            (work / _MARK).unlink()
            work.rmdir()  # where nothing else is in it
    return outcome


def _take(work: Path) -> None:
    """Empty what an earlier run left in a folder, and mark the folder as one of runs.

    Raises
    ------
    WrongCallError
        Where there is something that no run made.
    """
    parts = [work / part for part in (*_PARTS, "LOGS")]
    ours = (work / _MARK).is_file()
    for part in parts:
        if part.is_symlink() or (not ours and part.exists() and not _is_empty(part)):
            raise WrongCallError(
                f"{work} holds {part.name}, which no run made there.",
                hint="Name another folder to work in.",
            )
    if not ours:
        work.mkdir(parents=True, exist_ok=True)
        (work / _MARK).touch()
    for part in parts[:-1]:
        _remove(part)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is None


def _do(work: Work) -> tuple[int, str]:
    """Run the pipeline and return exit code and sentence of failure."""
    try:
        if work.asked.command == MASK_AVERAGE:
            from .regions_step import measure_all

            measure_all(work)
            nothing = f"Nothing in {work.session.label} could be measured."
        else:
            from .maps_step import make_all

            make_all(work)
            nothing = (
                f"{work.session.label} has no scan that serves {work.asked.pipeline.name} "
                f"({work.asked.pipeline.description})."
            )
    except (XnatPicError, OSError) as error:
        return _stopped(work.made, error)
    return work.made.verdict(nothing)


def _stopped(made: Made, error: Exception) -> tuple[int, str]:
    """Return exit code and sentence after a fault that ended the run."""
    if made.results + made.found:
        made.faults.append(error)
        return made.verdict("")
    return exit_code_of(error), describe(error)


def _outcome(
    experiment_id: str,
    session: Session | None,
    asked: Asked | None,
    made: Made,
    code: int,
    failure: str,
) -> SessionOutcome:
    return SessionOutcome(
        experiment_id=session.id if session else experiment_id,
        label=session.label if session else "",
        subject=session.subject if session else "",
        exit_code=code,
        maps=tuple(made.maps),
        statistics=tuple(made.statistics),
        warnings=tuple(dict.fromkeys(made.notes)),
        failure=failure,
        skipped=code == 0 and made.found > 0 and not made.results,
        parameters=asked.key if asked else "",
        seconds=dict(made.seconds),
    )


def _tell(client: XnatClient, work: Work, code: int, failure: str) -> None:
    """Store log and summary with the session; a fault of this alone is no fault of the run."""
    outcome = _outcome(work.session.id, work.session, work.asked, work.made, code, failure)
    folder = f"{work.asked.pipeline.name}-{work.asked.key[:8]}"
    place = Place(work.session.address, SUMMARY, folder)
    summary = work.folder / "LOGS" / "summary.json"
    content = jsonable({**asdict(outcome), "inputs": dict(work.asked.values)})
    text = work.log.clean(json.dumps(content, ensure_ascii=False))
    summary.write_text(text + "\n", encoding="utf-8", newline="\n")
    try:
        make_resource(client, place)
        put_file(client, place, summary.name, summary)
        put_file(client, place, work.log.path.name, work.log.path)
    except (XnatPicError, OSError) as error:
        work.log.say(f"The summary could not be stored: {describe(error)}")


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
