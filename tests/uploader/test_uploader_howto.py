"""What docs/how-to/upload.md says of scan is true."""

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_dicom import write_series

from uploader import plan as plan_module
from uploader import scan as scan_module
from uploader.cli import main
from uploader.layout import parse_layout
from uploader.plan_files import read_plan
from xnat_config import load_config

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "upload.md").read_text(encoding="utf-8")
CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def block(after, language=""):
    """Return the first fenced block of the page after a heading."""
    text = PAGE[PAGE.index(after) :]
    return re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


def make_trial():
    number = 0
    for branch, subject in (
        ("treated/dose/dose1", "m01"), ("treated/dose/dose2", "m02"), ("untreated", "m03")
    ):  # fmt: skip
        for timepoint, date in (("pre", "20240109"), ("post1w", "20240116")):
            number += 1
            folder = Path("trial/group") / branch / "timepoint" / timepoint / subject / "s" / "1"
            write_series(folder, 1, study=str(number), PatientID=subject, StudyDate=date)


def test_the_papers_example():
    make_trial()
    done = CliRunner().invoke(main, ["scan", "trial", "--project", "TRIAL", "-o", "plan.csv"])
    assert done.exit_code == 0, done.output
    shown = [line for line in PAGE.splitlines() if re.match(r"m0\d +m0\d_", line)]
    assert len(shown) == 6
    for line, row in zip(shown, read_plan(Path("plan.csv")).rows, strict=True):
        said = line.split()[:-3]
        values = (row.subject, row.session, *row.variables.values())
        assert said == [value for value in values if value]
    assert next(line for line in PAGE.splitlines() if line.startswith("note:")) in done.output


def test_one_animal():
    make_trial()
    command = "scan trial/group/untreated/timepoint/pre/m03 --project TRIAL -o m03.csv"
    assert command in PAGE
    assert CliRunner().invoke(main, command.split()).exit_code == 0
    (row,) = read_plan(Path("m03.csv")).rows
    assert row.variables == {"group": "untreated", "timepoint": "pre", "dose": ""}


def test_the_layouts_of_the_table_read_its_folders():
    table = re.findall(r"^\| (`.*?) \| (`.*?`) \|$", PAGE, re.MULTILINE)
    checked = 0
    for folders, layout in table:
        pattern = parse_layout(layout.strip("`").replace("\\|", "|"), CONFIG.variables)
        for folder in re.findall(r"`(.+?)/\.\.\.`", folders):
            match = pattern.match(
                [*folder.split("/"), "s", "1"], lambda name: name.startswith("m0")
            )
            assert match.problem == "", (folder, layout)
            assert match.values["subject"].startswith("m")
            checked += 1
    assert checked >= 6


def test_the_sites_file():
    text = block("## Your site's own rules", "toml")
    Path("site.toml").write_text(text, encoding="utf-8")
    config = load_config(Path("site.toml"))
    assert config.variables.names == ("group", "timepoint", "treatment", "cage")
    assert set(tomllib.loads(text)) == {"variable", "session", "raw"}


def test_the_python_block_runs(capsys):
    make_trial()
    exec(block("## From Python", "python"), {})
    assert "m01_pre_MR" in capsys.readouterr().out
    assert len(read_plan(Path("plan.xlsx")).rows) == 6


def test_every_finding_that_needs_a_person_is_in_the_table():
    sources = [Path(module.__file__).parent for module in (plan_module, scan_module)]
    codes = set()
    for path in {p for folder in sources for p in folder.glob("*.py")}:
        if path.stem in ("plan", "scan", "labels", "variable_table", "side_files"):
            text = path.read_text(encoding="utf-8")
            codes |= set(re.findall(r'\b(?:error|warning)\(\s*"([a-z-]+)"', text))
    named = set(re.findall(r"`([a-z-]+)`", PAGE))
    assert {"label-twice", "changed"} <= codes
    assert codes - named - {"no-project", "not-in-plan", "not-in-table", "table-differs",
                            "table-line-unused"} == set()  # fmt: skip
