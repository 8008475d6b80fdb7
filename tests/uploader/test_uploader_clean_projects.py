"""Projects as people have them pass without a word: what finds wrong animals alarms nobody else."""

from dataclasses import replace

import pytest
from disk import write_study

from uploader.findings import Level
from uploader.planning.plan_building import build_plan, check_plan, with_sessions
from uploader.planning.plan_files import read_plan, write_plan
from uploader.planning.variable_table import read_variable_table
from uploader.scanning.folder_scan import scan_folder
from uploader.server.ownership import empty_subjects
from uploader.transfer.plan_upload import Outcome
from uploader.verification.levels import ProofLevel
from xnat_config import load_config

CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})
SIX = [
    (animal, timepoint)
    for animal in ("m01", "m02", "m03")
    for timepoint in ("pre", "post1w")
]  # fmt: skip
GROUP = {"m01": "treated", "m02": "treated", "m03": "control"}
DOSE = {"m01": "dose1", "m02": "dose2", "m03": ""}


def study_name(animal, timepoint):
    return f"20240109_080000_{animal}_{timepoint}_1_1"


def by_levels(a, t):
    dose = f"dose/{DOSE[a]}/" if DOSE[a] else ""
    return f"group/{GROUP[a]}/{dose}timepoint/{t}/{a}/{study_name(a, t)}"


def numbers(a, t):
    return f"{int(a[1:])}/{t}"


# Folder of a study, layout, PatientID of a study, and what else the scan is told.
PROJECTS = {
    "levels with names": (by_levels, "auto", lambda a, t: a),
    "levels with names, no PatientID": (
        by_levels, "group/{group}/dose/{dose}/timepoint/{timepoint}/{subject}", lambda a, t: ""),
    "the site anonymises": (
        by_levels, "group/{group}/dose/{dose}/timepoint/{timepoint}/{subject}",
        lambda a, t: f"anon{'m01m02m03'.index(a)}{t}"),
    "one level each": (lambda a, t: f"{GROUP[a]}/{t}/{a}", "{group}/{timepoint}/{subject}",
                       lambda a, t: a),
    "a dose that some lack": (
        lambda a, t: f"{GROUP[a]}/{DOSE[a] + '/' if DOSE[a] else ''}{t}/{a}",
        "{group}/[{dose}/]{timepoint}/{subject}", lambda a, t: a),
    "subject and timepoint in one name": (
        lambda a, t: f"{a}_{t}", "{subject}_{timepoint}", lambda a, t: a),
    "a study's own folder": (
        lambda a, t: f"{a}/{study_name(a, t)}", "{subject}/{study}", lambda a, t: a),
    "years above": (
        lambda a, t: f"2024/July/{GROUP[a]}/{a}/{t}", "*/*/{group}/{subject}/{timepoint}",
        lambda a, t: a),
    "anything above": (
        lambda a, t: f"x/{a}/timepoint/{t}", "**/timepoint/{timepoint}", lambda a, t: a),
    "two kinds of branch": (
        lambda a, t: f"new/{a}/{t}" if a == "m03" else f"old/{GROUP[a]}/{a}/{t}",
        "old/{group}/{subject}/{timepoint}|new/{subject}/{timepoint}", lambda a, t: a),
    "no layout": (lambda a, t: f"{t}/{a}", "", lambda a, t: a),
    "no folders at all": (lambda a, t: f"export{SIX.index((a, t))}", "", lambda a, t: a),
    "names that the scanner makes": (
        lambda a, t: f"{a}/{t}", "{subject}/{timepoint}", lambda a, t: f"{t}_{a}_scan"),
    "capitals": (lambda a, t: f"{a.upper()}/{t}", "{subject}/{timepoint}", lambda a, t: a),
    "animals that are numbers": (numbers, "{subject}/{timepoint}", lambda a, t: str(int(a[1:]))),
    "cage and ear": (
        lambda a, t: f"12-{a[1:]}/{t}", "{subject}/{timepoint}", lambda a, t: f"12-{a[1:]}"),
    "ten and more animals": (
        lambda a, t: f"m{9 + int(a[1:])}/{t}", "{subject}/{timepoint}",
        lambda a, t: f"m{9 + int(a[1:])}"),
    "days as timepoints": (
        lambda a, t: f"{a}/{'2024-01-09' if t == 'pre' else '2024-01-16'}",
        "{subject}/{timepoint}", lambda a, t: a),
    "a cage in the path": (
        lambda a, t: f"cage_m01_m02_m03/{a}/{t}", "*/{subject}/{timepoint}", lambda a, t: a),
    "letters beyond ASCII": (
        lambda a, t: f"Gruppe_Süd/{a}/{t}", "{group}/{subject}/{timepoint}", lambda a, t: a),
}  # fmt: skip


