"""The masks on the image they were drawn on, as a DICOM Segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnat_pic.text import one_line
from xnat_pic.version import version
from xnat_pic.warning_filters import ignore_warnings

from ...outputs.uids import result_uid
from ..statistics import WHOLE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from ..run_result import MaskAverageResult, RegionResult

_TISSUE = ("85756007", "SCT", "Tissue")
_MOST_LETTERS = 64
# What the library does not copy from the source and the object asks for.
_COMPLETED = (
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "PatientSexNeutered",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "TimezoneOffsetFromUTC",
)


def read_sources(result: MaskAverageResult) -> list[Dataset]:
    """Return a header for each slice on which a region lies, in their order, without pixels."""
    import pydicom

    used = slices_used(result)
    first = pydicom.dcmread(result.image.planes[used[0]].path, stop_before_pixels=True)
    sources: dict[str, Dataset] = {}
    for index in used:
        plane = result.image.planes[index]
        if plane.instance_uid in sources:
            continue
        ds = pydicom.Dataset()
        ds.update(first)
        ds.file_meta = first.file_meta
        ds.SOPInstanceUID = plane.instance_uid
        ds.SOPClassUID = plane.class_uid
        if "PerFrameFunctionalGroupsSequence" not in first:
            ds.ImagePositionPatient = [float(v) for v in result.image.positions[index]]
        sources[plane.instance_uid] = ds
    return list(sources.values())


def slices_used(result: MaskAverageResult) -> list[int]:
    """Return the slices of the image on which any region lies."""
    size = result.image.shape[1] * result.image.shape[2]
    return sorted({int(k) for roi in result.labels for k in np.unique(roi.drawn.index // size)})


def write_segmentation(
    path: Path, result: MaskAverageResult, sources: list[Dataset], key: str
) -> Any:
    """Write one segment for each region with voxels of the image.

    Parameters
    ----------
    path : Path
        The file.
    result : MaskAverageResult
        With at least one such region, on an image from DICOM.
    sources : list of pydicom.Dataset
        From `read_sources`.
    key : str
        Hash of what went in; enters the UIDs.

    Returns
    -------
    pydicom.Dataset
        As written.
    """
    # A subject id is a name of one component.
    with ignore_warnings(message=".*person ?name"):
        dataset = _object(result, sources, key)
    complete_object(dataset, sources[0], f"ROIs: {result.regions.name or result.regions.path.stem}")
    organisation = result_uid("dimensions", str(dataset.SeriesInstanceUID))
    for row in [*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence]:
        row.DimensionOrganizationUID = organisation
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def _object(result: MaskAverageResult, sources: list[Dataset], key: str) -> Any:
    import highdicom as hd

    image = result.image
    used = slices_used(result)
    masks = [roi.drawn.at_least(WHOLE)[used] for roi in result.labels]
    patient = hd.CoordinateSystemNames.PATIENT
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=np.stack(masks, axis=-1).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(n, roi) for n, roi in enumerate(result.labels, 1)],
        series_instance_uid=result_uid("region masks", key),
        series_number=900,
        sop_instance_uid=result_uid("region masks instance", key),
        instance_number=1,
        manufacturer="XNAT-PIC",
        manufacturer_model_name="xnat-pic-pipelines",
        software_versions=version(),
        device_serial_number="none",
        content_label="ROIS",
        content_description="Voxels whose centre is inside",
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=image.spacing,
            slice_thickness=image.step_mm,
            spacing_between_slices=image.step_mm,
        ),
        plane_orientation=hd.PlaneOrientationSequence(patient, [*image.row, *image.column]),
        plane_positions=[hd.PlanePositionSequence(patient, image.positions[k]) for k in used],
    )


def _segment(number: int, roi: RegionResult) -> Any:
    import highdicom as hd

    colour = roi.region.colour
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=dicom_text(roi.region.name) or f"ROI {roi.number}",
        segmented_property_category=hd.sr.CodedConcept(*_TISSUE),
        segmented_property_type=hd.sr.CodedConcept(*_TISSUE),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_id=dicom_text(roi.region.name) or f"ROI {roi.number}",
        tracking_uid=tracking_uid(roi),
        display_color=None if colour is None else _lab(colour),
    )


def _lab(colour: tuple[int, int, int]) -> Any:
    """Return a colour as CIELab of D50, as DICOM wants it."""
    import highdicom as hd

    return hd.color.CIELabColor.from_rgb(*colour)


def tracking_uid(roi: RegionResult) -> str:
    """Return a UID of a region that is the same in every object and every run."""
    return result_uid("region", roi.region.uid, str(roi.region.number), roi.region.name)


def dicom_text(text: str) -> str:
    """Return text that one DICOM value can hold: no backslash or control sign, 64 letters."""
    return one_line(text.replace("\\", " "), _MOST_LETTERS).strip()


def complete_object(dataset: Any, header: Dataset, description: str) -> None:
    """Add what the library leaves out, and times that do not depend on the clock."""
    dataset.SeriesDescription = dicom_text(description)
    if str(dataset).isascii() and str(header).isascii():
        dataset.pop("SpecificCharacterSet", None)
    else:
        dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _COMPLETED:
        if header.get(keyword) is not None:
            dataset[keyword] = header[keyword]
    for day, hour in (
        ("ContentDate", "ContentTime"),
        ("SeriesDate", "SeriesTime"),
        ("InstanceCreationDate", "InstanceCreationTime"),
    ):
        setattr(dataset, day, header.get(day) or header.get("StudyDate") or "")
        setattr(dataset, hour, header.get(hour) or header.get("StudyTime") or "")
    for item in dataset.get("ContributingEquipmentSequence") or []:
        item.pop("ContributionDateTime", None)
