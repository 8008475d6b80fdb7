"""What the database does for a request, counted; a busy machine has no say in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import Connection

import pytest

from sandbox.archive.database import Database

_STEP = 100


class DatabaseWork:
    """Statements, and instructions of SQLite's machine, of all connections of this process."""

    def __init__(self) -> None:
        self.statements = self.instructions = 0

    def assert_one_pass(self, rows: int) -> None:
        """Fail where each row was asked for on its own, or compared with all others."""
        assert self.statements < 50
        assert self.instructions < 200 * rows

    def _statement(self, _text: str) -> None:
        self.statements += 1

    def _steps(self) -> int:
        self.instructions += _STEP
        return 0

    def watch(self, connection: Connection) -> Connection:
        """Count what a connection does from now on."""
        connection.set_trace_callback(self._statement)
        connection.set_progress_handler(self._steps, _STEP)
        return connection


@contextmanager
def database_work() -> Iterator[DatabaseWork]:
    """Count what the database does inside."""
    work, connect = DatabaseWork(), Database._connection
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "_connection", lambda database: work.watch(connect(database)))
        yield work
