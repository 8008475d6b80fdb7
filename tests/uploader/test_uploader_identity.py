"""Whose images these are: rows that were swapped, copied or moved are found before sending."""

from dataclasses import replace

import pytest
from disk import write_study

from uploader.errors import PlanError
from uploader.findings import IDENTITY_CONFIRMED, IDENTITY_DIFFERS, Level
from uploader.planning.identity import WEIGHT
from uploader.planning.plan_building import build_plan, check_plan, with_sessions
from uploader.planning.plan_files import read_plan, write_plan
from uploader.planning.variable_table import read_variable_table
from uploader.reports.report import report_rows
from uploader.scanning.folder_scan import scan_folder
from uploader.transfer.plan_upload import Outcome
from uploader.transfer.variable_changes import find_changes
from uploader.verification.session_verification import VerificationLevel
from xnat_config import load_config

CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})
ANIMALS = ("m01", "m02", "m03")
DATES = {"pre": "20240109", "post1w": "20240116"}


def write_trial(root, *, named=True):
    """Three animals at two timepoints; `named` writes the animal into the images, too."""
    for number, animal in enumerate(ANIMALS):
        group = "treated" if number < 2 else "untreated"
        for step, (timepoint, date) in enumerate(DATES.items()):
            folder = root / "group" / group / "timepoint" / timepoint / animal / "study"
            write_study(
                folder, str(10 * number + step), animal if named else "", (1,), 1, StudyDate=date
            )
    return root


@pytest.fixture(params=[True, False], ids=["PatientID", "no PatientID"])
def trial(request, tmp_path):
    return write_trial(tmp_path / "data", named=request.param)


LAYOUT = "group/{group}/timepoint/{timepoint}/{subject}"


def plan_of(root, **options):
    options.setdefault("layout", LAYOUT)
    return build_plan(scan_folder(root, CONFIG, jobs=1), "P1", CONFIG, **options)


def reopened(tmp_path, made, change=None, name="plan.csv"):
    """Write a plan, let a person edit its rows, and read it as every command does."""
    path = tmp_path / name
    write_plan(made, path)
    read = read_plan(path)
    if change is not None:
        rows = change(list(read.rows))
        write_plan(replace(read, rows=tuple(rows)), path)
        read = read_plan(path)
    return with_sessions(read, scan_folder(read.root, CONFIG, jobs=1), CONFIG)


def found(plan, code=IDENTITY_DIFFERS):
    return {
        (row.subject, row.variables.get("timepoint")): [f.message for f in row.findings
                                                        if f.code == code]
        for row in plan.rows
        if any(f.code == code for f in row.findings)
    }  # fmt: skip


@pytest.mark.parametrize("name", ["plan.csv", "plan.xlsx"])
def test_a_plan_as_it_was_made_says_nothing(trial, tmp_path, name):
    again = reopened(tmp_path, plan_of(trial), name=name)
    assert found(again) == found(again, IDENTITY_CONFIRMED) == {}


def swap_subjects(rows):
    a, b = rows[0], rows[1]
    assert (a.subject, b.subject) == ("m01", "m02")
    rows[0], rows[1] = replace(a, subject=b.subject), replace(b, subject=a.subject)
    return rows


def copy_down(rows):
    return [rows[0], *(replace(row, subject=rows[0].subject) for row in rows[1:])]


def move_keys(rows):
    keys = [row.key for row in rows]
    return [replace(row, key=key) for row, key in zip(rows, [*keys[1:], keys[0]], strict=True)]


def swap_groups(rows):
    other = {"treated": "untreated", "untreated": "treated"}
    return [
        replace(row, variables={**row.variables, "group": other[row.variables["group"]]})
        for row in rows
    ]


def edit_source(rows):
    rows[0] = replace(rows[0], source=rows[3].source)
    return rows


