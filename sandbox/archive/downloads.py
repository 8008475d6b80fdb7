"""Zip and tar archives that are made while they are sent."""

import io
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PIECE = 2**20


@dataclass(frozen=True)
class Entry:
    """A file to send: its name in the archive, where it lies, its size in bytes."""

    name: str
    path: Path
    size: int


class _Sink(io.RawIOBase):
    """Takes what a writer writes until it is fetched; cannot be sought."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._place = 0

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def write(self, data: object, /) -> int:
        """Take some bytes."""
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        self._place += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return how much was written."""
        return self._place

    def drain(self) -> bytes:
        """Return and forget what was written."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _pieces(entry: Entry) -> Iterator[bytes]:
    with entry.path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def zip_stream(entries: Iterable[Entry], level: int = 1) -> Iterator[bytes]:
    """Yield a zip archive; `level` 0 stores, 9 compresses most."""
    sink = _Sink()
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(sink, "w", method) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, time.gmtime(entry.path.stat().st_mtime)[:6])
            info.compress_type = method
            info._compresslevel = level  # type: ignore[attr-defined]  # public from Python 3.13 on
            info.external_attr = 0o644 << 16
            info.file_size = entry.size
            with archive.open(info, "w") as target:
                for piece in _pieces(entry):
                    target.write(piece)
                    yield sink.drain()
    yield sink.drain()


def tar_stream(entries: Iterable[Entry], *, compress: bool, level: int = 1) -> Iterator[bytes]:
    """Yield a tar archive, with gzip around it where `compress` is given."""
    if not compress:
        yield from _tar(entries)
        return
    packer = zlib.compressobj(level, wbits=31)
    for piece in _tar(entries):
        yield packer.compress(piece)
    yield packer.flush()


def _tar(entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in entries:
        info = tarfile.TarInfo(entry.name)
        info.size = entry.size
        info.mtime = int(entry.path.stat().st_mtime)
        yield info.tobuf(tarfile.PAX_FORMAT)
        yield from _pieces(entry)
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
