"""Send a file that is no DICOM into a resource, and see that it arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from xnat_config.server.client import XnatClient
from xnat_config.server.files import RemoteFile, remote_digest
from xnat_config.server.paths import files_path
from xnat_pic.errors import ServerError
from xnat_pic.files import new_digest
from xnat_pic.text import list_some

from ..errors import RowError
from ..scanning.sessions import Session
from ..scanning.side_files import side_resources
from ..server.listing import find_file, read_resource_files
from ..verification.payload import file_md5, file_stamp, read_blocks
from .jobs import UploadContext


class FileBody:
    """A file as a body of known length."""

    def __init__(self, path: Path, on_read: Callable[[int], None]) -> None:
        self._path = path
        self._on_read = on_read
        self._size = path.stat().st_size
        self.md5 = ""

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        digest = new_digest("md5")
        for block in read_blocks(self._path, self._on_read):
            digest.update(block)
            yield block
        self.md5 = digest.hexdigest()


def send_file(
    client: XnatClient, target: str, content_type: str, body: Callable[[], Iterable[bytes]]
) -> None:
    """Put a file into a resource, in place of an older one.

    Parameters
    ----------
    target : str
        Address from `files_path`.
    body : callable
        Makes the body anew for each attempt.

    Raises
    ------
    ServerError
        If the server kept the older file, or refuses.
    """
    answer = client.send(
        "PUT",
        target,
        params={"overwrite": "true", "inbody": "true"},
        body=body,
        content_type=content_type,
    )
    # XNAT answers 200 also where it kept an older file.
    if "duplicates" in answer.text[:200]:
        raise ServerError("The server kept an older file of the same name.")


def verify_arrival(name: str, found: RemoteFile | None, md5: str, size: int) -> None:
    """Compare a file on the server with what was sent.

    Raises
    ------
    RowError
        If it is not there, or has another size or MD5.
    """
    if found is not None and found.size in (-1, size) and found.md5 in ("", md5):
        return
    raise RowError(
        "not-arrived",
        f"The file {name} is not on the server as it was sent.",
        hint="Run the same command again: it is sent anew.",
    )


def send_side_files(
    context: UploadContext, session: Session, parent: str, row_key: str
) -> list[str]:
    """Send the files beside the images as resources of a session; what is there stays.

    A file that this plan sent is replaced by a newer one, unless somebody changed it on the server
    meanwhile.

    Parameters
    ----------
    parent : str
        Address of the session.

    Returns
    -------
    list of str
        What was kept because somebody changed it on the server, as messages.

    Raises
    ------
    RowError
        If what arrived is not what was sent.
    """
    found = side_resources(session, context.config.resources)
    empty = [one.name for one in found if one.path.stat().st_size == 0]
    if empty:
        context.journal.add_event(row_key, "note", f"Empty files are not sent: {list_some(empty)}.")
    there: dict[str, list[RemoteFile]] = {}
    kept: list[str] = []
    for one in found:
        size = one.path.stat().st_size
        if not size:
            continue
        if one.resource not in there:
            there[one.resource] = read_resource_files(context.client, parent, one.resource)
        target = files_path(parent, one.resource, one.name)
        older = find_file(there[one.resource], one.name)
        if _is_same(context, target, one.path, older):
            continue
        if older is not None:
            stamp, md5 = context.journal.uploaded(target)
            if not stamp:
                text = f"{one.name} is on the server with other contents, which were kept."
                context.journal.add_event(row_key, "note", text)
                continue
            if (older.md5 or remote_digest(context.client, older)) != md5:
                kept.append(one.name)
                continue
        context.control.wait_if_paused()
        bodies: list[FileBody] = []

        def body(path: Path = one.path, made: list[FileBody] = bodies) -> FileBody:
            made.append(FileBody(path, lambda _count: context.control.check()))
            return made[-1]

        send_file(context.client, target, "application/octet-stream", body)
        listing = read_resource_files(context.client, parent, one.resource)
        verify_arrival(one.name, find_file(listing, one.name), bodies[-1].md5, size)
        context.journal.set_uploaded(
            target, str(one.path), file_stamp(one.path), bodies[-1].md5, size
        )
    if not kept:
        return []
    return [
        f"{list_some(kept)} beside the images: changed on the server after it was sent, and kept. "
        "Fetch it from there, or delete it there and run the same command again."
    ]


def _is_same(context: UploadContext, target: str, path: Path, there: RemoteFile | None) -> bool:
    """Tell whether the server has a file as it is on disk."""
    if there is None:
        return False
    if there.md5:
        return there.md5 == file_md5(path)
    return context.journal.uploaded(target)[0] == file_stamp(path)