@pytest.mark.parametrize(
    ("change", "wrong"),
    [(swap_subjects, 2), (copy_down, 4), (move_keys, 6), (swap_groups, 6), (edit_source, 1)],
)
def test_a_plan_that_was_spoilt_stops_its_rows(trial, tmp_path, change, wrong):
    again = reopened(tmp_path, plan_of(trial), change)
    stopped = [row for row in again.rows if any(f.code == IDENTITY_DIFFERS for f in row.findings)]
    assert len(stopped) == wrong
    assert all(f.level is Level.ERROR for row in stopped for f in row.findings
               if f.code == IDENTITY_DIFFERS)  # fmt: skip


def test_a_study_that_was_moved_into_the_folder_of_another_animal(trial, tmp_path):
    made = plan_of(trial)
    place = trial / "group" / "treated" / "timepoint" / "pre"
    (place / "m01").rename(tmp_path / "kept")
    (place / "m02").rename(place / "m01")
    again = reopened(tmp_path, made)
    (texts,) = [text for (subject, _), text in found(again).items() if subject == "m02"]
    assert any("The folder says subject 'm01', the plan 'm02'" in text for text in texts)


def test_images_that_name_another_animal_of_the_plan(tmp_path):
    root = write_trial(tmp_path / "data")
    folder = root / "group" / "treated" / "timepoint" / "pre" / "m01" / "study"
    for path in folder.rglob("*.dcm"):
        path.unlink()
    write_study(folder, "0", "m02", (1,), 1, StudyDate=DATES["pre"])
    ((_, texts),) = found(plan_of(root)).items()
    assert "the header of the images 'm02', which is another animal" in texts[0]


def test_names_of_the_scanner_that_are_no_animal_of_the_plan_are_no_alarm(tmp_path):
    root = write_trial(tmp_path / "data", named=False)
    for number, (timepoint, date) in enumerate(DATES.items()):
        folder = root / "group" / "treated" / "timepoint" / timepoint / "m01" / "study"
        for path in folder.rglob("*.dcm"):
            path.unlink()
        write_study(folder, str(number), f"{date}_first", (1,), 1, StudyDate=date)
    assert found(plan_of(root)) == {}


def test_what_a_person_confirms_goes_on_and_is_told(trial, tmp_path):
    def confirm(rows):
        rows = swap_subjects(rows)
        rows[0] = replace(rows[0], confirmed=f"Subject = {rows[0].subject.upper()}")
        return rows

    again = reopened(tmp_path, plan_of(trial), confirm)
    assert len(found(again)) == 1
    ((_, texts),) = found(again, IDENTITY_CONFIRMED).items()
    assert texts[0].startswith("Confirmed in the plan: subject=m02. The folder says subject 'm01'")


def test_a_confirmation_that_is_copied_down_confirms_no_other_row(trial, tmp_path):
    def confirm(rows):
        rows = swap_subjects(rows)
        return [replace(row, confirmed=f"subject={rows[0].subject}") for row in rows]

    assert len(found(reopened(tmp_path, plan_of(trial), confirm))) == 1


def test_a_row_that_is_left_out_may_say_anything(trial, tmp_path):
    def leave_out(rows):
        return [replace(row, include=False) for row in copy_down(rows)]

    assert found(reopened(tmp_path, plan_of(trial), leave_out)) == {}


def test_an_edit_is_checked_at_once_and_its_correction_too(trial):
    made = plan_of(trial)
    wrong = check_plan(replace(made, rows=tuple(swap_subjects(list(made.rows)))), CONFIG)
    assert len(found(wrong)) == 2
    assert found(check_plan(replace(wrong, rows=made.rows), CONFIG)) == {}


def test_values_of_a_table_count_as_confirmed(trial, tmp_path):
    table = tmp_path / "animals.csv"
    table.write_text("subject,group\nm01,control\n", encoding="utf-8")
    made = plan_of(trial, table=read_variable_table(table, CONFIG.variables))
    again = reopened(tmp_path, made)
    assert found(again) == {}
    assert len(found(again, IDENTITY_CONFIRMED)) == 2


