"""What is in the prearchive: its sessions, their scans and files."""

import sqlite3
from datetime import UTC, datetime

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from .. import prearchive
from ..accounts import demand
from ..dicom_rules import SessionDescription
from ..downloads import Entry
from ..elements import Element, build, to_xml
from ..http import Call, endpoint, table_response
from ..prearchive import UNASSIGNED, Session, may_change
from ..refusals import Refused, not_found
from .sending import archive_response, disposition

COLUMNS = (
    *("project", "timestamp", "lastmod", "uploaded", "scan_date", "scan_time", "subject"),
    *("folderName", "name", "tag", "status", "url", "autoarchive", "prevent_anon"),
    *("prevent_auto_commit", "SOURCE", "VISIT", "PROTOCOL", "TIMEZONE"),
)


def find(connection: sqlite3.Connection, call: Call) -> Session:
    """Return the session of the address.

    Raises
    ------
    Refused
        404; 403 for a missing right.
    """
    found = find_any(connection, call)
    demand(may_change(connection, call.user, found))
    return found


def find_any(connection: sqlite3.Connection, call: Call) -> Session:
    """Return the session of the address, whoever asks.

    Raises
    ------
    Refused
        404
    """
    found = prearchive.find(
        connection, call.path("project"), call.path("timestamp"), call.path("folder")
    )
    if found is None:
        raise not_found("session")
    return found


