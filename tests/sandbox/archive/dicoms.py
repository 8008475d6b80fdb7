"""Small DICOM studies for tests, made with pydicom."""

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

SOP = {
    "MR": MRImageStorage,
    "CT": CTImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
}


@dataclass(frozen=True)
class Study:
    """What the objects of one study share."""

    patient: str = "mouse1"
    patient_id: str = "mouse1_MR1"
    uid: str = field(default_factory=generate_uid)
    values: dict[str, Any] = field(default_factory=dict)


def make_object(
    study: Study,
    series: int | None = 1,
    instance: int = 1,
    *,
    modality: str = "MR",
    sop_class: str = "",
    series_uid: str = "",
    **values: Any,
) -> Dataset:
    """Return one small image."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class or SOP.get(modality, SOP["MR"])
    series_uid = series_uid or generate_uid(entropy_srcs=[study.uid, str(series)])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[series_uid, str(instance)])
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study.uid, series_uid
    dataset.StudyDate, dataset.StudyTime = "20240131", "101112.500"
    dataset.Modality = modality
    dataset.Manufacturer, dataset.ManufacturerModelName = "Maker", "Model 7T"
    dataset.PatientName, dataset.PatientID = study.patient, study.patient_id
    dataset.SeriesDescription = f"T2 series {series}"
    if series is not None:
        dataset.SeriesNumber = series
    dataset.InstanceNumber = instance
    if modality == "MR":
        dataset.RepetitionTime, dataset.EchoTime, dataset.FlipAngle = 2500, 11.5, 90
    dataset.PixelSpacing, dataset.SliceThickness = [0.2, 0.1], 0.8
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8) * instance
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    for name, value in {**study.values, **values}.items():
        if value is None:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    return dataset


def encode(dataset: Dataset) -> bytes:
    """Return an object as the bytes of a file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def name_of(dataset: Dataset) -> str:
    folder = f"{dataset.get('PatientID', 'x')}/{dataset.get('SeriesNumber', 0)}"
    return f"{folder}/{dataset.Modality}{dataset.InstanceNumber:04d}.dcm"


def make_zip(datasets: Iterable[Dataset], **extra: bytes) -> bytes:
    """Return a zip of objects, each in its series' folder, and of other files by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for dataset in datasets:
            archive.writestr(name_of(dataset), encode(dataset))
        for name, content in extra.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def make_study(study: Study, series: int = 2, instances: int = 3, **values: Any) -> list[Dataset]:
    """Return the objects of a study, series by series."""
    return [
        make_object(study, s, i, **values)
        for s in range(1, series + 1)
        for i in range(1, instances + 1)
    ]
