"""Compare a plan with the server before anything is sent. Reads only."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import LoginError, RefusedError, UnreachableError
from xnat_config.site import SiteConfig
from xnat_pic.errors import CancelledError, XnatPicError
from xnat_pic.text import list_some

from ..deidentification.deidentifier import Deidentifier
from ..errors import unexpected
from ..findings import Finding, Level, error, note, warning
from ..planning.identity import near_on_server
from ..planning.journal import Journal
from ..planning.near_names import NameIndex
from ..planning.plan import Plan, PlanRow
from ..scanning.sessions import Session
from ..server.listing import (
    RemoteSession,
    find_studies,
    read_owners,
    read_scans,
)
from ..server.ownership import undo_advice
from ..server.project import RemoteProject, missing_project, read_project
from .matching import match_series
from .payload import LARGEST_FILE, build_payload
from .value_check import definition_findings, session_value_findings, subject_value_findings

_AT_ONCE = 4
_log = logging.getLogger(__name__)


class Verdict(Enum):
    """What a row is, compared with the server."""

    NEW = "new"
    SAME = "same"
    ADDS_SCANS = "adds scans"
    BAD = "bad"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class RowCheck:
    """One row of a plan, compared with the server.

    Attributes
    ----------
    missing : int
        Files that are not on the server yet.
    findings : tuple of Finding
        The row's own, and those of the comparison.
    """

    row: PlanRow
    verdict: Verdict
    missing: int
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<RowCheck {self.row.session}: {self.verdict.value}, {self.missing} files missing>"

    @property
    def has_errors(self) -> bool:
        """Whether the row cannot be uploaded as it stands."""
        return self.verdict is Verdict.BAD


def check(
    plan: Plan,
    client: XnatClient,
    config: SiteConfig,
    *,
    journal: Journal | None = None,
    deidentifier: Deidentifier | None = None,
    create_project: bool = False,
) -> list[RowCheck]:
    """Compare every row with the server.

    Parameters
    ----------
    journal : Journal, optional
        Tells which sessions in the prearchive are our own.
    create_project : bool
        A project that is missing is no fault, because it will be made.

    Raises
    ------
    XnatPicError
        If the server cannot be asked.
    """
    rows = [row for row in plan.rows if row.include]
    views, unreadable = _read_projects(client, config, rows)
    studies = {
        row.key: build_payload(plan.sessions[row.key], deidentifier).study_uid
        for row in rows
        if row.key in plan.sessions
    }
    elsewhere: dict[str, list[RemoteSession]] = defaultdict(list)
    for one in find_studies(client, studies.values()):
        elsewhere[one.study_uid].append(one)
    twice = _duplicate_labels(rows)
    shared = _shared_series(plan, rows)
    ours = _own_sessions(journal)
    near = {
        name: NameIndex(one.label for one in view.subjects.values()) for name, view in views.items()
    }
    owners = read_owners(client, _known_subjects(rows, views))

    def check_row(row: PlanRow) -> RowCheck:
        if not row.include:
            return RowCheck(row, Verdict.LEFT_OUT, 0, row.findings)
        if row.project in unreadable:
            return _not_checked(row, unreadable[row.project])
        return _alone(row, compare_row)

    def compare_row(row: PlanRow) -> RowCheck:
        view = views.get(row.project) or RemoteProject("", False)
        study = studies.get(row.key, "")
        found = [*row.findings, *_project_findings(row, view, create_project)]
        found += [*twice.get(row.key, ()), *shared.get(row.key, ())]
        found += _name_findings(row, view, study)
        found += _near_findings(row, view, near)
        found += _owner_findings(row, view, owners)
        found += _elsewhere_findings(row, elsewhere.get(study, []), config)
        found += _prearchive_findings(row, view, study, ours)
        found += definition_findings(row, view, config)
        session = plan.sessions.get(row.key)
        return _compare(client, row, view, session, found, deidentifier, config)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(check_row, plan.rows))


def _read_projects(
    client: XnatClient, config: SiteConfig, rows: Iterable[PlanRow]
) -> tuple[dict[str, RemoteProject], dict[str, XnatPicError]]:
    """Return the projects of rows, and why some of them cannot be read."""
    views: dict[str, RemoteProject] = {}
    unreadable: dict[str, XnatPicError] = {}
    for name in dict.fromkeys(row.project for row in rows if row.project):
        try:
            views[name] = read_project(client, name, config)
        except RefusedError as refusal:  # it keeps its own rows from being uploaded, no others
            unreadable[name] = refusal
    return views, unreadable


def _alone(row: PlanRow, compare: Callable[[PlanRow], RowCheck]) -> RowCheck:
    """Compare a row; a fault of it alone becomes its finding."""
    try:
        return compare(row)
    except (LoginError, UnreachableError, CancelledError):
        raise  # it holds for all rows
    except XnatPicError as fault:
        return _not_checked(row, fault)
    except Exception as fault:  # one row's fault must not end the others
        _log.exception("the check of %s met a fault", row.session)
        return _not_checked(row, unexpected(fault, f"The check of {row.session}"))


def _not_checked(row: PlanRow, fault: XnatPicError) -> RowCheck:
    finding = error("not-checked", f"The row cannot be compared: {fault.sentence()}")
    return RowCheck(row, Verdict.BAD, 0, (*row.findings, finding))


def _duplicate_labels(rows: Iterable[PlanRow]) -> dict[str, list[Finding]]:
    """Find rows that would become one session."""
    by_label: dict[tuple[str, str], list[PlanRow]] = defaultdict(list)
    for row in rows:
        by_label[row.project, row.session.casefold()].append(row)
    return {
        row.key: [
            error(
                "would-merge",
                f"{len(same)} rows have the session label {row.session}: they would be merged. "
                "Give each its own label.",
            )
        ]
        for same in by_label.values()
        if len(same) > 1
        for row in same
    }


def _shared_series(plan: Plan, rows: Iterable[PlanRow]) -> dict[str, list[Finding]]:
    """Find rows of different studies that have a Series Instance UID in common."""
    by_series: dict[str, dict[str, PlanRow]] = defaultdict(dict)
    for row in rows:
        session = plan.sessions.get(row.key)
        for series in session.series if session else ():
            by_series[series.uid].setdefault(session.study_uid if session else "", row)
    found: dict[str, list[Finding]] = defaultdict(list)
    for uid, studies in by_series.items():
        for row in studies.values() if len(studies) > 1 else ():
            others = [one.session for one in studies.values() if one.key != row.key]
            found[row.key].append(
                warning(
                    "series-shared",
                    f"The series {uid} is in the study of {list_some(others)}, too: UIDs are to be "
                    "unique, and tools that look for a series by its UID take one for the other.",
                )
            )
    return found


def _own_sessions(journal: Journal | None) -> dict[str, tuple[str, bool]]:
    """Return what of ours may wait in the prearchive: address, and whether it is unknown."""
    entries = journal.sessions() if journal else []
    return {one.row_key: (one.prearchive, one.sending) for one in entries}


def _project_findings(row: PlanRow, view: RemoteProject, create: bool) -> list[Finding]:
    if not row.project:
        return [error("no-project", "The row names no project. Fill in the column project.")]
    if not view.exists:
        if create:
            return [note("project-new", f"The project {row.project} will be made.")]
        return [
            error(
                "project-missing",
                missing_project(row.project),
            )
        ]
    if not view.writable:
        return [
            error(
                "no-permission",
                f"You may read {row.project} but not write to it. Ask an owner of the project to "
                "make you a member.",
            )
        ]
    return []


def _name_findings(row: PlanRow, view: RemoteProject, study: str) -> list[Finding]:
    found = []
    session = view.sessions.get(row.session.casefold())
    if session is not None:
        another_study = study and session.study_uid and session.study_uid != study
        if session.subject.casefold() != row.subject.casefold():
            advice = "It is another study: write another label into the column session."
            found.append(
                error(
                    "subject-elsewhere",
                    f"The session {session.label} on the server belongs to subject "
                    f"{session.subject}, not {row.subject}. "
                    f"{advice if another_study else undo_advice(session, row.subject)}",
                )
            )
        elif another_study:
            found.append(
                error(
                    "label-clash",
                    f"{session.label} on the server is another study: the two would be merged. "
                    "Give this row another session label.",
                )
            )
        elif session.label != row.session:
            found.append(
                error(
                    "label-clash",
                    f"The server has {session.label}, which differs from {row.session} in capitals "
                    "only. Write the label as it is on the server.",
                )
            )
    subject = view.subjects.get(row.subject.casefold())
    if subject is not None and subject.label != row.subject:
        found.append(
            warning(
                "subject-capitals",
                f"The server writes the subject {subject.label}: {row.subject} is taken for it.",
            )
        )
    return found


def _near_findings(
    row: PlanRow, view: RemoteProject, near: Mapping[str, NameIndex]
) -> list[Finding]:
    """Ask where a subject that is new to the server is near to one that it has."""
    if not row.subject or row.subject.casefold() in view.subjects or row.project not in near:
        return []
    finding = near_on_server(row, near[row.project].near(row.subject))
    return [finding] if finding else []


def _known_subjects(rows: Iterable[PlanRow], views: Mapping[str, RemoteProject]) -> set[str]:
    """Return the identifiers of the subjects of a plan that are on the server."""
    found = set()
    for row in rows:
        view = views.get(row.project)
        subject = view.subjects.get(row.subject.casefold()) if view else None
        if subject is not None:
            found.add(subject.id)
    return found


def _owner_findings(row: PlanRow, view: RemoteProject, owners: Mapping[str, str]) -> list[Finding]:
    subject = view.subjects.get(row.subject.casefold())
    owner = owners.get(subject.id, "") if subject else ""
    if subject is None or owner in ("", view.name):
        return []
    return [
        error(
            "subject-elsewhere",
            f"The subject {subject.label} belongs to the project {owner} and is only shared with "
            f"{view.name}. Upload into {owner}, or give this animal another name.",
        )
    ]


def _elsewhere_findings(
    row: PlanRow, studies: list[RemoteSession], config: SiteConfig
) -> list[Finding]:
    found = []
    kind = config.kinds.by_code.get(row.modality)
    places = [(one.project, one.label.casefold()) for one in studies]
    here = (row.project, row.session.casefold())
    for one, place in zip(studies, places, strict=True):
        if place == here:
            continue
        if one.project == row.project and one.subject.casefold() != row.subject.casefold():
            found.append(
                error(
                    "subject-elsewhere",
                    f"This study is already on the server as {one.label} of subject {one.subject}, "
                    f"not {row.subject}. {undo_advice(one, row.subject)}",
                )
            )
        elif (
            one.project == row.project
            and here not in places
            and (kind is None or one.xsi_type == kind.session_type)
        ):
            found.append(
                error(
                    "other-label",
                    f"This study is already on the server as {one.label}: it was sent under that "
                    f"label, or relabelled there, and would be there twice. Write {one.label} into "
                    "the column session, or rename it in XNAT.",
                )
            )
        elif one.project != row.project:
            found.append(
                warning(
                    "study-elsewhere",
                    f"This study is also in the project {one.project}, as {one.label}.",
                )
            )
    return found


def _prearchive_findings(
    row: PlanRow, view: RemoteProject, study: str, ours: Mapping[str, tuple[str, bool]]
) -> list[Finding]:
    address, unknown = ours.get(row.key, ("", False))
    for one in view.prearchived:
        if one.address == address and one.label.casefold() != row.session.casefold():
            return [
                error(
                    "in-prearchive",
                    f"An earlier run of this plan sent the study as {one.label}, which waits in "
                    f"the prearchive ({one.status.lower()}). Write {one.label} into the column "
                    "session, or delete it in XNAT's prearchive.",
                )
            ]
        same = one.study_uid == study and one.label.casefold() == row.session.casefold()
        if same and one.address != address and not unknown:
            return [
                error(
                    "in-prearchive",
                    f"The prearchive of {view.name} already holds {one.label} "
                    f"({one.status.lower()}), which this plan did not send. Archive or delete it "
                    "in XNAT's prearchive.",
                )
            ]
    return []


def _compare(
    client: XnatClient,
    row: PlanRow,
    view: RemoteProject,
    session: Session | None,
    found: list[Finding],
    deidentifier: Deidentifier | None,
    config: SiteConfig,
) -> RowCheck:
    """Compare files and values, where names allow it."""
    payload = build_payload(session, deidentifier) if session else None
    large = [
        file.path
        for series in (session.series if session else ())
        for file in series.files
        if file.size > LARGEST_FILE - (1 << 20)
    ]
    if large:
        found.append(
            error(
                "not-importable",
                f"{large[0].name} is larger than 4 GiB, which an archive for XNAT cannot hold. "
                "Convert the study to single-frame objects.",
            )
        )
    existing = view.sessions.get(row.session.casefold())
    missing = payload.instances if payload else 0
    verdict = Verdict.NEW
    if existing is not None and not _has_errors(found):
        scans = read_scans(client, existing.path)
        matches = [
            match_series(client, one, scans, trust_names=True)
            for one in (payload.series if payload else ())
        ]
        missing = sum(len(match.missing) for match in matches)
        verdict = Verdict.ADDS_SCANS if missing else Verdict.SAME
        found += session_value_findings(client, row, existing, config)
    found += subject_value_findings(row, view, config)
    if _has_errors(found):
        verdict = Verdict.BAD
    return RowCheck(row, verdict, missing, tuple(found))


def _has_errors(findings: Iterable[Finding]) -> bool:
    return any(one.level is Level.ERROR for one in findings)
