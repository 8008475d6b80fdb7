"""The archive's SQLite database: many readers, one writer at a time, every change a transaction."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnat_pic.tables import read_text

_BUSY_MS = 30_000


class Database:
    """One database file.

    Readers have a connection for each thread and see a consistent state. Writers take turns.
    A process that is killed leaves the state before or after a transaction, never one between.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._writing = threading.RLock()
        script = read_text("sandbox.archive", "tables.sql")
        connection = self._connection()
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(script)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_MS / 1000, isolation_level=None, cached_statements=512
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._local.connection = connection
        return connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a connection for reading; all statements inside see the same state."""
        connection = self._connection()
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Give a connection for writing; everything inside happens at the end, or not at all.

        Inside another write of the same thread it joins that transaction.
        """
        with self._writing:
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def next_number(connection: sqlite3.Connection, name: str) -> int:
    """Return the next number of a sequence; numbers are never used again."""
    row = connection.execute(
        "INSERT INTO sequence VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
        " RETURNING value",
        (name,),
    ).fetchone()
    return int(row[0])
