"""Small DICOM files, as odd as a test wants them."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

MR = "1.2.840.10008.5.1.4.1.1.4"
PET = "1.2.840.10008.5.1.4.1.1.128"
CT = "1.2.840.10008.5.1.4.1.1.2"
US = "1.2.840.10008.5.1.4.1.1.6.1"
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SC = "1.2.840.10008.5.1.4.1.1.7"
MODALITY = {MR: "MR", PET: "PT", CT: "CT", US: "US", SEG: "SEG"}


def dataset(study="1", series="1", instance=1, sop=MR, pixels=True, **values):
    """Build an object; `study` and `series` end its UIDs, `values` replace attributes.

    A value of None takes the attribute out.
    """
    ds = Dataset()
    ds.SOPClassUID = sop
    ds.SOPInstanceUID = f"2.25.{study}.{series}.{instance}"
    ds.StudyInstanceUID = f"2.25.{study}"
    ds.SeriesInstanceUID = f"2.25.{study}.{series}"
    ds.Modality = MODALITY.get(sop, "OT")
    ds.PatientID = "m01"
    ds.PatientName = "m01"
    ds.StudyDate = "20240109"
    ds.StudyTime = "080000"
    ds.SeriesNumber = int(series)
    ds.InstanceNumber = instance
    ds.SeriesDescription = f"series {series}"
    if pixels:
        ds.Rows = ds.Columns = 8
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 0
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.PixelData = np.full((8, 8), instance, np.uint16).tobytes()
    for name, value in values.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", MR)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "2.25.1")
    return ds


def write(path, **options):
    """Write one object into a file, with its folders."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset(**options).save_as(path, enforce_file_format=True)
    return path


def write_series(folder, count=3, **options):
    """Write a series of `count` objects."""
    return [write(Path(folder) / f"{k:04}.dcm", instance=k, **options) for k in range(1, count + 1)]
