"""Make images and drawings of regions whose truth is known: geometry, pixels, files."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def oblique():
    """A double-oblique orientation."""
    a, b = np.deg2rad(20), np.deg2rad(35)
    row = np.array([np.cos(a), np.sin(a), 0.0])
    column = np.array([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b)])
    return (*row, *column)


@dataclass
class Scan:
    """An image in patient space; index order is (column, row, slice) along row x column."""

    shape: tuple[int, int, int] = (5, 32, 32)
    spacing: tuple[float, float] = (0.5, 0.5)
    step: float = 1.0
    orientation: tuple[float, ...] = AXIAL
    origin: tuple[float, float, float] = (-8.0, 4.0, -2.5)
    frame_uid: str = field(default_factory=generate_uid)
    study_uid: str = field(default_factory=generate_uid)
    series_uid: str = field(default_factory=generate_uid)
    uids: list[str] = field(default_factory=list)
    enhanced_uid: str = field(default_factory=generate_uid)

    def __post_init__(self):
        self.uids = self.uids or [generate_uid() for _ in range(self.shape[0])]

    @property
    def affine(self):
        """(column, row, slice, 1) to LPS."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        matrix = np.eye(4)
        matrix[:3, 0] = row * self.spacing[1]
        matrix[:3, 1] = column * self.spacing[0]
        matrix[:3, 2] = np.cross(row, column) * self.step
        matrix[:3, 3] = self.origin
        return matrix

    def mm(self, points, k):
        """Patient points of (column, row) index coordinates in slice k."""
        points = np.asarray(points, dtype=np.float64)
        full = np.column_stack([points, np.full(len(points), k), np.ones(len(points))])
        return (self.affine @ full.T).T[:, :3]


def _number(value):
    return f"{value:.10g}"[:16]


def _base(scan, class_uid, uid, modality):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = class_uid
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = class_uid, uid
    ds.Modality = modality
    ds.StudyInstanceUID, ds.SeriesInstanceUID = scan.study_uid, scan.series_uid
    ds.FrameOfReferenceUID = scan.frame_uid
    ds.SeriesNumber, ds.SeriesDescription = 3, "T2"
    return ds


def _pixel_module(ds, scan, data):
    ds.Rows, ds.Columns = scan.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = np.ascontiguousarray(data, dtype="<u2").tobytes()


