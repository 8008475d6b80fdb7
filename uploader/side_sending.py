"""The files beside the images of a session, as its resources."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .client import files_path
from .file_sending import FileBody, blocks_of, check_arrived, find_file, put_file
from .findings import few
from .jobs import Tools
from .model import Session
from .remote import RemoteFile, read_resource_files
from .side_files import side_resources


def send_side_files(tools: Tools, session: Session, parent: str, row_key: str) -> None:
    """Send the files beside the images as resources of a session; what is there stays.

    Parameters
    ----------
    parent : str
        Address of the session.

    Raises
    ------
    RowError
        If what arrived is not what was sent.
    """
    found = side_resources(session, tools.config.resources)
    empty = [one.name for one in found if one.path.stat().st_size == 0]
    if empty:
        tools.journal.add_event(row_key, "note", f"Empty files are not sent: {few(empty)}.")
    there: dict[str, list[RemoteFile]] = {}
    for one in found:
        size = one.path.stat().st_size
        if not size:
            continue
        if one.resource not in there:
            there[one.resource] = read_resource_files(tools.client, parent, one.resource)
        target = files_path(parent, one.resource, one.name)
        older = find_file(there[one.resource], one.name)
        if _is_same(tools, target, one.path, older):
            continue
        if older is not None and not tools.journal.uploaded(target)[0]:
            text = f"{one.name} is on the server with other contents, which were kept."
            tools.journal.add_event(row_key, "note", text)
            continue
        tools.control.wait_if_paused()
        bodies: list[FileBody] = []

        def body(path: Path = one.path, made: list[FileBody] = bodies) -> FileBody:
            made.append(FileBody(path, lambda _count: tools.control.check()))
            return made[-1]

        put_file(tools.client, target, "application/octet-stream", body)
        listing = read_resource_files(tools.client, parent, one.resource)
        check_arrived(one.name, find_file(listing, one.name), bodies[-1].md5, size)
        tools.journal.set_uploaded(target, str(one.path), _stamp(one.path), bodies[-1].md5, size)


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _is_same(tools: Tools, target: str, path: Path, there: RemoteFile | None) -> bool:
    """Tell whether the server has a file as it is on disk."""
    if there is None:
        return False
    if there.digest:
        digest = hashlib.md5(usedforsecurity=False)
        for block in blocks_of(path, lambda _count: None):
            digest.update(block)
        return there.digest == digest.hexdigest()
    return tools.journal.uploaded(target)[0] == _stamp(path)
