"""Read a zip archive while it arrives, of which the sizes stand behind the members."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from xnat_config.server.errors import BrokenAnswerError

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MARK, _SIZES_MARK = b"PK\x03\x04", b"PK\x07\x08"
_ENDS = (b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_BEHIND = 0x1, 0x8
_ZIP64 = 0x0001
_UNKNOWN = 0xFFFF_FFFF
_PIECE = 1 << 20


@dataclass(frozen=True)
class ZipMember:
    """One file of an archive; read `blocks` to their end before the next member."""

    name: str
    blocks: Iterator[bytes]


def zip_members(blocks: Iterator[bytes]) -> Iterator[ZipMember]:
    """Yield the members of an archive in its order; what nobody reads of one is passed over.

    Memory is bounded whatever the archive's size, and nothing is sought.

    Raises
    ------
    BrokenAnswerError
        Where it ends early, is damaged, or is of a kind that cannot be read as it arrives.
    """
    source = _Source(blocks)
    while True:
        mark = source.peek(4)
        if mark in _ENDS:
            return
        if mark != _LOCAL_MARK:
            raise _broken("is no zip archive" if not mark else "is damaged")
        header = _LOCAL.unpack(source.read(_LOCAL.size))
        flags, method, crc, packed, size = header[2], header[3], header[6], header[7], header[8]
        name = source.read(header[9]).decode("utf-8", "replace")
        extra = source.read(header[10])
        if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
            raise _broken("holds files that are packed in an unknown way")
        if method == _STORED and flags & _SIZES_BEHIND and packed == 0:
            raise _broken("stores files without their sizes")
        if _UNKNOWN in (packed, size):
            size, packed = _wide_sizes(extra, size, packed)
        reader = _Reader(source, method, packed)
        content = reader.blocks()
        yield ZipMember(name, content)
        for _ in content:
            pass
        if flags & _SIZES_BEHIND:
            crc = _read_sizes(source, reader)
        if crc != reader.crc:
            raise _broken(f"is damaged at {name}")


def _broken(why: str) -> BrokenAnswerError:
    return BrokenAnswerError(
        f"The archive of the session that the server sends {why}.",
        hint="Try again; if it stays so, tell the administrator.",
    )


def _wide_sizes(extra: bytes, size: int, packed: int) -> tuple[int, int]:
    """Return the sizes of a large member, from its extra field."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            wide = [
                one for (one,) in struct.iter_unpack("<Q", extra[at + 4 : at + 4 + (length & ~7)])
            ]
            wide = [*wide, size, packed]
            size = wide.pop(0) if size == _UNKNOWN else size
            packed = wide.pop(0) if packed == _UNKNOWN else packed
            return size, packed
        at += 4 + length
    return size, packed


def _read_sizes(source: _Source, reader: _Reader) -> int:
    """Read the checksum and the sizes behind a member, of four or of eight bytes each."""
    if source.peek(4) == _SIZES_MARK:
        source.read(4)
    (crc,) = struct.unpack("<L", source.read(4))
    narrow = struct.pack("<2L", reader.packed & _UNKNOWN, reader.size & _UNKNOWN)
    is_narrow = source.peek(8) == narrow and source.peek(10)[8:] == b"PK"
    source.read(8 if is_narrow else 16)
    return int(crc)


class _Source:
    """The bytes of an answer, of which a few may be looked at before they are read."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def peek(self, count: int) -> bytes:
        """Return the next bytes; fewer where the answer ends."""
        while len(self._rest) < count:
            block = next(self._blocks, b"")
            if not block:
                break
            self._rest += block
        return self._rest[:count]

    def read(self, count: int) -> bytes:
        """Return the next bytes and go on behind them."""
        found = self.peek(count)
        if len(found) < count:
            raise _broken("ends early")
        self._rest = self._rest[count:]
        return found

    def block(self) -> bytes:
        """Return a block of what comes; empty at the end."""
        if self._rest:
            found, self._rest = self._rest, b""
            return found
        return next(self._blocks, b"")

    def give_back(self, rest: bytes) -> None:
        """Take back what was read too much."""
        self._rest = rest + self._rest


class _Reader:
    """The content of one member; knows its checksum and sizes once it is read."""

    def __init__(self, source: _Source, method: int, packed: int) -> None:
        self._source = source
        self._method = method
        self._length = packed
        self.crc = 0
        self.packed = 0
        self.size = 0

    def blocks(self) -> Iterator[bytes]:
        """Yield the content."""
        for block in self._stored() if self._method == _STORED else self._deflated():
            self.crc = zlib.crc32(block, self.crc)
            self.size += len(block)
            yield block

    def _stored(self) -> Iterator[bytes]:
        while self.packed < self._length:
            block = self._source.block()
            if not block:
                raise _broken("ends early")
            left = self._length - self.packed
            self._source.give_back(block[left:])
            self.packed += len(block[:left])
            yield block[:left]

    def _deflated(self) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        while not unpacker.eof:
            block = self._source.block()
            if not block:
                raise _broken("ends early")
            self.packed += len(block)
            while block and not unpacker.eof:
                try:
                    found = unpacker.decompress(block, _PIECE)
                except zlib.error as error:
                    raise _broken("is damaged") from error
                if found:
                    yield found
                block = unpacker.unconsumed_tail
        self.packed -= len(unpacker.unused_data)
        self._source.give_back(unpacker.unused_data)
