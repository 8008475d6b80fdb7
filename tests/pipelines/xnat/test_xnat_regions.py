"""Mask_Average on a real server: collections stored as the viewer stores them."""

import re

import numpy as np
import pytest
from drawn import aim, draw, rtstruct, seg, store

from pipelines.xnat.session_run import run_session


def _run(bench, pipeline, tmp_path, **parameters):
    return run_session(bench.access, pipeline, bench.mr, parameters, tmp_path / "work")


def _series(mouse_dicom, number):
    return next(one for one in mouse_dicom.rglob(f"{number}_*") if one.is_dir())


@pytest.fixture
def disc(mapped, mouse_dicom):
    """A disc drawn on a scan whose session has T1 maps."""
    return draw(_series(mouse_dicom, 40001))


def _inside(bench, disc, tmp_path):
    """Return the values of the stored map inside the disc, found without the product."""
    path = f"/data/experiments/{bench.mr}/scans/40001/resources"
    name = next(one for one in bench.scan("40001") if one.endswith("/sub-m01_T1map.nii.gz"))
    resource, _, below = name.partition("/")
    answer = bench.served.get(f"{path}/{resource}/files/{below}")
    (tmp_path / "map.nii.gz").write_bytes(answer.content)
    return disc.values(tmp_path / "map.nii.gz")


def _rows(outcome, quantity="T1map", voxels="whole"):
    return [r for r in outcome.statistics if (r["quantity"], r["set"]) == (quantity, voxels)]


def _analysed(bench, scan="40001"):
    return {name: one for name, one in bench.scan(scan).items() if name.startswith("ANALYSED/")}


@pytest.mark.parametrize("kind", ["AIM", "RTSTRUCT", "SEG"])
def test_a_collection_of_the_viewer_is_measured(bench, disc, tmp_path, kind):
    body = {"AIM": lambda: aim(disc)}.get(
        kind, lambda: {"RTSTRUCT": rtstruct, "SEG": seg}[kind](disc, tmp_path)
    )()
    store(bench, kind, body, "R1")
    outcome = _run(bench, "Mask_Average", tmp_path)
    assert (outcome.exit_code, outcome.failure) == (0, ""), outcome
    (row,) = _rows(outcome)
    values = _inside(bench, disc, tmp_path)
    assert len(disc.slices) == 2
    assert int(row["voxels"]) == len(values) == 2 * np.count_nonzero(disc.plane)
    valid = values[np.isfinite(values)]
    assert int(row["valid"]) == len(valid)
    assert float(row["mean"]) == pytest.approx(valid.mean(dtype=float), rel=1e-6)
    assert float(row["sd"]) == pytest.approx(valid.std(ddof=1, dtype=float), rel=1e-5)
    assert (row["roi"], row["scan"], row["resource"]) == ("tumour é", "40001", "ANALYSED")
    names = {name.rpartition("/")[2] for name in _analysed(bench)}
    wanted = {"statistics.csv", "statistics.json", "statistics.txt", "log.txt", "provenance.json"}
    assert wanted <= names, names
    assert not (tmp_path / "work").exists()


def test_rois_drawn_on_another_scan_are_carried_over(bench, disc, tmp_path, mouse_dicom):
    other = draw(_series(mouse_dicom, 30001))
    store(bench, "AIM", aim(other), "on_t2")
    outcome = _run(bench, "Mask_Average", tmp_path, anatomical_scan="30001", map="T1")
    assert outcome.exit_code == 0, outcome
    (row,) = _rows(outcome)
    assert int(row["image_voxels"]) == 2 * np.count_nonzero(other.plane)
    assert int(row["voxels"]) > 0
    wrong = _run(bench, "Mask_Average", tmp_path, anatomical_scan="20001", map="T1")
    assert wrong.exit_code == 3, wrong
    assert {row["voxels"] for row in wrong.statistics} == {"0"}, "nothing of it lies there"
    assert "on_t2" in wrong.failure


def test_the_maps_of_the_subject_serve_where_the_scan_has_none(bench, tmp_path, mouse_dicom):
    made = _run(bench, "process_T1w_SR_project", tmp_path)
    assert made.exit_code == 0
    store(bench, "AIM", aim(draw(_series(mouse_dicom, 40001))), "R1")
    outcome = _run(bench, "Mask_Average", tmp_path)
    assert outcome.exit_code == 0, outcome
    assert len(_rows(outcome)) == 1
    whole = _run(bench, "Mask_Average_project", tmp_path)
    assert whole.exit_code == 0, whole
    subject = bench.served.rows("/data/projects/P1/subjects")[0]["ID"]
    names = [n for n in bench.files(f"/data/subjects/{subject}") if n.startswith("ANALYSED/")]
    assert any(one.endswith("/statistics.csv") for one in names)
    assert all(one.startswith(f"ANALYSED/{made.label}/40001/R1-") for one in names), names
    assert _rows(whole)[0]["mean"] == _rows(outcome)[0]["mean"]


def test_maps_of_the_scan_come_before_those_of_the_subject(bench, disc, tmp_path):
    other = _run(bench, "process_T1w_SR_project", tmp_path, model="3p")
    store(bench, "AIM", aim(disc), "R1")
    outcome = _run(bench, "Mask_Average", tmp_path)
    assert outcome.exit_code == 0, outcome
    assert "t1sr-2p" in _rows(outcome)[0]["folder"]
    named = _run(bench, "Mask_Average", tmp_path, made_with=other.parameters[:8])
    assert named.exit_code == 0, named
    assert [("t1sr-3p" in row["folder"]) for row in _rows(named)] == [True]


