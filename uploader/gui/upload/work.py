"""What the upload page lets run beside the window. Calls the uploader's functions; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_config import SiteConfig, load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.retry import RetryPolicy

from ... import (
    AUTO,
    DeidentificationMode,
    FolderScan,
    Journal,
    Plan,
    PlanError,
    RowCheck,
    RowVerification,
    RunControl,
    Session,
    UploadOptions,
    UploadResult,
    VerificationLevel,
    VerifyOptions,
    build_plan,
    check,
    check_plan,
    companions,
    journal_path,
    load_deidentifier,
    read_plan,
    scan_folder,
    upload,
    verify,
    verify_uploads,
    with_sessions,
    write_plan,
    write_report,
)
from ..child_process import TaskHandle
from ..garbage_collection import freezing_gc
from ..viewer.stack import file_thumbnail
from .logins import Account

_RETRY = RetryPolicy()
_PREVIEWED = 400


@dataclass(frozen=True)
class OpenedPlan:
    """A plan in hand: nobody else has it while its journal is open.

    Attributes
    ----------
    states : dict
        What the journal says of each row by its key: ``verified``, ``counted``, ``archived``,
        ``problem``.
    """

    path: Path
    plan: Plan
    journal: Journal
    config: SiteConfig
    states: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class UploadChoices:
    """How to upload.

    Attributes
    ----------
    raw : Path, optional
        Scanner data to keep in the project.
    repair : bool
        Replace files on the server that are not as on disk.
    accept_changes : bool
        Take files that the server rewrote after arrival, with equal pixels, for right.
    """

    create_project: bool = False
    anonymise: bool = False
    map_uids: bool = False
    direct: bool = False
    raw: Path | None = None
    repair: bool = False
    accept_changes: bool = False


def site() -> SiteConfig:
    """Return the site's settings.

    Raises
    ------
    WrongCallError
        If they cannot be understood.
    """
    return load_config()


def read_folder(handle: TaskHandle, folder: Path, config: SiteConfig) -> FolderScan:
    """Read the headers in a folder; reports (files read, files in all)."""
    aside = [*companions(plan_for(folder)), *companions(free_name(folder))]
    return scan_folder(
        folder,
        config,
        on_read=freezing_gc(handle.report),
        cancelled=handle.cancelled,
        leave_out=aside,
    )


def row_picture(_handle: TaskHandle, session: Session) -> npt.NDArray[np.uint8] | None:
    """Return the middle image of the largest series of a session, small and grey."""
    files = max((one.files for one in session.series), key=len, default=())
    return file_thumbnail(files[len(files) // 2].path) if files else None


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


def preview(
    _handle: TaskHandle, scan: FolderScan, project: str, config: SiteConfig, layout: str
) -> Plan:
    """Return the plan that a layout gives, of the first sessions of a large study."""
    some = replace(scan, sessions=scan.sessions[:_PREVIEWED])
    return build_plan(some, project, config, layout=layout or AUTO)


def make_plan(
    _handle: TaskHandle, scan: FolderScan, project: str, config: SiteConfig, layout: str, path: Path
) -> OpenedPlan:
    """Write the plan of a folder, and take it in hand."""
    plan = build_plan(scan, project, config, layout=layout or AUTO)
    write_plan(plan, path)
    return OpenedPlan(path, plan, _open_journal(path), config, {})


def open_plan(handle: TaskHandle, path: Path, config: SiteConfig) -> OpenedPlan:
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
    journal = _open_journal(path)
    try:
        scan = scan_folder(
            plan.root,
            config,
            on_read=freezing_gc(handle.report),
            cancelled=handle.cancelled,
            leave_out=companions(path),
        )
        return OpenedPlan(path, with_sessions(plan, scan, config), journal, config, _known(journal))
    except BaseException:
        journal.close()
        raise


def _open_journal(path: Path) -> Journal:
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


_UNPROVED = (VerificationLevel.COUNTED.value, VerificationLevel.SIZED.value)


def _known(journal: Journal) -> dict[str, tuple[str, str]]:
    known = {}
    for one in journal.sessions():
        if one.verified:
            is_counted = one.verified in _UNPROVED
            known[one.row_key] = ("counted" if is_counted else "verified", "")
        elif one.problem:
            known[one.row_key] = ("problem", one.problem)
        else:
            states = {state.value for state in journal.states(one.row_key).values()}
            if states and states <= {"archived", "verified"}:
                known[one.row_key] = ("archived", "")
    return known


def recheck(_handle: TaskHandle, plan: Plan, config: SiteConfig, path: Path) -> Plan:
    """Check rows as they stand now, and keep them in the plan's file."""
    checked = check_plan(plan, config)
    write_plan(checked, path)
    return checked


