"""PET series made with pydicom: a sphere of known activity, stored with a slope for each slice."""

from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

HALF_LIFE_S = 6586.2
START = datetime(2024, 1, 8, 14, 0, 0)
INJECTED = START - timedelta(minutes=55)
WEIGHT_KG, DOSE_BQ = 0.0245, 7.4e6
SIDE_MM, NX, NZ = 1.0, 32, 20
SPHERE_SUV, BODY_SUV = 3.7, 0.6


def sphere():
    """Return SUV (z, y, x): a sphere in a body, and air with a little noise below zero."""
    z, y, x = np.mgrid[:NZ, :NX, :NX].astype(float)
    body = ((x - 15.5) / 13) ** 2 + ((y - 15.5) / 11) ** 2 <= 1
    ball = (x - 15.5) ** 2 + (y - 15.5) ** 2 + (z - 7.5) ** 2 <= 36
    values = np.where(ball, SPHERE_SUV, np.where(body, BODY_SUV, 0.0))
    return values + np.where(body, 0, -0.001 * ((x + y) % 3)), ball


def dose_at(seconds):
    """Return the dose so long after the injection, by the law of decay."""
    return DOSE_BQ * np.exp(-np.log(2) / HALF_LIFE_S * seconds)


def header(**changed):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = PositronEmissionTomographyImageStorage
    ds.SOPClassUID = PositronEmissionTomographyImageStorage
    ds.PatientID = ds.PatientName = "m07"
    ds.PatientBirthDate, ds.PatientSex = "", "F"
    ds.PatientSpeciesDescription = "mouse"
    ds.PatientWeight = WEIGHT_KG
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = f"{START:%Y%m%d}"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"{START:%H%M%S}"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.Modality, ds.Manufacturer = "PT", "test"
    ds.SeriesNumber, ds.SeriesDescription = 10001, "PET"
    ds.PatientPosition, ds.PositionReferenceIndicator, ds.Laterality = "HFP", "", ""
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.Units, ds.CountsSource, ds.SeriesType = "BQML", "EMISSION", ["STATIC", "IMAGE"]
    ds.DecayCorrection = "START"
    ds.CorrectedImage = ["DECY", "ATTN", "SCAT", "DTIM", "RAN", "NORM"]
    ds.FrameReferenceTime, ds.ActualFrameDuration = 298000, 600000
    item = Dataset()
    item.Radiopharmaceutical = "FDG"
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = DOSE_BQ, HALF_LIFE_S
    item.RadiopharmaceuticalStartDateTime = f"{INJECTED:%Y%m%d%H%M%S}.00"
    item.RadiopharmaceuticalStartTime = f"{INJECTED:%H%M%S}"
    nuclide = Dataset()
    nuclide.CodeValue, nuclide.CodingSchemeDesignator = "77004003", "SCT"
    nuclide.CodeMeaning = "^18^Fluorine"
    item.RadionuclideCodeSequence = [nuclide]
    ds.RadiopharmaceuticalInformationSequence = [item]
    for key, value in changed.items():
        place = item if key.startswith("Radi") else ds
        if value is None:
            if key in place:
                delattr(place, key)
        else:
            setattr(place, key, value)
    return ds


def write_pet(folder, activity_bq_ml, *, series=None, study=None, first=1, skip=(), **changed):
    """Write one file for each slice, int16 with the slice's own slope. Return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = series or generate_uid(), study or generate_uid()
    for k, plane in enumerate(activity_bq_ml):
        if k in skip:
            continue
        ds = header(**changed)
        slope = float(f"{max(np.abs(plane).max(), 1e-9) / 32767:.9g}")
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.FrameOfReferenceUID = "1.2.840.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber = first + k
        ds.ImageIndex = first + k
        ds.NumberOfSlices = len(activity_bq_ml)
        ds.ImagePositionPatient = [15.5, 15.5, -float(k) * SIDE_MM]
        ds.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        ds.PixelSpacing, ds.SliceThickness = [SIDE_MM, SIDE_MM], SIDE_MM
        ds.Rows, ds.Columns = plane.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.RescaleSlope = slope
        ds.RescaleIntercept = changed.get("RescaleIntercept", 0)
        ds.PixelData = np.rint(plane / slope).astype("<i2").tobytes()
        ds.save_as(folder / f"{first + k:04d}.dcm", enforce_file_format=True)
    return folder
