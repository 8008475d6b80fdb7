"""The prearchive: what is in it, and what may be done with its sessions."""

import json
import sqlite3
from datetime import UTC, datetime

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from .. import archiving, items, prearchive
from ..accounts import demand, may_delete, may_edit
from ..archiving import Outcome, Policy, Target
from ..dicom_rules import SessionDescription
from ..downloads import Entry
from ..elements import Element, build, to_xml
from ..http import Call, endpoint, table_response, text
from ..prearchive import UNASSIGNED, Session, may_change
from ..refusals import Refused, not_found
from .imports import uri_list
from .sending import archive_response, disposition

_COLUMNS = (
    *("project", "timestamp", "lastmod", "uploaded", "scan_date", "scan_time", "subject"),
    *("folderName", "name", "tag", "status", "url", "autoarchive", "prevent_anon"),
    *("prevent_auto_commit", "SOURCE", "VISIT", "PROTOCOL", "TIMEZONE"),
)


def _find(connection: sqlite3.Connection, call: Call) -> Session:
    """Return the session of the address.

    Raises
    ------
    Refused
        404; 403 for a missing right.
    """
    found = prearchive.find(
        connection, call.path("project"), call.path("timestamp"), call.path("folder")
    )
    if found is None:
        raise not_found("session")
    demand(may_change(connection, call.user, found))
    return found


def _row(session: Session) -> dict[str, str]:
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
        "prevent_auto_commit": "false",
        "SOURCE": session.source,
        "VISIT": session.visit,
        "PROTOCOL": "",
        "TIMEZONE": session.timezone,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _table(call: Call, found: list[Session]) -> Response:
    return table_response(call, _COLUMNS, [_row(one) for one in found], total=False)


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
    return _table(call, found)


@endpoint
def show(call: Call) -> Response:
    """Return one session: its row, its document, or all its files."""
    with call.archive.database.read() as connection:
        session = _find(connection, call)
        description = prearchive.described(connection, session)
        kind = call.format("json")
        if kind == "xml":
            return Response(_document(session, description), media_type="text/xml")
        if kind in ("zip", "tar", "tar.gz"):
            entries = _entries(call, connection, session, description, "")
            return archive_response(call, iter(entries), session.folder)
    return _table(call, [session])


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
        description = prearchive.described(connection, _find(connection, call))
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
    """Send a scan's files."""
    with call.archive.database.read() as connection:
        session = _find(connection, call)
        description = prearchive.described(connection, session)
        entries = _entries(call, connection, session, description, call.path("scan"))
    return archive_response(call, iter(entries), f"{session.folder}-{call.path('scan')}")


def _files(connection: sqlite3.Connection, call: Call) -> list[sqlite3.Row]:
    """Return the files of the address's scan; they are all in resource DICOM."""
    session = _find(connection, call)
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
        return _scan_zip(call)
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


def _scan_zip(call: Call) -> Response:
    with call.archive.database.read() as connection:
        session = _find(connection, call)
        description = prearchive.described(connection, session)
        entries = _entries(call, connection, session, description, call.path("scan"))
    return archive_response(call, iter(entries), session.folder)


@endpoint
def scan_file(call: Call) -> Response:
    """Send one file."""
    with call.archive.database.read() as connection:
        found = _files(connection, call)
    for row in found:
        path = call.archive.blobs.path(row["blob"])
        if row["path"] == call.path("name") and path.is_file():
            headers = {"Content-Disposition": disposition("attachment", row["path"])}
            return FileResponse(path, headers=headers, media_type="application/dicom")
    raise not_found("file")


@endpoint
def resources(call: Call) -> Response:
    """List a session's own resources: it has none before it is archived."""
    with call.archive.database.read() as connection:
        _find(connection, call)
    return table_response(call, ("label", "file_count", "file_size"), [])


@endpoint
def logs(call: Call) -> Response:
    """Return what was done with a session."""
    with call.archive.database.read() as connection:
        session = _find(connection, call)
    rows = [{"id": n, "entry": line} for n, line in enumerate(session.log.splitlines())]
    return table_response(call, ("id", "entry"), rows)


@endpoint
def act(call: Call) -> Response:
    """Commit, build, reset or move a session."""
    _take_json(call)
    action = call.get("action").lower()
    if action == "commit":
        return _commit(call)
    with call.archive.database.write() as connection:
        session = _find(connection, call)
        if action in ("build", "reset"):
            session = prearchive.build(connection, session)
            return uri_list(["/data" + session.url])
        if action == "move":
            moved = prearchive.move(connection, session, _new_project(connection, call))
            return text("/data" + moved.url, 301)
    raise Refused(400, f"The action {call.get('action')!r} is not commit, build, reset or move.")


def _take_json(call: Call) -> None:
    """Take parameters from a JSON body."""
    if call.content_type != "application/json" or not call.body:
        return
    try:
        found = json.loads(call.body)
    except ValueError as error:
        raise Refused(400, f"The body is not JSON: {error}") from error
    if isinstance(found, dict):
        call.params += [(str(key), str(value)) for key, value in found.items()]


def _new_project(connection: sqlite3.Connection, call: Call) -> str:
    wanted = call.get("newProject")
    if not wanted:
        raise Refused(400, "Name the project to move to: newProject.")
    project = items.find_project(connection, wanted)
    if project is None:
        raise not_found("project")
    demand(may_edit(connection, call.user, project.id))
    return project.id


