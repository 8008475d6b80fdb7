"""The archive's file contents: written aside, synced, named once and never changed.

A blob is a file ``blobs/<xx>/<32 hex digits>/<file name>``. The database refers to it by that
relative path. A blob is put in place before the transaction that refers to it and removed after
the one that lets go of it, so that whatever happens every listed file is there.
"""

import re
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.files import new_digest

_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Blob:
    """A stored content: relative path, size in bytes, MD5 in hexadecimal."""

    path: str
    size: int
    digest: str


class IncomingFile:
    """A content on its way in; use as a context manager, then `commit` it or it is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = new_digest("md5")
        self._file = path.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def close(self) -> None:
        """Bring the bytes to the disk."""
        if not self._file.closed:
            self._file.flush()
            self._file.close()

    @property
    def digest(self) -> str:
        """MD5 of what was written."""
        return self._digest.hexdigest()

    def __enter__(self) -> "IncomingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """All contents below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._blobs = folder / "blobs"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._incoming.mkdir(parents=True)
        self._blobs.mkdir(exist_ok=True)

    def receive(self) -> IncomingFile:
        """Open a place for a content; nothing of it is kept unless `keep` is called."""
        return IncomingFile(self._incoming / uuid.uuid4().hex)

    def commit(self, incoming: IncomingFile, name: str) -> Blob:
        """Store a received content under a file name that people can read."""
        incoming.close()
        key = uuid.uuid4().hex
        folder = self._blobs / key[:2] / key
        folder.mkdir(parents=True)
        safe = _NAME.sub("_", name.rpartition("/")[2])[-100:].lstrip(".") or "file"
        target = folder / safe
        incoming.path.replace(target)
        relative = target.relative_to(self._folder).as_posix()
        return Blob(relative, incoming.size, incoming.digest)

    def store(self, chunks: Iterable[bytes], name: str) -> Blob:
        """Store a content that is given in blocks."""
        with self.receive() as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            return self.commit(incoming, name)

    def placing(self) -> "Placing":
        """Open a block that puts contents in place for one transaction."""
        return Placing(self)

    def path(self, blob: str) -> Path:
        """Return where a blob lies."""
        return self._folder / blob

    def remove(self, blobs: Iterable[str]) -> None:
        """Remove contents that nothing refers to any more; call it after the transaction."""
        for blob in blobs:
            shutil.rmtree((self._folder / blob).parent, ignore_errors=True)

    def sweep(self, known: set[str]) -> int:
        """Remove what a killed process left behind; returns how many contents."""
        removed = 0
        for path in list(self._blobs.glob("??/*/*")):
            if path.relative_to(self._folder).as_posix() not in known:
                shutil.rmtree(path.parent, ignore_errors=True)
                removed += 1
        return removed


class Placing:
    """Contents put in place for one transaction: an error inside the block removes them again.

    The transaction's commit is the last thing in the block. What it let go of is named with
    `drop` and removed at the end.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._placed: list[str] = []
        self._dropped: list[str] = []

    def path(self, blob: str) -> Path:
        """Return where a blob lies."""
        return self._blobs.path(blob)

    def commit(self, incoming: IncomingFile, name: str) -> Blob:
        """Store a received content."""
        blob = self._blobs.commit(incoming, name)
        self._placed.append(blob.path)
        return blob

    def store(self, chunks: Iterable[bytes], name: str) -> Blob:
        """Store a content that is given in blocks."""
        blob = self._blobs.store(chunks, name)
        self._placed.append(blob.path)
        return blob

    def drop(self, *blobs: str) -> None:
        """Name contents to remove after the commit; empty names are none."""
        self._dropped += [blob for blob in blobs if blob]

    def __enter__(self) -> "Placing":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._blobs.remove(self._dropped if kind is None else self._placed)
