"""Edits of a plan that people and spreadsheet programs make by mistake: none sends a wrong animal.

Each edit goes through .csv and .xlsx; what is not stopped must be as the folders have it.
"""

import csv
import io
import subprocess
from dataclasses import replace

import pytest
from disk import with_values, write_study
from programs import need_program

from uploader.errors import PlanError
from uploader.findings import Level
from uploader.planning.plan_building import build_plan, check_plan, with_sessions
from uploader.planning.plan_files import read_plan, write_plan
from uploader.planning.variable_table import read_variable_table
from uploader.scanning.folder_scan import scan_folder
from uploader.verification.session_verification import VerificationLevel
from xnat_config import load_config
from xnat_pic.errors import WrongCallError

CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})
LAYOUT = "group/{group}/timepoint/{timepoint}/{subject}"
ANIMALS = {"m01": "treated", "m02": "treated", "m03": "untreated"}
DATES = {"pre": "20240109", "post1w": "20240116"}


def write_trial(root, *, named=True):
    for number, (animal, group) in enumerate(ANIMALS.items()):
        for step, (timepoint, date) in enumerate(DATES.items()):
            folder = root / "group" / group / "timepoint" / timepoint / animal / "study"
            study = str(10 * number + step)
            patient = animal if named else ""
            write_study(folder, study, patient, (1,), 1, StudyDate=date, PatientWeight="0.0253")
    return root


@pytest.fixture(scope="module", params=[True, False], ids=["PatientID", "no PatientID"])
def scanned(request, tmp_path_factory):
    root = write_trial(tmp_path_factory.mktemp("trial"), named=request.param)
    return scan_folder(root, CONFIG, jobs=1)


def column(name, values):
    """Return an edit that writes the values of one column anew."""

    def edit(rows):
        old = [getattr(row, name, row.variables.get(name, "")) for row in rows]
        new = values(old)
        return [
            replace(row, **{name: value})
            if hasattr(row, name)
            else replace(row, variables={**row.variables, name: value})
            for row, value in zip(rows, new, strict=True)
        ]

    return edit


def both(*edits):
    def edit(rows):
        for one in edits:
            rows = one(rows)
        return rows

    return edit


def swapped(a, b):
    def values(old):
        old[a], old[b] = old[b], old[a]
        return old

    return values


def first(value):
    return lambda old: [value, *old[1:]]


def copied_down(old):
    return [old[0]] * len(old)


def moved_up(old):
    return [*old[1:], old[0]]


def moved_down(old):
    return [old[-1], *old[:-1]]


def risen(old):
    return sorted(old)


def fallen(old):
    return sorted(old, reverse=True)


def confirmed_down(rows):
    rows = column("subject", swapped(0, 1))(rows)
    return [replace(row, confirmed=f"subject={rows[0].subject}") for row in rows[:1]] + [
        replace(row, confirmed=f"subject={rows[0].subject}") for row in rows[1:]
    ]


EDITS = {
    "subjects swapped": column("subject", swapped(0, 1)),
    "subjects copied down": column("subject", copied_down),
    "subjects filled as a series": column("subject", lambda old: [f"m{k:02}" for k in range(1, 7)]),
    "subjects moved up": column("subject", moved_up),
    "subjects moved down": column("subject", moved_down),
    "subjects sorted alone": column("subject", risen),
    "subject empty": column("subject", first("")),
    "subject of another": column("subject", first("m03")),
    "subject mistyped m_01": column("subject", first("m_01")),
    "subject mistyped mO1": column("subject", first("mO1")),
    "subject mistyped m1": column("subject", first("m1")),
    "subject a number": column("subject", first("1")),
    "subject a date": column("subject", first("2001-03-01")),
    "keys swapped": column("key", swapped(0, 1)),
    "keys swapped, one animal": column("key", swapped(0, 3)),
    "keys moved up": column("key", moved_up),
    "keys sorted alone": column("key", fallen),
    "sources sorted alone": column("source", fallen),
    "source edited": column("source", first("group/treated")),
    "keys and sources moved": both(column("key", moved_up), column("source", moved_up)),
    "keys, sources and dates moved": both(
        column("key", moved_up), column("source", moved_up), column("date", moved_up)
    ),
    "labels swapped": column("session", swapped(0, 1)),
    "labels sorted alone": column("session", fallen),
    "labels copied down": column("session", copied_down),
    "label a date": column("session", first("2001-03-01")),
    "groups swapped": column("group", swapped(0, 2)),
    "groups sorted alone": column("group", fallen),
    "group empty": column("group", first("")),
    "timepoints copied down": column("timepoint", copied_down),
    "timepoints sorted alone": column("timepoint", risen),
    "timepoint a date": column("timepoint", first("03/01/2001")),
    "dates sorted alone": column("date", fallen),
    "modality of another": column("modality", first("PET")),
    "dose a date": column("dose", first("2001-03-01")),
    "weight with a comma": column("weight", first("25,3")),
    "weight with its unit": column("weight", first("25 g")),
    "weight in kilogram": column("weight", first("0.0253")),
    "weight no number": column("weight", first("25.3.1")),
    "birth date in a local form": column("birth_date", first("07/11/2023")),
    "confirmation copied down": confirmed_down,
}
# What is told of the whole plan, or refused with it.
WHOLE = {
    "row deleted": (lambda rows: rows[1:], "1 session is in no row of the plan"),
    "row twice": (lambda rows: [*rows, rows[0]], "is there twice"),
    "key copied": (column("key", lambda old: [old[1], *old[1:]]), "is there twice"),
    "key empty": (column("key", first("")), "has lost its key"),
}