def test_other_words_in_the_label_and_project_are_a_persons_own_affair(trial, tmp_path):
    def relabel(rows):
        return [replace(row, session=f"X{k}", project="P2") for k, row in enumerate(rows)]

    assert found(reopened(tmp_path, plan_of(trial), relabel)) == {}


@pytest.mark.parametrize("named", [True, False])
def test_a_swapped_plan_sends_nothing_of_its_rows_and_verifies_none(work, named):
    write_trial(work.folder, named=named)
    made = work.plan(layout=LAYOUT)
    spoilt = check_plan(replace(made, rows=tuple(swap_subjects(list(made.rows)))), CONFIG)
    result = work.upload(spoilt)
    assert result.exit_code == 8
    failed = [row.row.key for row in result.rows if row.outcome is Outcome.FAILED]
    assert failed == [made.rows[0].key, made.rows[1].key]
    assert len(work.server.files()) == 4
    # Even where the right ones are there, a plan that says otherwise proves nothing of them.
    assert work.upload(made).exit_code == 0
    levels = [one.level for one in work.verify(spoilt)]
    assert [level is VerificationLevel.NONE for level in levels].count(True) == 2


def test_set_variables_writes_to_no_other_animal_and_to_no_other_study(work):
    write_trial(work.folder)
    made = work.plan(layout=LAYOUT)
    assert work.upload(made).exit_code == 0

    def written(change):
        rows = change(
            [replace(row, variables={**row.variables, "cage": "c1"}) for row in made.rows]
        )
        with work.server.client() as client:
            return find_changes(replace(made, rows=tuple(rows)), client, work.config)

    def swap_labels(rows):  # of one animal: only the study tells the sessions apart
        rows[0], rows[3] = (
            replace(rows[0], session=rows[3].session),
            replace(rows[3], session=rows[0].session),
        )
        return rows

    clean = written(list)
    assert (len(clean.changes), clean.refused) == (6, ())
    for change, wrong in ((swap_subjects, 2), (copy_down, 6), (move_keys, 6), (swap_labels, 2)):
        found = written(change)
        assert len({row.key for row, _ in found.refused}) == wrong, change
        assert len(found.changes) == 6 - wrong, change


def test_set_variables_names_the_project_that_is_missing(work):
    write_trial(work.folder)
    made = work.plan("NOWHERE", layout=LAYOUT)
    with work.server.client() as client:
        found = find_changes(made, client, work.config)
    assert len(found.refused) == 6
    assert all(text.startswith("There is no project NOWHERE,") for _, text in found.refused)


def test_variables_that_are_filled_in_later_are_something_done(work):
    write_trial(work.folder)
    made = work.plan(layout=LAYOUT)
    assert work.upload(made).exit_code == 0
    again = [row.outcome for row in work.upload(made).rows]
    assert set(again) == {Outcome.NOTHING_TO_DO}
    rows = [replace(row, variables={**row.variables, "cage": "c1"}) for row in made.rows[:2]]
    later = [row.outcome for row in work.upload(replace(made, rows=tuple(rows))).rows]
    assert set(later) == {Outcome.DONE}


def test_what_was_confirmed_is_sent_and_repeated_by_verify_and_report(work, tmp_path):
    write_trial(work.folder)
    made = work.plan(layout=LAYOUT)
    rows = [
        replace(row, confirmed=f"subject={row.subject}") for row in swap_subjects(list(made.rows))
    ]
    confirmed = check_plan(replace(made, rows=tuple(rows)), CONFIG)
    assert work.upload(confirmed).exit_code == 0
    told = [note for one in work.verify(confirmed) for note in one.notes if "Confirmed" in note]
    assert len(told) == 2
    with work.journal() as journal:
        listed = [one.findings for one in report_rows(confirmed, journal)]
    assert sum("Confirmed in the plan" in str(one) for one in listed) == 2


