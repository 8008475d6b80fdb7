"""Take zip and tar archives apart that nobody vouches for.

Names that would leave the folder, links, devices, encrypted entries and bombs are refused.
Nothing is written here: the caller gets each file's name and its bytes in pieces.
"""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .filing import check_path
from .refusals import Refused

PIECE = 2**20
_MAX_READ = 16 * 2**20  # no header of an archive needs more at once
_MAX_DIRECTORY = 64 * 2**20  # bytes of a zip's directory, which is read as a whole
_END_RECORD = struct.Struct("<4s4H2LH")
_END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    gzip.BadGzipFile,
    NotImplementedError,
    struct.error,
    ValueError,
    OverflowError,
)


@dataclass
class Budget:
    """What an archive may unpack to, together with the archives inside it.

    Attributes
    ----------
    ratio : int
        Unpacked bytes for each byte that arrived.
    spare : int
        Unpacked bytes that are allowed whatever arrived.
    members : int
        Number of files.
    depth : int
        Archives inside archives.
    """

    arrived: int
    ratio: int = 200
    spare: int = 512 * 2**20
    members: int = 250_000
    depth: int = 4
    unpacked: int = field(default=0, init=False)

    def spend(self, size: int) -> None:
        """Count one more file.

        Raises
        ------
        Refused
        """
        self.members -= 1
        self.unpacked += size
        if self.members < 0:
            raise Refused(400, "The archive holds too many files; send it in parts.")
        if self.unpacked > self.spare + self.ratio * self.arrived:
            raise Refused(
                400,
                "The archive unpacks to far more than it should; send the files without"
                " compression, or in parts.",
            )


@dataclass(frozen=True)
class Member:
    """A file in an archive; its pieces are read before the next member is asked for."""

    name: str
    size: int
    pieces: Iterator[bytes]


def archive_kind(name: str) -> str:
    """Return ``zip``, ``tar`` or ``tar.gz`` for an archive's file name, else nothing."""
    lower = name.lower()
    if lower.endswith((".tar.gz", ".tgz")):
        return "tar.gz"
    for kind in ("zip", "tar"):
        if lower.endswith("." + kind):
            return kind
    return ""


def members(path: Path, kind: str, budget: Budget) -> Iterator[Member]:
    """Yield the files of an archive; folders are passed over.

    Parameters
    ----------
    kind : str
        See `archive_kind`.

    Raises
    ------
    Refused
        400 for what is unsafe or broken, in words.
    """
    with _in_words():
        yield from _zip(path, budget) if kind == "zip" else _tar(path, kind, budget)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise Refused(400, f"The archive cannot be read ({error}); pack it again.") from error


def _name(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return check_path(name)


def _pieces(source: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left:
        with _in_words():
            piece = source.read(min(PIECE, left))
            if not piece:
                raise EOFError("a file in it ends early")
        left -= len(piece)
        yield piece
    with _in_words():
        if source.read(1):
            raise ValueError("a file in it is longer than it says")


def _zip(path: Path, budget: Budget) -> Iterator[Member]:
    with path.open("rb") as file:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            for entry in entries:
                mode = entry.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    raise Refused(400, f"The archive holds a link: {entry.filename[:80]!r}.")
                if entry.flag_bits & 1:
                    raise Refused(400, "The archive is encrypted; send it without a password.")
                _name(entry.filename)
                budget.spend(entry.file_size)
            for entry in entries:
                with archive.open(entry) as source:
                    pieces = _pieces(source, entry.file_size)
                    yield Member(_name(entry.filename), entry.file_size, pieces)


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a zip whose directory would fill the memory."""
    end = file.seek(0, io.SEEK_END)
    start = file.seek(max(0, end - 2**16 - _END_RECORD.size))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END_RECORD.size > len(tail):
        raise zipfile.BadZipFile("it is not a zip file")
    size = _END_RECORD.unpack_from(tail, at)[5]
    locator = at - _LOCATOR_64.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        file.seek(_LOCATOR_64.unpack_from(tail, locator)[2])
        record = file.read(_END_RECORD_64.size)
        if len(record) == _END_RECORD_64.size and record[:4] == b"PK\x06\x06":
            size = max(_END_RECORD_64.unpack(record)[8], size if size != 2**32 - 1 else 0)
    if size > min(_MAX_DIRECTORY, start + at):
        raise Refused(400, "The zip file's directory is too large; send it in parts.")
    file.seek(0)


class _Cautious(io.RawIOBase):
    """A file that refuses to be read in one enormous piece, as a false header would have it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes."""
        if size is None or size < 0 or size > _MAX_READ:
            raise ValueError("one of its headers is too large")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()


@contextmanager
def _open_tar(path: Path, kind: str) -> Iterator[tarfile.TarFile]:
    with path.open("rb") as plain:
        source: IO[bytes] = plain
        if kind == "tar.gz":
            source = gzip.GzipFile(fileobj=plain)  # type: ignore[assignment]
        with tarfile.open(fileobj=_Cautious(source), mode="r:") as archive:
            yield archive


def _tar(path: Path, kind: str, budget: Budget) -> Iterator[Member]:
    with _open_tar(path, kind) as archive:
        for entry in archive:
            if entry.isdir():
                continue
            if not entry.isreg() or entry.issparse():
                raise Refused(400, f"The archive holds a link or device: {entry.name[:80]!r}.")
            name = _name(entry.name)
            budget.spend(entry.size)
            source = archive.extractfile(entry)
            assert source is not None
            yield Member(name, entry.size, _pieces(source, entry.size))
