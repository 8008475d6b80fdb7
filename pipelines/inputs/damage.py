"""Whether a DICOM object is damaged: shown by its elements, never guessed from an exception."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence

from private_dictionaries.decoders import decode_dataset
from xnat_pic.errors import CorruptDataError

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

# What pydicom raises for damaged bytes. Nothing of this package is called inside such a net.
PYDICOM_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    AttributeError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,  # NotImplementedError among them: a way of compression that is not installed
)
_BULK = ("SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN")  # kinds whose length is no count
_VM = re.compile(r"(\d+)(?:-(\d+|\d*n))?")


@contextmanager
def damage_named(
    path: Path, ds: Dataset, what: str = "is damaged", hint: str = "Get the file again."
) -> Iterator[None]:
    """Raise CorruptDataError with the file's name for what its damage makes go wrong inside.

    Where the object is what DICOM says of it, the mistake is one of this program and passes.
    """
    try:
        yield
    except CorruptDataError as error:
        raise CorruptDataError(
            f"{path.name} {what} ({error.message}).", path=path, hint=hint
        ) from error
    except PYDICOM_ERRORS as error:
        found = find_damage(ds)
        if not found:
            raise
        raise CorruptDataError(f"{path.name} {what} ({found}).", path=path, hint=hint) from error


def decode_pixels(ds: Dataset) -> npt.NDArray[Any]:
    """Return stored values, shape (n_frames, rows, columns).

    Raises
    ------
    CorruptDataError
        Where they cannot be decoded, or are too few.
    """
    try:
        shape = (int(ds.get("NumberOfFrames") or 1), int(ds.Rows), int(ds.Columns))
        for keyword, kind in (("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")):
            if keyword in ds:
                count = int(np.prod(shape))
                return np.frombuffer(ds[keyword].value, kind, count).reshape(shape)
        return np.asarray(decode_dataset(ds)).reshape(shape)
    except PYDICOM_ERRORS as error:
        raise CorruptDataError(str(error) or type(error).__name__) from error


def require(ds: Dataset, keyword: str) -> Any:
    """Return a value that every such object has.

    Raises
    ------
    CorruptDataError
        Where it is missing, empty or cannot be read.
    """
    try:
        value = ds.get(keyword)
    except PYDICOM_ERRORS as error:
        raise CorruptDataError(f"{keyword} cannot be read ({error})") from error
    if value is None or value == "":
        raise CorruptDataError(f"{keyword} is missing")
    return value


def require_numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """Return the numbers of an element that every such object has.

    Raises
    ------
    CorruptDataError
        Where there are not so many, or others than numbers.
    """
    value = require(ds, keyword)
    try:
        found = tuple(float(one) for one in ([value] if count == 1 else value))
    except (TypeError, ValueError) as error:
        raise CorruptDataError(f"{keyword} holds no numbers") from error
    if len(found) != count or not all(map(math.isfinite, found)):
        raise CorruptDataError(f"{keyword} does not hold {count} numbers")
    return found


def require_item(ds: Dataset, keyword: str) -> Any:
    """Return the first item of a sequence that every such object has.

    Raises
    ------
    CorruptDataError
        Where it is missing, empty or no sequence.
    """
    items = require(ds, keyword)
    if not isinstance(items, Sequence) or not items:
        raise CorruptDataError(f"{keyword} is missing")
    return items[0]


def find_damage(ds: Dataset) -> str:
    """Return the first element that is not what DICOM says of it, as a phrase; empty if none.

    Every value is converted, so that this is asked only where something went wrong.
    """
    for tag in list(ds.keys()):
        try:
            element = ds[tag]
        except PYDICOM_ERRORS as error:
            return f"{keyword_for_tag(tag) or tag} cannot be read ({error})"
        if found := _damage_of(element):
            return found
    return ""


def _damage_of(element: DataElement) -> str:
    name = element.keyword or str(element.tag)
    if element.keyword:
        if not _is_kind(element.VR, dictionary_VR(element.tag)):
            return f"{name} is of kind {element.VR}"
        counted = element.VR not in _BULK and not element.is_empty
        if counted and not _is_count(element.VM, dictionary_VM(element.tag)):
            return f"{name} has {element.VM} values"
    if element.VR == "SQ":
        for item in element.value:
            if found := find_damage(item):
                return found
    return ""


def _is_kind(vr: str, defined: str) -> bool:
    return vr == defined or vr in defined.split(" or ")


def _is_count(count: int, defined: str) -> bool:
    """Tell whether a number of values is one of a definition such as 1, 3, 1-n or 2-2n."""
    match = _VM.fullmatch(defined)
    if match is None:
        return True
    least, most = int(match[1]), match[2]
    if most is None:
        return count == least
    if most.endswith("n"):
        return count >= least and count % int(most[:-1] or 1) == 0
    return least <= count <= int(most)
