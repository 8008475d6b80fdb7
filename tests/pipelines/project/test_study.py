"""Table, arms, timepoints and comparisons, without a server."""

import csv
import math

import openpyxl
import pytest

from pipelines.project.jobs import classic, of_forms
from pipelines.project.outcome import SessionResult, summarise
from pipelines.project.project_run import _workers
from pipelines.project.study import build_study, compare
from pipelines.project.summary import write_page
from pipelines.project.table import columns, effect_rows, summary_rows, write_csv, write_xlsx
from xnat_config import load_config
from xnat_pic.errors import WrongCallError


@pytest.fixture(scope="module")
def variables():
    return load_config(environ={"XNAT_PIC_HOME": "."}).variables


def _row(subject, timepoint, mean, group="untreated", dose="", roi="tumour", **more):
    row = {"name": "T2map", "unit": "ms", "scan": "30001"} | more
    facts = {"subject": subject, "session": f"{subject}_{timepoint}", "group": group}
    facts |= {"timepoint": timepoint, "dose": dose, "timepoint_days": None}
    statistics = {
        "roi": roi, "map": "T2map", "quantity": "T2map", "unit": "ms", "set": "whole",
        "valid": "16", "voxels": "16", "mean": str(mean), "sd": "4",
    }  # fmt: skip
    return summary_rows([], [statistics | more], facts)[0] | {"scan": row["scan"]}


def _rows():
    rows = []
    for k, (group, dose, gain) in enumerate(
        [("untreated", "", 0), ("untreated", "", 1), ("treated", "high", 5), ("treated", "high", 6)]
    ):
        rows.append(_row(f"m{k}", "pre", 50 + k, group, dose))
        rows.append(_row(f"m{k}", "post2w", 50 + k + gain, group, dose))
        rows.append(_row(f"m{k}", "post10d", 50 + k + gain / 2, group, dose))
    return rows


def test_a_row_has_the_standard_error_of_its_mean():
    assert _row("m1", "pre", 50.0)["se"] == 1.0
    assert _row("m1", "pre", 50.0, valid="1")["se"] is None
    assert _row("m1", "pre", "", sd="")["mean"] is None


def test_slices_stay_out_of_the_table():
    assert summary_rows([], [{"set": "slice", "mean": "1"}], {}) == []


def test_timepoints_stand_in_their_order_and_the_untreated_first(variables):
    study = build_study(_rows(), variables)
    assert study.timepoints == ("pre", "post10d", "post2w")
    assert study.arms == ("untreated", "treated high")
    assert study.reference == "untreated"


def test_comparisons_are_those_worked_out_by_hand(variables):
    found = compare(build_study(_rows(), variables))
    by_key = {(c.kind, c.unit, c.arm, c.timepoint): c for c in found}
    at = by_key["difference", "ms", "treated high", "post2w"]
    assert at.effect.difference.estimate == pytest.approx((57 + 59) / 2 - (50 + 52) / 2)
    change = by_key["difference of changes", "ms", "treated high", "post2w"]
    assert change.effect.difference.estimate == pytest.approx(5.5 - 0.5)
    # Both spreads are sqrt(1/2), so Welch's are the 2 degrees of freedom of the pooled: t 4.302653.
    half = 4.302652730 * math.sqrt(0.5)
    assert change.effect.difference.low == pytest.approx(5.0 - half)
    own = by_key["change", "%", "treated high", "post2w"]
    assert own.effect.difference.estimate == pytest.approx((5 / 52 + 6 / 53) / 2 * 100)
    assert (own.n, own.n_reference) == (2, 0)


def test_several_scans_of_an_animal_are_one_value(variables):
    rows = [_row("m1", "pre", 40.0), _row("m1", "pre", 60.0, scan="50001")]
    study = build_study(rows, variables)
    (arms,) = study.values.values()
    assert arms["untreated"]["m1"]["pre"] == 50.0
    assert "mean of several" in study.notes[0]
    assert compare(study) == []


def test_groups_without_a_known_reference_are_said_so(variables):
    rows = [_row("a", "pre", 1.0, "B"), _row("b", "pre", 2.0, "A")]
    study = build_study(rows, variables)
    assert study.reference == "A"
    assert "compared with A" in study.notes[0]


def test_animals_without_variables_are_one_arm(variables):
    study = build_study([_row("a", "", 1.0, ""), _row("b", "", 2.0, "")], variables)
    assert (study.arms, study.reference, study.timepoints) == (("all animals",), "", ("",))


