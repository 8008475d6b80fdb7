"""Archive a session of the prearchive: as a new session, or into one that is there.

Everything happens inside the caller's transaction; contents are not copied, their rows change
hands.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import filing, items, prearchive
from .accounts import User, demand, may_edit
from .dicom_rules import ScanDescription, SessionDescription, clean_label, numbered_id
from .dicom_rules import resource_label as label_of
from .filing import Resource
from .items import Item
from .prearchive import CONFLICT, ERROR, Session
from .refusals import Refused

EXISTS = "Session already exists, retry with overwrite enabled"
MATCHING_FILES = "Session already exists with matching files."
_INVALID = "Invalid modification of session {} via archive process."
_OTHER_TYPE = _INVALID.format("modality") + "  Data may require a manual merge."


@dataclass(frozen=True)
class Policy:
    """What archiving may do with a session that is there already.

    Attributes
    ----------
    merge : bool
        Add to it.
    override : bool
        Overlook another study UID, open workflows and files of the same name.
    replace : bool
        Replace files of the same name.
    """

    merge: bool = False
    override: bool = False
    replace: bool = False

    @classmethod
    def of_import(cls, overwrite: str, overwrite_files: bool) -> "Policy":
        """Return what the parameters of an import allow."""
        word = overwrite.strip().lower()
        return cls(bool(word), word in ("delete", "override"), overwrite_files)

    @classmethod
    def of_archive(cls, overwrite: str, overwrite_files: bool) -> "Policy":
        """Return what the parameters of ``services/archive`` allow: merging always."""
        word = overwrite.strip().lower()
        return cls(True, word in ("append", "delete", "override"), overwrite_files)

    @classmethod
    def of_project(cls, autoarchive: str) -> "Policy":
        """Return what automatic archiving does."""
        return cls(True, autoarchive == "AutoArchiveOverwrite", False)


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
    connection: sqlite3.Connection, user: User, session: Session, target: Target, policy: Policy
) -> tuple[Outcome, list[str]]:
    """Archive a session; where that fails leave it in the prearchive, as CONFLICT or ERROR.

    Returns
    -------
    outcome : Outcome
    obsolete : list of str
        Blobs to remove after the commit.
    """
    connection.execute("SAVEPOINT archiving")
    try:
        experiment, obsolete = _archive(connection, user, session, target, policy)
    except Refused as refusal:
        connection.execute("ROLLBACK TO archiving")
        connection.execute("RELEASE archiving")
        status = CONFLICT if refusal.status == 409 else ERROR
        if refusal.status != 403:
            session = prearchive.touch(connection, session, status, refusal.message)
        return Outcome(session, refusal=refusal), []
    connection.execute("RELEASE archiving")
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
    connection: sqlite3.Connection, user: User, session: Session, target: Target, policy: Policy
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
    merger = _Merger(connection, user, session, policy)
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


class _Merger:
    """Moves the scans of one session of the prearchive into the archive."""

    def __init__(
        self, connection: sqlite3.Connection, user: User, session: Session, policy: Policy
    ) -> None:
        self._connection = connection
        self._user = user
        self._session = session
        self._policy = policy
        self.obsolete: list[str] = []

    def merge(self, existing: Item, description: SessionDescription) -> None:
        """Add to a session that is there; values it has are kept."""
        connection = self._connection
        known = items.fields(connection, existing)
        fresh = {k: v for k, v in description.fields.items() if not known.get(k)}
        items.set_fields(connection, existing, fresh)
        scans = {scan.id: scan for scan in items.children(connection, existing, "scan")}
        uids = {key: items.fields(connection, scan).get("UID", "") for key, scan in scans.items()}
        by_uid = {uid: key for key, uid in uids.items() if uid}
        placed: list[ScanDescription] = []
        into: dict[str, Item] = {}
        taken = set(scans)
        for scan in description.scans:
            other = by_uid.get(scan.series)
            if other is not None and other != scan.id and not self._policy.override:
                raise Refused(
                    409,
                    "Session already contains a scan with the same UID, but a different number"
                    f" ({other}).",
                )
            if scan.id in scans and uids[scan.id] in ("", scan.series):
                into[scan.id] = scans[scan.id]
            elif scan.id in taken:
                header = {"Modality": scan.fields.get("modality", "")}
                number = numbered_id(scan.id, header, taken)
                scan = ScanDescription(number, scan.series, scan.xsi_type, scan.fields)
            taken.add(scan.id)
            placed.append(scan)
        self.add_scans(existing, placed, into)

    def add_scans(
        self, experiment: Item, scans: Sequence[ScanDescription], into: Mapping[str, Item]
    ) -> None:
        """Move scans, into those that are there already where `into` names them by ID."""
        for scan in scans:
            item = into.get(scan.id)
            fields = scan.fields
            if item is None:
                item = items.create(
                    self._connection,
                    "scan",
                    label=scan.id,
                    xsi_type=scan.xsi_type,
                    project=experiment.project,
                    parent=experiment,
                    user=self._user.login,
                    identifier=scan.id,
                )
            else:
                known = items.fields(self._connection, item)
                fields = {k: v for k, v in scan.fields.items() if not known.get(k)}
            items.set_fields(self._connection, item, fields)
            added = self._move_files(item, scan.series)
            if scan.id in into:
                self._count_frames(item, added)

    def _move_files(self, scan: Item, series: str) -> int:
        """Move a series' files; return how many the scan did not have."""
        rows = prearchive.files(self._connection, self._session, [series])
        parsed = [(row, json.loads(row["header"])) for row in rows]
        added = 0
        for label in sorted({label_of(header) for _, header in parsed}):
            resource = filing.find_resource(
                self._connection, scan, label
            ) or filing.create_resource(
                self._connection, scan, label, format="DICOM", content="RAW"
            )
            chosen = [row for row, header in parsed if label_of(header) == label]
            added += self._file(resource, chosen)
        return added

    def _file(self, resource: Resource, rows: Sequence[sqlite3.Row]) -> int:
        known = {f.path: f.blob for f in filing.files_of(self._connection, resource)}
        same = [known[row["path"]] for row in rows if row["path"] in known]
        if same and not (self._policy.override or self._policy.replace):
            raise Refused(409, MATCHING_FILES)
        self.obsolete += same
        moment = items.now()
        self._connection.executemany(
            "INSERT OR REPLACE INTO file (resource, path, blob, size, digest, format, content,"
            " created, created_by, uid) VALUES (?, ?, ?, ?, ?, 'DICOM', 'RAW', ?, ?, ?)",
            [
                (
                    resource.pk,
                    row["path"],
                    row["blob"],
                    row["size"],
                    row["digest"],
                    moment,
                    self._user.login,
                    row["uid"],
                )
                for row in rows
            ],
        )
        return len(rows) - len(same)

    def _count_frames(self, scan: Item, added: int) -> None:
        frames = items.fields(self._connection, scan).get("frames", "0")
        total = (int(frames) if frames.isdigit() else 0) + added
        items.set_fields(self._connection, scan, {"frames": str(total)})
