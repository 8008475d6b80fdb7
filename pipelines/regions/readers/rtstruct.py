"""Read DICOM RT Structure Sets: closed contours in patient mm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..headers import FAULTS, read_dataset, unreadable
from ..model import Contour, Doubles, Region, RegionSet

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CONTOUR_DATA = 0x30060050
_GEOMETRIC_TYPE = 0x30060042
_CLOSED = frozenset({"CLOSEDPLANAR", "INTERPOLATEDPLANAR", "CLOSEDPLANARXOR"})
_EXPLICIT_HOLES = "CLOSEDPLANARXOR"


def read_rtstruct(path: Path) -> RegionSet:
    """Read an RT Structure Set.

    Contours belong to the ROI whose number they name, in whatever order they stand. ROIs without
    contours, and shapes without an interior, are kept as empty regions and counted.

    Raises
    ------
    CorruptDataError
        For a file that breaks off.
    """
    ds = read_dataset(path, fuss="structure set")
    try:
        return _region_set(ds, path)
    except FAULTS as error:
        raise unreadable(path, "structure set", error) from error


def references(ds: Dataset) -> frozenset[str]:
    """Return the SOP Instance and Series Instance UIDs a structure set names."""
    uids: set[str] = set(_series(ds))
    for contour_item in _items(ds, "ROIContourSequence"):
        for contour in _items(contour_item, "ContourSequence"):
            uids.add(_reference(contour)[0])
    return frozenset(uids - {""})


def _items(ds: Dataset, keyword: str) -> Iterator[Dataset]:
    yield from ds.get(keyword) or ()


def _series(ds: Dataset) -> Iterator[str]:
    for frame in _items(ds, "ReferencedFrameOfReferenceSequence"):
        for study in _items(frame, "RTReferencedStudySequence"):
            for series in _items(study, "RTReferencedSeriesSequence"):
                yield str(series.get("SeriesInstanceUID") or "")


def _region_set(ds: Dataset, path: Path) -> RegionSet:
    shapes: dict[int, list[Dataset]] = {}
    for item in _items(ds, "ROIContourSequence"):
        shapes.setdefault(_number(item.get("ReferencedROINumber")), []).append(item)
    named: dict[int, Dataset | None] = {
        _number(item.get("ROINumber")): item for item in _items(ds, "StructureSetROISequence")
    }
    for number in shapes:
        named.setdefault(number, None)
    uid = str(ds.get("SOPInstanceUID", ""))
    regions = [
        _region(number, item, shapes.get(number, []), uid, path) for number, item in named.items()
    ]
    return RegionSet(
        path=path,
        name=str(ds.get("StructureSetLabel") or "").strip(),
        regions=tuple(regions),
        files=(path,),
        series_uids=frozenset(set(_series(ds)) - {""}),
        software=tuple(
            str(ds.get(word) or "")
            for word in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")
        ),
    )


def _number(value: object) -> int:
    return int(str(value)) if value is not None and str(value).strip() else 0


def _region(
    number: int, item: Dataset | None, shapes: list[Dataset], uid: str, path: Path
) -> Region:
    lost: Counter[str] = Counter()
    contours: list[Contour] = []
    holes = False
    for shape in shapes:
        for line in _items(shape, "ContourSequence"):
            kind = _kind(line)
            if kind not in _CLOSED:
                lost[f"shapes without an interior ({kind[:30] or 'no type'})"] += 1
                continue
            contour = _contour(line, lost)
            if contour is not None:
                contours.append(contour)
                holes = holes or kind == _EXPLICIT_HOLES
    name = str(item.get("ROIName") or "").strip() if item is not None else ""
    frame = str(item.get("ReferencedFrameOfReferenceUID") or "") if item is not None else ""
    return Region(
        number=number,
        name=name or f"ROI {number}",
        uid=f"{uid}#{number}",
        source="RTSTRUCT",
        path=path,
        colour=_colour(shapes),
        contours=tuple(contours),
        explicit_holes=holes,
        frame_of_reference_uid=frame,
        lost=dict(lost),
        warnings=() if item is not None else ("Its contours name an ROI that is not listed.",),
    )


def _kind(line: Dataset) -> str:
    """Return the type of a contour in capitals, without underscores: writers spell it so and so.

    From the bytes as they stand, since pydicom warns of one of the spellings.
    """
    element = line.get_item(_GEOMETRIC_TYPE)
    value = element.value if element is not None else ""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.upper().replace("_", "").strip(" \0")


def _colour(shapes: list[Dataset]) -> tuple[int, int, int] | None:
    for shape in shapes:
        value = shape.get("ROIDisplayColor")
        if value is not None and not isinstance(value, str | int) and len(value) == 3:
            red, green, blue = (min(max(int(n), 0), 255) for n in value)
            return red, green, blue
    return None


def _reference(line: Dataset) -> tuple[str, int]:
    for item in _items(line, "ContourImageSequence"):
        frame = item.get("ReferencedFrameNumber")
        first = frame if isinstance(frame, str | int) or frame is None else next(iter(frame), None)
        return str(item.get("ReferencedSOPInstanceUID") or ""), _number(first) or 1
    return "", 1


def _contour(line: Dataset, lost: Counter[str]) -> Contour | None:
    try:
        points = _points(line)
    except (ValueError, TypeError):
        lost["contours with broken coordinates"] += 1
        return None
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    if len(np.unique(points, axis=0)) < 3:
        lost["contours of fewer than three points"] += 1
        return None
    return Contour(points, *_reference(line))


def _points(line: Dataset) -> Doubles:
    """Return the corners in LPS mm, shape (n_points, 3).

    The decimal strings are read at once, which takes a tenth of the time of one by one; blanks
    and an empty value at the end are let pass.
    """
    element = line.get_item(_CONTOUR_DATA)
    value = element.value if element is not None else None
    if value is None:
        raise ValueError("no coordinates")
    words = value.rstrip(b" \0\\").split(b"\\") if isinstance(value, bytes) else list(value)
    numbers = np.array(words).astype(np.float64)
    if numbers.size % 3 or not np.isfinite(numbers).all():
        raise ValueError("not triplets of numbers")
    return numbers.reshape(-1, 3)
