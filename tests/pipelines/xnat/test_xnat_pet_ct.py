"""PET and CT sessions from Run Pipeline to the project's table."""

import csv
import io

import numpy as np
import pydicom
import pytest
from drawn import aim, draw, static_series, store

from pipelines.project import run_project
from pipelines.xnat.session_run import run_session


def _inside(drawn, folder):
    """Return the real values of the images inside a disc, as pydicom reads them."""
    by_uid = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, folder.glob("*.dcm"))}
    found = []
    for k in drawn.slices:
        one = by_uid[drawn.scan.uids[k]]
        found.append(one.pixel_array[drawn.plane] * float(one.RescaleSlope) + float(
            one.RescaleIntercept))  # fmt: skip
    return np.concatenate(found)


def _whole(rows, quantity):
    return [row for row in rows if (row["quantity"], row["set"]) == (quantity, "whole")]


def _table(bench, outcome):
    """Return the rows of a project's table as it is stored."""
    path = f"/data/projects/P1/resources/{outcome.resource}/files/{outcome.folder}/summary.csv"
    answer = bench.served.get(path)
    assert answer.status_code == 200, path
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8"))))


def test_a_region_of_a_ct_is_measured_in_its_images(bench, mouse_dicom, tmp_path):
    folder = static_series(mouse_dicom, "CT")
    disc, session = draw(folder, centre=(31.2, 30.9), radius=6.3), bench.sessions["CT"]
    store(bench, "AIM", aim(disc), "R1", session)
    outcome = run_session(bench.access, "Mask_Average_CT", session, {}, tmp_path / "work")
    assert (outcome.exit_code, outcome.failure) == (0, ""), outcome
    (row,) = _whole(outcome.statistics, "CT")
    values = _inside(disc, folder)
    assert int(row["voxels"]) == len(values)
    assert float(row["mean"]) == pytest.approx(values.mean(), rel=1e-6)
    assert float(row["sd"]) == pytest.approx(values.std(ddof=1), rel=1e-5)
    assert row["unit"] == "[hnsf'U]"
    again = run_session(bench.access, "Mask_Average_CT", session, {}, tmp_path / "work")
    assert again.skipped
    found = run_project(
        bench.access, "Mask_Average_CT_project", "P1", {}, tmp_path / "project", workers=1
    )
    assert (found.exit_code, found.total, found.done) == (0, 1, 1), found
    (row,) = _whole(_table(bench, found), "CT")
    assert float(row["mean"]) == pytest.approx(values.mean(), rel=1e-6)


def test_suv_of_a_region_from_run_pipeline_to_the_table(bench, mouse_dicom, tmp_path):
    """SUV is activity times weight over the dose at the time of the image, by the headers."""
    folder = static_series(mouse_dicom, "PT")
    disc, session = draw(folder), bench.pet
    store(bench, "AIM", aim(disc), "R1", session)
    maps = run_project(bench.access, "process_SUV_project", "P1", {}, tmp_path / "w1", workers=1)
    assert (maps.exit_code, maps.total, maps.done) == (0, 1, 1), maps
    found = run_project(
        bench.access, "Mask_Average_PET_project", "P1", {"map": "SUVbw"}, tmp_path / "w2", workers=1
    )
    assert (found.exit_code, found.done) == (0, 1), found
    (row,) = _whole(_table(bench, found), "SUVbw")
    assert float(row["mean"]) == pytest.approx(
        (_inside(disc, folder) * _factor(folder)).mean(), rel=1e-4
    )
    assert row["unit"] == "{SUVbw}g/ml"


def _factor(folder):
    """Return SUV of one Bq/ml: weight over the dose, decayed from the injection to the image."""
    head = pydicom.dcmread(next(iter(sorted(folder.glob("*.dcm")))))
    assert (head.Units, head.DecayCorrection) == ("BQML", "START")
    dose = head.RadiopharmaceuticalInformationSequence[0]
    start = dose.RadiopharmaceuticalStartDateTime[:14]
    at = head.SeriesDate + head.SeriesTime[:6]
    seconds = (np.datetime64(_iso(at)) - np.datetime64(_iso(start))).astype(float)
    left = float(dose.RadionuclideTotalDose) * 2 ** (-seconds / float(dose.RadionuclideHalfLife))
    return 1000 * float(head.PatientWeight) / left


def _iso(text):
    day, clock = text[:8], text[8:14]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}"