def write_project(root, folder, patient):
    for number, (animal, timepoint) in enumerate(SIX):
        date = "20240109" if timepoint == "pre" else "20240116"
        write_study(
            root / folder(animal, timepoint), str(number), patient(animal, timepoint), (1,), 1,
            StudyDate=date, PatientWeight="0.0253", StudyID="1",
        )  # fmt: skip


def alarms(plan):
    found = [*plan.findings, *(one for row in plan.rows for one in row.findings)]
    return [
        one.message
        for one in found
        # That header and folder name an animal otherwise was told before, and stops nothing.
        if one.level is not Level.NOTE and one.code != "subject-differs"
    ]


def test_there_are_twenty():
    assert len(PROJECTS) == 20


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
@pytest.mark.parametrize("name", PROJECTS)
def test_a_clean_project_is_silent(tmp_path, name, ending):
    folder, layout, patient = PROJECTS[name]
    write_project(tmp_path / "data", folder, patient)
    scan = scan_folder(tmp_path / "data", CONFIG, jobs=1)
    made = build_plan(scan, "P1", CONFIG, layout=layout)
    assert alarms(made) == []
    path = tmp_path / f"plan.{ending}"
    write_plan(made, path)
    again = with_sessions(read_plan(path), scan, CONFIG)
    assert alarms(again) == []
    # A person leaves a row out, and gives the sessions labels of their own.
    rows = [replace(row, session=f"scan_{k}") for k, row in enumerate(again.rows)]
    rows[0] = replace(rows[0], include=False)
    write_plan(replace(again, rows=tuple(rows)), path)
    assert alarms(with_sessions(read_plan(path), scan, CONFIG)) == []


@pytest.mark.parametrize("name", PROJECTS)
def test_a_clean_project_is_sent_and_proved_in_silence(work, tell, name):
    """On a site that anonymises, with labels that a person gave in the plan."""
    folder, layout, patient = PROJECTS[name]
    write_project(work.folder, folder, patient)
    made = work.plan(layout=layout)
    rows = [replace(row, session=f"scan_{k}") if k % 2 else row for k, row in enumerate(made.rows)]
    plan = replace(made, rows=tuple(rows))
    result = work.upload(plan)
    assert [(row.outcome, row.reason) for row in result.rows] == [(Outcome.DONE, "")] * 6
    for level in (ProofLevel.DIGEST, ProofLevel.PIXELS):
        found = work.verify(plan, level=level)
        assert [(one.is_proved, one.problems) for one in found] == [(True, [])] * 6
        assert {one.proof for one in found} == {"pixels equal"}
    again = work.upload(plan)
    assert {row.outcome for row in again.rows} == {Outcome.NOTHING_TO_DO}
    tell("clean", name, "sent, proved (pixels equal), nothing to do")


