"""Scan of many DICOM files, beside reading their headers with pydicom alone."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import Cost, machine, run
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

FILES = 20_000
_IN_SERIES = 200
_IN_STUDY = 8
_PYDICOM = """
import sys, pathlib, pydicom
for path in pathlib.Path(sys.argv[1]).rglob("*.dcm"):
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.Modality, ds.PatientID
"""


@dataclass(frozen=True)
class ScanCosts:
    """What a scan took, and its peer on the same files.

    Attributes
    ----------
    scan : Cost
        ``xnat-pic-uploader scan``, from the start of the program to the plan on disk.
    pydicom : Cost
        A loop of `pydicom.dcmread` without pixels.
    """

    files: int
    scan: Cost
    pydicom: Cost


def make_files(folder: Path, count: int = FILES) -> None:
    """Write `count` MR files of about 100 attributes and 8 KiB of pixels, in series and studies."""
    ds = _header()
    for index in range(count):
        series, instance = divmod(index, _IN_SERIES)
        study, number = divmod(series, _IN_STUDY)
        place = folder / "group" / "treated" / "timepoint" / "pre" / f"m{study:03}" / f"{number}"
        place.mkdir(parents=True, exist_ok=True)
        ds.PatientID = f"m{study:03}"
        ds.StudyInstanceUID = f"2.25.1{study:05}"
        ds.SeriesInstanceUID = f"2.25.2{series:06}"
        ds.SeriesNumber = number + 1
        ds.SOPInstanceUID = f"2.25.3{index:08}"
        ds.InstanceNumber = instance + 1
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(place / f"{instance + 1:04}.dcm", enforce_file_format=True)


def _header() -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
    ds.Modality = "MR"
    ds.StudyDate = "20240109"
    ds.StudyTime = "080000"
    ds.ImagePositionPatient = [0, 0, 0]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.Rows = ds.Columns = 64
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    block = ds.private_block(0x0019, "BENCHMARK", create=True)
    for element in range(80):
        block.add_new(element, "LO", f"value {element}")
    ds.PixelData = np.zeros((64, 64), np.uint16).tobytes()
    return ds


def time_scan(folder: Path) -> ScanCosts:
    """Scan a folder of `make_files` once, after the peer has brought its files into memory."""
    files = sum(1 for _ in folder.rglob("*.dcm"))
    run([sys.executable, "-c", _PYDICOM, folder])
    plan = folder.with_name(f"{folder.name}.plan.csv")
    command = [sys.executable, "-m", "uploader.cli", "scan", folder, "--project", "BENCH"]
    scan = run([*command, "-o", plan, "--overwrite"])
    return ScanCosts(files, scan, run([sys.executable, "-c", _PYDICOM, folder]))


def main() -> None:
    """Print the comparison."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        make_files(folder, count)
        costs = time_scan(folder)
    for name, cost in (("scan", costs.scan), ("pydicom alone", costs.pydicom)):
        print(
            f"{name:14} {costs.files} files: {cost.wall_s:6.1f} s, "
            f"{1000 * cost.wall_s / costs.files:.2f} ms a file, peak {cost.peak_mib:.0f} MiB"
        )


if __name__ == "__main__":
    main()