def _commit(call: Call) -> Response:
    """Build a session, and archive it where that is asked for or set for it."""
    asked = call.get("AA") or call.get("auto-archive")
    archive = call.archive
    outcome: Outcome | None = None
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        session = prearchive.build(connection, _find(connection, call))
        automatic = session.autoarchive.startswith("AutoArchive")
        if asked.lower() in ("true", "1") or (automatic and not asked):
            policy = Policy.of_import(call.get("overwrite"), call.flag("overwrite_files"))
            if automatic and not call.get("overwrite"):
                policy = Policy.of_project(session.autoarchive)
            outcome, obsolete = archiving.attempt(connection, call.user, session, Target(), policy)
            placing.drop(*obsolete)
    if outcome is None:
        return uri_list(["/data" + session.url])
    _demand_archived(outcome)
    return text(outcome.uri, 301)


def _demand_archived(outcome: Outcome) -> None:
    refusal = outcome.refusal
    if refusal is None:
        return
    if refusal.status == 403:
        raise refusal
    raise Refused(500, f"FAILED: Unable to archive {outcome.session.folder}: {refusal.message}")


@endpoint
def delete(call: Call) -> Response:
    """Delete a session."""
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        try:
            session = _find(connection, call)
        except Refused as refusal:
            if refusal.status == 404:
                raise Refused(500, "Unable to find the prearchive session.") from refusal
            raise
        _demand_delete(connection, call, session)
        placing.drop(*prearchive.remove(connection, session))
    return text()


def _demand_delete(connection: sqlite3.Connection, call: Call, session: Session) -> None:
    demand(
        call.user.is_admin
        if not session.project
        else may_delete(connection, call.user, session.project)
    )


def _sources(connection: sqlite3.Connection, call: Call) -> list[Session]:
    """Return the sessions that ``src`` names.

    Raises
    ------
    Refused
        400 without any; 404 for one that is not there; 403 for a missing right.
    """
    if not call.all("src"):
        raise Refused(400, "Name the prearchive session: src=/prearchive/projects/P/TIME/NAME.")
    found = []
    for src in call.all("src"):
        parts = src.strip().removeprefix("/data").strip("/").split("/")
        if len(parts) != 5 or parts[:2] != ["prearchive", "projects"]:
            raise Refused(400, f"{src} is not the address of a prearchive session.")
        session = prearchive.find(connection, parts[2], parts[3], parts[4])
        if session is None:
            raise not_found("session")
        demand(may_change(connection, call.user, session))
        found.append(session)
    return found


@endpoint
def archive_service(call: Call) -> Response:
    """Archive sessions."""
    archive = call.archive
    target = Target(call.get("project"), call.get("subject"), call.get("session"))
    policy = Policy.of_archive(call.get("overwrite"), call.flag("overwrite_files"))
    outcomes = []
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        for session in _sources(connection, call):
            prearchive.check_free(session)
            wanted = target if len(call.all("src")) == 1 else Target(target.project)
            outcome, obsolete = archiving.attempt(connection, call.user, session, wanted, policy)
            placing.drop(*obsolete)
            outcomes.append(outcome)
    if len(outcomes) > 1:
        return table_response(call, _COLUMNS, [_state(one) for one in outcomes], total=False)
    _demand_archived(outcomes[0])
    automatic = outcomes[0].session.autoarchive.startswith("AutoArchive")
    if call.flag("redirect") or (automatic and call.flag("auto-archive", True)):
        answer = text(outcomes[0].uri, 303)
        answer.headers["Location"] = outcomes[0].uri
        return answer
    return uri_list([outcomes[0].uri])


def _state(outcome: Outcome) -> dict[str, str]:
    row = _row(outcome.session)
    return row if outcome.refusal is not None else {**row, "status": "ARCHIVING"}


@endpoint
def move_service(call: Call) -> Response:
    """Move sessions to another project."""
    with call.archive.database.write() as connection:
        found = _sources(connection, call)
        project = _new_project(connection, call)
        moved = [prearchive.move(connection, one, project) for one in found]
    return _table(call, moved)


@endpoint
def rebuild_service(call: Call) -> Response:
    """Build sessions again."""
    with call.archive.database.write() as connection:
        built = [prearchive.build(connection, one) for one in _sources(connection, call)]
    return _table(call, built)


@endpoint
def delete_service(call: Call) -> Response:
    """Delete sessions."""
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        found = _sources(connection, call)
        for session in found:
            _demand_delete(connection, call, session)
            placing.drop(*prearchive.remove(connection, session))
    rows = [{**_row(one), "status": "DELETING"} for one in found]
    return table_response(call, _COLUMNS, rows, total=False)


_SESSION = "/data/prearchive/projects/{project}/{timestamp}/{folder}"
_SCAN = _SESSION + "/scans/{scan}"
routes = [
    Route("/data/services/archive", archive_service, methods=["POST"]),
    Route("/data/services/prearchive/move", move_service, methods=["POST"]),
    Route("/data/services/prearchive/rebuild", rebuild_service, methods=["POST"]),
    Route("/data/services/prearchive/delete", delete_service, methods=["POST"]),
    Route("/data/prearchive", listing, methods=["GET"]),
    Route("/data/prearchive/projects", listing, methods=["GET"]),
    Route("/data/prearchive/projects/{projects}", listing, methods=["GET"]),
    Route(_SESSION, show, methods=["GET"]),
    Route(_SESSION, act, methods=["POST", "PUT"]),
    Route(_SESSION, delete, methods=["DELETE"]),
    Route(_SESSION + "/scans", scans, methods=["GET"]),
    Route(_SESSION + "/resources", resources, methods=["GET"]),
    Route(_SESSION + "/logs", logs, methods=["GET"]),
    Route(_SCAN, scan_archive, methods=["GET"]),
    Route(_SCAN + "/resources", scan_resources, methods=["GET"]),
    Route(_SCAN + "/resources/{label}/files", scan_files, methods=["GET"]),
    Route(_SCAN + "/resources/{label}/files/{name}", scan_file, methods=["GET"]),
]
