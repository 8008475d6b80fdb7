"""Optical images go the whole way: click folder, DICOM, plan, archive."""

import hashlib
import sys
from pathlib import Path

import mri2dicom
from uploader.verification.session_verification import VerificationLevel

sys.path.insert(0, str(Path(__file__).parents[1] / "mri2dicom"))

from ivis_clicks import write_click


def test_a_click_becomes_a_session_of_other_dicom(work, tmp_path):
    write_click(tmp_path / "raw")
    mri2dicom.convert(tmp_path / "raw", work.folder / "dicom")
    sent = {hashlib.md5(p.read_bytes()).hexdigest() for p in (work.folder / "dicom").rglob("*.dcm")}
    assert len(sent) == 3
    result = work.upload()
    assert result.exit_code == 0, [row.reason for row in result.rows]
    (row,) = work.server.served.rows("/data/projects/P1/experiments")
    # XNAT has no type for optical imaging: modality OI falls back to "other DICOM".
    assert row["xsiType"] == "xnat:otherDicomSessionData"
    base = f"/data/projects/P1/experiments/{row['label']}/scans"
    scans = work.server.served.rows(base)
    second = 10000 * (11 * 3600 + 42 * 60 + 35)
    assert sorted(int(one["ID"]) for one in scans) == [second + 1, second + 2, second + 4]
    types = {int(one["ID"]) - second: one["xsiType"] for one in scans}
    assert types == {
        1: "xnat:scScanData",
        2: "xnat:scScanData",
        4: "xnat:otherDicomScanData",
    }
    assert all(one.level is VerificationLevel.PIXELS for one in work.verify())
