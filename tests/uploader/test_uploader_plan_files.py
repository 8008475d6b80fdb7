"""Plans survive .csv and .xlsx, their own writer's and other programs'."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from uploader.errors import PlanError
from uploader.findings import Finding, Level
from uploader.planning.plan import Plan, PlanRow
from uploader.planning.plan_files import read_plan, write_plan

# Any character, lone surrogates of undecodable file names among them.
ANY = st.text(st.characters(codec=None), max_size=20)
TEXT = ANY.map(str.strip)
CODE = st.from_regex(r"[a-z]+(-[a-z]+)*", fullmatch=True)
PLAIN = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=30)
FINDINGS = st.lists(st.builds(Finding, CODE, st.sampled_from(Level), PLAIN), max_size=3)
COUNT = st.integers(0, 2**48)
VALUES = st.fixed_dictionaries({"group": TEXT, "week_2": TEXT})
ROW = st.builds(
    PlanRow,
    key=TEXT.filter(bool),
    include=st.booleans(),
    source=ANY,
    project=TEXT,
    subject=TEXT,
    session=TEXT,
    modality=TEXT,
    variables=VALUES,
    date=TEXT,
    scans=COUNT,
    files=COUNT,
    bytes=COUNT,
    findings=FINDINGS.map(tuple),
)
PLAN = st.builds(
    Plan,
    root=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).map(
        lambda name: Path("/") / name.replace("/", "_")
    ),
    project=ANY,
    layout=ANY,
    rows=st.lists(ROW, max_size=3, unique_by=lambda row: row.key).map(tuple),
    findings=FINDINGS.map(tuple),
)


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
@given(plan=PLAN)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_plan_survives(tmp_path, ending, plan):
    path = tmp_path / f"plan.{ending}"
    write_plan(plan, path)
    assert read_plan(path) == plan


ROWS = (
    PlanRow("1/MR", True, "a/b", "P1", "m01", "m01_pre_MR", "MR",
            {"group": "=1+1", "dose": "007"}, "2024-01-09", 1, 2, 3,
            (Finding("damaged", Level.ERROR, "two, \"three\""),)),
    PlanRow("2/MR", False, "ü", "P1", "-5", "1E5", "MR", {"group": "@x", "dose": "'=1"}),
)  # fmt: skip
SMALL = Plan(Path("/data"), "P1", "{group}/{subject}", ROWS)


def test_no_cell_is_a_formula(tmp_path):
    write_plan(SMALL, tmp_path / "plan.xlsx")
    sheet = load_workbook(tmp_path / "plan.xlsx")["plan"]
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert "=1+1" in [cell.value for cell in cells]
    assert {cell.data_type for cell in cells} <= {"s", "n", "inlineStr"}
    write_plan(SMALL, tmp_path / "plan.csv")
    text = (tmp_path / "plan.csv").read_text(encoding="utf-8-sig")
    assert ",'=1+1," in text
    assert ",'@x," in text
    assert ",-5," in text  # a number stays one
    assert read_plan(tmp_path / "plan.csv") == SMALL


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(";", "cp1252"), ("\t", "utf-16"), (",", "utf-8")]
)
def test_csv_as_spreadsheet_programs_save_it(tmp_path, delimiter, encoding):
    path = tmp_path / "plan.csv"
    lines = [
        ["# plan", "1", "", ""],
        ["# root", "/data", "", ""],
        ["# layout", "", "", ""],
        ["Include", "project", "subject", "session", "group", "key", ""],
        ["SI", "P1", " m01 ", "m01_MR", "città", "1/MR", ""],
        ["", "", "", "", "", "", ""],
        ["no", "P1", "m02", "m02_MR", "", "2/MR", ""],
    ]
    path.write_text("\n".join(delimiter.join(line) for line in lines), encoding=encoding)
    plan = read_plan(path)
    assert [(r.include, r.subject, r.variables) for r in plan.rows] == [
        (True, "m01", {"group": "città"}),
        (False, "m02", {"group": ""}),
    ]


def test_numbers_and_dates_typed_into_xlsx_become_text(tmp_path):
    import datetime

    path = tmp_path / "plan.xlsx"
    write_plan(SMALL, path)
    book = load_workbook(path)
    sheet = book["plan"]
    heads = [cell.value for cell in sheet[1]]
    typed = {"subject": 7.0, "group": datetime.datetime(2024, 1, 9), "dose": 0.25, "include": True}
    for name, value in typed.items():
        sheet.cell(2, heads.index(name) + 1).value = value
    sheet.cell(1, len(heads) + 1).value = "weight"
    sheet.cell(2, len(heads) + 1).value = 21
    book.save(path)
    row = read_plan(path).rows[0]
    assert (row.include, row.subject) == (True, "7")
    assert row.variables == {"group": "2024-01-09", "dose": "0.25", "weight": "21"}
    assert read_plan(path).rows[1].variables["weight"] == ""


HEAD = "# plan,1\n# root,/d\n# layout,\ninclude,project,subject,session,key,scans\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "lacks the lines"),
        ("a,b\n1,2\n", "lacks the lines"),
        ("# plan,9\n# root,/d\n# layout,\n", "format 9"),
        ("# plan,1\n# root,/d\n# layout,\n", "names of the columns"),
        ("# plan,1\n# root,/d\n# layout,\nproject,subject,session\n", "column key is missing"),
        (HEAD.replace("scans", "My Col"), "cannot name a variable"),
        (HEAD.replace("scans", "key"), "column key is there twice"),
        (HEAD + "yes,P,m,s,,1\n", "lost its key"),
        (HEAD + "maybe,P,m,s,1/MR,1\n", "write yes or no"),
        (HEAD + "yes,P,m,s,1/MR,many\n", "leave it as it was"),
        (HEAD + "yes,P,m,s,1/MR,1\nyes,P,m,t,1/MR,1\n", "there twice"),
    ],
)
def test_what_is_no_plan_says_why(tmp_path, text, what):
    path = tmp_path / "plan.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError, match=what):
        read_plan(path)


@pytest.mark.parametrize("name", ["plan.csv", "plan.xlsx"])
def test_a_plan_that_is_not_there_or_no_table(tmp_path, name):
    with pytest.raises(PlanError, match="is not there"):
        read_plan(tmp_path / name)
    (tmp_path / "plan.xlsx").write_bytes(b"PK no")
    with pytest.raises(PlanError, match=r"no \.xlsx"):
        read_plan(tmp_path / "plan.xlsx")
    with pytest.raises(PlanError, match="no name for a plan"):
        read_plan(tmp_path / "plan.ods")


def test_writing_replaces_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "plan.csv"
    write_plan(SMALL, path)
    before = path.read_bytes()

    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PlanError, match="No space left"):
        write_plan(SMALL, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_too_long_for_a_cell_is_refused_not_cut(tmp_path):
    row = PlanRow("1", True, "x" * 40000, "P", "m", "s", "MR")
    with pytest.raises(PlanError, match=r"Save the plan as \.csv|does not fit"):
        write_plan(Plan(Path("/d"), "P", "", (row,)), tmp_path / "plan.xlsx")
