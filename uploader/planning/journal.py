"""The journal of an upload: an SQLite file beside the plan, written before and after each step.

It says what was done, what belongs to us in the server's prearchive, and what was measured. It
never decides alone: a run asks the server first. It holds no secret.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from ..errors import PlanError

_VERSION = 1
_TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE series (
    row_key TEXT NOT NULL, uid TEXT NOT NULL, state TEXT NOT NULL,
    files INTEGER NOT NULL, bytes INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT '', changed REAL NOT NULL,
    PRIMARY KEY (row_key, uid)
) WITHOUT ROWID;
CREATE TABLE session (
    row_key TEXT PRIMARY KEY, project TEXT NOT NULL, subject TEXT NOT NULL, label TEXT NOT NULL,
    prearchive TEXT NOT NULL DEFAULT '', sending INTEGER NOT NULL DEFAULT 0,
    problem TEXT NOT NULL DEFAULT '', verified TEXT NOT NULL DEFAULT '', changed REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE digest (
    row_key TEXT NOT NULL, sop_uid TEXT NOT NULL, sent_uid TEXT NOT NULL, md5 TEXT NOT NULL,
    PRIMARY KEY (row_key, sop_uid)
) WITHOUT ROWID;
CREATE TABLE upload (
    target TEXT PRIMARY KEY, source TEXT NOT NULL, fingerprint TEXT NOT NULL, md5 TEXT NOT NULL,
    bytes INTEGER NOT NULL, changed REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE event (id INTEGER PRIMARY KEY, at REAL NOT NULL, row_key TEXT NOT NULL,
    kind TEXT NOT NULL, text TEXT NOT NULL);
"""
# Journals of before lack these.
_LATER = (
    "CREATE TABLE IF NOT EXISTS rejected (row_key TEXT NOT NULL, sent_uid TEXT NOT NULL,"
    " PRIMARY KEY (row_key, sent_uid)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS arrival (row_key TEXT NOT NULL, sent_uid TEXT NOT NULL,"
    " place TEXT NOT NULL, md5 TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " equal_to TEXT NOT NULL DEFAULT '', PRIMARY KEY (row_key, sent_uid)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS finding (row_key TEXT NOT NULL, sent_uid TEXT NOT NULL,"
    " text TEXT NOT NULL, at REAL NOT NULL)",
    "CREATE TABLE IF NOT EXISTS verification (row_key TEXT PRIMARY KEY, at REAL NOT NULL,"
    " record TEXT NOT NULL) WITHOUT ROWID",
)


class SeriesState(Enum):
    """How far a series is."""

    PLANNED = "planned"
    SENT = "sent"
    RECEIVED = "received"
    ARCHIVED = "archived"
    VERIFIED = "verified"


@dataclass(frozen=True)
class SessionEntry:
    """What the journal knows of a session.

    Attributes
    ----------
    prearchive : str
        Address of our session in the prearchive; empty if none is known.
    sending : bool
        Whether something may have reached the prearchive whose address is not known.
    problem : str
        Why it did not go on, as a message.
    verified : str
        How surely it is there, once `verify` found all of it: ``checksummed``, ``pixels equal``,
        ``pixels equal in n of N files`` or ``counted``.
    """

    row_key: str
    project: str
    subject: str
    label: str
    prearchive: str
    sending: bool
    problem: str
    verified: str


@dataclass(frozen=True)
class SentObject:
    """What was sent of an object.

    Attributes
    ----------
    size : int
        Bytes; -1 where a journal of before does not tell.
    stamp : str
        Size and time of the file that it was made from; empty where it is not known.
    """

    sop_uid: str
    sent_uid: str
    md5: str
    size: int
    stamp: str = ""


@dataclass(frozen=True)
class ArrivedObject:
    """What the server had of an object when it was archived.

    Attributes
    ----------
    place : str
        Identifier of its session on the server: one that was sent anew has another.
    md5, size : str, int
        By the server's catalogue; an empty text and -1 where it does not tell.
    equal_to : str
        MD5 of the object on this side that this copy was compared with, and is equal to in pixels
        or content; empty: it was not compared.
    """

    sent_uid: str
    place: str
    md5: str
    size: int
    equal_to: str = ""


@dataclass(frozen=True)
class StandingFinding:
    """What `verify` found and nobody has mended.

    Attributes
    ----------
    sent_uid : str
        The object, where it is one that can be sent again; else empty.
    """

    row_key: str
    sent_uid: str
    text: str
    at_s: float


@dataclass(frozen=True)
class Event:
    """Something that happened, for the report."""

    at_s: float
    row_key: str
    kind: str
    text: str


def journal_path(plan: Path) -> Path:
    """Return the place of the journal of a plan."""
    return plan.with_name(plan.name + ".journal")


class Journal:
    """An open journal; safe to use from several threads, and by one process at a time.

    Raises
    ------
    PlanError
        If the file is no journal, or another run is using it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=1, check_same_thread=False)
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        try:
            self._connection.isolation_level = None
            # One writer for the whole run: two runs of one plan would send everything twice.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._prepare()
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise _unusable(path, error) from error
        except PlanError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _TABLES.split(";"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise PlanError(
                f"The journal {self.path} was written by another version of the program.",
                path=self.path,
                hint="Use that version, or move the journal away and run check first.",
            )
        for statement in _LATER:
            self._connection.execute(statement)
        columns = {row[1] for row in self._connection.execute("PRAGMA table_info (digest)")}
        if "bytes" not in columns:
            self._connection.execute("ALTER TABLE digest ADD COLUMN bytes INTEGER DEFAULT -1")
            self._connection.execute("ALTER TABLE digest ADD COLUMN stamp TEXT DEFAULT ''")

    def __repr__(self) -> str:
        """Show the file."""
        return f"<Journal {self.path}>"

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def value(self, name: str) -> str:
        """Return a value that concerns the whole upload, such as ``server``; empty if none."""
        rows = self._rows("SELECT value FROM about WHERE name = ?", name)
        return rows[0][0] if rows else ""

    def set_value(self, name: str, value: str) -> None:
        """Keep a value that concerns the whole upload."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def add_session(
        self,
        row_key: str,
        project: str,
        subject: str,
        label: str,
        series: Iterable[tuple[str, int, int]],
    ) -> None:
        """Note a session and its series (uid, files, bytes) as planned, where they are new."""
        now = time.time()
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO session (row_key, project, subject, label, changed)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (row_key) DO UPDATE SET"
                " project = excluded.project, subject = excluded.subject, label = excluded.label",
                (row_key, project, subject, label, now),
            )
            connection.executemany(
                "INSERT INTO series VALUES (?, ?, 'planned', ?, ?, '', ?)"
                " ON CONFLICT (row_key, uid) DO UPDATE SET"
                " files = excluded.files, bytes = excluded.bytes",
                [(row_key, uid, files, size, now) for uid, files, size in series],
            )

    def session(self, row_key: str) -> SessionEntry | None:
        """Return what is known of a session."""
        return next((one for one in self.sessions() if one.row_key == row_key), None)

    def sessions(self) -> list[SessionEntry]:
        """Return all sessions."""
        rows = self._rows(
            "SELECT row_key, project, subject, label, prearchive, sending, problem, verified"
            " FROM session ORDER BY row_key"
        )
        return [
            SessionEntry(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6], row[7])
            for row in rows
        ]

    def mark_sending(self, row_key: str) -> None:
        """Note that the prearchive may soon hold something of ours."""
        self._set_session(row_key, "sending = 1")

    def set_prearchive(self, row_key: str, address: str) -> None:
        """Note where our session lies in the prearchive; an empty address: nowhere any more."""
        self._set_session(row_key, "prearchive = ?, sending = 0", address)

    def set_problem(self, row_key: str, problem: str) -> None:
        """Note why a session does not go on; empty: it does."""
        self._set_session(row_key, "problem = ?", problem)
        if problem:
            self.add_event(row_key, "problem", problem)

    def set_verified(self, row_key: str, how: str) -> None:
        """Note that all of a session was found, and how; empty: it was not."""
        self._set_session(row_key, "verified = ?", how)

    def _set_session(self, row_key: str, what: str, *values: str) -> None:
        with self._writing() as connection:
            connection.execute(
                f"UPDATE session SET {what}, changed = ? WHERE row_key = ?",
                (*values, time.time(), row_key),
            )

    def set_rejected(self, row_key: str, uids: Iterable[str]) -> None:
        """Note the instances that the site did not take, by the UIDs sent."""
        with self._writing() as connection:
            connection.execute("DELETE FROM rejected WHERE row_key = ?", (row_key,))
            connection.executemany(
                "INSERT OR IGNORE INTO rejected VALUES (?, ?)", [(row_key, uid) for uid in uids]
            )

    def rejected(self, row_key: str) -> set[str]:
        """Return the instances that the site did not take, by the UIDs sent."""
        return {
            row[0] for row in self._rows("SELECT sent_uid FROM rejected WHERE row_key = ?", row_key)
        }

    def states(self, row_key: str) -> dict[str, SeriesState]:
        """Return the state of each series of a session by its UID."""
        rows = self._rows("SELECT uid, state FROM series WHERE row_key = ?", row_key)
        return {uid: SeriesState(state) for uid, state in rows}

    def set_state(self, row_key: str, uids: Iterable[str], state: SeriesState) -> None:
        """Note the state of series."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE series SET state = ?, changed = ? WHERE row_key = ? AND uid = ?",
                [(state.value, time.time(), row_key, uid) for uid in uids],
            )

    def add_digests(self, row_key: str, objects: Iterable[SentObject]) -> None:
        """Keep what was sent of objects."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO digest (row_key, sop_uid, sent_uid, md5, bytes, stamp)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (row_key, one.sop_uid, one.sent_uid, one.md5, one.size, one.stamp)
                    for one in objects
                ],
            )

    def digests(self, row_key: str) -> dict[str, SentObject]:
        """Return what was sent, by the SOP Instance UID sent."""
        rows = self._rows(
            "SELECT sop_uid, sent_uid, md5, bytes, stamp FROM digest WHERE row_key = ?", row_key
        )
        return {row[1]: SentObject(row[0], row[1], row[2], int(row[3]), row[4]) for row in rows}

    def set_arrived(self, row_key: str, objects: Iterable[ArrivedObject]) -> None:
        """Keep what the server has of objects, in place of what was known of them."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO arrival VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (row_key, one.sent_uid, one.place, one.md5, one.size, one.equal_to)
                    for one in objects
                ],
            )

    def arrived(self, row_key: str) -> dict[str, ArrivedObject]:
        """Return what the server had of objects, by the SOP Instance UID sent."""
        rows = self._rows(
            "SELECT sent_uid, place, md5, bytes, equal_to FROM arrival WHERE row_key = ?", row_key
        )
        return {row[0]: ArrivedObject(row[0], row[1], row[2], int(row[3]), row[4]) for row in rows}

    def set_findings(self, row_key: str, findings: Iterable[tuple[str, str]]) -> None:
        """Keep what `verify` found, in place of before: (UID sent or an empty text, message).

        What was known keeps its time.
        """
        known = {(one.sent_uid, one.text): one.at_s for one in self.findings(row_key)}
        now = time.time()
        with self._writing() as connection:
            connection.execute("DELETE FROM finding WHERE row_key = ?", (row_key,))
            connection.executemany(
                "INSERT INTO finding VALUES (?, ?, ?, ?)",
                [(row_key, uid, text, known.get((uid, text), now)) for uid, text in findings],
            )

    def findings(self, row_key: str) -> list[StandingFinding]:
        """Return what `verify` found and nobody has mended."""
        rows = self._rows(
            "SELECT row_key, sent_uid, text, at FROM finding WHERE row_key = ? ORDER BY rowid",
            row_key,
        )
        return [StandingFinding(row[0], row[1], row[2], float(row[3])) for row in rows]

    def set_verification(self, row_key: str, record: dict[str, Any]) -> None:
        """Keep what a verification compared and found, for the report."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO verification VALUES (?, ?, ?)",
                (row_key, time.time(), json.dumps(record)),
            )

    def verification(self, row_key: str) -> tuple[float, dict[str, Any]]:
        """Return when a session was verified last (s since 1970; 0: never), and what was found."""
        rows = self._rows("SELECT at, record FROM verification WHERE row_key = ?", row_key)
        return (float(rows[0][0]), json.loads(rows[0][1])) if rows else (0.0, {})

    def uploaded(self, target: str) -> tuple[str, str]:
        """Return fingerprint of the source and MD5 of a file sent; empty texts if none."""
        rows = self._rows("SELECT fingerprint, md5 FROM upload WHERE target = ?", target)
        return (rows[0][0], rows[0][1]) if rows else ("", "")

    def uploads(self) -> list[tuple[str, str, str, int]]:
        """Return target, source, MD5 and bytes of every file sent beside the images."""
        rows = self._rows("SELECT target, source, md5, bytes FROM upload ORDER BY target")
        return [(row[0], row[1], row[2], int(row[3])) for row in rows]

    def set_uploaded(self, target: str, source: str, fingerprint: str, md5: str, size: int) -> None:
        """Note a file sent and found on the server."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?, ?)",
                (target, source, fingerprint, md5, size, time.time()),
            )

    def add_event(self, row_key: str, kind: str, text: str) -> None:
        """Note something for the report."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO event (at, row_key, kind, text) VALUES (?, ?, ?, ?)",
                (time.time(), row_key, kind, text),
            )

    def events(self, kind: str = "") -> list[Event]:
        """Return what happened, in order."""
        query = "SELECT at, row_key, kind, text FROM event"
        if kind:
            rows = self._rows(f"{query} WHERE kind = ? ORDER BY id", kind)
        else:
            rows = self._rows(f"{query} ORDER BY id")
        return [Event(float(row[0]), row[1], row[2], row[3]) for row in rows]


def _unusable(path: Path, error: sqlite3.Error) -> PlanError:
    if "locked" in str(error):
        return PlanError(
            f"Another run is using the journal {path}.", path=path, hint="Wait until it has ended."
        )
    return PlanError(
        f"The journal {path} cannot be used.",
        path=path,
        hint="See that its folder can be written. If the file is damaged, move it away: the next "
        "run compares everything with the server.",
    )