def made_of(scan):
    plan = build_plan(scan, "P1", CONFIG, layout=LAYOUT)
    assert all(not row.findings for row in plan.rows)
    return plan


def through_file(plan, edit, scan, path):
    """Let a person edit a plan's file; return what every command makes of it."""
    write_plan(plan, path)
    read = read_plan(path)
    write_plan(replace(read, rows=tuple(edit(list(read.rows)))), path)
    return with_sessions(read_plan(path), scan, CONFIG)


def errors(row):
    """Return what stops a row; that its files have another size is luck and does not count."""
    return [
        one.message for one in row.findings if one.level is Level.ERROR and one.code != "changed"
    ]


def is_right(row, truth):
    """Tell whether what a row would send is what folder and header say."""
    values = {name: value for name, value in row.variables.items() if name in truth.variables}
    return (row.subject, values, row.session) == (truth.subject, truth.variables, truth.session)


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_what_an_edit_spoils_is_stopped(scanned, tmp_path, tell, name, ending):
    made = made_of(scanned)
    truth = {row.key: row for row in made.rows}
    again = through_file(made, EDITS[name], scanned, tmp_path / f"plan.{ending}")
    wrong = [row for row in again.rows if not is_right(row, truth[row.key])]
    confirmed = [row for row in wrong if not errors(row)]
    if name == "confirmation copied down":
        assert [row.subject for row in confirmed] == ["m02"]  # the one that says what it is
    else:
        assert confirmed == []
    assert any(errors(row) for row in again.rows)
    tell("edit", name, next(text for row in again.rows for text in errors(row)))
    # Each says what to do.
    for text in (text for row in again.rows for text in errors(row)):
        assert any(word in text.casefold() for word in ("correct", "write")), text


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_what_spoils_a_whole_plan_is_told(scanned, tmp_path, tell, name, ending):
    edit, text = WHOLE[name]
    made, path = made_of(scanned), tmp_path / f"plan.{ending}"
    try:
        told = [one.message for one in through_file(made, edit, scanned, path).findings]
    except PlanError as refused:
        told = [refused.message]
    tell("edit", name, next(one for one in told if text in one))


def test_an_answer_that_is_neither_yes_nor_no_is_refused(scanned, tmp_path):
    path = tmp_path / "plan.csv"
    write_plan(made_of(scanned), path)
    path.write_text(path.read_text("utf-8-sig").replace("\nyes,", "\nmaybe,", 1), "utf-8")
    with pytest.raises(PlanError, match="write yes or no"):
        read_plan(path)


def test_the_server_gets_no_wrong_animal_and_proves_none(work):
    write_trial(work.folder)
    made = work.plan(layout=LAYOUT)
    assert work.upload(made).exit_code == 0
    files = work.server.files()
    truth = {row.key: row for row in made.rows}
    for name, edit in EDITS.items():
        spoilt = check_plan(replace(made, rows=tuple(edit(list(made.rows)))), CONFIG)
        if name in ("confirmation copied down", "weight in kilogram"):
            continue
        result = work.upload(spoilt)
        assert result.exit_code == 8, name
        assert work.server.files() == files, name
        proved = [one.row for one in work.verify(spoilt) if one.level is not VerificationLevel.NONE]
        assert all(is_right(row, truth[row.key]) for row in proved if not errors(row)), name
        subjects = {row["label"] for row in work.server.served.rows("/data/projects/P1/subjects")}
        assert subjects == set(ANIMALS), name