def test_two_maps_of_other_parameters_are_refused_until_one_is_named(bench, disc, tmp_path):
    assert _run(bench, "process_T1w_SR", tmp_path, model="3p").exit_code == 0
    store(bench, "AIM", aim(disc), "R1")
    refused = _run(bench, "Mask_Average", tmp_path)
    assert (refused.exit_code, refused.statistics) == (2, ())
    assert "made with different parameters" in refused.failure
    assert not _analysed(bench)
    hashes = re.findall(r"\(([0-9a-f]{8})\)", refused.failure)
    assert len(hashes) == 2
    folders = set()
    for one in hashes:
        outcome = _run(bench, "Mask_Average", tmp_path, made_with=one)
        assert outcome.exit_code == 0, outcome
        (row,) = _rows(outcome)
        folders.add(row["folder"])
    assert len(folders) == 2
    assert {name.split("/")[1] for name in _analysed(bench)} == folders


def test_the_same_again_is_known_and_a_redrawn_one_is_measured_anew(bench, disc, tmp_path):
    store(bench, "AIM", aim(disc), "R1")
    first = _run(bench, "Mask_Average", tmp_path)
    stored = _analysed(bench)
    again = _run(bench, "Mask_Average", tmp_path)
    assert again.skipped
    assert again.statistics == first.statistics
    assert _analysed(bench) == stored
    disc.radius *= 0.6
    store(bench, "AIM", aim(disc), "R1")
    outcome = _run(bench, "Mask_Average", tmp_path)
    assert (outcome.exit_code, outcome.skipped) == (0, False)
    assert int(_rows(outcome)[0]["voxels"]) == len(_inside(bench, disc, tmp_path))
    assert set(_analysed(bench)) == set(stored)


def test_several_collections_and_one_of_them_chosen(bench, disc, tmp_path):
    store(bench, "AIM", aim(disc, "a"), "R_aim")
    chosen = store(bench, "SEG", seg(disc, tmp_path, "b"), "R_seg")
    both = _run(bench, "Mask_Average", tmp_path)
    assert {row["roi"] for row in _rows(both)} == {"a", "b"}
    means = [float(row["mean"]) for row in _rows(both)]
    assert means[0] == pytest.approx(means[1], rel=1e-6), "the same disc"
    by_label = _run(bench, "Mask_Average", tmp_path, rois="R_seg")
    by_id = _run(bench, "Mask_Average", tmp_path, rois=chosen)
    assert {row["roi"] for row in _rows(by_label)} == {"b"} == {r["roi"] for r in _rows(by_id)}
    unknown = _run(bench, "Mask_Average", tmp_path, rois="R_none")
    assert unknown.exit_code == 3
    assert "R_none" in unknown.failure
    assert "R_seg" in unknown.failure


def test_one_useless_collection_does_not_stop_the_other(bench, disc, tmp_path):
    store(bench, "AIM", aim(disc, "good"), "A_good")
    empty = re.sub(rb"<markupEntityCollection>.*</markupEntityCollection>", b"", aim(disc, "bad"))
    store(bench, "AIM", empty, "B_bad")
    outcome = _run(bench, "Mask_Average", tmp_path)
    assert {row["roi"] for row in _rows(outcome)} == {"good"}
    assert any("B_bad" in text for text in (*outcome.warnings, outcome.failure)), outcome


def test_without_collection_or_map_it_is_said_so(bench, tmp_path, mouse_dicom):
    none = _run(bench, "Mask_Average", tmp_path)
    assert none.exit_code == 3
    assert "has no ROI collection" in none.failure
    address = f"/data/experiments/{bench.mr}/assessors/QC"
    made = bench.served.put(address, params={"xsiType": "xnat:qcManualAssessorData"})
    assert made.status_code in (200, 201), made.text
    assert "has no ROI collection" in _run(bench, "Mask_Average", tmp_path).failure
    store(bench, "AIM", aim(draw(_series(mouse_dicom, 40001))), "R1")
    no_map = _run(bench, "Mask_Average", tmp_path)
    assert no_map.exit_code == 3
    assert "has no map" in no_map.failure
    assert not _analysed(bench)


def test_the_images_themselves_are_measured_as_curves_where_they_are_asked_for(
    bench, disc, tmp_path
):
    store(bench, "AIM", aim(disc), "tumour")
    outcome = _run(bench, "Mask_Average", tmp_path, map="images")
    assert outcome.exit_code == 0, outcome
    peaks = [row for row in outcome.statistics if row["quantity"] == "MR peak"]
    assert len(peaks) == 1
    assert float(peaks[0]["mean"]) > 0
    (name,) = [one for one in _analysed(bench) if one.endswith("/curves.csv")]
    path = f"/data/experiments/{bench.mr}/scans/40001/resources/ANALYSED/files"
    table = bench.served.get(f"{path}/{name.removeprefix('ANALYSED/')}").text.splitlines()
    assert len(table) - 1 >= 4, "a row for each repetition time"
    assert {line.split(",")[4] for line in table[1:]} == {"repetition time"}
    means = [float(line.split(",")[10]) for line in table[1:]]
    assert means == sorted(means), "saturation recovers"
    again = _run(bench, "Mask_Average", tmp_path, map="images")
    assert again.skipped
