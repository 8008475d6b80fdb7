"""From a folder to rows: names, variables, findings, and a plan that people edited."""

from dataclasses import replace

import pytest
from small_dicom import MR, PET, write_series

from uploader.findings import Level
from uploader.planning.plan_building import build_plan, check_plan, with_sessions
from uploader.planning.variable_table import read_variable_table
from uploader.scanning.folder_scan import scan_folder
from xnat_config import load_config
from xnat_pic.errors import WrongCallError

CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})
DATES = {"pre": "20240109", "post1w": "20240116"}


def study(folder, number, subject="m01", timepoint="pre", **options):
    options = {"StudyDate": DATES.get(timepoint, "20240201"), "PatientID": subject, **options}
    return write_series(folder / "1_scan", 2, study=str(number), **options)


@pytest.fixture
def trial(tmp_path):
    """The paper's tree: one treated animal with a dose, one untreated, two timepoints."""
    number = 0
    for branch, subject in (("group/treated/dose/d1", "m01"), ("group/untreated", "m02")):
        for timepoint in DATES:
            number += 1
            folder = tmp_path / branch / "timepoint" / timepoint / subject / f"study{number}"
            study(folder, number, subject, timepoint)
    return tmp_path


def plan(folder, **options):
    return build_plan(scan_folder(folder, CONFIG, jobs=1), "P1", CONFIG, **options)


def codes(row):
    return [finding.code for finding in row.findings]


def finding(row, code):
    return next(f for f in row.findings if f.code == code)


def edited(made, index, **changes):
    rows = list(made.rows)
    rows[index] = replace(rows[index], **changes)
    return check_plan(replace(made, rows=tuple(rows)), CONFIG)


def test_the_papers_tree(trial):
    made = plan(trial)
    assert made.layout == "group/{group}/dose/{dose}/timepoint/{timepoint}/{subject}"
    assert [(r.session, *r.variables.values()) for r in made.rows] == [
        ("m01_pre_MR", "treated", "pre", "d1"),
        ("m02_pre_MR", "untreated", "pre", ""),
        ("m01_post1w_MR", "treated", "post1w", "d1"),
        ("m02_post1w_MR", "untreated", "post1w", ""),
    ]
    assert all(row.findings == () for row in made.rows)
    assert list(made.rows[0].variables) == ["group", "timepoint", "dose"]
    assert made.rows[0].source == "group/treated/dose/d1/timepoint/pre/m01/study1/1_scan"


def test_the_same_layout_said_by_hand(trial):
    pattern = "group/{group}/dose/{dose}/timepoint/{timepoint}/{subject}/{study}"
    assert [r.variables for r in plan(trial, layout=pattern).rows] == [
        r.variables for r in plan(trial).rows
    ]


def test_one_subjects_folder_reads_what_stands_above(trial):
    (row,) = plan(trial / "group/treated/dose/d1/timepoint/pre/m01").rows
    assert (row.subject, row.session) == ("m01", "m01_pre_MR")
    assert row.variables == {"group": "treated", "timepoint": "pre", "dose": "d1"}
    assert "group=treated" in finding(row, "from-above").message


def test_what_stands_above_does_not_count_where_it_stands_below_too(tmp_path):
    home = tmp_path / "group" / "anna" / "mice"
    study(home / "group" / "treated" / "m01", 1)
    (row,) = plan(home).rows
    assert (row.subject, row.variables["group"]) == ("m01", "treated")
    assert codes(row) == []


def test_a_layout_without_names_reads_nothing_above(tmp_path):
    study(tmp_path / "group" / "anna" / "mice" / "treated" / "m01", 1)
    (row,) = plan(tmp_path / "group" / "anna" / "mice", layout="{timepoint}/{subject}").rows
    assert row.variables == {"group": "", "timepoint": "treated", "dose": ""}


def test_set_gives_a_value_only_where_no_level_does(tmp_path):
    study(tmp_path / "a" / "timepoint" / "pre" / "m01", 1)
    study(tmp_path / "a" / "m02", 2, "m02", "post1w")
    made = plan(tmp_path, given={"group": "treated", "timepoint": "late"})
    assert [r.variables for r in made.rows] == [
        {"group": "treated", "timepoint": "pre", "dose": ""},
        {"group": "treated", "timepoint": "late", "dose": ""},
    ]
    with pytest.raises(WrongCallError, match="--set subject"):
        plan(tmp_path, given={"subject": "x"})