# What LibreOffice 7.4 made of such a plan, opened as .csv and saved, by the language of its
# numbers: subject and dose, before and after.
BEFORE = [
    ("007", "1.000"), ("7", "0,50"), ("1E5", "1E5"), ("MAR-1", "MAR-1"), ("m9", "1/2"),
    ("1-2", "10%"),
]  # fmt: skip
AFTER = {
    "en": [("7", "1"), ("7", "0,50"), ("1.00E+05", "1.00E+05"), ("03/01/26", "03/01/26"),
           ("m9", "01/02/26"), ("1-2", "10.00%")],
    "it": [("7", "1000"), ("7", "0.5"), ("1.00E+05", "1.00E+05"), ("03/01/2001", "03/01/2001"),
           ("m9", "02/01/2026"), ("1-2", "10.00%")],
    "de": [("7", "1000"), ("7", "0.5"), ("1.00E+05", "1.00E+05"), ("MAR-1", "MAR-1"),
           ("m9", "1/2"), ("1-2", "10.00%")],
    "it, as xlsx": [("7", "1000"), ("7", "0.5"), ("100000", "100000"),
                    ("2001-03-01", "2001-03-01"), ("m9", "2026-02-01"), ("1-2", "0.1")],
}  # fmt: skip


@pytest.fixture(scope="module")
def cages(tmp_path_factory):
    root = tmp_path_factory.mktemp("cages")
    for number, (animal, _) in enumerate(BEFORE):
        write_study(root / animal, str(number), animal, (1,), 1)
    return scan_folder(root, CONFIG, jobs=1)


@pytest.mark.parametrize("layout", ["{subject}", ""])
@pytest.mark.parametrize("language", AFTER)
def test_what_a_spreadsheet_program_changes_is_stopped_by_name(
    cages, tmp_path, tell, language, layout
):
    """`layout` empty: only the header names the animal."""
    table = tmp_path / "doses.csv"
    lines = io.StringIO()
    csv.writer(lines).writerows([("subject", "dose"), *BEFORE])
    table.write_text(lines.getvalue(), encoding="utf-8")
    sheet = read_variable_table(table, CONFIG.variables)
    made = build_plan(cages, "P1", CONFIG, layout=layout, table=sheet)
    assert not any(f.level is Level.ERROR and "007" not in f.message and "'7'" not in f.message
                   and "0.50" not in f.message and "date" not in f.message
                   for row in made.rows for f in row.findings)  # fmt: skip
    changed = dict(zip(BEFORE, AFTER[language], strict=True))

    def save(rows):
        found = []
        for row in rows:
            dose = row.variables["dose"]
            subject = next(one for one, other in BEFORE if other == dose)
            new = changed[subject, dose]
            found.append(replace(row, subject=new[0], variables={**row.variables, "dose": new[1]}))
        return found

    again = through_file(made, save, cages, tmp_path / "plan.csv")
    for row, before in zip(again.rows, made.rows, strict=True):
        if row.subject != before.subject:
            told = [text for text in errors(row) if "subject" in text]
            assert told, row
            tell(
                "edit",
                f"subject {before.subject} saved by a spreadsheet program ({language})",
                told[0],
            )
        if row.variables["dose"] != before.variables["dose"]:
            told = [text for text in errors(row) if "dose" in text]
            assert any("A spreadsheet program makes such a value" in text for text in told), row
            tell(
                "edit",
                f"dose {before.variables['dose']} saved by a spreadsheet program ({language})",
                told[0],
            )


def test_a_table_of_excel_names_its_sign_between_cells(tmp_path):
    path = tmp_path / "animals.csv"
    path.write_text("sep=;\nsubject;weight\nm01;25,3\n", encoding="utf-8")
    table = read_variable_table(path, CONFIG.variables)
    assert table.lines == {("m01",): {"weight": "25.3"}}
    assert "'25,3' as 25.3" in table.findings[0].message


def workbook(path, change, sheets=("animals",)):
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for title in sheets:
        sheet = book.create_sheet(title)
        if title == "note":
            sheet.append(["Weights of Monday"])
            continue
        for line in (["subject", "dose"], ["m01", "d1"], ["m02", "d2"], ["m03", "d3"]):
            sheet.append(line)
        change(sheet)
    book.save(path)
    return path


def test_a_note_as_the_first_sheet_is_no_table(tmp_path):
    path = workbook(tmp_path / "a.xlsx", lambda sheet: None, ("note", "animals"))
    table = read_variable_table(path, CONFIG.variables)
    assert len(table.lines) == 3
    assert table.findings[0].message == "Of a.xlsx the sheet 'animals' is read, not 'note'."


