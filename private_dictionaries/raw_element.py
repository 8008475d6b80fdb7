"""One element as it stands in a file, tolerant of what a strict reader refuses."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .block import DS_LENGTH

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NUMERIC_VRS = frozenset({"DS", "IS", "FD", "FL"})


@dataclass(frozen=True, slots=True)
class RawElement:
    """VR and value of one element, before conversion.

    Parameters
    ----------
    vr : str
        As in the file; UN where the file has none (implicit VR).
    raw : bytes, str, float or other
        Bytes as in the file, or the value pydicom holds.
    little_endian : bool
        Byte order of binary numbers.
    """

    vr: str
    raw: Any
    little_endian: bool = True

    @property
    def text(self) -> str:
        """The value as text without padding; several values with a backslash between."""
        raw = self.raw
        if raw is None:
            return ""
        if isinstance(raw, bytes):
            try:
                decoded = raw.decode("utf-8")
            except UnicodeDecodeError:
                decoded = raw.decode("latin-1")
            return decoded.strip(" \0")
        if isinstance(raw, str):
            return raw.strip(" \0")
        if hasattr(raw, "__iter__"):
            return "\\".join(RawElement(self.vr, value).text for value in raw)
        return str(getattr(raw, "original_string", "") or raw)

    @property
    def is_number(self) -> bool:
        """Whether the VR, or without one the value, is a number."""
        if self.vr == "UN":
            return _NUMBER.fullmatch(self.text) is not None
        return self.vr in _NUMERIC_VRS

    def number(self, vr: str = "") -> float | None:
        """Return the value as a number.

        Parameters
        ----------
        vr : str
            VR to assume where the file has none.

        Returns
        -------
        float or None
            None where there is no single finite number.
        """
        known = vr if self.vr == "UN" and vr else self.vr
        if isinstance(self.raw, bytes) and known in ("FD", "FL"):
            code = {("FD", 8): "d", ("FL", 4): "f"}.get((known, len(self.raw)))
            if code is None:
                return None
            order = "<" if self.little_endian else ">"
            value = float(struct.unpack(order + code, self.raw)[0])
        else:
            text = self.text
            if _NUMBER.fullmatch(text) is None:
                return None
            value = float(text)
        return value if math.isfinite(value) else None

    def convert(
        self, vr: str, *, integral: bool, label: str
    ) -> tuple[str | float | int | None, str | None]:
        """Return the value in the type of its row in the dictionary.

        Parameters
        ----------
        vr : str
            VR of the row.
        integral : bool
            The number must be whole.
        label : str
            Name of the element in the sentence.

        Returns
        -------
        value : str, float, int or None
            None for an empty value, or one that cannot be used.
        note : str or None
            What was put right or left out.
        """
        if vr in ("LO", "CS"):
            text = self.text
            bare = text.strip("<>").strip()
            note = f"{label} lost its angle brackets: {bare}." if bare != text else None
            return bare or None, note
        if self.raw in (None, "", b""):
            return None, None
        number = self.number(vr)
        if number is None:
            shown = self.raw.hex() if vr == "FD" and isinstance(self.raw, bytes) else self.text
            if not shown:
                return None, None
            return None, f"{label} holds {shown[:64]!r}, which is no single number; left out."
        note = None
        if vr == "DS" and len(self.text) > DS_LENGTH:
            note = (
                f"{label} has {len(self.text)} characters where 16 are allowed; read as a number."
            )
        if integral or vr == "IS":
            if not number.is_integer():
                return None, f"{label} holds {number:g}, which is no whole number; left out."
            return int(number), note
        return number, note


def read_raw_element(ds: Dataset, tag: int) -> RawElement | None:
    """Return an element without converting it, which would refuse or warn.

    Parameters
    ----------
    ds : pydicom.Dataset
        Not changed.
    tag : int

    Returns
    -------
    Cell or None
        None where the data set has no such element.
    """
    element: Any = ds.get_item(tag)
    if element is None:
        return None
    little = getattr(element, "is_little_endian", True)
    vr = element.VR or "UN"
    return RawElement(vr, element.value, little_endian=little or vr == "UN")