def test_a_second_study_of_the_same_kind_gets_a_number(tmp_path):
    for number, time in ((1, "100000"), (2, "090000"), (3, "110000")):
        study(tmp_path / "timepoint" / "pre" / f"s{number}", number, StudyTime=time)
    study(tmp_path / "timepoint" / "pre" / "pet", 4, sop=PET)
    made = plan(tmp_path)
    named = {row.key: row.session for row in made.rows}
    assert named == {
        "2.25.2/MR": "m01_pre_MR", "2.25.1/MR": "m01_pre_MR_2", "2.25.3/MR": "m01_pre_MR_3",
        "2.25.4/PET": "m01_pre_PET",
    }  # fmt: skip


def test_the_date_stands_for_a_missing_timepoint(tmp_path):
    study(tmp_path / "m01", 1)
    assert plan(tmp_path).rows[0].session == "m01_20240109_MR"


def test_subject_of_the_level_wins_and_the_difference_is_told(tmp_path):
    for k in range(3):
        study(tmp_path / "group" / "a" / f"m{k}", k, f"m{k}")
    study(tmp_path / "group" / "a" / "m9", 9, "m8")
    made = plan(tmp_path)
    row = next(row for row in made.rows if row.key == "2.25.9/MR")
    assert row.subject == "m9"
    assert finding(row, "subject-differs").level is Level.WARNING
    again = edited(made, made.rows.index(row), subject="m8", session="m8_x")
    assert "subject-differs" not in [c for r in again.rows for c in codes(r)]


def test_no_subject_at_all_is_an_error_until_it_is_written(tmp_path):
    study(tmp_path / "x", 1, PatientID="")
    made = plan(tmp_path)
    assert finding(made.rows[0], "no-subject").level is Level.ERROR
    assert codes(edited(made, 0, subject="m1").rows[0]) == []


@pytest.mark.parametrize(("one", "other"), [("m 1", "m.1"), ("M1", "m1"), ("é", "è")])
def test_subjects_that_xnat_takes_for_one(tmp_path, one, other):
    study(tmp_path / "a", 1, one, SpecificCharacterSet="ISO_IR 192")
    study(tmp_path / "b", 2, other, SpecificCharacterSet="ISO_IR 192")
    made = plan(tmp_path)
    for row in made.rows:
        assert finding(row, "subject-collision").level is Level.ERROR
    solved = edited(made, 1, subject="other", session="other_MR")
    assert "subject-collision" not in [c for row in solved.rows for c in codes(row)]


def test_labels_that_a_person_made_equal_or_impossible(trial):
    made = plan(trial)
    same = edited(made, 1, session="M01_PRE_mr")
    assert "label-twice" in codes(same.rows[0])
    assert "label-twice" in codes(same.rows[1])
    assert "label-twice" not in codes(same.rows[2])
    left_out = edited(same, 1, include=False)
    assert [codes(row) for row in left_out.rows] == [[]] * 4
    odd = edited(made, 0, session="m 1/pre", project="P?")
    assert {"session-label", "project-label"} <= set(codes(odd.rows[0]))
    long = edited(made, 0, subject="x" * 200)
    assert "200 characters long" in finding(long.rows[0], "subject-label").message


def test_long_and_odd_names_become_labels_that_xnat_keeps(tmp_path):
    for number, end in enumerate("ab", start=1):
        study(tmp_path / ("timepoint/pre/" + "n ü" * 60 + end), number, "m1")
    made = plan(tmp_path, layout="timepoint/{timepoint}/{subject}")
    labels = [row.session for row in made.rows]
    subjects = {row.subject for row in made.rows}
    assert len(subjects) == len(set(labels)) == 2
    for text in (*labels, *subjects):
        assert len(text) <= 64
        assert CONFIG.labels.is_clean(text)
    assert all(label.endswith("_MR") for label in labels)


def test_one_study_in_folders_that_contradict(tmp_path):
    write_series(tmp_path / "group" / "a" / "m01" / "1", 2, series="1")
    write_series(tmp_path / "group" / "b" / "m01" / "2", 2, series="2")
    (row,) = plan(tmp_path).rows
    found = finding(row, "study-in-two-places")
    assert found.level is Level.ERROR
    assert "'a' in group/a/m01/1" in found.message
    assert "'b' in group/b/m01/2" in found.message


def test_an_animal_has_one_group(trial):
    made = edited(plan(trial), 0, variables={"group": "x", "timepoint": "pre", "dose": ""})
    assert "subject-variable-differs" in codes(made.rows[0])
    assert "subject-variable-differs" in codes(made.rows[2])
    # An empty value is no contradiction, and a timepoint is the session's own.
    empty = edited(plan(trial), 0, variables={"group": "", "timepoint": "pre", "dose": ""})
    assert [codes(row) for row in empty.rows] == [["identity-differs"] * 2, [], [], []]
    said = [f.message for f in empty.rows[0].findings]
    assert {text.partition(",")[0] for text in said} == {
        "The folder says group 'treated'",
        "The folder says dose 'd1'",
    }


