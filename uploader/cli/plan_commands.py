"""The commands of ``xnat-pic-uploader`` that speak with a server about a plan."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnat_config.server.options import server_options
from xnat_pic.cli import PATH, echo_json, json_option
from xnat_pic.text import counted

from .options import (
    CODES,
    PLAN,
    SITE,
    deidentification_options,
    load_plan,
    refuse_empty,
    run,
)

if TYPE_CHECKING:
    from xnat_config.server.client import XnatClient

    from ..planning.journal import Journal
    from ..planning.plan import Plan


def _journal_of(path: Path) -> AbstractContextManager[Journal | None]:
    """Open the journal of a plan where there is one."""
    from ..planning.journal import Journal, journal_path

    place = journal_path(path)
    return Journal(place) if place.is_file() else nullcontext()


def _empty_subjects(plan: Plan, client: XnatClient, journal: Journal) -> list[str]:
    """Return what an upload of the plan made by mistake, and left without a session."""
    from ..server.ownership import empty_subjects

    planned = {row.subject.casefold() for row in plan.rows if row.include}
    made = {event.text for event in journal.events("made")}
    projects = dict.fromkeys(row.project for row in plan.rows if row.include)
    return empty_subjects(client, projects, planned, made)


@click.command("check", epilog=CODES)
@PLAN
@server_options
@SITE
@click.option("--create-project", is_flag=True, help="A missing project is no fault.")
@deidentification_options
@json_option
def check_command(
    plan_path: Path,
    site: Path | None,
    create_project: bool,
    anonymise: bool,
    map_uids: bool,
    map_uids_with: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare PLAN with the server, reading only; bad rows are listed with what to do."""

    def work() -> int:
        from xnat_config import load_config

        from ..deidentification.mode import DeidentificationMode, load_deidentifier
        from ..verification.plan_check import check
        from . import display, server_access

        mode = DeidentificationMode(anonymise, map_uids, map_uids_with)
        config = load_config(site)
        plan = load_plan(plan_path, config)
        with _journal_of(plan_path) as journal, server_access.open_client(**options) as client:
            rows = check(
                plan,
                client,
                config,
                journal=journal,
                deidentifier=load_deidentifier(plan_path, journal, mode if anonymise else None),
                create_project=create_project,
            )
            left = _empty_subjects(plan, client, journal) if journal else []
        if as_json:
            echo_json([display.check_as_json(one) for one in rows])
        display.print_checks(rows)
        display.print_warnings(left)
        return 8 if any(one.has_errors for one in rows) else 0

    run(work)


@click.command("upload", epilog=CODES)
@PLAN
@server_options
@SITE
@click.option(
    "--jobs", type=click.IntRange(1, 16), default=4, show_default=True, help="Sessions at a time."
)
@click.option("--direct-archive", is_flag=True, help="Send past the prearchive (XNAT 1.8.3 on).")
@click.option("--raw", type=PATH, help="Scanner data to keep as a resource of the project.")
@click.option(
    "--create-project", is_flag=True, help="Make the project, and define the variables it lacks."
)
@click.option(
    "--repair",
    is_flag=True,
    help="Replace files on the server that verify found to be others by those on the disk.",
)
@deidentification_options
@json_option
def upload_command(
    plan_path: Path,
    site: Path | None,
    anonymise: bool,
    map_uids: bool,
    map_uids_with: Path | None,
    as_json: bool,
    jobs: int,
    direct_archive: bool,
    raw: Path | None,
    create_project: bool,
    repair: bool,
    **options: Any,
) -> None:
    """Send PLAN: what is there stays, what is missing is sent. May be stopped and run again."""

    def work() -> int:
        from xnat_config import load_config

        from ..control import RunControl
        from ..deidentification.mode import DeidentificationMode, load_deidentifier
        from ..planning.journal import Journal, journal_path
        from ..transfer.jobs import UploadOptions
        from ..transfer.plan_upload import upload
        from . import display, server_access

        mode = DeidentificationMode(anonymise, map_uids, map_uids_with)
        config = load_config(site)
        plan = load_plan(plan_path, config)
        control = RunControl()
        with (
            Journal(journal_path(plan_path)) as journal,
            server_access.open_client(**options, sleep=control.sleep) as client,
            display.UploadProgressBar() as bar,
        ):
            deidentifier = load_deidentifier(plan_path, journal, mode, record=True)
            settings = UploadOptions(
                jobs, direct_archive, create_project, raw, repair=repair, deidentifier=deidentifier
            )
            send = partial(upload, control=control, on_progress=bar.update, on_row=bar.row)
            result = send(plan, client, journal, config, settings)
        if as_json:
            echo_json(display.upload_as_json(result))
        display.print_upload(result)
        return result.exit_code

    run(work)


