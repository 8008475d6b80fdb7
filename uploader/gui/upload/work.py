"""What the upload page lets run beside the window. Calls the uploader's functions; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xnat_config import SiteConfig, load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.retry import RetryPolicy

from ...control import Control
from ...deidentification.mode import Way, find_disguise
from ...errors import PlanError
from ...planning.journal import Journal, journal_path
from ...planning.plan import Plan
from ...planning.plan_building import AUTO, build_plan, check_plan, with_sessions
from ...planning.plan_files import companions, read_plan, write_plan
from ...reports.report import write_report
from ...scanning.folder_scan import Scan, scan_folder
from ...transfer.jobs import Options
from ...transfer.plan_upload import UploadResult, upload
from ...verification.plan_check import RowCheck, check
from ...verification.session_verification import RowProof, verify, verify_uploads
from ..child import Call
from ..collector import sparing
from .logins import Account

_RETRY = RetryPolicy()
_PREVIEWED = 400


@dataclass(frozen=True)
class Opened:
    """A plan in hand: nobody else has it while its journal is open.

    Attributes
    ----------
    states : dict
        What the journal says of each row by its key: ``verified``, ``archived``, ``problem``.
    """

    path: Path
    plan: Plan
    journal: Journal
    config: SiteConfig
    states: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Choices:
    """How to upload.

    Attributes
    ----------
    raw : Path, optional
        Scanner data to keep in the project.
    """

    create_project: bool = False
    anonymise: bool = False
    map_uids: bool = False
    direct: bool = False
    raw: Path | None = None


def site() -> SiteConfig:
    """Return the site's settings.

    Raises
    ------
    WrongCallError
        If they cannot be understood.
    """
    return load_config()


def read_folder(call: Call, folder: Path, config: SiteConfig) -> Scan:
    """Read the headers in a folder; reports (files read, files in all)."""
    aside = [*companions(plan_for(folder)), *companions(free_name(folder))]
    return scan_folder(
        folder,
        config,
        on_read=sparing(call.report),
        cancelled=call.cancelled,
        leave_out=aside,
    )


def plan_for(folder: Path) -> Path:
    """Return where the plan of a folder is kept: beside it."""
    return folder.with_name(f"{folder.name or 'study'}_plan.csv")


def free_name(folder: Path) -> Path:
    """Return a name for a new plan of a folder; a plan that is there is never replaced."""
    first = path = plan_for(folder)
    number = 2
    while path.exists() and number < 10_000:
        path = first.with_name(f"{first.stem}_{number}.csv")
        number += 1
    return path


def preview(_call: Call, scan: Scan, project: str, config: SiteConfig, layout: str) -> Plan:
    """Return the plan that a layout gives, of the first sessions of a large study."""
    some = replace(scan, sessions=scan.sessions[:_PREVIEWED])
    return build_plan(some, project, config, layout=layout or AUTO)


def make_plan(
    _call: Call, scan: Scan, project: str, config: SiteConfig, layout: str, path: Path
) -> Opened:
    """Write the plan of a folder, and take it in hand."""
    plan = build_plan(scan, project, config, layout=layout or AUTO)
    write_plan(plan, path)
    return Opened(path, plan, _take(path), config, {})


def open_plan(call: Call, path: Path, config: SiteConfig) -> Opened:
    """Take a plan in hand and read its folder again; reports (files read, files in all).

    Raises
    ------
    PlanError
        If another window has it, it is no plan, or its folder is gone.
    """
    plan = read_plan(path)
    if not plan.root.is_dir():
        raise PlanError(
            f"The folder of the plan is not there: {plan.root}.",
            path=path,
            hint="Connect its drive or put the folder back, then open the plan again.",
        )
    journal = _take(path)
    try:
        scan = scan_folder(
            plan.root,
            config,
            on_read=sparing(call.report),
            cancelled=call.cancelled,
            leave_out=companions(path),
        )
        return Opened(path, with_sessions(plan, scan, config), journal, config, _known(journal))
    except BaseException:
        journal.close()
        raise


def _take(path: Path) -> Journal:
    """Open the journal of a plan, which keeps others away from the plan."""
    try:
        return Journal(journal_path(path))
    except PlanError as error:
        if "locked" not in str(error.__cause__):
            raise
        raise PlanError(
            f"The plan {path.name} is open in another window, or is being uploaded.",
            path=path,
            hint="Close it there, then try again.",
        ) from error


def _known(journal: Journal) -> dict[str, tuple[str, str]]:
    known = {}
    for one in journal.sessions():
        if one.verified:
            known[one.row_key] = ("verified", "")
        elif one.problem:
            known[one.row_key] = ("problem", one.problem)
        else:
            states = {state.value for state in journal.states(one.row_key).values()}
            if states and states <= {"archived", "verified"}:
                known[one.row_key] = ("archived", "")
    return known


def recheck(_call: Call, plan: Plan, config: SiteConfig, path: Path) -> Plan:
    """Check rows as they stand now, and keep them in the plan's file."""
    checked = check_plan(plan, config)
    write_plan(checked, path)
    return checked