def test_a_study_among_those_of_another_animal_is_found_though_its_own_has_none_left(tmp_path):
    root = write_trial(tmp_path / "data")
    place = root / "group" / "treated" / "timepoint"
    for timepoint in DATES:
        (place / timepoint / "m01" / "study").rename(place / timepoint / "m02" / "other")
        (place / timepoint / "m01").rmdir()
    stopped = found(plan_of(root))
    assert len(stopped) == 2
    assert all("the header of the images 'm01'" in text for (text,) in stopped.values())


def test_folders_that_were_exchanged_are_found_without_a_layout_that_names_subjects(tmp_path):
    root = write_trial(tmp_path / "data")
    place = root / "group" / "treated" / "timepoint"
    for timepoint in DATES:
        (place / timepoint / "m01").rename(place / timepoint / "kept")
        (place / timepoint / "m02").rename(place / timepoint / "m01")
        (place / timepoint / "kept").rename(place / timepoint / "m02")
    made = plan_of(root, layout="group/{group}/timepoint/{timepoint}")
    assert len(found(made)) == 4


def test_a_statement_that_fits_nothing_is_told_and_a_value_may_hold_a_semicolon(trial, tmp_path):
    def edit(rows):
        rows[0] = replace(rows[0], confirmed="subject=m77")
        values = {**rows[1].variables, "dose": "a;b"}
        rows[1] = replace(rows[1], variables=values, confirmed="group=treated")
        return rows

    again = reopened(tmp_path, plan_of(trial), edit)
    assert found(again) == {}
    told = [f.message for row in again.rows for f in row.findings if f.code == "identity-unused"]
    assert [text.partition(":")[0] for text in told] == [
        "The column confirmed says subject=m77",
        "The column confirmed says group=treated",
    ]


def test_a_plan_without_its_layout_is_none(trial, tmp_path):
    path = tmp_path / "plan.csv"
    write_plan(plan_of(trial), path)
    kept = [line for line in path.read_text("utf-8-sig").splitlines() if "# layout" not in line]
    path.write_text("\n".join(kept), encoding="utf-8")
    with pytest.raises(PlanError, match="lacks the lines that begin with #"):
        read_plan(path)


def test_a_difference_of_something_else_hides_no_warning_of_the_header(tmp_path):
    root = write_trial(tmp_path / "data", named=False)
    for number, (timepoint, date) in enumerate(DATES.items()):
        folder = root / "group" / "treated" / "timepoint" / timepoint / "m01" / "study"
        for path in folder.rglob("*.dcm"):
            path.unlink()
        write_study(folder, str(number), "scanner_7", (1,), 1, StudyDate=date)
    made = plan_of(root)
    rows = [
        replace(row, variables={**row.variables, "dose": "d9"}, confirmed="subject=m77")
        for row in made.rows
    ]
    made = check_plan(replace(made, rows=tuple(rows)), CONFIG)
    codes = [{f.code for f in row.findings} for row in made.rows if row.subject == "m01"]
    assert len(codes) == 2
    assert all({"subject-differs", "identity-unused"} <= one for one in codes)


@pytest.mark.parametrize(
    ("planned", "code"),
    [
        ("29.8", None),
        ("30.2", WEIGHT),  # 1.5 times the header's
        ("13.4", None),
        ("13.2", WEIGHT),
        ("999", WEIGHT),
        ("1001", IDENTITY_DIFFERS),  # 50 times: another unit
        ("0.0201", IDENTITY_DIFFERS),
    ],
)
def test_a_weight_is_doubted_from_half_more_on_and_another_unit_stops_the_row(
    tmp_path, planned, code
):
    folder = tmp_path / "data" / "m01"
    write_study(folder, "1", "m01", (1,), 1, PatientWeight=0.02)
    made = plan_of(tmp_path / "data", layout="{subject}")
    again = reopened(
        tmp_path,
        made,
        lambda rows: [replace(row, variables={"weight": planned}) for row in rows],
    )
    codes = {f.code for row in again.rows for f in row.findings if "weight" in f.message}
    assert codes == ({code} if code else set())
