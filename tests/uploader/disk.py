"""What a folder of DICOM files should look like on the server."""

import hashlib

from pydicom import dcmread
from small_dicom import write_series


def expected_files(folder):
    """Return name and MD5 of every object, as the server should list them."""
    found = []
    for path in sorted(folder.rglob("*.dcm")):
        uid = dcmread(path, stop_before_pixels=True).SOPInstanceUID
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        found.append((f"{uid}.dcm", digest))
    return sorted(found)


def write_study(folder, study="1", subject="m01", series=(1, 2), count=3, **values):
    """Write a study of small MR series into a folder."""
    for number in series:
        write_series(
            folder / f"s{number}",
            count,
            study=study,
            series=str(number),
            PatientID=subject,
            PatientName=subject,
            **values,
        )
    return folder


def write_group(root):
    """Write two animals, one of them at two timepoints, in folders named as levels."""
    base = root / "group"
    write_study(base / "treated" / "timepoint" / "pre" / "m01", "1", "m01")
    write_study(base / "treated" / "timepoint" / "post1w" / "m01", "2", "m01")
    write_study(base / "untreated" / "timepoint" / "pre" / "m02", "3", "m02")
