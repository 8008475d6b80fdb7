"""Small DICOM series, made from numbers as different scanners write them."""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
# An oblique plane, so that a swapped axis shows.
ROW = np.array([np.cos(0.3), np.sin(0.3), 0.0])
COLUMN = np.array([0.0, 0.0, -1.0])
NORMAL = np.cross(ROW, COLUMN)
ORIGIN = np.array([-7.0, 3.0, 11.0])
SPACING, PITCH = (0.4, 0.25), 1.5  # between rows, between columns; between slices


def place(index):
    return ORIGIN + index * PITCH * NORMAL


def affine():
    """From (column, row, slice) to RAS mm, straight from the definition of the attributes."""
    out = np.eye(4)
    out[:3, :3] = np.stack([ROW * SPACING[1], COLUMN * SPACING[0], NORMAL * PITCH], axis=1)
    out[:3, 3] = ORIGIN
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ out


def _base(kind, series="a"):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = kind
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[series])
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    ds.PatientID, ds.PatientName, ds.SeriesNumber, ds.SeriesDescription = "m07", "m07", 5, series
    ds.Modality, ds.StudyDate, ds.StudyTime = "MR", "20240101", "080000"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    return ds


def _stored(plane, slope, signed):
    kind = np.int16 if signed else np.uint16
    return np.rint(plane / slope).astype(kind)


def write_classic(folder, data, rows, *, series="a", component=None, slopes=None, first=0):
    """Write one file per plane.

    data: (n, slices, rows, columns), real values. rows: for sample n (and slice k where it is a
    list of lists) the attributes that tell it. slopes: one per sample.
    """
    folder = Path(folder)
    folder.mkdir(exist_ok=True, parents=True)
    signed = bool(np.min(data) < 0)
    for n, volume in enumerate(data):
        slope = 0.5 if slopes is None else float(f"{slopes[n]:.6g}")
        for k, plane in enumerate(volume):
            ds = _base(MR, series)
            ds.ImageType = ["ORIGINAL", "PRIMARY", component or "M"]
            ds.InstanceNumber = first + n * len(volume) + k + 1
            ds.Rows, ds.Columns = plane.shape
            ds.PixelRepresentation = int(signed)
            ds.ImagePositionPatient = [float(f"{v:.6f}") for v in place(k)]
            ds.ImageOrientationPatient = [float(f"{v:.9f}") for v in (*ROW, *COLUMN)]
            ds.PixelSpacing, ds.SliceThickness = list(SPACING), 1.0
            ds.RescaleSlope, ds.RescaleIntercept = str(slope), "0"
            values = rows[n][k] if isinstance(rows[n], list) else rows[n]
            for keyword, value in values.items():
                setattr(ds, keyword, value)
            ds.PixelData = _stored(plane, slope, signed).tobytes()
            name = f"{(ds.InstanceNumber * 7919) % 10007:05d}_{series}{component or ''}.dcm"
            ds.save_as(folder / name, enforce_file_format=True)
    return folder


def _item(**values):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def write_enhanced(path, data, groups, *, order=None, slopes=None, **attributes):
    """Write one multi-frame file; `groups(n)` gives functional groups of sample n by keyword."""
    count, slices = data.shape[:2]
    ds = _base(ENHANCED)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.ComplexImageComponent = "MAGNITUDE"
    ds.InstanceNumber, ds.PixelRepresentation = 1, 0
    ds.Rows, ds.Columns = data.shape[2:]
    ds.NumberOfFrames = count * slices
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    measures = _item(PixelSpacing=list(SPACING), SliceThickness=1.0)
    axes = _item(ImageOrientationPatient=[float(v) for v in (*ROW, *COLUMN)])
    shared = _item(PixelMeasuresSequence=Sequence([measures]))
    shared.PlaneOrientationSequence = Sequence([axes])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    pairs = [(n, k) for n in range(count) for k in range(slices)]
    pairs = [pairs[i] for i in (order if order is not None else range(len(pairs)))]
    items, planes = [], []
    for n, k in pairs:
        slope = 0.5 if slopes is None else float(f"{slopes[n]:.6g}")
        here = _item(ImagePositionPatient=[float(v) for v in place(k)])
        scale = _item(RescaleSlope=str(slope), RescaleIntercept="0", RescaleType="US")
        item = _item(PlanePositionSequence=Sequence([here]))
        item.PixelValueTransformationSequence = Sequence([scale])
        for keyword, values in groups(n).items():
            setattr(item, keyword, Sequence([_item(**values)]))
        items.append(item)
        planes.append(_stored(data[n, k], slope, False))
    ds.PerFrameFunctionalGroupsSequence = Sequence(items)
    ds.PixelData = np.stack(planes).tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


def edit(folder, change):
    """Change every header of a folder."""
    for path in sorted(Path(folder).iterdir()):
        ds = pydicom.dcmread(path)
        change(ds)
        ds.save_as(path)