def compare(
    _handle: TaskHandle,
    opened: OpenedPlan,
    plan: Plan,
    account: Account,
    control: RunControl,
    choices: UploadChoices,
) -> list[RowCheck]:
    """Compare rows with the server."""
    mode = _mode(choices)
    with _client(account, control) as client:
        return check(
            check_plan(plan, opened.config),
            client,
            opened.config,
            journal=opened.journal,
            deidentifier=load_deidentifier(
                opened.path, opened.journal, mode if mode.anonymise else None
            ),
            create_project=choices.create_project,
        )


def send(
    handle: TaskHandle,
    opened: OpenedPlan,
    plan: Plan,
    account: Account,
    control: RunControl,
    choices: UploadChoices,
    keys: Sequence[str],
) -> UploadResult:
    """Upload some rows of a plan; reports `Progress`, ("begin", row) and ("end", `RowResult`)."""
    with _client(account, control) as client:
        options = UploadOptions(
            direct_archive=choices.direct,
            create_project=choices.create_project,
            raw=choices.raw,
            repair=choices.repair,
            deidentifier=load_deidentifier(
                opened.path, opened.journal, _mode(choices), record=True
            ),
        )
        return upload(
            select_rows(check_plan(plan, opened.config), keys),
            client,
            opened.journal,
            opened.config,
            options,
            control=control,
            on_progress=_stopping(handle, control),
            on_start=lambda row: handle.report(("begin", row)),
            on_row=lambda result: handle.report(("end", result)),
        )


def verify_plan(
    handle: TaskHandle,
    opened: OpenedPlan,
    plan: Plan,
    account: Account,
    control: RunControl,
    choices: UploadChoices,
) -> tuple[list[RowVerification], list[str]]:
    """Verify rows; return their proofs and what is wrong with files beside the images."""
    with _client(account, control) as client:
        verifications = verify(
            check_plan(plan, opened.config),
            client,
            opened.config,
            opened.journal,
            deidentifier=load_deidentifier(opened.path, opened.journal),
            options=VerifyOptions(accept_changes=choices.accept_changes),
            control=control,
            on_progress=_stopping(handle, control),
        )
        return verifications, verify_uploads(client, opened.journal)


def make_report(_handle: TaskHandle, opened: OpenedPlan, plan: Plan) -> Path:
    """Write the report beside the plan; return the page."""
    page = opened.path.with_name(opened.path.name + ".report.html")
    return write_report(plan, opened.journal, page)[0]


def _mode(choices: UploadChoices) -> DeidentificationMode:
    return DeidentificationMode(choices.anonymise, choices.anonymise and choices.map_uids)


def _client(account: Account, control: RunControl) -> XnatClient:
    return XnatClient(account.connection, account.login, retry=_RETRY, sleep=control.sleep)


def _stopping(handle: TaskHandle, control: RunControl) -> Callable[[Any], None]:
    """Pass progress on, and stop the work when the window closes."""

    def report_progress(progress: Any) -> None:
        if handle.cancelled():
            control.cancel()
        handle.report(progress)

    return report_progress


def select_rows(plan: Plan, keys: Sequence[str]) -> Plan:
    """Return a plan of some of its rows."""
    wanted = set(keys)
    return replace(plan, rows=tuple(row for row in plan.rows if row.key in wanted))
