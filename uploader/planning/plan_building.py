"""Make a plan from a scan, and check what stands in a plan. Pure: no disk and no network."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xnat_config import SiteConfig
from xnat_config.variables import RESERVED, VARIABLE_NAME
from xnat_pic.errors import WrongCallError
from xnat_pic.text import counted, list_some

from ..findings import Finding, error, note, path_below, warning
from ..scanning.folder_scan import FILE_CODES, FolderScan
from ..scanning.layout import SUBJECT, Layout, parse_layout
from ..scanning.layout_detection import ImageFolder, detect_layout
from ..scanning.sessions import Session
from .folder_values import (
    FolderValues,
    counted_above,
    folder_levels,
    read_folder_values,
    same_name,
)
from .identity import CODES, claim_of, identity_findings
from .labels import (
    LabelParts,
    drop_solved_collisions,
    find_collisions,
    label_findings,
    session_labels,
    subject_findings,
)
from .plan import IdentityClaim, Plan, PlanRow
from .statements import join_statements, split_statements
from .value_findings import value_findings
from .variable_table import VariableTable, apply_table

AUTO = "auto"
_TWO_PLACES = "study-in-two-places"
# Findings that `check_plan` makes anew each time, so that they go when the row is put right.
_RECHECKED = frozenset(
    {"no-subject", "no-project", "project-label", "subject-label", "session-label", "label-twice",
     "subject-differs", "value-not-allowed", "subject-variable-differs",
     "variable-missing", *CODES}
)  # fmt: skip


def build_plan(
    scan: FolderScan,
    project: str,
    config: SiteConfig,
    *,
    layout: str = AUTO,
    given: Mapping[str, str] | None = None,
    table: VariableTable | None = None,
) -> Plan:
    """Make one row for each session.

    Parameters
    ----------
    layout : str
        A pattern of `parse_layout`; ``auto`` finds it, an empty one reads no level.
    given : mapping, optional
        Values for variables that no folder level gives.
    table : VariableTable, optional
        Counts before folder levels and `given`.

    Raises
    ------
    WrongCallError
        If the layout or a name of `given` cannot be understood.
    """
    given = dict(given or {})
    _check_names(given)
    above = counted_above(scan.root, scan.sessions, config)
    pattern, findings = _layout_of(scan, config, layout, above)
    levels = {
        one.key: read_folder_values(one, scan.root, pattern, above, config) for one in scan.sessions
    }
    names = _variable_names(config, pattern, given, table)
    raw = {one.key: _subject(one, levels[one.key]) for one in scan.sessions}
    rows = [
        _row(one, scan.root, project, config.labels.clean(raw[one.key]), {
            name: levels[one.key].values.get(name) or given.get(name, "") for name in names
        })
        for one in scan.sessions
    ]  # fmt: skip
    rows = _with_folder_findings(rows, scan.sessions, levels, find_collisions(raw, config.labels))
    rows = _with_labels(rows, scan.sessions, levels, config)
    if table is not None:
        rows, unused = apply_table(table, rows, pattern.tokens)
        findings += unused
        if table.keys[0] != "session":
            rows = _with_labels(rows, scan.sessions, levels, config)
    claims = {one.key: claim_of(one, levels[one.key], scan.root) for one in scan.sessions}
    rows = [_with_given(row, claims[row.key], given) for row in rows]
    plan = Plan(
        root=scan.root,
        project=project,
        layout=pattern.text,
        rows=tuple(rows),
        claims=claims,
        sessions={one.key: one for one in scan.sessions},
        findings=(*findings, *scan.findings),
    )
    return check_plan(plan, config)


def _with_folder_findings(
    rows: Sequence[PlanRow],
    sessions: Sequence[Session],
    levels: Mapping[str, FolderValues],
    collisions: Mapping[str, Finding],
) -> list[PlanRow]:
    """Give each row what reading its files and folders showed."""
    return [
        replace(
            row,
            findings=(
                *one.findings,
                *levels[one.key].findings,
                *([collisions[one.key]] if one.key in collisions else []),
            ),
        )
        for row, one in zip(rows, sessions, strict=True)
    ]


def _with_given(row: PlanRow, claim: IdentityClaim, given: Mapping[str, str]) -> PlanRow:
    """Keep what --set gave beside what a table stated."""
    stated = dict(split_statements(row.stated))
    used = {
        name: value
        for name, value in given.items()
        if name not in stated and not claim.variables.get(name)
    }
    return replace(row, stated=join_statements({**stated, **used})) if used else row


def _check_names(given: Mapping[str, str]) -> None:
    for name in given:
        if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
            raise WrongCallError(
                f"--set {name}: this cannot name a variable.",
                hint="Write it like --set group=treated, in lower-case letters, digits and _.",
            )


def _layout_of(
    scan: FolderScan, config: SiteConfig, layout: str, above: tuple[str, ...]
) -> tuple[Layout, list[Finding]]:
    if layout != AUTO:
        return parse_layout(layout, config.variables), []
    clean = config.labels.clean
    folders = [
        ImageFolder((*above, *levels), one.patient_id)
        for one in scan.sessions
        for levels in folder_levels(one, scan.root)
    ]
    text = detect_layout(folders, config.variables, lambda a, b: same_name(clean(a), clean(b)))
    found = parse_layout(text, config.variables)
    if found.tokens:
        message = f"The folder levels read as {text}."
    elif text:
        message = f"The folder levels read as {text}; none announces a variable."
    else:
        message = "No folder level announces a variable."
    if not found.tokens and scan.sessions:
        message += " Name the levels with --layout, for example {group}/{timepoint}/{subject}."
    return found, [note("layout", message)]


def _subject(session: Session, read: FolderValues) -> str:
    name = read.values.get(SUBJECT) or session.patient_id
    return unicodedata.normalize("NFC", name.strip())


def _variable_names(
    config: SiteConfig, layout: Layout, given: Mapping[str, str], table: VariableTable | None
) -> tuple[str, ...]:
    """Return the variables of the plan: the site's shown ones first, then what else is used."""
    used = [*layout.tokens, *given, *(table.names if table else ())]
    shown = [one.name for one in config.variables if one.shown or one.name in used]
    return tuple(dict.fromkeys([*shown, *used]))


