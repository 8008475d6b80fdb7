"""Write a private block: encode values, and add them to a data set."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from .dictionary import FIRST_BLOCK, PrivateDictionary, PrivateElement, load

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Value = str | int | float | bool | None
Encoded = tuple[int, str, str | int | float]

DS_LENGTH = 16
LO_LENGTH = 64
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def _shorten(text: str) -> str:
    """Take the parts out of a number in %g notation that carry no information."""
    mantissa, sign, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + (f"e{int(exponent)}" if sign else "")


@lru_cache(maxsize=8192)
def _format_finite(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 1e15 and value.is_integer():
        return str(int(value))
    text = _shorten(repr(value))
    if len(text) <= DS_LENGTH:
        return text
    candidates = []
    for digits in range(16, 7, -1):
        candidates += [f"{value:.{digits}g}", f"{value:.{digits - 1}e}"]
    fitting = [text for text in map(_shorten, candidates) if len(text) <= DS_LENGTH]
    return min(fitting, key=lambda text: (abs(float(text) - value), len(text)))


def format_ds(value: float) -> str:
    """Format a number as a decimal string with as many digits as fit.

    Parameters
    ----------
    value : float
        Finite.

    Returns
    -------
    str
        At most 16 characters; whole numbers without a decimal point, zero without a sign.
        A number that needs more characters is rounded to the nearest that fits, never with
        fewer than 9 significant digits (that only for a negative one with a three-digit exponent).

    Raises
    ------
    ValueError
        The value is infinite or not a number, which a decimal string cannot hold.

    References
    ----------
    DICOM PS3.5, section 6.2, Decimal String.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"A decimal string cannot hold {number}; leave the value out instead.")
    return _format_finite(number)


def _format_text(value: Value) -> str:
    text = str(value).strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    return _CONTROL.sub(" ", text).replace("\\", "/").strip()[:LO_LENGTH].strip()


def _format_code(row: PrivateElement, value: Value) -> str:
    text = ("YES" if value else "NO") if isinstance(value, bool) else str(value).strip()
    if row.values and text not in row.values:
        raise ValueError(f"{row.keyword} cannot be {text!r}; choose one of {list(row.values)}.")
    return text


def _encode(row: PrivateElement, value: str | int | float | bool) -> str | float:
    if row.vr == "LO":
        return _format_text(value)
    if row.vr == "CS":
        return _format_code(row, value)
    if row.vr == "SQ":
        raise ValueError(f"{row.keyword} is a sequence; use write_functional_group for it.")
    try:
        if isinstance(value, bool):
            raise TypeError
        if row.vr == "DS":
            return format_ds(float(value))
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        if row.vr == "FD":
            return number
        if not number.is_integer() or abs(number) >= 2**31:
            raise ValueError
        return str(int(number))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{row.keyword} cannot hold {value!r}: it needs "
            f"{'a whole' if row.vr == 'IS' else 'a finite'} number; use None to leave it out."
        ) from error


def encode_block(
    values: Mapping[str, Value],
    *,
    block: int = FIRST_BLOCK,
    dictionary: PrivateDictionary | None = None,
) -> list[Encoded]:
    r"""Encode values as elements, the private creator first.

    Parameters
    ----------
    values : mapping of str to str, int, float, bool or None
        Keyword of the attribute to its value, in the unit of the dictionary. None and empty
        texts are left out. Texts lose angle brackets around them, hold ``/`` for a backslash
        (which separates values) and are cut at 64 characters. True and False stand for YES and NO.
    block : int
        The block to reserve, 0x10 to 0xFF.
    dictionary : PrivateDictionary, optional
        The CEST dictionary unless given.

    Returns
    -------
    list of (int, str, str or float)
        Tag, VR and value in ascending tag order: float for FD, text as it stands in the file for
        DS, IS, LO and CS. Empty where there is no value to write.

    Raises
    ------
    ValueError
        A keyword is not in the dictionary, or a value does not fit its attribute.
    """
    dictionary = dictionary or load("cest")
    if not FIRST_BLOCK <= block <= 0xFF:
        raise ValueError(f"Block 0x{block:02X} is not one of 0x10 to 0xFF.")
    rows = dictionary.by_keyword
    unknown = [keyword for keyword in values if keyword not in rows]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)} not in the dictionary of {dictionary.creator!r}; "
            f"docs/reference/cest-dictionary.md lists the keywords."
        )
    base = dictionary.group << 16 | block << 8
    elements: list[Encoded] = []
    for keyword, value in values.items():
        if value is None:
            continue
        row = rows[keyword]
        encoded = _encode(row, value)
        if encoded != "":
            elements.append((base | row.element, row.vr, encoded))
    if not elements:
        return []
    elements.sort(key=lambda element: element[0])
    return [(dictionary.group << 16 | block, "LO", dictionary.creator), *elements]


def write_block(
    ds: Dataset,
    values: Mapping[str, Value],
    *,
    dictionary: PrivateDictionary | None = None,
) -> None:
    """Write values into a data set, reserving a block unless one is reserved already.

    Parameters
    ----------
    ds : pydicom.Dataset
        Changed in place. A block of this creator is written again in its place, and a block of
        another creator in the same group is left alone.
    values : mapping of str to str, int, float, bool or None
        As in `encode_block`. An attribute left out keeps the value it has.
    dictionary : PrivateDictionary, optional
        The CEST dictionary unless given.

    Raises
    ------
    ValueError
        As in `encode_block`; the data set is then unchanged.
    """
    dictionary = dictionary or load("cest")
    elements = encode_block(values, dictionary=dictionary)
    if elements:
        _add_elements(ds, elements, dictionary)


def write_functional_group(
    item: Dataset,
    values: Mapping[str, Value],
    *,
    dictionary: PrivateDictionary | None = None,
) -> None:
    """Write values as a private functional group of an Enhanced MR image.

    Parameters
    ----------
    item : pydicom.Dataset
        Item of the Shared or of the Per-Frame Functional Groups Sequence, changed in place: it
        gets the private Saturation Frame Sequence with one item that holds the values.
    values : mapping of str to str, int, float, bool or None
        As in `encode_block`.
    dictionary : PrivateDictionary, optional
        The CEST dictionary unless given.

    Raises
    ------
    ValueError
        As in `encode_block`; the item is then unchanged.

    References
    ----------
    DICOM PS3.3, section C.7.6.16, on private functional groups.
    """
    from pydicom.dataset import Dataset

    dictionary = dictionary or load("cest")
    elements = encode_block(values, dictionary=dictionary)
    if not elements:
        return
    inner = Dataset()
    _add_elements(inner, elements, dictionary)
    block = item.private_block(dictionary.group, dictionary.creator, create=True)
    row = next(row for row in dictionary.elements if row.vr == "SQ")
    item.add_new(block.get_tag(row.element), "SQ", [inner])


def _add_elements(ds: Dataset, elements: list[Encoded], dictionary: PrivateDictionary) -> None:
    """Add encoded elements to the block of the dictionary's creator, reserved where needed."""
    block = ds.private_block(dictionary.group, dictionary.creator, create=True)
    for tag, vr, value in elements[1:]:
        ds.add_new(block.get_tag(tag & 0xFF), vr, value)
