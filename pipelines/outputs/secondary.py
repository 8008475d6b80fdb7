"""Write a map as an ordinary MR series of 16-bit images, for viewers without Parametric Maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from private_dictionaries import format_ds

from .catalogue import window
from .uids import result_uid

if TYPE_CHECKING:
    from ..inputs.frames import Images

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
PADDING = -32768
_TOP = 32767
# Taken over from the source: patient, study, place. Type 2 attributes are empty where it has none.
_COPIED = [
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "StudyInstanceUID",
    "PatientBirthTime",
    "PatientAge",
    "PatientWeight",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientSexNeutered",
    "AnatomicalOrientationType",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "InstitutionName",
    "PatientPosition",
    "FrameOfReferenceUID",
    "MagneticFieldStrength",
]
_EMPTY = [
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PositionReferenceIndicator",
    "Laterality",
    "ScanOptions",
    "EchoTime",
    "RepetitionTime",
    "EchoTrainLength",
]


def write_secondary(
    folder: Path,
    name: str,
    values: npt.NDArray[np.float32],
    unit: str,
    images: Images,
    header: Dataset,
    *,
    number: int,
    key: str,
    version: str,
) -> float:
    """Write one file for each slice.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    name : str
        Of the map.
    values : ndarray of float32, shape (n_slices, rows, columns)
        NaN becomes the pixel padding value.
    unit : str
        UCUM; stands in the Series Description.
    images : Images
        From DICOM.
    header : pydicom.Dataset
        Of the first source, without pixels.
    number : int
        Series number.
    key : str
        Hash of the parameters; enters the UIDs.
    version : str
        Of the suite.

    Returns
    -------
    float
        The step between two stored values, in the unit of the map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finite = values[np.isfinite(values)]
    top = float(np.abs(finite).max()) if finite.size else 0.0
    slope = float(format_ds(top / _TOP)) if top > 0 else 1.0
    stored = np.where(np.isfinite(values), np.clip(np.rint(values / slope), -_TOP, _TOP), PADDING)
    low, high = window(name, values)
    series = images.frames[0][0].series_uid
    for index, plane in enumerate(stored.astype("<i2")):
        ds = _common(header)
        frame = images.frames[index][0]
        ds.SOPInstanceUID = result_uid("secondary", series, name, key, str(index))
        ds.SeriesInstanceUID = result_uid("secondary series", series, name, key)
        ds.SeriesNumber = number
        ds.SeriesDescription = f"{name} ({unit}) int16"
        ds.SoftwareVersions = version
        ds.InstanceNumber = index + 1
        ds.ImagePositionPatient = [format_ds(v) for v in frame.position]
        ds.ImageOrientationPatient = [format_ds(v) for v in frame.orientation]
        ds.PixelSpacing = [format_ds(v) for v in frame.spacing]
        ds.SliceThickness = format_ds(frame.shown_thickness_mm)
        ds.SpacingBetweenSlices = format_ds(images.pitch_mm)
        _pixels(ds, plane, slope, (low, high))
        ds.save_as(folder / f"{index + 1:04d}.dcm", enforce_file_format=True)
    return slope


def _common(header: Dataset) -> Any:
    ds: Any = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in _COPIED:
        if header.get(keyword) is not None:
            ds[keyword] = header[keyword]
    for keyword in _EMPTY:
        setattr(ds, keyword, header.get(keyword) if keyword[:4] in _PERSONAL else "")
    ds.SOPClassUID = MR_IMAGE
    ds.Modality = "MR"
    ds.ImageType = ["DERIVED", "PRIMARY", "OTHER"]
    ds.Manufacturer = "XNAT-PIC"
    ds.ManufacturerModelName = "xnat-pic-pipelines"
    ds.ContentDate = header.get("ContentDate") or header.get("StudyDate") or ""
    ds.ContentTime = header.get("ContentTime") or header.get("StudyTime") or ""
    ds.ScanningSequence = "RM"
    ds.SequenceVariant = "NONE"
    ds.MRAcquisitionType = header.get("MRAcquisitionType") or "2D"
    return ds


_PERSONAL = ("Acce", "Refe", "Stud", "Pati", "Posi")


def _pixels(
    ds: Any, plane: npt.NDArray[np.int16], slope: float, shown: tuple[float, float]
) -> None:
    ds.Rows, ds.Columns = plane.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 1
    ds.PixelPaddingValue = PADDING
    ds.RescaleSlope = format_ds(slope)
    ds.RescaleIntercept = "0"
    ds.RescaleType = "US"
    ds.WindowCenter = format_ds((shown[0] + shown[1]) / 2)
    ds.WindowWidth = format_ds(shown[1] - shown[0])
    ds.VOILUTFunction = "LINEAR_EXACT"
    ds.PixelData = plane.tobytes()