def _row(
    session: Session, root: Path, project: str, subject: str, variables: dict[str, str]
) -> PlanRow:
    date = session.study_date
    iso = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else date
    return PlanRow(
        key=session.key,
        include=True,
        source=path_below(session.source, root),
        project=project,
        subject=subject,
        session="",
        modality=session.modality,
        variables=variables,
        date=iso,
        scans=len(session.series),
        files=session.files,
        bytes=session.bytes,
    )


def _with_labels(
    rows: Sequence[PlanRow],
    sessions: Sequence[Session],
    folder_values: Mapping[str, FolderValues],
    config: SiteConfig,
) -> list[PlanRow]:
    """Give each row its session label."""
    names = [
        LabelParts(
            subject=row.subject,
            modality=row.modality,
            date=one.study_date,
            values={"study": folder_values[one.key].values.get("study", ""), **row.variables},
            order=(one.study_date, one.study_time, one.study_uid),
        )
        for row, one in zip(rows, sessions, strict=True)
    ]
    labels = session_labels(names, config.labels)
    return [replace(row, session=label) for row, label in zip(rows, labels, strict=True)]


def check_plan(plan: Plan, config: SiteConfig) -> Plan:
    """Check the rows as they stand now, after a person's changes; return the plan with findings.

    Findings that came from reading the files stay; those on labels and values are made anew.
    """
    kept = [
        replace(row, findings=tuple(f for f in row.findings if f.code not in _RECHECKED))
        for row in plan.rows
    ]
    rows = drop_solved_collisions(kept)
    patients = {key: one.patient_id for key, one in plan.sessions.items()}
    if not patients:  # without the files, what was found about them earlier still holds
        patient_findings = {
            row.key: [f for f in row.findings if f.code == "subject-differs"] for row in plan.rows
        }
    else:
        patient_findings = subject_findings(rows, patients, config.labels)
    labels = label_findings(rows, config.labels)
    values = value_findings(rows, config)
    identity = identity_findings(rows, plan.claims, config)
    if not plan.claims:
        identity = {row.key: [f for f in row.findings if f.code in CODES] for row in plan.rows}
    checked = tuple(
        replace(
            row,
            findings=(
                *row.findings,
                *labels.get(row.key, ()),
                *identity.get(row.key, ()),
                *patient_findings.get(row.key, ()),
                *values.get(row.key, ()),
            ),
        )
        for row in rows
    )
    return replace(plan, rows=checked)


def with_sessions(plan: Plan, scan: FolderScan, config: SiteConfig) -> Plan:
    """Join a plan that was read from a file with what its folder holds now.

    A row whose session is gone, or has other files than planned, gets an error; a session that no
    row plans, a warning of the plan.
    """
    sessions = {one.key: one for one in scan.sessions}
    rows = [_join(row, sessions.get(row.key), plan.root) for row in plan.rows]
    planned = {row.key for row in plan.rows}
    unplanned = [one for key, one in sessions.items() if key not in planned]
    findings = [f for f in plan.findings if f.code not in ("not-in-plan", *FILE_CODES)]
    findings += scan.findings
    if unplanned:
        names = list_some([path_below(one.source, plan.root) for one in unplanned])
        findings.append(
            warning(
                "not-in-plan",
                f"{counted(len(unplanned), 'session is', 'sessions are')} in no row of the "
                f"plan: {names}. Scan again to add what is missing.",
            )
        )
    pattern = parse_layout(plan.layout, config.variables)
    above = counted_above(plan.root, scan.sessions, config)
    levels = {
        one.key: read_folder_values(one, plan.root, pattern, above, config) for one in scan.sessions
    }
    claims = {one.key: claim_of(one, levels[one.key], plan.root) for one in scan.sessions}
    rows = [_with_places(row, levels.get(row.key)) for row in rows]
    joined = replace(
        plan, sessions=sessions, rows=tuple(rows), findings=tuple(findings), claims=claims
    )
    return check_plan(joined, config)


def _with_places(row: PlanRow, read: FolderValues | None) -> PlanRow:
    """Say anew whether the files of a row lie in folders that contradict."""
    if read is None:
        return row
    kept = [one for one in row.findings if one.code != _TWO_PLACES]
    now = [one for one in read.findings if one.code == _TWO_PLACES]
    return replace(row, findings=(*kept, *now))


def _join(row: PlanRow, session: Session | None, root: Path) -> PlanRow:
    kept = [f for f in row.findings if f.code not in ("no-session", "changed", *FILE_CODES)]
    found = list(session.findings) if session else []
    if session is None:
        found.append(
            error(
                "no-session",
                f"The files of this row are not in {root} any more. Put them back, or scan again.",
            )
        )
    elif (session.files, session.bytes) != (row.files, row.bytes):
        found.append(
            error(
                "changed",
                f"The row was planned with {row.files} files of {row.bytes} bytes; now there are "
                f"{session.files} of {session.bytes}. Scan again.",
            )
        )
    return replace(row, findings=(*found, *kept))
