"""Where the frames of a DICOM object lie: one walk for classic, Enhanced and segmentation."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

from xnat_pic.errors import CorruptDataError, NothingUsableError
from xnat_pic.warning_filters import ignore_warnings

from .model import Doubles

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_MOST_FRAMES = 200_000
_LONGEST_FIRST = 256


FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, struct.error, zlib.error, BytesLengthException, InvalidDicomError,
)  # fmt: skip
"""What libraries raise on damaged files, at reading or when a value is asked for."""


@dataclass(frozen=True, eq=False)
class FramePlace:
    """One frame of a file, with its place in the patient.

    Attributes
    ----------
    index : int
        The frame in the file, from 0.
    position : ndarray of float64, shape (3,)
        Centre of the first pixel, LPS mm.
    orientation : tuple of float
        Six direction cosines, along a row first.
    spacing : tuple of float
        Mm between rows, mm between columns.
    thickness_mm : float
        Spacing Between Slices, else Slice Thickness; 0 where neither is given.
    groups : tuple of pydicom.Dataset
        The frame's own functional groups, the shared ones, the data set.
    """

    index: int
    position: Doubles
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    thickness_mm: float
    groups: tuple[Dataset, ...]


@contextmanager
def unwarned() -> Iterator[None]:
    """Keep pydicom from printing what it thinks of header values; also as a decorator.

    A misspelt identifier that nothing depends on is no concern of the person who measures.
    """
    with ignore_warnings(UserWarning):
        yield


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Say in which file it is what an error without a path complains of."""
    try:
        yield
    except NothingUsableError as error:
        if error.path is not None:
            raise
        message = f"{path.name}: {error.message}"
        raise NothingUsableError(message, path=path, hint=error.hint) from error


def is_part_10(path: Path) -> bool:
    """Tell whether a file begins as DICOM Part 10 does."""
    return _start(path)[128:132] == b"DICM"


def is_dicom(path: Path) -> bool:
    """Tell whether a file is DICOM: Part 10, or a data set without preamble as old tools write."""
    start = _start(path)
    if start[128:132] == b"DICM":
        return True
    if len(start) < 8 or start[:2] != b"\x08\0":
        return False
    # The first element of group 8: an explicit VR, or the short length of an implicit one.
    return start[4:6].isupper() or int.from_bytes(start[4:8], "little") <= _LONGEST_FIRST


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError:
        return b""


def read_dataset(
    path: Path, tags: Sequence[str] | None = None, *, pixels: bool = True, fuss: str = ""
) -> Dataset:
    """Read a DICOM file.

    Parameters
    ----------
    path : Path
        The file.
    tags : sequence of str, optional
        Only these keywords.
    pixels : bool
        Read pixel data too.
    fuss : str
        What the file is, for the message.

    Raises
    ------
    CorruptDataError
        For a file that is no DICOM or breaks off.
    """
    try:
        return pydicom.dcmread(
            path,
            specific_tags=list(tags) if tags else None,
            stop_before_pixels=not pixels,
            force=not is_part_10(path),
        )
    except FAULTS as error:
        raise unreadable(path, fuss or "image", error) from error


def unreadable(path: Path, kind: str, error: Exception) -> CorruptDataError:
    """Return the error of a file that is damaged."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return CorruptDataError(
        f"{path.name} cannot be read as a DICOM {kind} ({reason}).",
        path=path,
        hint="Get the file again.",
    )


def _first(groups: Sequence[Dataset], sequence: str, keyword: str) -> Any:
    """Return an attribute from a functional group of the first data set that has it."""
    for place in groups:
        items = place.get(sequence)
        value = items[0].get(keyword) if items else None
        if value is not None and value != "":
            return value
    value = groups[-1].get(keyword)
    return None if value == "" else value


def _floats(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    try:
        numbers = tuple(float(item) for item in value)
    except TypeError:
        numbers = (float(value),)
    return numbers if np.isfinite(numbers).all() else ()


def places_of(ds: Dataset, per_frame: Sequence[Dataset] | None = None) -> list[FramePlace | None]:
    """Return the place of every frame, None for a frame that does not say it.

    Position, orientation and spacing come from the frame's functional groups, then from the
    shared ones, then from the data set itself (DICOM PS3.3 C.7.6.16.2).

    Parameters
    ----------
    ds : pydicom.Dataset
        Classic, Enhanced, Parametric Map or Segmentation.
    per_frame : sequence of pydicom.Dataset, optional
        Functional groups already taken from it.
    """
    own = list(ds.get("PerFrameFunctionalGroupsSequence") or []) if per_frame is None else per_frame
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])[:1]
    if len(own) > _MOST_FRAMES:
        raise ValueError(f"{len(own)} frames")
    found: list[FramePlace | None] = []
    for index, item in enumerate(own or [None]):
        groups = (*([item] if item is not None else []), *shared, ds)
        found.append(_frame_place(index, groups))
    return found


def _frame_place(index: int, groups: tuple[Dataset, ...]) -> FramePlace | None:
    position = _floats(_first(groups, "PlanePositionSequence", "ImagePositionPatient"))
    turned = _floats(_first(groups, "PlaneOrientationSequence", "ImageOrientationPatient"))
    spacing = _floats(_first(groups, "PixelMeasuresSequence", "PixelSpacing"))
    if len(position) != 3 or len(turned) != 6 or len(spacing) != 2 or min(spacing) <= 0:
        return None
    between = _floats(_first(groups, "PixelMeasuresSequence", "SpacingBetweenSlices"))
    thick = _floats(_first(groups, "PixelMeasuresSequence", "SliceThickness"))
    return FramePlace(
        index=index,
        position=np.array(position),
        orientation=turned,
        spacing=(spacing[0], spacing[1]),
        thickness_mm=abs((between or thick or (0.0,))[0]) or abs((thick or (0.0,))[0]),
        groups=groups,
    )