@click.command("verify", epilog=CODES)
@PLAN
@server_options
@SITE
@click.option(
    "--level",
    type=click.Choice(["listed", "sized", "digest", "pixels"]),
    default="digest",
    show_default=True,
    help="What to prove of every file: that the server lists it; with the right size; with the MD5 "
    "of what was sent, which the server computes anew; or by reading all of them.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    help="Fetch so many files of a session only, where the listing is no proof.",
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="XNAT was to rewrite files after they arrived, as where a session is relabelled: with "
    "equal pixels, what it has now counts.",
)
@json_option
def verify_command(
    plan_path: Path,
    site: Path | None,
    level: str,
    sample: int | None,
    accept_changes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Prove that everything in PLAN is on the server, unchanged, and nothing twice.

    The server computes its checksums anew. Where it rewrote files, they are fetched and their
    decoded pixels are compared. Exit code 0 only where all that --level asks for holds.
    """

    def work() -> int:
        from xnat_config import load_config

        from ..deidentification.mode import load_deidentifier
        from ..planning.journal import Journal, journal_path
        from ..verification.levels import ProofLevel
        from ..verification.session_verification import VerifyOptions, verify
        from ..verification.side_file_check import verify_uploads
        from . import display, server_access

        asked = ProofLevel(level)
        config = load_config(site)
        plan = load_plan(plan_path, config)
        refuse_empty(plan, plan_path)
        with (
            Journal(journal_path(plan_path)) as journal,
            server_access.open_client(**options) as client,
            display.UploadProgressBar() as bar,
        ):
            verifications = verify(
                plan,
                client,
                config,
                journal,
                deidentifier=load_deidentifier(plan_path, journal),
                options=VerifyOptions(asked, sample or 0, accept_changes),
                on_progress=bar.update,
            )
            problems, uploads = verify_uploads(client, journal, asked), len(journal.uploads())
            left = _empty_subjects(plan, client, journal)
        if as_json:
            rows = [display.verification_as_json(one) for one in verifications]
            echo_json({"level": level, "rows": rows, "problems": problems})
        display.print_verifications(verifications, problems, uploads, asked)
        display.print_warnings(left)
        return 8 if problems or not all(one.is_proved for one in verifications) else 0

    run(work)


@click.command("report", epilog=CODES)
@PLAN
@click.option("-o", "--output", type=PATH, help="The page, .html.  [default: PLAN.report.html]")
def report_command(plan_path: Path, output: Path | None) -> None:
    """Write what the journal of PLAN knows as a page, and as a table beside it."""

    def work() -> int:
        from xnat_pic.errors import WrongCallError
        from xnat_pic.files import file_digest

        from ..errors import PlanError
        from ..planning.plan_files import read_plan
        from ..reports.report import write_report

        page = output or plan_path.with_name(plan_path.name + ".report.html")
        if page.suffix.lower() not in (".html", ".htm"):
            raise WrongCallError("The report is a page.", hint="Name it with the ending .html.")
        if page.with_suffix(".csv").resolve() == plan_path.resolve():
            raise WrongCallError(
                f"The table beside {page.name} would take the place of the plan.",
                hint=f"Name the page otherwise, such as {page.stem}.report.html.",
            )
        plan = read_plan(plan_path)
        with _journal_of(plan_path) as journal:
            if journal is None:
                raise PlanError(
                    f"{plan_path} has no journal: nothing was uploaded with it.",
                    path=plan_path,
                    hint="Run upload first.",
                )
            for path in write_report(plan, journal, page):
                click.echo(f"Written: {path} (SHA-256 {file_digest(path)})", err=True)
        return 0

    run(work)


@click.command("set-variables", epilog=CODES)
@PLAN
@server_options
@SITE
@click.option("--clear-empty", is_flag=True, help="Remove values whose cell in PLAN is empty.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def set_variables_command(
    plan_path: Path, site: Path | None, clear_empty: bool, yes: bool, as_json: bool, **options: Any
) -> None:
    """Correct group, timepoint, dose on the server as PLAN has them; shows old and new first."""

    def work() -> int:
        from xnat_config import load_config

        from ..deidentification.mode import load_deidentifier
        from ..planning.journal import Journal, journal_path
        from ..transfer.variable_changes import apply_changes, find_changes
        from . import display, server_access

        config = load_config(site)
        plan = load_plan(plan_path, config)
        with _journal_of(plan_path) as journal:
            deidentifier = load_deidentifier(plan_path, journal)
        with server_access.open_client(**options) as client:
            found = find_changes(
                plan, client, config, clear_empty=clear_empty, deidentifier=deidentifier
            )
            if as_json:
                echo_json([display.change_as_json(one) for one in found.changes])
            display.print_changes(found)
            code = 8 if found.absent or found.refused else 0
            if not found.changes:
                return code
            if not yes and not click.confirm("Write these values?", err=True):
                click.echo("Nothing was written.", err=True)
                return 8
            with Journal(journal_path(plan_path)) as journal:
                count = apply_changes(client, config, found.changes, journal)
        click.echo(f"{counted(count, 'value', 'values')} written.", err=True)
        return code

    run(work)
