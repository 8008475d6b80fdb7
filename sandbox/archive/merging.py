"""Bring the scans of a prearchive session into the archive: new, or into a session that is there.

The rules are those of XNAT's merge: a scan is known by its ID, an object by its SOP Instance UID
and then by its file name, and no object is ever replaced by another one.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import filing, items, prearchive, preferences, workflows
from .accounts import User
from .dicom_rules import ScanDescription, SessionDescription, next_scan_id, type_code
from .dicom_rules import resource_label as label_of
from .filing import File, Resource
from .items import Item
from .prearchive import Session
from .refusals import Refused

MATCHING_FILES = "Session already exists with matching files."
MATCHING_OBJECTS = "Session already exists with the same resources."
OTHER_OBJECT = (
    "A DICOM file with the same name but different UID already exists."
    " There is no way to override this conflict, you will need to fix your data."
)
NO_DICOM = (
    "A non-DICOM file exists with the same name as an incoming DICOM file."
    " There is no way to override this conflict, you will need to fix your data."
)


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
        return cls(True, False, autoarchive == "AutoArchiveOverwrite")


class Merger:
    """Moves the scans of one session of the prearchive into the archive.

    Attributes
    ----------
    obsolete : list of str
        Blobs to remove after the commit.
    """

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
        self._check_numbers(description.scans, uids)
        placed = _correct_ids(description.scans, uids)
        self.add_scans(existing, placed, scans)
        workflows.record_merge(connection, existing, self._user.login)

    def _check_numbers(self, scans: Sequence[ScanDescription], uids: Mapping[str, str]) -> None:
        """Refuse a series that is there under another number, unless its number is in use."""
        by_uid = {uid: key for key, uid in uids.items() if uid}
        for scan in scans:
            other = by_uid.get(scan.series)
            if other is not None and scan.id not in uids and not self._policy.override:
                raise Refused(
                    409,
                    "Session already contains a scan with the same UID, but a different number"
                    f" ({other}).",
                )

    def add_scans(
        self, experiment: Item, scans: Sequence[ScanDescription], known: Mapping[str, Item]
    ) -> None:
        """Move scans, into those that `known` has by the same ID."""
        for scan in scans:
            item = known.get(scan.id)
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
                items.set_fields(self._connection, item, scan.fields)
                self._move_files(item, scan.series)
                continue
            values = items.fields(self._connection, item)
            fresh = {k: v for k, v in scan.fields.items() if not values.get(k)}
            items.set_fields(self._connection, item, fresh)
            self._count_frames(item, self._move_files(item, scan.series))

    def _move_files(self, scan: Item, series: str) -> int:
        """Move a series' files; return how many the scan did not have."""
        rows = prearchive.files(self._connection, self._session, [series])
        apart = preferences.value(self._connection, "separateSecondaryDicomOnArchive")
        labels = [label_of(json.loads(row["header"])) if apart else "DICOM" for row in rows]
        added = 0
        for label in sorted(set(labels)):
            chosen = [row for row, its in zip(rows, labels, strict=True) if its == label]
            resource = filing.find_resource(self._connection, scan, label)
            if resource is not None:
                added += self._merge_files(resource, chosen)
                continue
            resource = filing.create_resource(
                self._connection, scan, label, format="DICOM", content="RAW"
            )
            self._store(resource, chosen)
            added += len(chosen)
        return added

    def _merge_files(self, resource: Resource, rows: Sequence[sqlite3.Row]) -> int:
        """Merge files into a resource that is there; return how many objects are new."""
        by_path = {file.path: file for file in filing.files_of(self._connection, resource)}
        by_uid = {file.uid: file for file in by_path.values() if file.uid}
        if not (self._policy.override or self._policy.replace):
            if any(row["path"] in by_path for row in rows):
                raise Refused(409, MATCHING_FILES)
            if any(row["uid"] in by_uid for row in rows):
                raise Refused(409, MATCHING_OBJECTS)
        added = 0
        for row in rows:
            same = by_uid.get(row["uid"])
            there = by_path.get(row["path"])
            if there is not None and there.uid != row["uid"]:
                raise Refused(500, OTHER_OBJECT if there.uid else NO_DICOM)
            added += same is None
            self._remove(by_path, same)
            self._store(resource, [row])
            stored = filing.find_file(self._connection, resource, row["path"])
            assert stored is not None
            by_path[stored.path] = by_uid[stored.uid] = stored
        return added

    def _remove(self, by_path: dict[str, File], old: File | None) -> None:
        """Let go of an object that is replaced, also where it has another name now."""
        if old is not None:
            self.obsolete += filing.delete_files(self._connection, [old])
            by_path.pop(old.path, None)

    def _store(self, resource: Resource, rows: Sequence[sqlite3.Row]) -> None:
        moment = items.now()
        self._connection.executemany(
            "INSERT INTO file (resource, path, blob, size, digest, format, content,"
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

    def _count_frames(self, scan: Item, added: int) -> None:
        frames = items.fields(self._connection, scan).get("frames", "0")
        total = (int(frames) if frames.isdigit() else 0) + added
        items.set_fields(self._connection, scan, {"frames": str(total)})


def _correct_ids(
    scans: Sequence[ScanDescription], uids: Mapping[str, str]
) -> list[ScanDescription]:
    """Return scans under the IDs they get where another series has theirs.

    Parameters
    ----------
    uids : mapping
        Series UIDs of the scans that are there, by scan ID.
    """
    if all(uids.get(scan.id, "") in ("", scan.series) for scan in scans):
        return list(scans)
    by_uid = {uid: key for key, uid in uids.items() if uid}
    used = set(uids)
    placed = []
    for scan in scans:
        number = by_uid.get(scan.series)
        if number is None:
            number = next_scan_id(scan.id, type_code(scan.xsi_type), used)
            used.add(number)
        placed.append(ScanDescription(number, scan.series, scan.xsi_type, scan.fields))
    return placed
