"""The prearchive: what was sent, until somebody archives it.

As in `items`, functions take a connection; contents are `blobs.Blob`s put in place before.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from .accounts import GUEST, User, may_edit
from .blobs import Blob
from .dicom_rules import Header, ScanDescription, SessionDescription, clean_label, describe
from .refusals import Refused

UNASSIGNED = "Unassigned"
RECEIVING, READY, CONFLICT, ERROR = "RECEIVING", "READY", "CONFLICT", "ERROR"
_OPEN = (RECEIVING, "RECEIVING_INTERRUPT", READY, CONFLICT, ERROR)
# What a project's prearchive code means for the sessions it receives.
AUTO_ARCHIVE = {"0": "Manual", "4": "AutoArchive", "5": "AutoArchiveOverwrite"}
_BUSY = "Operation already in progress on this prearchive entry."


@dataclass(frozen=True)
class Session:
    """One row of the prearchive.

    Attributes
    ----------
    project : str
        Empty for Unassigned.
    name, tag : str
        Session label and StudyInstanceUID.
    lastmod, uploaded : float
        Seconds since 1970.
    parameters : dict
        What the import said: ``direct`` for a session that goes straight to the archive,
        ``prevent_auto_commit`` for one that the clock leaves alone.
    """

    pk: int
    project: str
    timestamp: str
    folder: str
    subject: str
    name: str
    tag: str
    status: str
    lastmod: float
    uploaded: float
    scan_date: str
    autoarchive: str
    source: str
    visit: str
    timezone: str
    parameters: Mapping[str, str]
    session: str
    log: str

    @property
    def url(self) -> str:
        """Where it is, without ``/data``."""
        return f"/prearchive/projects/{self.project or UNASSIGNED}/{self.timestamp}/{self.folder}"

    @property
    def is_busy(self) -> bool:
        """Whether nothing may be done with it now."""
        return self.status not in _OPEN

    @property
    def archives_itself(self) -> bool:
        """Whether its project, or its objects, have it archived without a question."""
        return self.autoarchive.startswith("AutoArchive")

    @property
    def waits_for_sender(self) -> bool:
        """Whether it is built only when somebody asks, however long it is idle."""
        return bool(self.parameters.get("prevent_auto_commit")) or self.source == "uploader"

    @property
    def description(self) -> SessionDescription | None:
        """The session as it was built; None before that."""
        found = json.loads(self.session)
        if not found:
            return None
        scans = tuple(ScanDescription(**scan) for scan in found["scans"])
        return SessionDescription(found["xsi_type"], found["fields"], scans)


@dataclass(frozen=True)
class PrearchiveRequest:
    """Where something that arrives should go."""

    project: str
    subject: str
    name: str
    tag: str
    scan_date: str = ""
    autoarchive: str = ""
    source: str = ""
    visit: str = ""
    timezone: str = ""
    parameters: Mapping[str, str] | None = None
    folder: str = ""  # the label's own name where empty


def _session(row: sqlite3.Row | None) -> Session | None:
    if row is None:
        return None
    values = {key: row[key] for key in row.keys()}  # noqa: SIM118
    values["parameters"] = json.loads(values["parameters"])
    return Session(**values)


def get(connection: sqlite3.Connection, pk: int) -> Session | None:
    """Return a session by its key."""
    row = connection.execute("SELECT * FROM prearchive WHERE pk = ?", (pk,)).fetchone()
    return _session(row)


def find(
    connection: sqlite3.Connection, project: str, timestamp: str, folder: str
) -> Session | None:
    """Return a session by its address."""
    row = connection.execute(
        "SELECT * FROM prearchive WHERE project = ? AND timestamp = ? AND folder = ?",
        ("" if project == UNASSIGNED else project, timestamp, folder),
    ).fetchone()
    return _session(row)


def sessions(connection: sqlite3.Connection, *, direct: bool = False) -> list[Session]:
    """Return all sessions, oldest first; those of direct archiving are listed on their own."""
    rows = connection.execute(
        "SELECT * FROM prearchive WHERE (json_extract(parameters, '$.direct') IS NOT NULL) = ?"
        " ORDER BY pk",
        (int(direct),),
    )
    return [found for row in rows if (found := _session(row)) is not None]


def may_change(connection: sqlite3.Connection, user: User, session: Session) -> bool:
    """Tell whether a user may see and change a session; unassigned ones are administrators'."""
    return may_edit(connection, user, session.project) if session.project else user.is_admin


def may_build(connection: sqlite3.Connection, user: User, session: Session) -> bool:
    """Tell whether a user may build or move a session; unassigned ones every user may."""
    return user is not GUEST if not session.project else may_edit(connection, user, session.project)


def new_timestamp() -> str:
    """Return the present time as the name of a prearchive folder."""
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%S%f")[:-3]


def receive(connection: sqlite3.Connection, request: PrearchiveRequest, timestamp: str) -> Session:
    """Return the session that takes what arrives: an open one of the study, or a new one.

    An open session of the same project, study and label goes back to RECEIVING.
    """
    direct = (request.parameters or {}).get("direct")
    row = connection.execute(
        "SELECT * FROM prearchive WHERE project = ? AND tag = ? AND name = ? AND status IN"
        f" ({', '.join('?' for _ in _OPEN)})"
        " AND json_extract(parameters, '$.direct') IS ? ORDER BY pk DESC",
        (request.project, request.tag, request.name, *_OPEN, direct),
    ).fetchone()
    found = _session(row)
    if found is not None:
        return touch(connection, found, RECEIVING)
    return _create(connection, request, timestamp)


