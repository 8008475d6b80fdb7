"""Write a map as DICOM Parametric Map, float32, with its quantity, unit and sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from private_dictionaries import format_ds
from xnat_pic.warning_filters import ignore_warnings

from .catalogue import entry, unit_meaning, window
from .uids import result_uid

if TYPE_CHECKING:
    from ..inputs.frames import Frame, Images

Floats = npt.NDArray[np.float32]

# What highdicom does not copy and the object asks for in animals: keyword and value without source.
_COMPLETED = {
    "Laterality": "",
    "PatientSexNeutered": "",
    "AnatomicalOrientationType": None,
    "PatientSpeciesDescription": None,
    "PatientSpeciesCodeSequence": None,
    "PatientBreedDescription": None,
    "PatientBreedCodeSequence": None,
    "BreedRegistrationSequence": None,
    "ResponsiblePerson": None,
    "ResponsibleOrganization": None,
    "PatientPosition": None,
    "TimezoneOffsetFromUTC": None,
    "PositionReferenceIndicator": "",
}
_VET = ("PatientSexNeutered",)
# Codes of DICOM PS3.16, context groups 7203 and 7202.
_CALCULATED = ("112187", "Unspecified method of calculation")
_SOURCE = ("121322", "Source image for image processing operation")
ENHANCED = "PerFrameFunctionalGroupsSequence"
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# What every object has, be it empty, and the values that it may have.
_ALLOWED = {
    "PatientName": r".*",
    "PatientID": r".*",
    "PatientBirthDate": r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "PatientSex": r"[MFO]",
    "StudyID": r".{0,16}",
    "StudyDate": r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])",
    "StudyTime": r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?",
    "AccessionNumber": r".{0,16}",
    "ReferringPhysicianName": r".*",
}


def read_header(path: Path) -> Dataset:
    """Return the data set of a source without its pixels."""
    return sanitise_identity(pydicom.dcmread(path, stop_before_pixels=True))


def write_parametric_map(
    path: Path,
    name: str,
    values: Floats,
    unit: str,
    images: Images,
    header: Dataset,
    references: References | None,
    *,
    number: int,
    key: str,
    version: str,
) -> None:
    """Write one map.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Of the map, such as ``T2map``.
    values : ndarray of float32, shape (n_slices, rows, columns)
        NaN where there is no value.
    unit : str
        UCUM.
    images : Images
        From DICOM; gives planes and sources.
    header : pydicom.Dataset
        Of the first source, without pixels.
    references : References or None
        From `make_references` where the sources are classic images; None for Enhanced ones.
    number : int
        Series number.
    key : str
        Hash of the parameters; enters the UIDs.
    version : str
        Of the suite.
    """
    # A subject id is a name of one component.
    with ignore_warnings(message=".*person ?name"):
        dataset = _object(
            name, values, unit, images, header, number=number, key=key, version=version
        )
    if references is not None:
        _add_references(dataset, references)
    dataset.SeriesDescription = f"{name} ({unit})"
    if len(values) == 1:
        _set_pitch(dataset, images.pitch_mm)
    _complete(dataset, header)
    organisation = result_uid("dimensions", str(dataset.SeriesInstanceUID))
    rows = [*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence]
    for row in rows:
        row.DimensionOrganizationUID = organisation
    for item in dataset.get("ContributingEquipmentSequence") or []:
        item.pop("ContributionDateTime", None)
    dataset.save_as(path, enforce_file_format=True)


def _object(
    name: str,
    values: Floats,
    unit: str,
    images: Images,
    header: Dataset,
    *,
    number: int,
    key: str,
    version: str,
) -> Any:
    """Return the object as the library makes it."""
    row = entry(name)
    sources = _sources(images, header)
    first = images.frames[0][0]
    return hd.pm.ParametricMap(
        source_images=[ds for ds in sources if ds.SeriesInstanceUID == first.series_uid],
        further_source_images=[ds for ds in sources if ds.SeriesInstanceUID != first.series_uid],
        pixel_array=np.ascontiguousarray(values, dtype=np.float32),
        series_instance_uid=result_uid("series", first.series_uid, name, key),
        series_number=number,
        sop_instance_uid=result_uid("instance", first.series_uid, name, key),
        instance_number=1,
        manufacturer="XNAT-PIC",
        manufacturer_model_name="xnat-pic-pipelines",
        software_versions=version,
        device_serial_number="none",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(name, values, unit)],
        voi_lut_transformations=[_window(name, values)],
        content_label=_label(name),
        content_description=row.quantity[2][:64],
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=first.spacing,
            slice_thickness=first.shown_thickness_mm,
            spacing_between_slices=images.pitch_mm,
        ),
        plane_orientation=hd.PlaneOrientationSequence(
            hd.CoordinateSystemNames.PATIENT, first.orientation
        ),
        plane_positions=[
            hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, one[0].position)
            for one in images.frames
        ],
    )


def _mapping(name: str, values: Floats, unit: str) -> Any:
    """Say what the values measure, and in which unit."""
    quantity = entry(name).quantity
    return hd.pm.RealWorldValueMapping(
        lut_label=name[:16],
        lut_explanation=f"{quantity[2]} in {unit}"[:64],
        unit=Code(unit, "UCUM", unit_meaning(unit)),
        value_range=_range(values),
        slope=1.0,
        intercept=0.0,
        quantity_definition=Code(*quantity),
    )


def _window(name: str, values: Floats) -> Any:
    low, high = window(name, values)
    return hd.VOILUTTransformation(
        window_center=(low + high) / 2,
        window_width=high - low,
        voi_lut_function="LINEAR_EXACT",
    )


def _label(name: str) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in name.upper())[:16]


def _range(values: Floats) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _set_pitch(dataset: Any, pitch_mm: float) -> None:
    """Say how thick a single slice is: the library knows a distance between slices alone."""
    groups = [*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence]
    for one in groups:
        for measures in one.get("PixelMeasuresSequence") or []:
            measures.SpacingBetweenSlices = format_ds(pitch_mm)


def _sources(images: Images, header: Dataset) -> list[Dataset]:
    """Return the data sets from which the library copies: of an Enhanced file, or the first image.

    Of classic images the library would look through every one for every map; `_add_references`
    names them.
    """
    return (
        [_source(images.frames[0][0], header)] if ENHANCED not in header else _files(images, header)
    )


def _files(images: Images, header: Dataset) -> list[Dataset]:
    """Return a small data set for each Enhanced file."""
    seen: dict[str, Dataset] = {}
    for one in images.frames:
        for frame in one:
            if frame.instance_uid not in seen:
                seen[frame.instance_uid] = _source(frame, header)
    return list(seen.values())


@dataclass(frozen=True)
class References:
    """The references to all source images, made once for all maps.

    Attributes
    ----------
    images : list of pydicom.Dataset
        Every instance.
    series : list of pydicom.Dataset
        The same by series.
    derivations : list of pydicom.Dataset
        For each slice, what it was computed from.
    positions : ndarray of float64, shape (n_slices, 3)
        Where the slices lie, patient LPS in mm.
    """

    images: list[Dataset]
    series: list[Dataset]
    derivations: list[Dataset]
    positions: npt.NDArray[np.float64]


def make_references(images: Images) -> References:
    """Return the references to classic images, one for each."""
    method, purpose = _code(*_CALCULATED), _code(*_SOURCE)
    every: list[Dataset] = []
    series: dict[str, list[Dataset]] = {}
    derivations = []
    for one in images.frames:
        used = []
        for frame in one:
            item, again = _reference(frame), _reference(frame)
            again.SpatialLocationsPreserved = "YES"
            again.PurposeOfReferenceCodeSequence = [purpose]
            every.append(item)
            series.setdefault(frame.series_uid, []).append(item)
            used.append(again)
        derivation = Dataset()
        derivation.DerivationCodeSequence = [method]
        derivation.SourceImageSequence = used
        derivations.append(derivation)
    rows = []
    for uid, items in series.items():
        row = Dataset()
        row.SeriesInstanceUID = uid
        row.ReferencedInstanceSequence = items
        rows.append(row)
    positions = np.array([one[0].position for one in images.frames], dtype=np.float64)
    return References(every, rows, derivations, positions)


def _add_references(dataset: Any, references: References) -> None:
    """Name every source image: in its series, and in the frame of its slice."""
    dataset.SourceImageSequence = references.images
    dataset.ReferencedSeriesSequence = references.series
    for group in dataset.PerFrameFunctionalGroupsSequence:
        # The library puts the frames into an order of its own.
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64)
        slice_index = int(np.argmin(np.linalg.norm(references.positions - place, axis=1)))
        group.DerivationImageSequence = [references.derivations[slice_index]]


def _reference(frame: Frame) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = frame.class_uid
    item.ReferencedSOPInstanceUID = frame.instance_uid
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _source(frame: Frame, header: Dataset) -> Dataset:
    ds = Dataset()
    ds.update(header)
    ds.file_meta = header.file_meta
    ds.SOPInstanceUID = frame.instance_uid
    ds.SeriesInstanceUID = frame.series_uid
    if ENHANCED in header:
        ds.SharedFunctionalGroupsSequence = [_shared(frame, header)]
    else:
        ds.ImagePositionPatient = list(frame.position)
    return ds


def _shared(frame: Frame, header: Dataset) -> Dataset:
    """Return shared functional groups that say size and direction of a frame's plane.

    Where packs differ in them each frame has its own, and the library asks for shared ones.
    """
    groups = Dataset()
    groups.update((header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0])
    if "PixelMeasuresSequence" not in groups:
        measures = Dataset()
        measures.PixelSpacing = list(frame.spacing)
        measures.SliceThickness = frame.shown_thickness_mm
        groups.PixelMeasuresSequence = [measures]
    if "PlaneOrientationSequence" not in groups:
        turned = Dataset()
        turned.ImageOrientationPatient = list(frame.orientation)
        groups.PlaneOrientationSequence = [turned]
    return groups


def _complete(dataset: Any, header: Dataset) -> None:
    """Add what the library leaves out, and times that do not depend on the clock."""
    animal = any(keyword in header for keyword in _VET)
    for keyword, otherwise in _COMPLETED.items():
        if keyword in _VET and not animal:
            continue
        value = header.get(keyword)
        if value is not None:
            setattr(dataset, keyword, value)
        elif otherwise is not None:
            setattr(dataset, keyword, otherwise)
    for day, hour in (
        ("ContentDate", "ContentTime"),
        ("SeriesDate", "SeriesTime"),
        ("InstanceCreationDate", "InstanceCreationTime"),
    ):
        setattr(dataset, day, header.get(day) or header.get("StudyDate") or "")
        setattr(dataset, hour, header.get(hour) or header.get("StudyTime") or "")


def sanitise_identity(header: Dataset) -> Dataset:
    """Return the header with what identifies patient and study allowed, or empty.

    Programs that remove names write such things as a sex of ``0`` or a date of ``00000000``.

    Parameters
    ----------
    header : pydicom.Dataset
        Changed in place.

    Returns
    -------
    pydicom.Dataset
        The same.
    """
    for keyword, pattern in _ALLOWED.items():
        value = str(header.get(keyword) or "").strip()
        if not value or not re.fullmatch(pattern, value, re.DOTALL):
            with ignore_warnings():
                setattr(header, keyword, "")
    return header