def test_hidden_rows_are_told(tmp_path):
    def hide(sheet):
        sheet.row_dimensions[3].hidden = True

    table = read_variable_table(workbook(tmp_path / "a.xlsx", hide), CONFIG.variables)
    assert [one.code for one in table.findings] == ["hidden-rows"]
    assert "1 row is hidden" in table.findings[0].message


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda sheet: sheet.merge_cells("B2:B4"), r"merged cells \(B2:B4\)"),
        (lambda sheet: sheet.__setitem__("B3", "=B2"), r"formulas without a saved value \(B3\)"),
    ],
)
def test_cells_that_cannot_be_read_are_named(tmp_path, change, text):
    with pytest.raises(WrongCallError, match=text):
        read_variable_table(workbook(tmp_path / "a.xlsx", change), CONFIG.variables)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda sheet: sheet.merge_cells("C2:C4"), "merged cells"),
        (lambda sheet: sheet.__setitem__("C3", "=C2"), "formulas without a saved value"),
        (lambda sheet: setattr(sheet.row_dimensions[3], "hidden", True), "1 row is hidden"),
    ],
)
def test_a_plan_says_so_too(scanned, tmp_path, change, text):
    from openpyxl import load_workbook

    path = tmp_path / "plan.xlsx"
    write_plan(made_of(scanned), path)
    book = load_workbook(path)
    change(book["plan"])
    book.save(path)
    try:
        told = [one.message for one in read_plan(path).findings]
    except PlanError as refused:
        told = [refused.message]
    assert any(text in one for one in told)


def test_a_dose_that_one_animal_of_a_group_lacks_is_told(scanned, tmp_path):
    def dose(rows):
        return [
            with_values(row, confirm=False, dose="" if row.subject == "m02" else "d1")
            if row.variables["group"] == "treated"
            else row
            for row in rows
        ]

    again = through_file(made_of(scanned), dose, scanned, tmp_path / "plan.csv")
    told = {
        row.subject for row in again.rows if "variable-missing" in {f.code for f in row.findings}
    }
    assert told == {"m02"}


def test_a_weight_far_from_the_headers_is_told(scanned, tmp_path):
    def weigh(rows):
        return [with_values(rows[0], weight="45"), with_values(rows[1], weight="26"), *rows[2:]]

    again = through_file(made_of(scanned), weigh, scanned, tmp_path / "plan.csv")
    told = [f.message for row in again.rows for f in row.findings if f.code == "weight-differs"]
    assert told == [
        "The plan says weight '45', the header of the images 25.3 g. Check which of them is right."
    ]


def test_a_value_of_two_tables_with_a_semicolon_confirms_itself(scanned, tmp_path):
    table = tmp_path / "animals.csv"
    table.write_text('subject,group,note\nm01,"a;b","c; d"\n', encoding="utf-8")
    sheet = read_variable_table(table, CONFIG.variables)
    made = build_plan(scanned, "P1", CONFIG, layout=LAYOUT, table=sheet)
    for ending in ("csv", "xlsx"):
        again = through_file(made, list, scanned, tmp_path / f"plan.{ending}")
        mine = [row for row in again.rows if row.subject == "m01"]
        assert [row.variables["group"] for row in mine] == ["a;b", "a;b"]
        assert [errors(row) for row in mine] == [[], []]

        def confirm(rows):
            return [with_values(row, group="a;b") if row.subject == "m03" else row for row in rows]

        again = through_file(made, confirm, scanned, tmp_path / f"plan.{ending}")
        assert [errors(row) for row in again.rows if row.subject == "m03"] == [[], []]


LANGUAGES = {"en": "1033", "it": "1040", "de": "1031"}


@pytest.mark.tool
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_libreoffice_saves_a_plan(cages, tmp_path, language, ending):
    """As .csv what it changes is stopped by name; as .xlsx it changes nothing."""
    program = need_program("soffice")
    table = tmp_path / "doses.csv"
    lines = io.StringIO()
    csv.writer(lines).writerows([("subject", "dose"), *BEFORE])
    table.write_text(lines.getvalue(), encoding="utf-8")
    sheet = read_variable_table(table, CONFIG.variables)
    made = build_plan(cages, "P1", CONFIG, layout="{subject}", table=sheet)
    asked = {row.key for row in made.rows if errors(row)}  # 007 and 7, and MAR-1 as a dose
    path, out = tmp_path / f"plan.{ending}", tmp_path / "saved"
    write_plan(made, path)
    form = f"Text - txt - csv (StarCalc):44,34,76,1,,{LANGUAGES[language]},false,true"
    filters = [f"--infilter={form}", "--convert-to", f"csv:{form}"]
    if ending == "xlsx":
        filters = ["--convert-to", "xlsx"]
    subprocess.run(
        [program, "--headless", f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}",
         *filters, "--outdir", out, path],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    again = with_sessions(read_plan(out / path.name), cages, CONFIG)
    changed = 0
    for row, before in zip(again.rows, made.rows, strict=True):
        if row.subject != before.subject:
            assert any("subject" in text for text in errors(row)), row
        if row.variables["dose"] != before.variables["dose"]:
            assert any("--variables or --set said dose" in text for text in errors(row)), row
        changed += (row.subject, row.variables) != (before.subject, before.variables)
    if ending == "xlsx":
        assert (changed, again.rows) == (0, made.rows)
    else:
        assert changed >= 3
        assert {row.key for row in again.rows if errors(row)} >= asked