def row(session: Session) -> dict[str, str]:
    """Return a session as a row of a listing."""
    date = session.scan_date
    scan_date = f"{date[:4]}-{date[4:6]}-{date[6:8]} 00:00:00.0" if len(date) == 8 else ""
    description = session.description
    return {
        "project": session.project or UNASSIGNED,
        "timestamp": session.timestamp,
        "lastmod": _moment(session.lastmod),
        "uploaded": _moment(session.uploaded),
        "scan_date": scan_date,
        "scan_time": description.fields.get("time", "") if description else "",
        "subject": session.subject,
        "folderName": session.folder,
        "name": session.name,
        "tag": session.tag,
        "status": session.status,
        "url": session.url,
        "autoarchive": session.autoarchive,
        "prevent_anon": "false",
        "prevent_auto_commit": session.parameters.get("prevent_auto_commit", "false"),
        "SOURCE": session.source,
        "VISIT": session.visit,
        "PROTOCOL": "",
        "TIMEZONE": session.timezone,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def table(call: Call, found: list[Session]) -> Response:
    """Answer with a listing of sessions."""
    return table_response(call, COLUMNS, [row(one) for one in found], total=False)


@endpoint
def listing(call: Call) -> Response:
    """List the sessions of all projects, or of some."""
    wanted = set(call.path("projects").split(",")) - {""}
    with call.archive.database.read() as connection:
        found = [
            one
            for one in prearchive.sessions(connection)
            if not wanted or (one.project or UNASSIGNED) in wanted
        ]
        each = {one.project: one for one in found}
        mine = {name for name, one in each.items() if may_change(connection, call.user, one)}
        found = [one for one in found if one.project in mine]
    return table(call, found)


@endpoint
def show(call: Call) -> Response:
    """Return one session: its row, its document, or all its files."""
    with call.archive.database.read() as connection:
        session = find(connection, call)
        description = prearchive.described(connection, session)
        kind = call.format("json")
        if kind == "xml":
            return Response(_document(session, description), media_type="text/xml")
        if kind in ("zip", "tar", "tar.gz"):
            entries = _entries(call, connection, session, description, "")
            return archive_response(call, iter(entries), session.folder)
    return table(call, [session])


def _document(session: Session, description: SessionDescription) -> bytes:
    values = {**description.fields, "project": session.project, "label": session.name}
    values["subject_ID"] = session.subject
    root = build(description.xsi_type, {k: v for k, v in values.items() if v})
    for scan in description.scans:
        part: Element = build(scan.xsi_type, {**scan.fields, "ID": scan.id})
        root.add("scans/scan", part)
    return to_xml(root)


def _entries(
    call: Call,
    connection: sqlite3.Connection,
    session: Session,
    description: SessionDescription,
    wanted: str,
) -> list[Entry]:
    """Return the files to send of all scans, or of one by its ID."""
    found = []
    for scan in description.scans:
        if wanted in ("", scan.id):
            for row in prearchive.files(connection, session, [scan.series]):
                name = f"{session.folder}/scans/{scan.id}/DICOM/{row['path']}"
                found.append(Entry(name, call.archive.blobs.path(row["blob"]), row["size"]))
    if not found:
        raise Refused(404, "Unable to find the specified files.")
    return found


@endpoint
def scans(call: Call) -> Response:
    """List a session's scans."""
    with call.archive.database.read() as connection:
        description = prearchive.described(connection, find(connection, call))
    rows = [
        {
            "ID": scan.id,
            "xsiType": scan.xsi_type,
            "series_description": scan.fields.get("series_description", ""),
        }
        for scan in description.scans
    ]
    return table_response(call, ("ID", "xsiType", "series_description"), rows)


@endpoint
def scan_archive(call: Call) -> Response:
    """Send a scan's files as an archive."""
    return _scan_archive(call)


def _scan_archive(call: Call) -> Response:
    with call.archive.database.read() as connection:
        session = find(connection, call)
        description = prearchive.described(connection, session)
        entries = _entries(call, connection, session, description, call.path("scan"))
    return archive_response(call, iter(entries), f"{session.folder}-{call.path('scan')}")


def _files(connection: sqlite3.Connection, call: Call) -> list[sqlite3.Row]:
    """Return the files of the address's scan; they are all in resource DICOM."""
    session = find(connection, call)
    series = [
        scan.series
        for scan in prearchive.described(connection, session).scans
        if scan.id == call.path("scan")
    ]
    if not series:
        raise not_found("scan")
    if call.path("label", "DICOM") != "DICOM":
        raise not_found("resource")
    return prearchive.files(connection, session, series)


@endpoint
def scan_resources(call: Call) -> Response:
    """List a scan's resources."""
    with call.archive.database.read() as connection:
        found = _files(connection, call)
    size = sum(row["size"] for row in found)
    rows = [{"label": "DICOM", "file_count": len(found), "file_size": size}]
    return table_response(call, ("label", "file_count", "file_size"), rows)


@endpoint
def scan_files(call: Call) -> Response:
    """List a scan's files, or send them as an archive."""
    if call.format("json") in ("zip", "tar", "tar.gz"):
        return _scan_archive(call)
    with call.archive.database.read() as connection:
        found = _files(connection, call)
    rows = [
        {
            "Name": row["path"],
            "Size": row["size"],
            "URI": f"{call.request.url.path.rstrip('/')}/{row['path']}",
        }
        for row in found
    ]
    return table_response(call, ("Name", "Size", "URI"), rows)


@endpoint
def scan_file(call: Call) -> Response:
    """Send one file."""
    with call.archive.database.read() as connection:
        found = _files(connection, call)
    for one in found:
        path = call.archive.blobs.path(one["blob"])
        if one["path"] == call.path("name") and path.is_file():
            headers = {"Content-Disposition": disposition("attachment", one["path"])}
            return FileResponse(path, headers=headers, media_type="application/dicom")
    raise not_found("file")


@endpoint
def resources(call: Call) -> Response:
    """List a session's own resources: it has none before it is archived."""
    with call.archive.database.read() as connection:
        find(connection, call)
    return table_response(call, ("label", "file_count", "file_size"), [])


@endpoint
def logs(call: Call) -> Response:
    """Return what was done with a session."""
    with call.archive.database.read() as connection:
        session = find(connection, call)
    rows = [{"id": n, "entry": line} for n, line in enumerate(session.log.splitlines())]
    return table_response(call, ("id", "entry"), rows)


SESSION = "/data/prearchive/projects/{project}/{timestamp}/{folder}"
_SCAN = SESSION + "/scans/{scan}"
routes = [
    Route("/data/prearchive", listing, methods=["GET"]),
    Route("/data/prearchive/projects", listing, methods=["GET"]),
    Route("/data/prearchive/projects/{projects}", listing, methods=["GET"]),
    Route(SESSION, show, methods=["GET"]),
    Route(SESSION + "/scans", scans, methods=["GET"]),
    Route(SESSION + "/resources", resources, methods=["GET"]),
    Route(SESSION + "/logs", logs, methods=["GET"]),
    Route(_SCAN, scan_archive, methods=["GET"]),
    Route(_SCAN + "/resources", scan_resources, methods=["GET"]),
    Route(_SCAN + "/resources/{label}/files", scan_files, methods=["GET"]),
    Route(_SCAN + "/resources/{label}/files/{name}", scan_file, methods=["GET"]),
]
