"""Tell whether a DICOM file is all there: pydicom reads the begin of one that breaks off.

A structure set that was cut short would otherwise lose its last regions without a word.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from xnat_pic.errors import CorruptDataError

_PREAMBLE = 132
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"})  # fmt: skip
_IMPLICIT, _BIG, _DEFLATED = (
    b"1.2.840.10008.1.2",
    b"1.2.840.10008.1.2.2",
    b"1.2.840.10008.1.2.1.99",
)
_SYNTAX = (0x0002, 0x0010)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xE000, 0xE00D, 0xE0DD
_DEEPEST = 60


class _Short(Exception):
    """The file ends before its data do."""


def check_complete(path: Path) -> None:
    """Walk over the elements of a DICOM Part 10 file.

    Parameters
    ----------
    path : Path
        The file; one that is compressed as a whole is not looked into.

    Raises
    ------
    CorruptDataError
        Where an element reaches beyond the end, or a sequence is not closed.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _walk_file(data)
        except (_Short, struct.error, RecursionError) as error:
            raise CorruptDataError(
                f"{path.name} breaks off after {len(data)} bytes.",
                path=path,
                hint="Get the file again.",
            ) from error


def _walk_file(data: mmap.mmap) -> None:
    place, syntax = _PREAMBLE, b""
    while place < len(data) and struct.unpack_from("<H", data, place)[0] == _SYNTAX[0]:
        tag, _, start, length = _element(data, place, explicit=True, order="<")
        place = start + length
        if tag == _SYNTAX:
            syntax = bytes(data[start:place]).rstrip(b"\0 ")
    if syntax == _DEFLATED:
        return
    if place >= len(data):
        raise _Short
    order = ">" if syntax == _BIG else "<"
    _walk(data, place, len(data), explicit=syntax != _IMPLICIT, order=order, depth=0)


def _element(
    data: mmap.mmap, place: int, *, explicit: bool, order: str
) -> tuple[tuple[int, int], bytes, int, int]:
    """Return tag, VR, where the value begins, and its length."""
    group, element = struct.unpack_from(f"{order}HH", data, place)
    if not explicit or group == 0xFFFE:
        length = struct.unpack_from(f"{order}I", data, place + 4)[0]
        return (group, element), b"", place + 8, length
    vr = bytes(data[place + 4 : place + 6])
    if vr in _LONG:
        length = struct.unpack_from(f"{order}I", data, place + 8)[0]
        return (group, element), vr, place + 12, length
    length = struct.unpack_from(f"{order}H", data, place + 6)[0]
    return (group, element), vr, place + 8, length


def _walk(data: mmap.mmap, place: int, end: int, *, explicit: bool, order: str, depth: int) -> int:
    """Walk over elements to `end`, or to the delimiter of their item; return where that is."""
    if depth > _DEEPEST:
        raise _Short
    while place < end:
        tag, vr, start, length = _element(data, place, explicit=explicit, order=order)
        if tag == (0xFFFE, _ITEM_END):
            return start
        if length != _UNDEFINED:
            place = start + length
            if place > end:
                raise _Short
            continue
        # An unknown value of undefined length is implicit inside, by PS3.5 6.2.2.
        inner = explicit and vr != b"UN"
        place = _walk_items(data, start, end, explicit=inner, order=order, depth=depth + 1)
    if depth and end == len(data):
        raise _Short
    return place


def _walk_items(
    data: mmap.mmap, place: int, end: int, *, explicit: bool, order: str, depth: int
) -> int:
    """Walk over the items of a sequence, or fragments, of undefined length."""
    while place < end:
        tag, _, start, length = _element(data, place, explicit=explicit, order=order)
        if tag == (0xFFFE, _SEQUENCE_END):
            return start
        if tag != (0xFFFE, _ITEM):
            raise _Short
        if length == _UNDEFINED:
            place = _walk(data, start, end, explicit=explicit, order=order, depth=depth)
        else:
            place = start + length
    raise _Short
