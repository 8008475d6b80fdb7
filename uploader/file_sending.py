"""Send a file that is no DICOM into a resource, and see that it arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

from .client import Client
from .errors import DataError, RowError, ServerError
from .remote import RemoteFile

_BLOCK = 1 << 20


def blocks_of(path: Path, on_read: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a file's blocks, telling the length of each.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                on_read(len(block))
                yield block
    except OSError as error:
        why = error.strerror or "it is not readable"
        raise DataError(f"{path} cannot be read: {why}.", path=path, hint="Check it.") from error


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
        digest = hashlib.md5(usedforsecurity=False)
        for block in blocks_of(self._path, self._on_read):
            digest.update(block)
            yield block
        self.md5 = digest.hexdigest()


def put_file(
    client: Client, target: str, content_type: str, body: Callable[[], Iterable[bytes]]
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


def find_file(files: Iterable[RemoteFile], name: str) -> RemoteFile | None:
    """Return the file of a resource by its name, with ``/`` between folders."""
    return next((one for one in files if name in (_name_of(one), one.name)), None)


def _name_of(file: RemoteFile) -> str:
    return unquote(file.uri.partition("/files/")[2])


def check_arrived(name: str, found: RemoteFile | None, md5: str, size: int) -> None:
    """Compare a file on the server with what was sent.

    Raises
    ------
    RowError
        If it is not there, or has another size or MD5.
    """
    if found is not None and found.size in (-1, size) and found.digest in ("", md5):
        return
    raise RowError(
        "not-arrived",
        f"The file {name} is not on the server as it was sent.",
        hint="Run the same command again: it is sent anew.",
    )
