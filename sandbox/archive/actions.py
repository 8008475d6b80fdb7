"""What a session can be asked to do with its own data: types and values from its DICOM files."""

import sqlite3
from collections.abc import Mapping, Sequence

from . import items
from .archive import Archive
from .dicom_files import NotDicomError, read_header
from .dicom_rules import describe
from .items import Item

ACTIONS = ("triggerPipelines", "pullDataFromHeaders", "fixScanTypes")
_FILES = (
    "SELECT item.pk AS scan, file.blob AS blob FROM item"
    " JOIN resource ON resource.item = item.pk JOIN file ON file.resource = resource.pk"
    " WHERE item.parent = ? AND item.kind = 'scan' AND (file.uid != ''"
    " OR resource.format = 'DICOM' OR resource.label IN ('DICOM', 'secondary'))"
    " ORDER BY item.pk, file.path"
)
# What people set by hand and the headers do not take back.
_KEPT = ("type", "quality")
_UNKNOWN = "Unknown"  # no type that a person chose

Headers = Mapping[int, Sequence[dict[str, str]]]


def fix_scan_types(connection: sqlite3.Connection, session: Item) -> None:
    """Give each scan the type that its project uses for its series description.

    A description that no other session of the project has is the type of a scan without one.
    """
    connection.execute(
        "INSERT INTO field SELECT item.pk, 'type', (SELECT type.value FROM item other"
        " JOIN field same ON same.item = other.pk AND same.path = 'series_description'"
        " AND same.value = described.value COLLATE NOCASE"
        " JOIN field type ON type.item = other.pk AND type.path = 'type'"
        " WHERE other.kind = 'scan' AND other.project = item.project"
        " AND other.parent != item.parent"
        " GROUP BY type.value ORDER BY count(*) DESC LIMIT 1) AS known FROM item"
        " JOIN field described ON described.item = item.pk"
        " AND described.path = 'series_description'"
        " WHERE item.parent = ? AND item.kind = 'scan' AND known IS NOT NULL"
        " ON CONFLICT (item, path) DO UPDATE SET value = excluded.value",
        (session.pk,),
    )
    connection.execute(
        "INSERT OR IGNORE INTO field SELECT item.pk, 'type', described.value FROM item"
        " JOIN field described ON described.item = item.pk"
        " AND described.path = 'series_description'"
        " WHERE item.parent = ? AND item.kind = 'scan'",
        (session.pk,),
    )


def read_headers(archive: Archive, session: Item, scan: Item | None = None) -> Headers:
    """Return the headers of a session's DICOM files, or of one scan's, by the scans' keys."""
    with archive.database.read() as connection:
        rows = connection.execute(_FILES, (session.pk,)).fetchall()
    found: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        if scan is not None and row["scan"] != scan.pk:
            continue
        try:
            header = read_header(archive.blobs.path(row["blob"]))
        except (NotDicomError, OSError):
            continue  # replaced or removed since, or no image: it has nothing to tell
        found.setdefault(row["scan"], []).append(header)
    return found


def pull_headers(connection: sqlite3.Connection, session: Item, headers: Headers) -> None:
    """Set a session's and its scans' values from the headers of its files."""
    everything = [header for group in headers.values() for header in group]
    if not everything:
        return
    items.set_fields(connection, session, describe(everything).fields)
    for scan in items.children(connection, session, "scan"):
        pull_scan_headers(connection, scan, headers)


def pull_scan_headers(connection: sqlite3.Connection, scan: Item, headers: Headers) -> None:
    """Set a scan's values from the headers of its files; a type that a person chose is kept."""
    if scan.pk not in headers:
        return
    known = items.fields(connection, scan)
    told = describe(headers[scan.pk]).scans[0].fields
    kept = {path for path in _KEPT if known.get(path, _UNKNOWN) != _UNKNOWN}
    fresh = {path: value for path, value in told.items() if path not in kept}
    items.set_fields(connection, scan, fresh)


def perform(archive: Archive, session: Item, action: str) -> None:
    """Do one of the `ACTIONS`; to trigger pipelines fixes scan types, and none is set to run."""
    headers = read_headers(archive, session) if action == "pullDataFromHeaders" else {}
    with archive.database.write() as connection:
        if action == "pullDataFromHeaders":
            pull_headers(connection, session, headers)
        else:
            fix_scan_types(connection, session)