def _create(connection: sqlite3.Connection, request: PrearchiveRequest, timestamp: str) -> Session:
    folder = request.folder or clean_label(request.name) or "session"
    moment = time.time()
    free = _free_folder(connection, request.project, timestamp, folder)
    row = connection.execute(
        "INSERT INTO prearchive (project, timestamp, folder, subject, name, tag, status, lastmod,"
        " uploaded, scan_date, autoarchive, source, visit, timezone, parameters)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (
            request.project,
            timestamp,
            free,
            request.subject,
            request.name + ("" if request.folder else free.removeprefix(folder)),
            request.tag,
            RECEIVING,
            moment,
            moment,
            request.scan_date,
            request.autoarchive,
            request.source,
            request.visit,
            request.timezone,
            json.dumps(dict(request.parameters or {})),
        ),
    ).fetchone()
    made = _session(row)
    assert made is not None
    return made


def _free_folder(connection: sqlite3.Connection, project: str, timestamp: str, folder: str) -> str:
    free, n = folder, 0
    while find(connection, project, timestamp, free) is not None:
        n += 1
        free = f"{folder}_{n}"
    return free


def touch(
    connection: sqlite3.Connection, session: Session, status: str, message: str = ""
) -> Session:
    """Give a session a status, and a line in its log."""
    line = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {status} {message}\n" if message else ""
    connection.execute(
        "UPDATE prearchive SET status = ?, lastmod = ?, log = log || ? WHERE pk = ?",
        (status, time.time(), line, session.pk),
    )
    touched = get(connection, session.pk)
    assert touched is not None
    return touched


def add(
    connection: sqlite3.Connection,
    session: Session,
    header: Header,
    blob: Blob,
    name: str,
    unique_name: str,
) -> str:
    """Add an object to a session; return the blob it replaces, empty for none.

    Parameters
    ----------
    name, unique_name : str
        File name, and the one to take where another object has the first.
    """
    series, uid = header["SeriesInstanceUID"], header["SOPInstanceUID"]
    for path in (name, unique_name):
        row = connection.execute(
            "SELECT blob, uid FROM prearchive_file WHERE prearchive = ? AND scan = ? AND path = ?",
            (session.pk, series, path),
        ).fetchone()
        if row is None or row["uid"] == uid:
            break
    connection.execute(
        "INSERT OR REPLACE INTO prearchive_file VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session.pk,
            series,
            path,
            blob.path,
            blob.size,
            blob.digest,
            json.dumps(dict(header), ensure_ascii=False),
            uid,
        ),
    )
    return row["blob"] if row is not None else ""


def headers(connection: sqlite3.Connection, session: Session) -> list[Header]:
    """Return the headers of a session's objects."""
    rows = connection.execute(
        "SELECT header FROM prearchive_file WHERE prearchive = ? ORDER BY scan, path",
        (session.pk,),
    )
    return [json.loads(row[0]) for row in rows]


def build(connection: sqlite3.Connection, session: Session, status: str = READY) -> Session:
    """Describe a session from its objects; one without any is an ERROR.

    Raises
    ------
    Refused
        403 while something else is done with it.
    """
    check_free(session)
    description = describe(headers(connection, session))
    connection.execute(
        "UPDATE prearchive SET session = ? WHERE pk = ?",
        (json.dumps(asdict(description), ensure_ascii=False), session.pk),
    )
    if not description.scans:
        return touch(connection, session, ERROR, "it holds no DICOM objects")
    return touch(connection, session, status, "built")


def described(connection: sqlite3.Connection, session: Session) -> SessionDescription:
    """Return a session's description, made now where it was not built yet."""
    return session.description or describe(headers(connection, session))


def check_free(session: Session) -> None:
    """Refuse a session that is busy.

    Raises
    ------
    Refused
        403.
    """
    if session.is_busy:
        raise Refused(403, _BUSY)


def move(connection: sqlite3.Connection, session: Session, project: str) -> Session:
    """Move a session to another project.

    Raises
    ------
    Refused
        403 while something else is done with it.
    """
    check_free(session)
    folder = _free_folder(connection, project, session.timestamp, session.folder)
    connection.execute(
        "UPDATE prearchive SET project = ?, folder = ? WHERE pk = ?",
        (project, folder, session.pk),
    )
    return touch(connection, session, session.status, f"moved to {project}")


def remove(connection: sqlite3.Connection, session: Session) -> list[str]:
    """Delete a session; return the blobs to remove after the commit.

    Raises
    ------
    Refused
        403 while something else is done with it.
    """
    check_free(session)
    rows = connection.execute(
        "SELECT blob FROM prearchive_file WHERE prearchive = ?", (session.pk,)
    ).fetchall()
    connection.execute("DELETE FROM prearchive WHERE pk = ?", (session.pk,))
    return [row[0] for row in rows]


def files(
    connection: sqlite3.Connection, session: Session, series: Iterable[str]
) -> list[sqlite3.Row]:
    """Return the files of some series: scan (series UID), path, blob, size, digest, header, uid."""
    return connection.execute(
        "SELECT * FROM prearchive_file WHERE prearchive = ?"
        " AND scan IN (SELECT value FROM json_each(?)) ORDER BY scan, path",
        (session.pk, json.dumps(list(series))),
    ).fetchall()
