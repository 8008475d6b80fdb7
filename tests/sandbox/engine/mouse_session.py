"""A session of a digital mouse with the scans of T2 and T1, one of them of an awkward name."""

import io
import zipfile
from pathlib import Path

import pydicom
from archive_server import Served

import mri2dicom
from sandbox.mouse import MouseOptions, write_mice

AWKWARD = 'm 1\'s "T2" é $(touch mark) `id`'
T2, T1 = "30001", "40001"
T2_AGAIN = "31001"


def make_mouse(folder: Path) -> Path:
    """Write one small mouse as DICOM; return its folder."""
    options = MouseOptions(
        animals=1,
        groups=("treated",),
        doses=("dose1",),
        timepoints=("pre",),
        size="SMALL",
        noise=0.002,
        traps=False,
    )
    write_mice(folder / "raw", options)
    mri2dicom.convert(folder / "raw", folder / "dicom", jobs=1)
    return folder / "dicom"


def fill_mouse(served: Served, dicom: Path, *, again: bool = False) -> str:
    """Import the scans of T2 and T1 into project P1; return the session's ID.

    The scan of T2 comes a second time where *again* is set, as after a repetition.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number, path in enumerate(sorted(dicom.rglob("*.dcm"))):
            dataset = pydicom.dcmread(path)
            if str(dataset.SeriesNumber) not in (T2, T1):
                continue
            if str(dataset.SeriesNumber) == T2:
                dataset.SpecificCharacterSet = "ISO_IR 192"
                dataset.SeriesDescription = AWKWARD
            file.writestr(f"{number}.dcm", _bytes(dataset))
            if again and str(dataset.SeriesNumber) == T2:
                dataset.SeriesNumber = T2_AGAIN
                dataset.SeriesInstanceUID += ".1"
                dataset.SOPInstanceUID += ".1"
                dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
                file.writestr(f"{number}-again.dcm", _bytes(dataset))
    assert served.put("/data/projects/P1").status_code == 200
    answer = served.post(
        "/data/services/import",
        params={"dest": "/archive/projects/P1/subjects/S1/experiments/S1_MR"},
        data=packed.getvalue(),
        headers={"Content-Type": "application/zip"},
    )
    assert answer.status_code == 200, answer.text
    return served.rows("/data/projects/P1/experiments")[0]["ID"]


def _bytes(dataset: pydicom.Dataset) -> bytes:
    content = io.BytesIO()
    dataset.save_as(content)
    return content.getvalue()