def test_a_folder_that_does_not_fit_is_an_error(trial):
    made = plan(trial, layout="group/{group}/timepoint/{timepoint}/{subject}")
    bad = [row for row in made.rows if "layout" in codes(row)]
    assert [row.subject for row in bad] == ["m01", "m01"]
    assert all(finding(row, "layout").level is Level.ERROR for row in bad)


def test_values_from_a_table(trial, tmp_path_factory):
    sheet = tmp_path_factory.mktemp("sheet") / "animals.csv"
    sheet.write_text("Subject;Dose;weight\nM01;d9;21,5\nm03;;20\n", encoding="cp1252")
    made = plan(trial, table=read_variable_table(sheet, CONFIG.variables))
    by_session = {row.session: row for row in made.rows}
    assert by_session["m01_pre_MR"].variables == {
        "group": "treated", "timepoint": "pre", "dose": "d9", "weight": "21.5"
    }  # fmt: skip
    assert "'d9' there and 'd1'" in finding(by_session["m01_pre_MR"], "table-differs").message
    assert codes(by_session["m02_pre_MR"]) == ["not-in-table"]
    assert by_session["m02_pre_MR"].variables["weight"] == ""
    unused = next(f for f in made.findings if f.code == "table-line-unused")
    assert "m03" in unused.message


def test_a_table_by_session_and_by_timepoint(trial, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheet")
    (folder / "a.csv").write_text("session,weight\nm01_pre_MR,21\n", encoding="utf-8")
    made = plan(trial, table=read_variable_table(folder / "a.csv", CONFIG.variables))
    assert made.rows[0].variables["weight"] == "21"
    (folder / "b.csv").write_text(
        "subject,timepoint,weight\nm01,pre,1\nm01,post1w,2\nm02,pre,3\nm02,post1w,4\n",
        encoding="utf-8",
    )
    made = plan(trial, table=read_variable_table(folder / "b.csv", CONFIG.variables))
    assert [row.variables["weight"] for row in made.rows] == ["1", "3", "2", "4"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("animal,dose\nm01,1\n", "neither a column subject nor session"),
        ("subject,dose\n", "has no lines"),
        ("subject,dose\nm01,1\nm01,2\n", "different things of m01"),
        ("subject,dose,Dose\nm01,1,2\n", "column dose twice"),
        ("subject,my dose\nm01,1\n", "'my dose'"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, what):
    sheet = tmp_path / "a.csv"
    sheet.write_text(text, encoding="utf-8")
    with pytest.raises(WrongCallError, match=what):
        read_variable_table(sheet, CONFIG.variables)


def test_a_value_outside_the_sites_list(trial, tmp_path):
    site = tmp_path / "site.toml"
    site.write_text(
        '[[variable]]\nname = "group"\nvalues = ["treated", "control"]\n'
        '[[variable]]\nname = "dose"\ndatatype = "float"\n',
        encoding="utf-8",
    )
    config = load_config(site)
    made = build_plan(scan_folder(trial / "group", config, jobs=1), "P1", config)
    messages = [f.message for row in made.rows for f in row.findings if "allowed" in f.code]
    assert len(messages) == 4
    assert sum("is not one of treated, control" in text for text in messages) == 2
    assert sum("is not of the type float" in text for text in messages) == 2


def test_a_plan_meets_its_folder_again(trial):
    made = plan(trial)
    bare = replace(made, sessions={})
    again = with_sessions(bare, scan_folder(trial, CONFIG, jobs=1), CONFIG)
    assert again == made
    study(trial / "group" / "untreated" / "timepoint" / "pre" / "m05", 9, "m05")
    next(trial.rglob("study1/*/0001.dcm")).unlink()
    for path in trial.rglob("study2/*/*.dcm"):
        path.unlink()
    changed = with_sessions(bare, scan_folder(trial, CONFIG, jobs=1), CONFIG)
    by_key = {row.key: codes(row) for row in changed.rows}
    assert by_key["2.25.1/MR"] == ["changed"]
    assert by_key["2.25.2/MR"] == ["no-session"]
    assert by_key["2.25.3/MR"] == []
    assert "not-in-plan" in [f.code for f in changed.findings]


def test_sop_classes_decide_before_modality(tmp_path):
    write_series(tmp_path, 1, sop=MR, Modality="")
    assert plan(tmp_path).rows[0].modality == "MR"
