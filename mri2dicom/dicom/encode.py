r"""Encode DICOM elements as explicit VR little endian bytes.

A series has thousands of files that differ in a dozen elements, and an Enhanced object has tens
of thousands of frames. What is constant is encoded once, and what varies is put between; nothing
is kept as a data set.
"""

import itertools
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pydicom.datadict

from private_dictionaries import format_ds
from xnat_pic.text import printable

_LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT"})
_PACK = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "FL": "<f", "FD": "<d"}
# Text is padded with a blank, everything else with a zero byte.
_TEXT_VRS = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"}
)
# Longest value, in characters (PS3.5 table 6.2-1).
_MAX_LENGTHS = {"SH": 16, "CS": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240, "UI": 64}
_ITEM = b"\xfe\xff\x00\xe0"

Elements = dict[int, bytes]


@dataclass(frozen=True)
class TypedValue:
    """A value whose VR the dictionary leaves open, or a private one."""

    vr: str
    value: Any


@lru_cache(maxsize=4096)
def tag_and_vr(keyword: str) -> tuple[int, str]:
    """Return tag and VR of a keyword.

    Raises
    ------
    KeyError
        If the dictionary does not know it.
    """
    tag = pydicom.datadict.tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(f"{keyword} is no DICOM keyword")
    return tag, pydicom.datadict.dictionary_VR(tag)


def clean_text(value: Any, vr: str) -> str:
    r"""Return text that is legal in a VR: no control characters, no backslash, not too long."""
    text = str(value)
    if vr in ("ST", "LT", "UT"):
        kept = printable(text, "", keep="\r\n\t")
    else:
        kept = printable(text.replace("\\", "/")).strip()
    if vr == "PN":
        # One component group of at most five components.
        names = kept.replace("=", " ").split("^")
        kept = "^".join([*names[:4], " ".join(names[4:])]).rstrip("^ ")
    limit = _MAX_LENGTHS.get(vr)
    if limit is None or len(kept) < limit:
        return kept
    kept = kept[:limit]
    # Some readers count the blank that pads an odd number of bytes.
    return (kept[:-1] if len(kept.encode("utf-8", "replace")) % 2 else kept).rstrip()


def encode_element(tag: int, vr: str, value: Any) -> bytes:
    """Encode one element; None and an empty text give an empty value.

    Raises
    ------
    ValueError
        If the value does not fit the VR.
    """
    if vr == "SQ":
        return encode_sequence(tag, value or ())
    data = _encode_value(vr, value)
    if len(data) % 2:
        data += b" " if vr in _TEXT_VRS else b"\0"
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in _LONG_VRS:
        return head + b"\0\0" + struct.pack("<I", len(data)) + data
    if len(data) > 0xFFFF:
        raise ValueError(f"The value of ({tag >> 16:04X},{tag & 0xFFFF:04X}) is too long")
    return head + struct.pack("<H", len(data)) + data


def _encode_value(vr: str, value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes):
        return value
    if vr in _PACK:
        values = value if isinstance(value, (list, tuple)) else (value,)
        code = _PACK[vr]
        try:
            return b"".join(struct.pack(code, one) for one in values)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{value} does not fit the value representation {vr}") from error
    if vr == "AT":
        return struct.pack("<HH", value >> 16, value & 0xFFFF)
    if isinstance(value, (list, tuple)):
        return b"\\".join(_encode_text(vr, one) for one in value)
    return _encode_text(vr, value)


def _encode_text(vr: str, value: Any) -> bytes:
    if vr == "DS":
        return (value if isinstance(value, str) else format_ds(float(value))).encode()
    if vr == "IS":
        return str(int(value)).encode()
    return clean_text(value, vr).encode()


def encode_sequence(tag: int, items: Iterable[bytes | Mapping[Any, Any]]) -> bytes:
    """Encode a sequence of items, each given encoded or as a mapping."""
    body = bytearray()
    for item in items:
        data = item if isinstance(item, bytes) else join_elements(encode_elements(item))
        body += _ITEM + struct.pack("<I", len(data)) + data
    head = struct.pack("<HH2s2s", tag >> 16, tag & 0xFFFF, b"SQ", b"\0\0")
    return head + struct.pack("<I", len(body)) + bytes(body)


def encode_elements(values: Mapping[Any, Any]) -> Elements:
    """Encode a mapping of keyword (or tag, with a `TypedValue` value) to value.

    A value may be None (empty), a scalar, a list, or for a sequence a list of mappings.
    """
    result: Elements = {}
    for key, value in values.items():
        tag, vr = tag_and_vr(key) if isinstance(key, str) else (key, "")
        if isinstance(value, TypedValue):
            vr, value = value.vr, value.value
        result[tag] = encode_element(tag, vr, value)
    return result


def character_set(*sources: Any) -> dict[str, str]:
    """Return the declaration of UTF-8 where any text in these values needs it, else nothing."""
    return {"SpecificCharacterSet": "ISO_IR 192"} if any(map(_needs_utf8, sources)) else {}


def _needs_utf8(value: Any) -> bool:
    if isinstance(value, TypedValue):
        return _needs_utf8(value.value)
    if isinstance(value, str):
        return not value.isascii()
    if isinstance(value, Mapping):
        return any(map(_needs_utf8, value.values()))
    return isinstance(value, (list, tuple, set)) and any(map(_needs_utf8, value))


def join_elements(elements: Elements) -> bytes:
    """Return the elements in tag order."""
    return b"".join(elements[tag] for tag in sorted(elements))


class Template:
    """The constant elements of a series with places for what varies.

    Parameters
    ----------
    constant : dict
        Encoded elements; those whose tag is among `varying` are left out.
    varying : sequence of int
        Tags that `render` fills in.
    """

    def __init__(self, constant: Elements, varying: Sequence[int]) -> None:
        self._tags = sorted(set(varying))
        bounds = [-1, *self._tags, 1 << 33]
        self._constant = [
            join_elements({t: e for t, e in constant.items() if low < t < high})
            for low, high in itertools.pairwise(bounds)
        ]

    def render(self, values: Elements) -> bytes:
        """Return the data set with these values; a varying element without one is left out."""
        parts = [self._constant[0]]
        for tag, constant in zip(self._tags, self._constant[1:], strict=True):
            parts.append(values.get(tag, b""))
            parts.append(constant)
        return b"".join(parts)