def test_renamed_files_and_a_table_are_no_alarm(tmp_path):
    folder, layout, patient = PROJECTS["levels with names"]
    write_project(tmp_path / "data", folder, patient)
    made = build_plan(scan_folder(tmp_path / "data", CONFIG, jobs=1), "P1", CONFIG, layout=layout)
    write_plan(made, tmp_path / "plan.csv")
    for path in (tmp_path / "data").rglob("*.dcm"):
        path.rename(path.with_name(f"IM_{path.name}"))
    scan = scan_folder(tmp_path / "data", CONFIG, jobs=1)
    assert alarms(with_sessions(read_plan(tmp_path / "plan.csv"), scan, CONFIG)) == []
    table = tmp_path / "animals.csv"
    table.write_text("subject;weight;cage\nm01;25,3;c1\nm02;24;c1\nm03;26,1;c2\n", "utf-8")
    sheet = read_variable_table(table, CONFIG.variables)
    made = build_plan(scan, "P1", CONFIG, layout=layout, table=sheet, given={"site": "north"})
    assert alarms(made) == []
    write_plan(made, tmp_path / "table.xlsx")
    again = with_sessions(read_plan(tmp_path / "table.xlsx"), scan, CONFIG)
    assert alarms(again) == []
    assert {row.stated.partition(";")[0] for row in again.rows} == {
        "weight=25.3", "weight=24", "weight=26.1"
    }  # fmt: skip


def test_a_copy_in_a_backup_folder_takes_no_ones_place(tmp_path):
    root = tmp_path / "data"
    write_study(root / "m02" / "pre", "1", "m02")
    write_study(root / "backup" / "m02" / "pre", "1", "m02")
    made = build_plan(
        scan_folder(root, CONFIG, jobs=1), "P1", CONFIG, layout="{subject}/{timepoint}"
    )
    (row,) = made.rows
    assert (row.subject, row.source, alarms(made)) == ("m02", "m02/pre", [])
    assert {one.code for one in row.findings} == {"duplicate-instance"}


def test_a_copy_among_another_animals_studies_stops_both_ways(tmp_path):
    root = tmp_path / "data"
    write_study(root / "m01" / "pre", "1", "m01")
    write_study(root / "m02" / "pre", "2", "m02")
    write_study(root / "m01" / "post1w", "2", "m02")
    scan = scan_folder(root, CONFIG, jobs=1)
    made = build_plan(scan, "P1", CONFIG, layout="{subject}/{timepoint}")
    row = next(row for row in made.rows if row.key == "2.25.2/MR")
    (text,) = [f.message for f in row.findings if f.code == "study-in-two-places"]
    assert text.startswith("The same images lie in m01/post1w, which says ")
    assert "subject 'm01'" in text
    assert "and in m02/pre/s1, which says timepoint 'pre' and subject 'm02'" in text
    # It is found anew, though the plan's file does not say it, and gone when it is mended.
    plain = tuple(replace(one, findings=()) for one in made.rows)
    write_plan(replace(made, rows=plain), tmp_path / "p.csv")
    again = with_sessions(read_plan(tmp_path / "p.csv"), scan, CONFIG)
    assert any("The same images" in one for one in alarms(again))


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("m01/20240116_080000_m02_post1w_1_1", {}),
        ("m01/week1", {"StudyID": "m02"}),
        ("m01/m02", {}),
    ],
)
@pytest.mark.parametrize("patient", ["", "m01"])
def test_a_study_of_another_animal_in_a_folder_of_ones_own(tmp_path, folder, values, patient):
    root = tmp_path / "data"
    write_study(root / "m01" / "20240109_080000_m01_pre_1_1", "1", patient)
    write_study(root / "m02" / "20240109_090000_m02_pre_1_1", "2", "m02" if patient else "")
    write_study(root / folder, "3", patient, **values)
    made = build_plan(scan_folder(root, CONFIG, jobs=1), "P1", CONFIG, layout="{subject}")
    stopped = [row.key for row in made.rows if any(f.level is Level.ERROR for f in row.findings)]
    assert stopped == ["2.25.3/MR"]


