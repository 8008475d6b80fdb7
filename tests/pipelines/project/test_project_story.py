"""A study of digital mice from upload to effect sizes, one of its sessions broken on purpose."""

import csv
import io

import pytest
from cohort import (
    PROJECT,
    ROIS,
    break_session,
    collection,
    maps_agree_with_the_truth,
    truth_of,
)

from pipelines.project import run_project
from pipelines.project.lock import LockTimes

BROKEN = "m04_post1w_MR"
# Per step of dose and step of time, of the animal's own baseline (docs/reference/digital-mouse.md).
PLANTED = {"treated dose1": 8.0, "treated dose2": 16.0}
LOCK_TIMES = LockTimes(1.0, 4.0)


def _rows(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"))))


@pytest.fixture
def bench(serve, whole):
    return serve(whole)


@pytest.mark.slow
def test_a_study_with_a_broken_session(bench, tmp_path):
    break_session(bench, BROKEN)
    for label in bench.sessions:
        if label != BROKEN:
            collection(bench, label, tmp_path)
    said = []
    run = {"workers": 2, "report": said.append, "lock_times": LOCK_TIMES}
    maps = run_project(bench.access, "process_T2_project", PROJECT, {}, tmp_path / "w1", **run)
    assert (maps.exit_code, maps.total, maps.done) == (8, 18, 17), maps
    assert list(maps.failed) == [BROKEN]
    assert "17 of 18 sessions done" in maps.closing
    assert BROKEN in maps.closing
    assert said[-1] == maps.closing
    done = set(bench.cohort.studies) - {BROKEN}
    maps_agree_with_the_truth(bench.cohort, _rows(bench.summary(maps, "summary.csv")), done)

    found = run_project(
        bench.access, "Mask_Average_project", PROJECT, {"map": "T2"}, tmp_path / "w2", **run
    )
    assert (found.exit_code, found.done, list(found.left_out)) == (0, 17, [BROKEN]), found
    rows = _rows(bench.summary(found, "summary.csv"))
    _rows_agree_with_the_truth(bench, rows)
    _effects_agree_with_what_was_planted(_rows(bench.summary(found, "effects.csv")))

    again = run_project(
        bench.access, "Mask_Average_project", PROJECT, {"map": "T2"}, tmp_path / "w3", **run
    )
    assert (again.exit_code, again.done, again.skipped) == (0, 17, 17), again
    assert _rows(bench.summary(again, "summary.csv")) == rows
    page = bench.summary(again, "summary.html").decode()
    assert "17 of 17" in page
    assert 'src="http' not in page


def _rows_agree_with_the_truth(bench, rows):
    whole = [row for row in rows if row["set"] == "whole" and row["quantity"] == "T2map"]
    assert len(whole) == 17 * len(ROIS), len(whole)
    near = 0
    for row in whole:
        study = bench.cohort.studies[row["session"]]
        assert (row["group"], row["dose"]) == (study.group, study.dose or "")
        assert row["timepoint"] == study.timepoint
        true = truth_of(study)[0][row["roi"]]
        mean, se = float(row["mean"]), float(row["se"])
        assert se < 0.05 * mean, row
        near += abs(mean - true) <= 2 * se
    assert near >= 0.9 * len(whole), f"{near} of {len(whole)}"


def _effects_agree_with_what_was_planted(effects):
    rows = [row for row in effects if row["unit"] == "%" and row["quantity"] == "T2map"]
    changes = {
        (row["roi"], row["arm"]): row
        for row in rows
        if row["comparison"] == "difference of changes"
    }
    for arm, per_cent in PLANTED.items():
        assert _covers(changes["tumour", arm], per_cent), changes["tumour", arm]
        assert _covers(changes["brain", arm], 0.0), changes["brain", arm]
    (null,) = [
        row
        for row in rows
        if (row["comparison"], row["roi"], row["arm"]) == ("change", "tumour", "untreated")
    ]
    assert _covers(null, 0.0), null
    # With three animals an effect of 16 % stands clear of nothing.
    assert float(changes["tumour", "treated dose2"]["difference_low"]) > 0


def _covers(row, value):
    return float(row["difference_low"]) <= value <= float(row["difference_high"])