def write_series(folder: Path, scan: Scan, *, skip=(), backwards=False) -> Path:
    """Classic single-frame images; `backwards` names the files against the slice order."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, uid in enumerate(scan.uids):
        if k in skip:
            continue
        ds = _base(scan, MRImageStorage, uid, "MR")
        ds.InstanceNumber = k + 1
        ds.ImagePositionPatient = [_number(v) for v in scan.mm([[0, 0]], k)[0]]
        ds.ImageOrientationPatient = [_number(v) for v in scan.orientation]
        ds.PixelSpacing = [_number(v) for v in scan.spacing]
        ds.SliceThickness = _number(scan.step)
        _pixel_module(ds, scan, np.full(scan.shape[1:], k))
        place = scan.shape[0] - 1 - k if backwards else k
        ds.save_as(folder / f"{place:03d}.dcm", enforce_file_format=True)
    return folder


def write_enhanced(path: Path, scan: Scan, order=None, echoes=1) -> list[int]:
    """One multi-frame object; returns the slice of each frame."""
    order = list(range(scan.shape[0])) if order is None else list(order)
    frames = [k for k in order for _ in range(echoes)]
    ds = _base(scan, EnhancedMRImageStorage, scan.enhanced_uid, "MR")
    measures, turned = Dataset(), Dataset()
    measures.PixelSpacing = [_number(v) for v in scan.spacing]
    measures.SliceThickness = _number(scan.step)
    turned.ImageOrientationPatient = [_number(v) for v in scan.orientation]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for k in frames:
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = [_number(v) for v in scan.mm([[0, 0]], k)[0]]
        group.PlanePositionSequence = [place]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.NumberOfFrames = len(frames)
    _pixel_module(ds, scan, np.repeat(frames, scan.shape[1] * scan.shape[2]))
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return frames


def circle(x, y, radius, count=180):
    """Index coordinates of a closed line, without the repeated first point."""
    angle = np.arange(count) * 2 * np.pi / count
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def box(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)


def aim_text(rois, *, version="AIMv4_0", kind="TwoDimensionPolyline", model="XNAT-OHIF-VIEWER"):
    """AIM of {name: [(instance UID, frame, index coordinates)]}: corner-origin pixels."""
    annotations = []
    for name, contours in rois.items():
        markups = []
        for uid, frame, points in contours:
            closed = np.vstack([points, points[:1]]) + 0.5
            corners = "".join(
                "<TwoDimensionSpatialCoordinate>"
                f'<coordinateIndex value="{i % len(points)}"/><x value="{x:.9f}"/>'
                f'<y value="{y:.9f}"/></TwoDimensionSpatialCoordinate>'
                for i, (x, y) in enumerate(closed)
            )
            markups.append(
                f'<MarkupEntity xsi:type="{kind}"><includeFlag value="true"/>'
                f'<lineColour value="0,128,255"/><imageReferenceUid root="{uid}"/>'
                f'<referencedFrameNumber value="{frame}"/>'
                "<twoDimensionSpatialCoordinateCollection>"
                f"{corners}</twoDimensionSpatialCoordinateCollection></MarkupEntity>"
            )
        annotations.append(
            f'<ImageAnnotation><uniqueIdentifier root="{generate_uid()}"/><name value="{name}"/>'
            f"<markupEntityCollection>{''.join(markups)}</markupEntityCollection></ImageAnnotation>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ImageAnnotationCollection '
        'xmlns="gme://caCORE.caCORE/4.4/edu.northwestern.radiology.AIM" '
        f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" aimVersion="{version}">'
        '<description value="Drawn"/><equipment><manufacturerName value="ICR"/>'
        f'<manufacturerModelName value="{model}"/><softwareVersion value="3.6.2"/></equipment>'
        f"<imageAnnotations>{''.join(annotations)}</imageAnnotations></ImageAnnotationCollection>"
    )


def write_rtstruct(path: Path, scan: Scan, rois, *, frame_uid=None, kind="CLOSED_PLANAR"):
    """RTSTRUCT of {name: [(mm points, instance UID or None[, type])]}."""
    ds = _base(scan, RTStructureSetStorage, generate_uid(), "RTSTRUCT")
    del ds.FrameOfReferenceUID
    ds.StructureSetLabel = "Drawn"
    ds.StructureSetROISequence, ds.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(rois.items(), start=1):
        listed, shape = Dataset(), Dataset()
        listed.ROINumber, listed.ROIName = number, name
        listed.ReferencedFrameOfReferenceUID = frame_uid or scan.frame_uid
        shape.ReferencedROINumber = number
        shape.ROIDisplayColor = [0, 128, 255]
        lines = []
        for points, uid, *own_kind in contours:
            line = Dataset()
            said = own_kind[0] if own_kind else kind
            # One spelling in use is longer than its VR allows.
            line.add(DataElement(0x30060042, "CS", said, validation_mode=IGNORE))
            line.NumberOfContourPoints = len(points)
            line.ContourData = [_number(v) for v in np.ravel(points)]
            if uid:
                reference = Dataset()
                reference.ReferencedSOPClassUID = MRImageStorage
                reference.ReferencedSOPInstanceUID = uid
                line.ContourImageSequence = [reference]
            lines.append(line)
        if lines:
            shape.ContourSequence = lines
        ds.StructureSetROISequence.append(listed)
        ds.ROIContourSequence.append(shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)
    return path


def write_seg(path: Path, scan: Scan, frames, *, kind="BINARY", labels=None, frame_uid=None):
    """SEG of [(segment, slice, values of shape (rows, columns))], in the order given."""
    ds = _base(scan, SegmentationStorage, generate_uid(), "SEG")
    ds.FrameOfReferenceUID = frame_uid or scan.frame_uid
    ds.SegmentationType = kind
    values = np.array([plane for _, _, plane in frames])
    _pixel_module(ds, scan, values)
    if kind == "BINARY":
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
        data = np.packbits(values.astype(bool).ravel(), bitorder="little").tobytes()
    else:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        data = values.astype(np.uint8).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB"
    if kind == "FRACTIONAL":
        ds.MaximumFractionalValue, ds.SegmentationFractionalType = 200, "OCCUPANCY"
    ds.NumberOfFrames = len(frames)
    names = labels or {number: f"Segment {number}" for number, _, _ in frames}
    ds.SegmentSequence = []
    for number, name in names.items():
        segment = Dataset()
        segment.SegmentNumber, segment.SegmentLabel = number, name
        ds.SegmentSequence.append(segment)
    measures, turned, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [_number(v) for v in scan.spacing]
    measures.SliceThickness = _number(scan.step)
    turned.ImageOrientationPatient = [_number(v) for v in scan.orientation]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = []
    for number, k, _ in frames:
        group, place, segment = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [_number(v) for v in scan.mm([[0, 0]], k)[0]]
        group.PlanePositionSequence = [place]
        segment.ReferencedSegmentNumber = number
        if kind != "LABELMAP":
            group.SegmentIdentificationSequence = [segment]
        ds.PerFrameFunctionalGroupsSequence.append(group)
    ds.save_as(path, enforce_file_format=True)
    return path


def centres_inside(polygons, size):
    """Even-odd parity at every pixel centre, one centre at a time: the slow definition.

    An edge counts when exactly one end is at or above the centre, and its crossing is at or left
    of it.
    """
    found = np.zeros(size, dtype=bool)
    for row in range(size[0]):
        for column in range(size[1]):
            for polygon in polygons:
                for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                    if (y0 <= row) == (y1 <= row):
                        continue
                    if x0 + (row - y0) * (x1 - x0) / (y1 - y0) <= column:
                        found[row, column] ^= True
    return found
