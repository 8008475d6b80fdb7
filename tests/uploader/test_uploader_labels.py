"""Session labels follow a corrected row, and stay where a person wrote them."""

from dataclasses import replace

import pytest

from uploader.planning.labels import relabel_rows
from uploader.planning.plan import PlanRow
from xnat_config import load_config
from xnat_pic.text import list_some


@pytest.fixture
def rules(tmp_path):
    return load_config(environ={"XNAT_PIC_HOME": str(tmp_path)}).labels


def row(key, subject, timepoint, session):
    return PlanRow(
        key=key, include=True, source=key, project="P1", subject=subject, session=session,
        modality="MR", variables={"timepoint": timepoint}, date="2024-01-09", scans=1, files=1,
        bytes=1,
    )  # fmt: skip


def changed_session(rules, rows, key, **fields):
    before = next(one for one in rows if one.key == key)
    return relabel_rows(rows, {key: replace(before, **fields)}, rules)[key].session


def test_label_follows_subject_and_timepoint(rules):
    rows = [row("a", "m01", "pre", "m01_pre_MR")]
    assert changed_session(rules, rows, "a", subject="m02") == "m02_pre_MR"
    assert changed_session(rules, rows, "a", variables={"timepoint": "post"}) == "m01_post_MR"


def test_label_that_a_person_wrote_stays(rules):
    rows = [row("a", "m01", "pre", "first_mouse")]
    assert changed_session(rules, rows, "a", subject="m02") == "first_mouse"


def test_label_written_in_the_same_change_stays(rules):
    rows = [row("a", "m01", "pre", "m01_pre_MR")]
    assert changed_session(rules, rows, "a", subject="m02", session="mine") == "mine"


def test_taken_label_gets_the_next_number_without_regard_to_case(rules):
    rows = [row("a", "m01", "pre", "m01_pre_MR"), row("b", "m02", "pre", "M02_PRE_MR")]
    assert changed_session(rules, rows, "a", subject="m02") == "m02_pre_MR_2"


def test_numbered_label_is_the_rules_own(rules):
    rows = [row("a", "m01", "pre", "m01_pre_MR"), row("b", "m01", "pre", "m01_pre_MR_2")]
    assert changed_session(rules, rows, "b", subject="m03") == "m03_pre_MR"


def test_rows_that_change_places_keep_labels_apart(rules):
    rows = [row("a", "m01", "pre", "m01_pre_MR"), row("b", "m02", "pre", "m02_pre_MR")]
    changed = {"a": replace(rows[0], subject="m02"), "b": replace(rows[1], subject="m01")}
    found = relabel_rows(rows, changed, rules)
    assert [found[key].session for key in "ab"] == ["m02_pre_MR", "m01_pre_MR"]


def test_change_of_something_else_changes_no_label(rules):
    rows = [row("a", "m01", "pre", "m01_pre_MR_7")]
    assert changed_session(rules, rows, "a", include=False) == "m01_pre_MR_7"


@pytest.mark.parametrize(("number", "follows"), [("999", True), ("1000", False)])
def test_a_number_up_to_999_is_the_rules_own(rules, number, follows):
    rows = [row("a", "m01", "pre", f"m01_pre_MR_{number}")]
    label = changed_session(rules, rows, "a", subject="m02")
    assert label == ("m02_pre_MR" if follows else "m01_pre_MR_1000")


def test_three_things_are_named_and_the_others_counted():
    assert list_some(["a", "b", "c"]) == "a, b, c"
    assert list_some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
