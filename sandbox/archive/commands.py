"""Commands of the Container Service and their wrappers: kept as documents, never changed in part.

A wrapper is enabled on the site and in a project apart; it can be launched where both are so.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import accounts, schema
from .accounts import User
from .database import next_number
from .items import Item
from .refusals import Refused, not_found

_COMMAND, _ENABLED = "command", "wrapper-enabled"


@dataclass(frozen=True)
class Wrapper:
    """A way to launch a command from XNAT."""

    command: Mapping[str, Any]
    about: Mapping[str, Any]

    @property
    def id(self) -> int:
        """Number of the wrapper."""
        return int(self.about["id"])

    @property
    def name(self) -> str:
        """Name of the wrapper, unique in its command."""
        return str(self.about["name"])

    @property
    def external_inputs(self) -> list[Mapping[str, Any]]:
        """Inputs that a launch gives; the first is the root."""
        return list(self.about.get("external-inputs") or [])

    def covers(self, xsi_type: str) -> bool:
        """Tell whether the wrapper is meant for a type."""
        return any(schema.is_a(xsi_type, str(one)) for one in self.about.get("contexts") or [])


def check(command: Any) -> dict[str, Any]:
    """Return a command that has what it needs.

    Raises
    ------
    Refused
        400 with what is missing.
    """
    if not isinstance(command, dict):
        raise Refused(400, "A command is a JSON object.")
    for name in ("name", "image"):
        if not isinstance(command.get(name), str) or not command[name]:
            raise Refused(400, f"The command has no {name}.")
    wrappers = command.get("xnat") or []
    if not isinstance(wrappers, list) or not all(isinstance(one, dict) for one in wrappers):
        raise Refused(400, "The wrappers of a command stand in a list called xnat.")
    names = [one.get("name") for one in wrappers]
    if not all(isinstance(one, str) and one for one in names) or len(set(names)) != len(names):
        raise Refused(400, "Each wrapper of a command needs a name of its own.")
    return command


def add(connection: sqlite3.Connection, command: dict[str, Any]) -> int:
    """Keep a new command; return its number."""
    number = next_number(connection, _COMMAND)
    _store(connection, number, command, {})
    return number


def change(connection: sqlite3.Connection, number: int, command: dict[str, Any]) -> None:
    """Put a command in place of another; wrappers of the same name keep their number."""
    old = get(connection, number)
    _store(connection, number, command, {one["name"]: one["id"] for one in old["xnat"]})


def _store(
    connection: sqlite3.Connection, number: int, command: dict[str, Any], known: dict[str, int]
) -> None:
    wrappers = [
        {**one, "id": known.get(one["name"]) or next_number(connection, "wrapper")}
        for one in command.get("xnat") or []
    ]
    body = {"type": "docker", **command, "id": number, "xnat": wrappers}
    connection.execute(
        "INSERT OR REPLACE INTO document VALUES ('', ?, ?, ?)",
        (_COMMAND, str(number), json.dumps(body)),
    )
    kept = {one["id"] for one in wrappers}
    for wrapper_id in known.values():
        if wrapper_id not in kept:
            _forget(connection, wrapper_id)


def _forget(connection: sqlite3.Connection, wrapper_id: int) -> None:
    connection.execute(
        "DELETE FROM document WHERE kind = ? AND name = ?", (_ENABLED, str(wrapper_id))
    )


def delete(connection: sqlite3.Connection, number: int) -> None:
    """Delete a command with its wrappers."""
    for wrapper in get(connection, number)["xnat"]:
        _forget(connection, wrapper["id"])
    connection.execute(
        "DELETE FROM document WHERE owner = '' AND kind = ? AND name = ?", (_COMMAND, str(number))
    )


def get(connection: sqlite3.Connection, number: int | str) -> dict[str, Any]:
    """Return a command by its number.

    Raises
    ------
    Refused
        404 where there is none.
    """
    row = connection.execute(
        "SELECT body FROM document WHERE owner = '' AND kind = ? AND name = ?",
        (_COMMAND, str(number)),
    ).fetchone()
    if row is None:
        raise not_found("command")
    found: dict[str, Any] = json.loads(row[0])
    return found


def every(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return all commands by number."""
    rows = connection.execute(
        "SELECT body FROM document WHERE owner = '' AND kind = ? ORDER BY CAST(name AS INTEGER)",
        (_COMMAND,),
    )
    return [json.loads(row[0]) for row in rows]


def wrappers(connection: sqlite3.Connection) -> Iterator[Wrapper]:
    """Give all wrappers of all commands."""
    for command in every(connection):
        for about in command["xnat"]:
            yield Wrapper(command, about)


def find_wrapper(connection: sqlite3.Connection, name: str, command: str = "") -> Wrapper:
    """Return a wrapper by number, or by name within a command.

    Raises
    ------
    Refused
        404 where there is none.
    """
    for one in wrappers(connection):
        if command:
            if str(one.command["id"]) == command and name in (one.name, str(one.id)):
                return one
        elif str(one.id) == name:
            return one
    raise not_found("wrapper")


def is_enabled(connection: sqlite3.Connection, wrapper: Wrapper, project: str = "") -> bool:
    """Tell whether a wrapper is enabled on the site, or in one project."""
    row = connection.execute(
        "SELECT 1 FROM document WHERE owner = ? AND kind = ? AND name = ?",
        (project, _ENABLED, str(wrapper.id)),
    ).fetchone()
    return row is not None


def enable(
    connection: sqlite3.Connection, wrapper: Wrapper, project: str = "", *, on: bool = True
) -> None:
    """Enable a wrapper on the site or in a project, or disable it."""
    key = (project, _ENABLED, str(wrapper.id))
    if on:
        connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?, '')", key)
    else:
        connection.execute("DELETE FROM document WHERE owner = ? AND kind = ? AND name = ?", key)


def may_launch(connection: sqlite3.Connection, user: User, wrapper: Wrapper, project: Item) -> bool:
    """Tell whether a user may launch a wrapper in a project.

    Its results need the right to edit; one without output handlers the right to read.
    """
    if wrapper.about.get("output-handlers"):
        return accounts.may_edit(connection, user, project.id)
    return accounts.may_read(connection, user, project)


def available(
    connection: sqlite3.Connection, user: User, project: Item, xsi_type: str
) -> list[dict[str, Any]]:
    """Return the wrappers that a user may launch on a type, and whether they are enabled.

    Those that are not enabled are in the list, too.
    """
    return [
        {
            "command-id": one.command["id"],
            "command-name": one.command["name"],
            "command-label": one.command.get("label") or one.command["name"],
            "command-description": one.command.get("description", ""),
            "wrapper-id": one.id,
            "wrapper-name": one.name,
            "wrapper-label": one.about.get("label") or one.name,
            "wrapper-description": one.about.get("description", ""),
            "wrapper-contexts": list(one.about.get("contexts") or []),
            "image-name": one.command["image"],
            "image-type": one.command["type"],
            "enabled": is_enabled(connection, one) and is_enabled(connection, one, project.id),
            "root-element-name": one.external_inputs[0]["name"],
        }
        for one in wrappers(connection)
        if one.external_inputs
        and one.covers(xsi_type)
        and may_launch(connection, user, one, project)
    ]
