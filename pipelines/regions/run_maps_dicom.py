"""A map from DICOM: a Parametric Map, or a series of scaled integers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError, NothingUsableError

from ..images import stacks
from ..inputs.damage import PYDICOM_ERRORS, damage_named, decode_pixels, require_numbers
from ..inputs.dicom import find_files
from .complete import check_complete

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

# What the product writes: name, unit in brackets, and perhaps "int16".
_DESCRIPTION = re.compile(r"^(?P<name>\S+) \((?P<unit>[^()]*)\)( int16)?$")
# Images that are measured themselves: the attribute that names their unit, and UCUM's words for it
# (DICOM PS3.3 C.11.1.1.2, C.8.9.1.1.3).
_PLAIN = {
    "CT": ("RescaleType", {"HU": "[hnsf'U]"}),
    "PT": ("Units", {"BQML": "Bq/ml", "GML": "g/ml"}),
}


@dataclass(frozen=True)
class DicomMap:
    """A map as DICOM says it.

    Attributes
    ----------
    name, unit : str
        The unit is UCUM, or empty.
    values : ndarray of float32, shape (n_slices, rows, columns)
        Real values, slices ascending along the normal; NaN for padding.
    affine : ndarray of float64, shape (4, 4)
        From (column, row, slice) to patient LPS, mm.
    frame_of_reference : str
        UID.
    files : tuple of Path
        Everything that was read.
    """

    name: str
    unit: str
    values: Floats
    affine: Doubles
    frame_of_reference: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class _Plane:
    values: Floats
    position: Doubles
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness_mm: float


def read_dicom_map(path: Path) -> DicomMap:
    """Read a Parametric Map, or a series of images with slope and intercept.

    Parameters
    ----------
    path : Path
        A file, or a folder with the files of one series.

    Returns
    -------
    DicomMap

    Raises
    ------
    NothingUsableError
        Where there is no DICOM image, or several series.
    CorruptDataError
        Where a file is damaged, or the planes are no volume.
    """
    found = [(file, ds) for file in find_files(path) if (ds := _read(file)) is not None]
    if not found:
        raise NothingUsableError(
            f"There is no map in {path.name}.",
            path=path,
            hint="Give the folder of a fit, a NIfTI map, or a DICOM map with --map.",
        )
    series = {str(ds.get("SeriesInstanceUID", "")) for _, ds in found}
    if len(series) > 1:
        raise NothingUsableError(
            f"{path.name} holds {len(series)} DICOM series.",
            path=path,
            hint="Name the file or folder of one map with --map.",
        )
    planes = [plane for file, ds in found for plane in _planes(file, ds)]
    values, affine = _volume(path, planes)
    file, head = found[0]
    with damage_named(file, head):
        name, unit = _name_and_unit(head)
    return DicomMap(
        name=name,
        unit=unit,
        values=values,
        affine=affine,
        frame_of_reference=str(head.get("FrameOfReferenceUID", "")),
        files=tuple(file for file, _ in found),
    )


def _read(path: Path) -> Dataset | None:
    """Return the data set of a DICOM file; None for a file of another kind."""
    import pydicom

    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
    check_complete(path)
    try:
        return pydicom.dcmread(path)
    except PYDICOM_ERRORS as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: object) -> CorruptDataError:
    return CorruptDataError(
        f"{path.name} is damaged ({error}).", path=path, hint="Get the file again."
    )


def _planes(path: Path, ds: Dataset) -> list[_Plane]:
    """Return the planes of a file with real values."""
    with damage_named(path, ds):
        return _read_planes(ds)


def _read_planes(ds: Dataset) -> list[_Plane]:
    stored = decode_pixels(ds)
    padding = ds.get("PixelPaddingValue")
    groups: list[Any] = list(ds.get("PerFrameFunctionalGroupsSequence") or [None])
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])
    if len(groups) != len(stored):
        raise CorruptDataError(f"{len(stored)} frames, and functional groups of {len(groups)}")
    planes = []
    for item, raw in zip(groups, stored, strict=True):
        places = [*([item] if item is not None else []), *shared, ds]
        slope, intercept = _scale(places)
        real = (raw.astype(np.float64) * slope + intercept).astype(np.float32)
        if padding is not None and np.issubdtype(raw.dtype, np.integer):
            real[raw == int(padding)] = np.nan
        planes.append(_plane(places, real))
    return planes


def _scale(places: list[Any]) -> tuple[float, float]:
    """Return slope and intercept: of the real world mapping, else of the modality."""
    mapping = _first(places, "RealWorldValueMappingSequence")
    if mapping is not None and "RealWorldValueSlope" in mapping:
        names = ("RealWorldValueSlope", "RealWorldValueIntercept")
        slope, intercept = (require_numbers(mapping, name, 1)[0] for name in names)
        return slope, intercept
    row = _first(places, "PixelValueTransformationSequence") or places[-1]
    return float(row.get("RescaleSlope") or 1.0), float(row.get("RescaleIntercept") or 0.0)


def _first(places: list[Any], keyword: str) -> Any:
    """Return the first item of a sequence, of the first place that has it."""
    return next((one[keyword].value[0] for one in places if one.get(keyword)), None)


def _plane(places: list[Any], values: Floats) -> _Plane:
    position = _first(places, "PlanePositionSequence") or places[-1]
    orientation = _first(places, "PlaneOrientationSequence") or places[-1]
    measures = _first(places, "PixelMeasuresSequence") or places[-1]
    step = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1.0
    return _Plane(
        values=values,
        position=np.array(require_numbers(position, "ImagePositionPatient", 3)),
        orientation=require_numbers(orientation, "ImageOrientationPatient", 6),
        spacing=require_numbers(measures, "PixelSpacing", 2),
        thickness_mm=float(step),
    )


def _volume(path: Path, planes: list[_Plane]) -> tuple[Floats, Doubles]:
    """Return the planes in the order of their places, and where they are."""
    first = planes[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = np.cross(row, column)
    for one in planes:
        same = one.values.shape == first.values.shape
        if not (same and stacks.have_one_shape(one, first)):
            raise CorruptDataError(
                f"The planes of the map {path.name} are not parallel or not of one size.",
                path=path,
                hint="Name the file or folder of one map with --map.",
            )
    planes = sorted(planes, key=lambda one: float(one.position @ normal))
    places = np.array([one.position for one in planes])
    step = normal * first.thickness_mm
    if len(planes) > 1:
        step = (places[-1] - places[0]) / (len(planes) - 1)
        if not stacks.is_even(places):
            raise CorruptDataError(
                f"The planes of the map {path.name} are not evenly spaced.",
                path=path,
                hint="Files are missing, or there twice; get the map again.",
            )
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[1]
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = places[0]
    return np.stack([one.values for one in planes]), affine


def _name_and_unit(ds: Dataset) -> tuple[str, str]:
    """Return what a map is of: its description where the product wrote it, else its codes."""
    description = str(ds.get("SeriesDescription") or "")
    own = _DESCRIPTION.match(description)
    groups = [*(ds.get("SharedFunctionalGroupsSequence") or [])]
    groups += list(ds.get("PerFrameFunctionalGroupsSequence") or [])[:1]
    mapping = _first([*groups, ds], "RealWorldValueMappingSequence")
    unit, name = "", ""
    if mapping is not None:
        codes = mapping.get("MeasurementUnitsCodeSequence")
        unit = str(codes[0].get("CodeValue", "")) if codes else ""
        for row in mapping.get("QuantityDefinitionSequence") or []:
            concept = row.get("ConceptCodeSequence")
            name = str(concept[0].get("CodeMeaning", "")) if concept else name
    if own is not None:
        return own["name"], unit or own["unit"]
    if mapping is None and str(ds.get("Modality", "")) in _PLAIN:
        return plain_unit(ds)
    return name or description or "map", unit


def plain_unit(ds: Dataset) -> tuple[str, str]:
    """Return what images are that are measured themselves: their modality, and their UCUM unit."""
    modality = str(ds.get("Modality", ""))
    attribute, units = _PLAIN.get(modality, ("", {}))
    return modality or "image", units.get(str(ds.get(attribute, "")) if attribute else "", "")
