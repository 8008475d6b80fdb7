"""Zip archives that are streamed: their length is known before a byte is read.

Entries are stored, not compressed. XNAT's importer cannot read a stored entry whose length and
checksum follow its data, so both stand before it; a file is therefore read twice when it is large.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.errors import CorruptDataError
from xnat_pic.files import bytes_digest, new_digest

BLOCK = 1 << 20
# A file up to this size is read once and kept while it is sent.
IN_MEMORY = 8 << 20
_LARGEST_ZIP = 0xFFFF_FFFF
_MOST_ENTRIES = 0xFFFF
_UTF8 = 1 << 11
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
# 1980-01-01: the archive of the same files is the same, whenever it is made.
_DOS_DATE = (1 << 5) | 1


@dataclass(frozen=True)
class Entry:
    """A file to put into an archive.

    Attributes
    ----------
    size : int
        Bytes it had when it was planned; sending fails if it has others by now.
    content : callable, optional
        Returns what to send instead of the file's own bytes, of any length.
    """

    name: str
    path: Path
    size: int
    content: Callable[[], bytes] | None = None


class ZipStream:
    """A zip archive as blocks of bytes, read from its files on the way.

    Parameters
    ----------
    entries : sequence of Entry
        At most 65535, with at most 4 GiB in all; `split` makes such.
    on_sent : callable, optional
        Called with the number of bytes of each block as it is handed over. It may raise, which
        ends the stream.

    Attributes
    ----------
    digests : dict of str to (str, int)
        MD5 in hexadecimal and bytes of each entry handed over so far, by name.
    """

    def __init__(
        self, entries: Sequence[Entry], on_sent: Callable[[int], None] | None = None
    ) -> None:
        self.entries = tuple(entries)
        self.digests: dict[str, tuple[str, int]] = {}
        self._on_sent = on_sent
        names = {entry.name for entry in self.entries}
        if len(names) != len(self.entries) or len(self.entries) > _MOST_ENTRIES:
            raise ValueError("Entries of an archive have names of their own, at most 65535.")
        if len(self) > _LARGEST_ZIP:
            raise ValueError("An archive holds at most 4 GiB.")

    @property
    def is_sized(self) -> bool:
        """Whether the length is known beforehand: no entry is made on the way."""
        return all(entry.content is None for entry in self.entries)

    def __len__(self) -> int:
        """Bytes of the archive; an estimate where it is not sized."""
        return _END.size + sum(_cost(entry) for entry in self.entries)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the archive from its start.

        Raises
        ------
        CorruptDataError
            If a file cannot be read, or is not as it was planned.
        """
        central: list[bytes] = []
        offset = 0
        for entry in self.entries:
            name = entry.name.encode("utf-8")
            crc, size, blocks = self._read(entry)
            head = _head(name, crc, size)
            central.append(_central(name, crc, size, offset))
            offset += len(head) + size
            yield self._sent(head)
            for block in blocks:
                yield self._sent(block)
        index = b"".join(central)
        count = len(central)
        end = _END.pack(b"PK\5\6", 0, 0, count, count, len(index), offset, 0)
        yield self._sent(index + end)

    def _sent(self, block: bytes) -> bytes:
        if self._on_sent is not None:
            self._on_sent(len(block))
        return block

    def _read(self, entry: Entry) -> tuple[int, int, Iterator[bytes]]:
        """Return checksum, size and blocks of an entry."""
        if entry.content is not None or entry.size <= IN_MEMORY:
            data = entry.content() if entry.content else _whole(entry)
            if entry.content is None and len(data) != entry.size:
                raise _changed(entry)
            self.digests[entry.name] = (bytes_digest(data, "md5"), len(data))
            return zlib.crc32(data), len(data), iter((data,))
        crc, size = 0, 0
        for block in _blocks(entry):
            crc = zlib.crc32(block, crc)
            size += len(block)
        if size != entry.size:
            raise _changed(entry)
        return crc, size, self._hashed(entry, _same_blocks(entry, crc))

    def _hashed(self, entry: Entry, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on the blocks of a large file, and keep their MD5."""
        digest, size = new_digest("md5"), 0
        for block in blocks:
            digest.update(block)
            size += len(block)
            yield block
        self.digests[entry.name] = (digest.hexdigest(), size)


def split(entries: Sequence[Entry], largest: int) -> list[list[Entry]]:
    """Divide entries into archives of about a largest size in bytes, one file at least each.

    No archive holds a name twice.
    """
    parts: list[list[Entry]] = []
    names: set[str] = set()
    room = 0
    for entry in entries:
        cost = _cost(entry)
        is_full = cost > room or len(names) >= _MOST_ENTRIES or entry.name in names
        if not parts or is_full:
            parts.append([])
            names = set()
            room = largest
        parts[-1].append(entry)
        names.add(entry.name)
        room -= cost
    return parts


def _cost(entry: Entry) -> int:
    return _LOCAL.size + _CENTRAL.size + 2 * len(entry.name.encode("utf-8")) + entry.size


def _head(name: bytes, crc: int, size: int) -> bytes:
    return _LOCAL.pack(b"PK\3\4", 20, _UTF8, 0, 0, _DOS_DATE, crc, size, size, len(name), 0) + name


def _central(name: bytes, crc: int, size: int, offset: int) -> bytes:
    fixed = (b"PK\1\2", 20, 20, _UTF8, 0, 0, _DOS_DATE, crc, size, size, len(name))
    return _CENTRAL.pack(*fixed, 0, 0, 0, 0, 0, offset) + name


def _whole(entry: Entry) -> bytes:
    try:
        # One byte more than planned, so that growth shows and never fills the memory.
        with entry.path.open("rb") as file:
            return file.read(entry.size + 1)
    except OSError as error:
        raise _unreadable(entry, error) from error


def _blocks(entry: Entry) -> Iterator[bytes]:
    try:
        with entry.path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(entry, error) from error


def _same_blocks(entry: Entry, crc: int) -> Iterator[bytes]:
    """Yield the blocks a second time; fail if they are not those of the first time."""
    left, again = entry.size, 0
    for block in _blocks(entry):
        left -= len(block)
        again = zlib.crc32(block, again)
        if left < 0 or (left == 0 and again != crc):
            raise _changed(entry)
        yield block
    if left:
        raise _changed(entry)


def _unreadable(entry: Entry, error: OSError) -> CorruptDataError:
    why = error.strerror or "it is not readable"
    return CorruptDataError(
        f"{entry.path} cannot be read: {why}.", path=entry.path, hint="Check it, then scan again."
    )


def _changed(entry: Entry) -> CorruptDataError:
    return CorruptDataError(
        f"{entry.path} changed since it was planned.", path=entry.path, hint="Scan again."
    )
