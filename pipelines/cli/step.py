"""The commands ``xnat-pic-pipelines step`` (for an engine) and ``run`` (for a person)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_config.server.options import server_options
from xnat_pic.cli import PATH, STOPPED, echo_json, exit_code_help, json_option, version_option

from ..catalog import Input, load_catalog
from .parts import PROGRAM, check_project, echo_line, end_on_error, exit_with, person_access

if TYPE_CHECKING:
    from ..project.outcome import ProjectOutcome
    from ..xnat.client import Access
    from ..xnat.outcome import SessionOutcome
    from ..xnat.run_record import Started

EXIT_CODES = exit_code_help(
    {
        0: "all done, or done before with the same images and parameters",
        2: "wrong call",
        3: "nothing to work on: no scan, map or ROI that serves",
        4: "corrupt input",
        5: "the server does not take the login",
        6: "the server refuses or does not answer",
        8: "done in part; the sentence names what is missing",
        130: "stopped",
    }
)
_HOST, _USER, _PASS = "XNAT_HOST", "XNAT_USER", "XNAT_PASS"
_WORKFLOW = "XNAT_WORKFLOW_ID"  # of the Container Service
_SECRET = "********"


def _inputs() -> dict[str, list[Input]]:
    """Return every input of the catalog by name; pipelines may mean different things by one."""
    found: dict[str, list[Input]] = {}
    for pipe in load_catalog().pipelines:
        for one in pipe.inputs:
            known = found.setdefault(one.name, [])
            if one.help not in [two.help for two in known]:
                known.append(one)
    return found


def _with_inputs(function: Callable[..., None]) -> Callable[..., None]:
    for name, inputs in reversed(_inputs().items()):
        text = " | ".join(one.help for one in inputs)
        option = click.option(inputs[0].option, name, default="", metavar="VALUE", help=text)
        function = option(function)
    return function


@click.command("step", epilog=EXIT_CODES)
@click.argument("pipeline")
@click.option("--host", default="", help=f"Address of the server.  [default: {_HOST}]")
@click.option("--alias", default="", help=f"Alias of the token.  [default: {_USER}]")
@click.option("--secret", default="", help=f"Secret of the token.  [default: {_PASS}]")
@click.option("--project", required=True, callback=check_project, help="Project of the session.")
@click.option("--session", default="", help="ID of the session.")
@click.option("--label", default="", help="Label of the session, for the log.")
@click.option(
    "--workflow",
    default="",
    help=f"Number of XNAT's record of the run, told how far it is.  [default: {_WORKFLOW}]",
)
@click.option("--mail-to", default="", help="Who is told by XNAT's mail that the run is done.")
@click.option("--workdir", type=PATH, required=True, help="Folder to work in.")
@json_option
@version_option(PROGRAM)
@_with_inputs
def step(
    pipeline: str,
    host: str,
    alias: str,
    secret: str,
    project: str,
    session: str,
    label: str,
    workflow: str,
    mail_to: str,
    workdir: Path,
    as_json: bool,
    **inputs: str,
) -> None:
    """Run PIPELINE on a session, as the pipeline engine and containers call it.

    The login is a short-lived token, never a person's password. A run that did all it could and
    left something out ends with 0 and says so: an engine knows success and failure alone.
    """
    sys.argv = _without_secret(sys.argv, secret)
    alias, secret = alias or os.environ.get(_USER, ""), secret or os.environ.get(_PASS, "")
    host = host or os.environ.get(_HOST, "")
    if not host or not alias or not secret:
        exit_with(f"Address and token are missing: give them, or set {_HOST}, {_USER}, {_PASS}.", 2)
    with end_on_error():
        _refuse_token(inputs, (alias, secret))
        access = _token_access(host, alias, secret)
        if label:
            echo_line(f"{pipeline}: session {label} of project {project}")
        from ..xnat.run_record import Started

        started = Started(
            workflow=workflow or os.environ.get(_WORKFLOW, ""),
            mail_to=mail_to,
            by_engine=bool(workflow or mail_to),
        )
        call = _Call(access, pipeline, project, session, inputs, workdir)
        outcome = _run_recorded(call, started, label or session or project)
        if as_json:
            _echo_outcome(outcome)
        if outcome.is_warning:
            echo_line(f"{PROGRAM}: done, with a warning. {outcome.failure}")
        else:
            _end(outcome, workdir)


@click.command("run", epilog=EXIT_CODES)
@click.argument("pipeline", metavar="NAME")
@server_options
@click.option("--project", required=True, callback=check_project, help="Project.")
@click.option("--session", default="", help="Label or ID of the session.")
@click.option(
    "--workdir", type=PATH, help="Folder to work in, kept on a failure.  [default: temporary]"
)
@json_option
@_with_inputs
def run_command(
    pipeline: str,
    server: str,
    user: str,
    ca_bundle: Path | None,
    project: str,
    session: str,
    workdir: Path | None,
    as_json: bool,
    **inputs: str,
) -> None:
    """Run the pipeline NAME on a session, or one for projects on all of them.

    The password is that of XNAT_PIC_PASSWORD, or is asked for.
    """
    with end_on_error():
        access = person_access(server, user, ca_bundle)
        if session:
            from ..xnat.client import RunClient
            from ..xnat.find import session_id

            with RunClient(access) as client:
                session = session_id(client, project, session)
        own = workdir is None
        workdir = workdir or Path(tempfile.mkdtemp(prefix="xnat-pic-"))
        outcome = _run(_Call(access, pipeline, project, session, inputs, workdir))
        if as_json:
            _echo_outcome(outcome)
        _end(outcome, workdir)
    if own:
        shutil.rmtree(workdir, ignore_errors=True)


def _token_access(host: str, alias: str, secret: str) -> Access:
    """Return access by the token that an engine or a container was given."""
    from xnat_config.server.certificates import trusted_bundle
    from xnat_config.server.connection import normal_address

    from ..xnat.client import Access

    return Access(normal_address(host), alias, secret, trusted_bundle())


def _refuse_token(inputs: dict[str, str], token: tuple[str, str]) -> None:
    """Refuse values that hold the run's token, before anything is said of them.

    The classic engine evaluates launch parameters between ``^`` marks, in which the token can be
    named; a result would keep it.
    """
    from xnat_pic.errors import WrongCallError

    for name, value in inputs.items():
        if any(part and part in value for part in token):
            raise WrongCallError(
                f"The value for {name} holds the token of this run: it was an expression between"
                " ^ marks.",
                hint="Start it again with a plain value.",
            )


def _without_secret(words: list[str], secret: str) -> list[str]:
    """Return the words of the call as results may hold them."""
    return [word.replace(secret, _SECRET) if secret else word for word in words]


@dataclass(frozen=True)
class _Call:
    """What runs on what, where."""

    access: Access
    pipeline: str
    project: str
    session: str
    inputs: dict[str, str]
    workdir: Path


def _run_recorded(call: _Call, started: Started, label: str) -> SessionOutcome | ProjectOutcome:
    """Run, and tell the server how far it is and how it ended."""
    from xnat_pic.errors import XnatPicError, describe

    from ..xnat.run_record import RunRecord, end_dead_runs

    record = RunRecord(call.access, started, echo_line)
    if started.by_engine:
        end_dead_runs(call.access, call.pipeline, call.session, started.workflow, echo_line)
    try:
        with record:
            outcome = _run(call, record.progress)
    except (XnatPicError, OSError) as error:
        record.close("", "", describe(error), failed=True)
        raise
    except SystemExit as end:
        if end.code == STOPPED:
            record.close("", "", "It was stopped; start it again to do the rest.", failed=True)
        raise
    failed = bool(outcome.exit_code) and not outcome.is_warning
    how = "done, with a warning" if outcome.is_warning else "done"
    text = "\n".join(
        [
            outcome.closing,
            *([outcome.failure] if outcome.failure not in outcome.closing else []),
            *(f"- {one}" for one in outcome.warnings),
        ]
    )
    record.close(f"{call.pipeline} on {label}: {how}", text, outcome.failure, failed=failed)
    return outcome


def _run(
    call: _Call, tell: Callable[[float, str], None] = lambda share, doing: None
) -> SessionOutcome | ProjectOutcome:
    """Run and return what came out.

    Raises
    ------
    WrongCallError
        Where there is no such pipeline, or it needs a session.
    """
    from xnat_pic.errors import WrongCallError

    from ..xnat.parameters import find_pipeline

    parameters = {name: value for name, value in call.inputs.items() if value.strip()}
    named = find_pipeline(call.pipeline)
    if named.level == "session" and not call.session:
        raise WrongCallError(
            f"{call.pipeline} works on one session.",
            hint=f"Name it with --session, or run {call.pipeline}_project.",
        )
    try:
        if named.level == "project":
            outcome: SessionOutcome | ProjectOutcome = _run_project()(
                call.access,
                call.pipeline,
                call.project,
                parameters,
                call.workdir,
                report=echo_line,
                progress=lambda done, total, last: tell(
                    done / total, f"{done} of {total} sessions, the last {last.label}"
                ),
            )
        else:
            from ..xnat.session_run import run_session

            outcome = run_session(
                call.access,
                named,
                call.session,
                parameters,
                call.workdir,
                report=echo_line,
                progress=tell,
            )
    except KeyboardInterrupt:
        exit_with(f"stopped; run it again to do the rest. Work folder: {call.workdir}", STOPPED)
    return outcome


def _echo_outcome(outcome: SessionOutcome | ProjectOutcome) -> None:
    from ..outputs.nifti import jsonable

    echo_json(jsonable(asdict(outcome)))


def _end(outcome: SessionOutcome | ProjectOutcome, workdir: Path) -> None:
    """End with the documented status, where not all is done."""
    if outcome.exit_code:
        with suppress(OSError):  # a folder that may not be looked at
            if workdir.is_dir():
                echo_line(f"The work folder is kept: {workdir}")
        exit_with(outcome.failure, outcome.exit_code)


def _run_project() -> Any:
    """Return what runs a pipeline on a whole project; it comes with the scheduler of jobs."""
    try:
        from ..project import run_project
    except ModuleNotFoundError as error:
        exit_with(f"Runs on whole projects are not installed here ({error.name} is missing).", 2)
    return run_project
