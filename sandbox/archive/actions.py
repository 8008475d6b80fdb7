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

Headers = Mapping[int, Sequence[dict[str, str]]]


def fix_scan_types(connection: sqlite3.Connection, session: Item) -> None:
    """Give each scan without a type its series description as type."""
    connection.execute(
        "INSERT OR IGNORE INTO field SELECT item.pk, 'type', described.value FROM item"
        " JOIN field described ON described.item = item.pk"
        " AND described.path = 'series_description'"
        " WHERE item.parent = ? AND item.kind = 'scan'",
        (session.pk,),
    )


def read_headers(archive: Archive, session: Item) -> Headers:
    """Return the headers of a session's DICOM files by the scans' keys; reads every file."""
    with archive.database.read() as connection:
        rows = connection.execute(_FILES, (session.pk,)).fetchall()
    found: dict[int, list[dict[str, str]]] = {}
    for row in rows:
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
        if scan.pk not in headers:
            continue
        known = items.fields(connection, scan)
        told = describe(headers[scan.pk]).scans[0].fields
        fresh = {
            path: value for path, value in told.items() if not (path in _KEPT and path in known)
        }
        items.set_fields(connection, scan, fresh)


def perform(archive: Archive, session: Item, action: str) -> None:
    """Do one of the `ACTIONS`; to trigger pipelines does nothing where none is set to run."""
    headers = read_headers(archive, session) if action == "pullDataFromHeaders" else {}
    with archive.database.write() as connection:
        if action == "pullDataFromHeaders":
            pull_headers(connection, session, headers)
        elif action == "fixScanTypes":
            fix_scan_types(connection, session)
