"""Resources and their files: the catalog of each item.

As in `items`, functions take a connection; contents are `blobs.Blob`s put in place before.
"""

import sqlite3
from dataclasses import dataclass

from .blobs import Blob
from .items import Item, now
from .refusals import Refused


@dataclass(frozen=True)
class Resource:
    """A catalog of files; `side` is ``in`` or ``out`` of an assessor, else empty."""

    pk: int
    item: int
    side: str
    label: str
    format: str
    content: str
    tags: str
    description: str


@dataclass(frozen=True)
class File:
    """One file of a resource; `blob` is where its content lies."""

    resource: int
    path: str
    blob: str
    size: int
    digest: str
    format: str
    content: str
    tags: str
    description: str
    created: str
    created_by: str
    uid: str


def _resource(row: sqlite3.Row) -> Resource:
    return Resource(**{key: row[key] for key in row.keys()})  # noqa: SIM118


def _file(row: sqlite3.Row) -> File:
    return File(**{key: row[key] for key in row.keys()})  # noqa: SIM118


def find_resource(
    connection: sqlite3.Connection, item: Item, name: str, side: str = ""
) -> Resource | None:
    """Return a resource of an item by its number or label."""
    row = connection.execute(
        "SELECT * FROM resource WHERE item = ? AND side = ? AND label = ?", (item.pk, side, name)
    ).fetchone()
    if row is None and name.isascii() and name.isdigit():
        row = connection.execute(
            "SELECT * FROM resource WHERE item = ? AND pk = ?", (item.pk, int(name))
        ).fetchone()
    return None if row is None else _resource(row)


def resources_of(connection: sqlite3.Connection, item: Item) -> list[Resource]:
    """Return the resources of an item."""
    rows = connection.execute("SELECT * FROM resource WHERE item = ? ORDER BY pk", (item.pk,))
    return [_resource(row) for row in rows]


def create_resource(
    connection: sqlite3.Connection,
    item: Item,
    label: str,
    *,
    side: str = "",
    format: str = "",
    content: str = "",
    tags: str = "",
    description: str = "",
) -> Resource:
    """Make a resource.

    Raises
    ------
    Refused
        409 if there is one of this label.
    """
    try:
        row = connection.execute(
            "INSERT INTO resource (item, side, label, format, content, tags, description)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (item.pk, side, label, format, content, tags, description),
        ).fetchone()
    except sqlite3.IntegrityError as error:
        raise Refused(409, "Specified resource already exists.") from error
    return _resource(row)


def files_of(connection: sqlite3.Connection, resource: Resource) -> list[File]:
    """Return the files of a resource by path."""
    rows = connection.execute("SELECT * FROM file WHERE resource = ? ORDER BY path", (resource.pk,))
    return [_file(row) for row in rows]


def find_file(connection: sqlite3.Connection, resource: Resource, path: str) -> File | None:
    """Return one file of a resource."""
    row = connection.execute(
        "SELECT * FROM file WHERE resource = ? AND path = ?", (resource.pk, path)
    ).fetchone()
    return None if row is None else _file(row)


def put_file(
    connection: sqlite3.Connection,
    resource: Resource,
    path: str,
    blob: Blob,
    *,
    user: str,
    overwrite: bool = False,
    format: str = "",
    content: str = "",
    tags: str = "",
    description: str = "",
    uid: str = "",
) -> tuple[bool, str]:
    """List a content under a path.

    Returns
    -------
    stored : bool
        False where a file of this path is there and `overwrite` is not given.
    obsolete : str
        Blob to remove after the commit: the replaced one, or the new one if it was not stored;
        empty for none.
    """
    old = find_file(connection, resource, path)
    if old is not None and not overwrite:
        return False, blob.path
    connection.execute(
        "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            resource.pk,
            path,
            blob.path,
            blob.size,
            blob.digest,
            format,
            content,
            tags,
            description,
            now(),
            user,
            uid,
        ),
    )
    return True, old.blob if old else ""


def delete_files(connection: sqlite3.Connection, found: list[File]) -> list[str]:
    """Remove files from their catalogs; return the blobs to remove after the commit."""
    connection.executemany(
        "DELETE FROM file WHERE resource = ? AND path = ?",
        [(file.resource, file.path) for file in found],
    )
    return [file.blob for file in found]


def delete_resource(connection: sqlite3.Connection, resource: Resource) -> list[str]:
    """Delete a resource with its files; return the blobs to remove after the commit."""
    blobs = [file.blob for file in files_of(connection, resource)]
    connection.execute("DELETE FROM resource WHERE pk = ?", (resource.pk,))
    return blobs


def check_path(path: str) -> str:
    """Return a file path within a resource, or refuse one that would leave it.

    Raises
    ------
    Refused
        400 for empty parts, ``..``, absolute paths, drive letters, backslashes and control
        characters.
    """
    parts = path.split("/")
    bad = any(part in ("", ".", "..") for part in parts) or "\\" in path or ":" in parts[0][1:2]
    if bad or any(ord(c) < 32 or ord(c) == 127 for c in path) or len(path) > 1024:
        raise Refused(400, f"The file name {path[:80]!r} is not allowed.")
    return path