def compare(
    _call: Call, opened: Opened, plan: Plan, account: Account, control: Control, choices: Choices
) -> list[RowCheck]:
    """Compare rows with the server."""
    way = _way(choices)
    with _client(account, control) as client:
        return check(
            check_plan(plan, opened.config),
            client,
            opened.config,
            journal=opened.journal,
            disguise=find_disguise(opened.path, opened.journal, way if way.anonymise else None),
            create_project=choices.create_project,
        )


def send(
    call: Call,
    opened: Opened,
    plan: Plan,
    account: Account,
    control: Control,
    choices: Choices,
    keys: Sequence[str],
) -> UploadResult:
    """Upload some rows of a plan; reports `Progress`, ("begin", row) and ("end", `RowResult`)."""
    with _client(account, control) as client:
        options = Options(
            direct_archive=choices.direct,
            create_project=choices.create_project,
            raw=choices.raw,
            disguise=find_disguise(opened.path, opened.journal, _way(choices), keep=True),
        )
        return upload(
            only(check_plan(plan, opened.config), keys),
            client,
            opened.journal,
            opened.config,
            options,
            control=control,
            on_progress=_stopping(call, control),
            on_start=lambda row: call.report(("begin", row)),
            on_row=lambda result: call.report(("end", result)),
        )


def prove(
    call: Call, opened: Opened, plan: Plan, account: Account, control: Control
) -> tuple[list[RowProof], list[str]]:
    """Verify rows; return their proofs and what is wrong with files beside the images."""
    with _client(account, control) as client:
        proofs = verify(
            plan,
            client,
            opened.config,
            opened.journal,
            disguise=find_disguise(opened.path, opened.journal),
            control=control,
            on_progress=_stopping(call, control),
        )
        return proofs, verify_uploads(client, opened.journal)


def make_report(_call: Call, opened: Opened, plan: Plan) -> Path:
    """Write the report beside the plan; return the page."""
    page = opened.path.with_name(opened.path.name + ".report.html")
    return write_report(plan, opened.journal, page)[0]


def _way(choices: Choices) -> Way:
    return Way(choices.anonymise, choices.anonymise and choices.map_uids)


def _client(account: Account, control: Control) -> XnatClient:
    return XnatClient(account.connection, account.login, retry=_RETRY, sleep=control.sleep)


def _stopping(call: Call, control: Control) -> Callable[[Any], None]:
    """Pass progress on, and stop the work when the window closes."""

    def tell(progress: Any) -> None:
        if call.cancelled():
            control.cancel()
        call.report(progress)

    return tell


def only(plan: Plan, keys: Sequence[str]) -> Plan:
    """Return a plan of some of its rows."""
    wanted = set(keys)
    return replace(plan, rows=tuple(row for row in plan.rows if row.key in wanted))
