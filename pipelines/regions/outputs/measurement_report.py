"""The numbers as a DICOM Structured Report by TID 1500."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnat_pic.version import version
from xnat_pic.warning_filters import ignore_warnings

from ...outputs.uids import result_uid
from .rates import coded
from .segmentation import complete_object, dicom_text, tracking_uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from ..run_result import MapResult, MaskAverageResult, RegionResult
    from ..statistics import Statistics

# What is said of each quantity: field of Statistics, and its derivation (PS3.16 CID 7464).
_DERIVATIONS = (
    ("mean", ("373098007", "SCT", "Mean")),
    ("sd", ("386136009", "SCT", "Standard Deviation")),
    ("median", ("373099004", "SCT", "Median")),
    ("minimum", ("255605001", "SCT", "Minimum")),
    ("maximum", ("56851009", "SCT", "Maximum")),
)
_VOLUME = ("118565006", "SCT", "Volume")
_CUBIC_MM = ("mm3", "UCUM", "cubic millimeter")
_PROCEDURE = ("363679005", "SCT", "Imaging procedure")
_DIGITS = 16


def write_measurement_report(
    path: Path, result: MaskAverageResult, sources: list[Dataset], segmentation: Dataset, key: str
) -> None:
    """Write one group of measurements for each region with voxels of the image.

    Parameters
    ----------
    path : Path
        The file.
    result : MaskAverageResult
        What was found.
    sources : list of pydicom.Dataset
        Headers of the images the regions lie on.
    segmentation : pydicom.Dataset
        The masks; every group refers to its segment.
    key : str
        Hash of what went in; enters the UIDs.
    """
    with ignore_warnings(message=".*person ?name"):
        dataset = _object(result, sources, segmentation, key)
    complete_object(dataset, sources[0], "ROI statistics")
    dataset.save_as(path, enforce_file_format=True)


def _object(
    result: MaskAverageResult, sources: list[Dataset], segmentation: Dataset, key: str
) -> Any:
    import highdicom as hd

    device = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=result_uid("device", "xnat-pic-pipelines"),
            name="xnat-pic-pipelines",
            manufacturer_name="XNAT-PIC",
            model_name=f"xnat-pic {version()}"[:64],
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=hd.sr.CodedConcept(*_PROCEDURE),
        imaging_measurements=[
            _group(number, roi, segmentation, sources)
            for number, roi in enumerate(result.labels, 1)
        ],
        title=hd.sr.CodedConcept("126000", "DCM", "Imaging Measurement Report"),
    )
    return hd.sr.Comprehensive3DSR(
        evidence=[*sources, segmentation],
        content=content[0],
        series_instance_uid=result_uid("region statistics", key),
        series_number=901,
        sop_instance_uid=result_uid("region statistics instance", key),
        instance_number=1,
        manufacturer="XNAT-PIC",
        is_complete=True,
        is_final=False,
        is_verified=False,
    )


def _group(number: int, roi: RegionResult, segmentation: Dataset, sources: list[Dataset]) -> Any:
    import highdicom as hd

    name = dicom_text(roi.region.name) or f"ROI {roi.number}"
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracking_uid(roi), identifier=name),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(sources[0].SeriesInstanceUID),
        ),
        finding_type=hd.sr.CodedConcept("85756007", "SCT", "Tissue"),
        measurements=[
            hd.sr.Measurement(
                name=hd.sr.CodedConcept(*_VOLUME),
                value=_decimal(roi.volume_mm3),
                unit=hd.sr.CodedConcept(*_CUBIC_MM),
            ),
            *(one for row in roi.maps for one in _measurements(roi, row)),
        ],
    )


def _measurements(roi: RegionResult, row: MapResult) -> Iterator[Any]:
    """Yield the measurements of a region in a map, those that exist."""
    import highdicom as hd

    for found in row.quantities:
        quantity, unit = coded(found.name, found.unit)
        for field, derivation in _DERIVATIONS:
            value = _of(found.whole, field)
            if value is None:
                continue
            uid = result_uid("measurement", tracking_uid(roi), row.map.source, found.name, field)
            yield hd.sr.Measurement(
                name=hd.sr.CodedConcept(*quantity),
                value=value,
                unit=hd.sr.CodedConcept(*unit),
                derivation=hd.sr.CodedConcept(*derivation),
                tracking_identifier=hd.sr.TrackingIdentifier(
                    uid=uid, identifier=dicom_text(found.name)
                ),
            )


def _of(values: Statistics, field: str) -> float | None:
    number = float(getattr(values, field))
    return _decimal(number) if np.isfinite(number) else None


def _decimal(number: float) -> float:
    """Return a number whose text fits into a DS value of 16 signs."""
    for digits in range(_DIGITS, 0, -1):
        text = format(number, f".{digits}g")
        if len(text) <= _DIGITS:
            return float(text)
    return 0.0