def test_two_animals_in_one_study_stop_it_until_a_person_says_so(tmp_path):
    root = tmp_path / "data"
    write_study(root / "m01", "1", "m01", (1,))
    write_study(root / "m01", "1", "m02", (2,))
    scan = scan_folder(root, CONFIG, jobs=1)
    made = build_plan(scan, "P1", CONFIG, layout="{subject}")
    (text,) = alarms(made)
    assert text.startswith("The files of this study name different subjects: m01, m02. Move")
    (row,) = made.rows
    rows = (replace(row, confirmed="patients=m01+m02"),)
    write_plan(replace(made, rows=rows), tmp_path / "plan.csv")
    (text,) = alarms(with_sessions(read_plan(tmp_path / "plan.csv"), scan, CONFIG))
    assert text.startswith("Confirmed in the plan: patients=m01+m02.")


def test_near_names_are_asked_once_and_confirmed_once(tmp_path):
    root = tmp_path / "data"
    for number, folder in enumerate(("pre/m01", "post1w/m01", "post2w/m_01", "pre/mO1")):
        write_study(root / folder, str(number), folder.rpartition("/")[2])
    scan = scan_folder(root, CONFIG, jobs=1)
    made = build_plan(scan, "P1", CONFIG, layout="{timepoint}/{subject}")
    asked = alarms(made)
    assert len(asked) == 4
    assert all(text.startswith("The plan has the subjects m01, mO1, m_01:") for text in asked)
    rows = [
        replace(row, confirmed=f"subject={row.subject}") if row.subject != "m01" else row
        for row in made.rows
    ]
    write_plan(replace(made, rows=tuple(rows)), tmp_path / "plan.csv")
    told = alarms(with_sessions(read_plan(tmp_path / "plan.csv"), scan, CONFIG))
    assert len(told) == 2
    assert all(text.startswith("Confirmed in the plan: subject=m") for text in told)


def test_a_name_near_to_one_on_the_server_is_asked(work):
    write_study(work.folder / "m01" / "pre", "1", "m01")
    assert work.upload(work.plan(layout="{subject}/{timepoint}")).exit_code == 0
    write_study(work.folder / "m_01" / "post1w", "2", "m_01")
    made = work.plan(layout="{subject}/{timepoint}")
    rows = tuple(row for row in made.rows if row.subject == "m_01")
    (result,) = work.upload(check_plan(replace(made, rows=rows), CONFIG)).rows
    assert "The server has no subject m_01, but m01: names that differ by little" in result.reason
    rows = (replace(rows[0], confirmed="subject=m_01"),)
    assert work.upload(check_plan(replace(made, rows=rows), CONFIG)).exit_code == 0


def test_an_upload_under_the_wrong_subject_can_be_undone_as_the_page_says(work):
    """Delete in XNAT what is wrong, upload again, verify; the empty subject is named."""
    write_study(work.folder / "m01" / "pre", "1", "")
    made = work.plan(layout="")
    wrong = replace(made.rows[0], subject="m02", session="m02_pre_MR")
    right = replace(made.rows[0], subject="m01", session="m01_pre_MR")
    wrong, right = (check_plan(replace(made, rows=(row,)), CONFIG) for row in (wrong, right))
    assert work.upload(wrong).exit_code == 0
    (result,) = work.upload(right).rows
    assert result.reason.startswith(
        "This study is already on the server as m02_pre_MR of subject m02, not m01. Where the "
        "server is right, correct the column subject to m02. Where it is wrong, nothing here moves "
        "it: open the page of m02_pre_MR in XNAT, choose Delete under Actions"
    )
    (there,) = work.server.served.rows("/data/projects/P1/experiments")
    work.server.served.delete(f"/data/experiments/{there['ID']}", params={"removeFiles": "true"})
    assert work.upload(right).exit_code == 0
    (verified,) = work.verify(right)
    assert verified.problems == []
    with work.server.client() as client, work.journal() as journal:
        made_texts = {event.text for event in journal.events("made")}
        (told,) = empty_subjects(client, ["P1"], {"m01"}, made_texts)
        assert told.startswith("The subject m02 of P1 was made by an upload of this plan, which")
        # Of one that somebody else made, nothing is said.
        work.server.served.put("/data/projects/P1/subjects/registered")
        assert empty_subjects(client, ["P1"], {"m01"}, made_texts) == [told]
