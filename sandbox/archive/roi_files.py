"""Read files of ROI collections (AIM, RTSTRUCT, SEG): what they are and which images they need."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import pydicom
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from xnat_pic.warning_filters import ignore_warnings

from .refusals import Refused

AIM, RTSTRUCT, SEG = "AIM", "RTSTRUCT", "SEG"
_AIM_ROOT = "{gme://caCORE.caCORE/4.4/edu.northwestern.radiology.AIM}ImageAnnotationCollection"
_SOP_CLASSES = {
    RTSTRUCT: "1.2.840.10008.5.1.4.1.1.481.3",
    SEG: "1.2.840.10008.5.1.4.1.1.66.4",
}


@dataclass(frozen=True)
class Collection:
    """What a file of regions says of itself.

    Attributes
    ----------
    date, time : str
        As XNAT writes them; empty where the file has none.
    studies, series, instances : frozenset of str
        UIDs of the images that the regions lie on.
    """

    type: str
    uid: str
    name: str
    date: str
    time: str
    studies: frozenset[str]
    series: frozenset[str]
    instances: frozenset[str]


def read_collection(path: Path, kind: str) -> Collection:
    """Read a file of regions.

    Parameters
    ----------
    kind : str
        ``AIM``, ``RTSTRUCT`` or ``SEG``: what the file is said to be.

    Raises
    ------
    Refused
        422 for a file of another kind, or one that cannot be read.
    """
    if kind == AIM:
        return _read_aim(path)
    try:
        with ignore_warnings():
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError) as error:
        raise Refused(422, f"The file is no DICOM object that can be read as {kind}.") from error
    if str(dataset.get("SOPClassUID", "")) != _SOP_CLASSES.get(kind):
        raise Refused(422, f"The file is no DICOM object of the kind {kind}.")
    return _read_rtstruct(dataset) if kind == RTSTRUCT else _read_seg(dataset)


def _read_aim(path: Path) -> Collection:
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
        raise Refused(422, "The file is no AIM document that can be read.") from error
    if root is None or root.tag != _AIM_ROOT:
        raise Refused(422, "The file is no AIM 4 ImageAnnotationCollection.")
    moment = _attribute(root.find("{*}dateTime"), "value")
    return Collection(
        type=AIM,
        uid=_attribute(root.find("{*}uniqueIdentifier"), "root"),
        name=_attribute(root.find("{*}description"), "value"),
        date=_date(moment[:8]),
        time=_time(moment[8:]),
        studies=_roots(root, "imageStudy", "instanceUid"),
        series=_roots(root, "imageSeries", "instanceUid"),
        instances=_roots(root, "Image", "sopInstanceUid"),
    )


def _attribute(element: Element | None, name: str) -> str:
    return element.get(name, "") if element is not None else ""


def _roots(root: Element, parent: str, name: str) -> frozenset[str]:
    found = (
        _attribute(one.find(f"{{*}}{name}"), "root") for one in root.iterfind(f".//{{*}}{parent}")
    )
    return frozenset(uid for uid in found if uid)


def _read_rtstruct(dataset: Dataset) -> Collection:
    studies, series, instances = set(), set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            studies.add(str(study.get("ReferencedSOPInstanceUID", "")))
            for one in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(one.get("SeriesInstanceUID", "")))
                for image in one.get("ContourImageSequence") or []:
                    instances.add(str(image.get("ReferencedSOPInstanceUID", "")))
    instances |= set(_contour_images(dataset))
    return Collection(
        type=RTSTRUCT,
        uid=str(dataset.get("SOPInstanceUID", "")),
        name=str(dataset.get("StructureSetLabel") or dataset.get("StructureSetName") or ""),
        date=_date(str(dataset.get("StructureSetDate") or "")),
        time=_time(str(dataset.get("StructureSetTime") or "")),
        studies=frozenset(studies - {""}),
        series=frozenset(series - {""}),
        instances=frozenset(instances - {""}),
    )


def _contour_images(dataset: Dataset) -> Iterator[str]:
    for roi in dataset.get("ROIContourSequence") or []:
        for contour in roi.get("ContourSequence") or []:
            for image in contour.get("ContourImageSequence") or []:
                yield str(image.get("ReferencedSOPInstanceUID", ""))


def _read_seg(dataset: Dataset) -> Collection:
    series, instances = set(), set()
    for one in dataset.get("ReferencedSeriesSequence") or []:
        series.add(str(one.get("SeriesInstanceUID", "")))
        for image in one.get("ReferencedInstanceSequence") or []:
            instances.add(str(image.get("ReferencedSOPInstanceUID", "")))
    return Collection(
        type=SEG,
        uid=str(dataset.get("SOPInstanceUID", "")),
        name=str(dataset.get("ContentLabel") or dataset.get("SeriesDescription") or ""),
        date=_date(str(dataset.get("StudyDate") or "")),
        time=_time(str(dataset.get("StudyTime") or "")),
        studies=frozenset({str(dataset.get("StudyInstanceUID", ""))} - {""}),
        series=frozenset(series - {""}),
        instances=frozenset(instances - {""}),
    )


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) >= 8 and text[:8].isdigit() else ""


def _time(text: str) -> str:
    return f"{text[:2]}:{text[2:4]}:{text[4:6]}" if len(text) >= 6 and text[:6].isdigit() else ""
