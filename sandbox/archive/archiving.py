"""Archive a session of the prearchive: as a new session, or into one that is there.

Everything happens inside the caller's transaction; contents are not copied, their rows change
hands.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass

from . import items, prearchive, workflows
from .accounts import User, demand, may_edit
from .anonymisation import Labels, ProjectScript
from .blobs import Placing
from .dicom_rules import SessionDescription, clean_label
from .items import Item
from .merging import Merger, Policy
from .prearchive import CONFLICT, ERROR, Session
from .refusals import Refused

EXISTS = "Session already exists, retry with overwrite enabled"
_INVALID = "Invalid modification of session {} via archive process."
_OTHER_TYPE = _INVALID.format("modality") + "  Data may require a manual merge."


@dataclass(frozen=True)
class Target:
    """Project, subject and label to archive as; empty for what the session itself says."""

    project: str = ""
    subject: str = ""
    label: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of it: the archived session, or why not."""

    session: Session
    experiment: Item | None = None
    uri: str = ""
    refusal: Refused | None = None


def attempt(
    connection: sqlite3.Connection,
    user: User,
    session: Session,
    target: Target,
    policy: Policy,
    placing: Placing,
) -> tuple[Outcome, list[str]]:
    """Archive a session; where that fails leave it in the prearchive, as CONFLICT or ERROR.

    The project's anonymisation script runs on its objects first.

    Returns
    -------
    outcome : Outcome
    obsolete : list of str
        Blobs to remove after the commit.
    """
    connection.execute("SAVEPOINT archiving")
    rewriting = ProjectScript(connection, placing)
    try:
        experiment, obsolete = _archive(connection, user, session, target, policy, rewriting)
    except Refused as refusal:
        connection.execute("ROLLBACK TO archiving")
        connection.execute("RELEASE archiving")
        placing.drop(*rewriting.placed)
        status = CONFLICT if refusal.status == 409 else ERROR
        if refusal.status != 403:
            session = prearchive.touch(connection, session, status, refusal.message)
        return Outcome(session, refusal=refusal), []
    connection.execute("RELEASE archiving")
    obsolete += rewriting.replaced
    return Outcome(session, experiment, uri_of(connection, experiment)), obsolete


def uri_of(connection: sqlite3.Connection, experiment: Item) -> str:
    """Return where an archived session is, by labels."""
    subject = items.get(connection, experiment.parent) if experiment.parent is not None else None
    assert subject is not None
    return (
        f"/data/archive/projects/{experiment.project}/subjects/{subject.label}"
        f"/experiments/{experiment.label}"
    )


def _archive(
    connection: sqlite3.Connection,
    user: User,
    session: Session,
    target: Target,
    policy: Policy,
    rewriting: ProjectScript,
) -> tuple[Item, list[str]]:
    prearchive.check_free(session)
    if session.description is None or session.status == prearchive.RECEIVING:
        session = prearchive.build(connection, session)
    description = session.description
    project = items.find_project(connection, target.project or session.project)
    if project is None or description is None:
        raise Refused(400, "unable to identify destination project")
    demand(may_edit(connection, user, project.id))
    label = clean_label(target.label or session.name or session.folder)
    if not label:
        raise Refused(400, "unable to deduce session label")
    existing = items.find_experiment(connection, label, project.id)
    if existing is not None:
        _check_open_workflows(connection, existing, policy)
    subject = _subject(connection, user, project, target.subject or session.subject, description)
    if not policy.override:
        _check_duplicates(connection, session, description)
    rewriting.run(session, Labels(project.id, subject.label, label))
    merger = Merger(connection, user, session, policy)
    if existing is None:
        existing = items.create(
            connection,
            "experiment",
            label=label,
            xsi_type=description.xsi_type,
            project=project.id,
            parent=subject,
            user=user.login,
        )
        items.set_fields(connection, existing, description.fields)
        merger.add_scans(existing, description.scans, {})
    else:
        _check_conflicts(connection, existing, subject, project, label, description, policy)
        merger.merge(existing, description)
    connection.execute("DELETE FROM prearchive WHERE pk = ?", (session.pk,))
    workflows.open_auto_run(connection, existing, user.login)
    return existing, merger.obsolete


def _subject(
    connection: sqlite3.Connection,
    user: User,
    project: Item,
    wished: str,
    description: SessionDescription,
) -> Item:
    """Return the subject, compared without case; make it where there is none."""
    label = clean_label(wished or description.fields.get("dcmPatientName", ""))
    if not label:
        raise Refused(400, "Unable to identify subject.")
    found = items.find_subject(connection, label, project.id)
    if found is not None:
        return found
    return items.create(
        connection,
        "subject",
        label=label,
        xsi_type="xnat:subjectData",
        project=project.id,
        parent=project,
        user=user.login,
    )


def _check_open_workflows(connection: sqlite3.Connection, existing: Item, policy: Policy) -> None:
    if policy.override:
        return
    workflows.end_auto_runs(connection)
    row = connection.execute(
        "SELECT pipeline_name FROM workflow WHERE id = ? AND status NOT LIKE 'Complete%'"
        " AND status NOT LIKE 'Failed%' AND status NOT LIKE 'Killed%'",
        (existing.id,),
    ).fetchone()
    if row is not None:
        raise Refused(
            409,
            f"Session processing may already be in progress: {row[0]}."
            "  Concurrent modification is discouraged.",
        )


def _check_conflicts(
    connection: sqlite3.Connection,
    existing: Item,
    subject: Item,
    project: Item,
    label: str,
    description: SessionDescription,
    policy: Policy,
) -> None:
    """Refuse what may not be merged, in the order in which XNAT looks."""
    if not policy.merge:
        raise Refused(409, EXISTS)
    if existing.label != label:
        raise Refused(409, _INVALID.format("label"))
    if existing.project != project.id:
        raise Refused(409, _INVALID.format("project"))
    if existing.xsi_type != description.xsi_type:
        raise Refused(409, _OTHER_TYPE)
    if existing.parent != subject.pk:
        text = f": {existing.label} Already Exists for another Subject"
        raise Refused(409, _INVALID.format("subject") + text)
    if policy.override:
        return
    known = items.fields(connection, existing).get("UID", "")
    if known and description.fields.get("UID", known) != known:
        raise Refused(409, _INVALID.format("session UID"))


def _check_duplicates(
    connection: sqlite3.Connection, session: Session, description: SessionDescription
) -> None:
    """Refuse a scan that holds one object twice, under different file names."""
    for scan in description.scans:
        rows = prearchive.files(connection, session, [scan.series])
        counted = Counter(str(row["uid"]) for row in rows)
        twice = sorted(uid for uid, count in counted.items() if count > 1)
        if twice:
            raise Refused(
                400,
                f"Scan {scan.id} DICOM catalog contains duplicated SOP instance UIDs:"
                f" {', '.join(twice)}",
            )