def test_text_of_a_server_is_no_formula_and_no_markup(tmp_path, variables):
    evil = '=HYPERLINK("x")<script>alert(1)</script>\n'
    rows = [_row("m1", "pre", 1.5, evil), _row("m2", "pre", 2.5, evil)]
    names = columns(variables.names)
    write_csv(tmp_path / "summary.csv", names, rows)
    write_csv(tmp_path / "effects.csv", ["a"], [])
    with (tmp_path / "summary.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert read[0]["group"].startswith("'=")
    write_xlsx(tmp_path / "s.xlsx", {"summary": (names, rows)})
    sheet = openpyxl.load_workbook(tmp_path / "s.xlsx")["summary"]
    cells = dict(zip(names, next(sheet.iter_rows(min_row=2, values_only=True)), strict=True))
    assert cells["group"].startswith("'=")
    assert cells["mean"] == 1.5
    results = [SessionResult(evil, evil, evil, 4, evil, warnings=(evil,))]
    study = build_study(rows, variables)
    outcome = summarise("p", evil, results)
    write_page(tmp_path / "s.html", outcome, study, compare(study), results, {"map": evil})
    assert "<script" not in (tmp_path / "s.html").read_text(encoding="utf-8")


def test_the_closing_words_name_failures():
    results = [
        SessionResult("E1", "a", "s"),
        SessionResult("E2", "b", "s", skipped=True),
        SessionResult("E3", "c", "s", 4, "An image is cut."),
        SessionResult("E4", "d", "s", 3, "No scan serves."),
    ]
    found = summarise("process_T2_project", "P1", results)
    assert (found.exit_code, found.total, found.done, found.skipped) == (8, 3, 2, 1)
    assert "2 of 3 sessions done (1 of them before), 1 left out" in found.closing
    assert "c (An image is cut)" in found.failure
    assert summarise("p", "P1", results[3:]).exit_code == 3
    assert summarise("p", "P1", results[2:3]).exit_code == 4
    assert summarise("p", "P1", results[:2]).failure == ""


def test_what_is_done_in_part_is_no_failure_and_is_named():
    row = {"subject": "s", "session": "a"}
    partly = SessionResult("E1", "a", "s", 8, "An ROI lies outside.", rows=(row,))
    failed = SessionResult("E2", "b", "s", 8, "The group could not be read.")
    assert (partly.state, failed.state) == ("done in part", "failed")
    found = summarise("p", "P1", [partly, failed, SessionResult("E3", "c", "s", rows=(row,))])
    assert (found.exit_code, found.total, found.done) == (8, 3, 1)
    assert (list(found.partly), list(found.failed)) == (["a"], ["b"])
    assert found.closing == (
        "p on P1: 1 of 3 sessions done, 1 in part. Failed: b (The group could not be read). "
        "In part: a (An ROI lies outside)."
    )


def _failed(number, why):
    return SessionResult(f"E{number}", f"m{number:02d}_pre", f"m{number:02d}", 6, why)


def test_sessions_that_fail_alike_share_one_sentence():
    same = [_failed(n, "The server does not answer.") for n in range(1, 4)]
    found = summarise("p", "P1", same)
    assert found.closing == (
        "p on P1: 0 of 3 sessions done. Failed, all 3 for one reason: The server does not answer. "
        "They are m01_pre, m02_pre and m03_pre."
    )
    assert list(found.failed) == ["m01_pre", "m02_pre", "m03_pre"]
    # A sentence that names its own session is the same one, too.
    own = [_failed(n, f"E{n} of m{n:02d}_pre has no images.") for n in (1, 2)]
    assert summarise("p", "P1", own).failure.count("has no images") == 1
    other = [*same, _failed(12, "An image is cut."), SessionResult("E0", "a", "s")]
    told = summarise("p", "P1", other).failure
    assert "m01_pre, m02_pre and m03_pre (The server does not answer)" in told
    assert told.endswith("; m12_pre (An image is cut).")


def test_many_failures_are_counted_and_not_all_named():
    alike = summarise("p", "P1", [_failed(n, "Gone.") for n in range(1, 101)]).failure
    assert alike.count("Gone") == 1
    assert alike.endswith("m20_pre and 80 more, which the summary names.")
    found = summarise("p", "P1", [_failed(n, f"Cause {n}x.") for n in range(1, 31)]).failure
    assert found.endswith("m20_pre (Cause 20x); and 10 more, which the summary names.")


def test_values_of_fields_and_forms():
    field = {"data_fields": {"name": "Group", "field": " treated "}}
    item = {"children": [{"field": "fields/field", "items": [field, {}]}, {"field": "other"}]}
    assert classic(item) == {"group": "treated"}
    assert classic({}) == {}
    assert of_forms({"uuid": {"Dose": 3, "x": None, "y": []}}) == {"dose": "3"}
    assert of_forms([]) == {}


def test_effects_without_an_interval_are_empty_cells(tmp_path, variables):
    rows = [_row("a", "pre", 1.0), _row("b", "pre", 2.0, "treated")]
    found = effect_rows(compare(build_study(rows, variables)))
    write_csv(tmp_path / "e.csv", list(found[0]), found)
    with (tmp_path / "e.csv").open(newline="") as file:
        (read,) = csv.DictReader(file)
    assert (read["difference"], read["difference_low"], read["hedges_g"]) == ("1", "", "")


@pytest.mark.parametrize(("text", "wanted"), [("", 0), ("1", 1), ("4096", 4096)])
def test_workers_are_a_number_up_to_4096(text, wanted):
    assert _workers(text) == wanted


@pytest.mark.parametrize("text", ["0", "4097", "-1", "2.0", "many"])
def test_other_numbers_of_workers_are_refused(text):
    with pytest.raises(WrongCallError, match="no number of workers") as caught:
        _workers(text)
    assert caught.value.hint == "Give 1 to 4096, or nothing."
