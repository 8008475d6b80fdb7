"""What docs/how-to/upload.md says is true: its commands are run."""

import re
import tomllib
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner
from disk import edit_rows, expected_files, with_values
from keyring_in_memory import Memory
from small_dicom import write_series

from mri2dicom.cli import main as convert_main
from sandbox.cli import main as mouse_main
from uploader import planning, scanning
from uploader.cli import main
from uploader.planning.plan_files import read_plan
from uploader.scanning.layout import parse_layout
from xnat_config import load_config

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "upload.md").read_text(encoding="utf-8")
CONFIG = load_config(environ={"XNAT_PIC_HOME": "nowhere"})


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def memory_keyring():
    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield
    keyring.set_keyring(before)


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


WORKED = "## The paper's example, from folder to archive"


def transcript():
    """Return each command of the worked example with the lines that the page shows after it."""
    section = PAGE[PAGE.index(WORKED) : PAGE.index("## Scan\n")]
    found = []
    for text in re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        lines = text.splitlines()
        if re.match(r"(xnat-pic-\w+|mri2dicom) ", lines[0]):
            found += [[line, []] for line in lines]
        elif found:
            found[-1][1].extend(lines)
    return found


def test_the_papers_example(start, monkeypatch, memory_keyring):
    """Every command of the page is run, with the real mouse, converter and archive."""
    server = start()
    for name in ("SERVER", "USER", "PASSWORD"):
        monkeypatch.delenv(f"XNAT_PIC_{name}", raising=False)
    programs = {
        "xnat-pic-uploader": main,
        "mri2dicom": convert_main,
        "xnat-pic-sandbox": mouse_main,
    }
    typed = {"login": "admin\n", "set-variables": "y\n"}
    codes = {"check plan.xlsx": 8}
    run = []
    for command, shown in transcript():
        program, *arguments = command.replace("http://localhost:8080", server.url).split()
        if arguments == ["serve"]:
            continue
        name = arguments[0]
        if name == "set-variables":  # what the page tells the person to do
            doses = [row.variables["dose"] for row in read_plan(Path("plan.xlsx")).rows]
            assert doses.count("dose2") == 2
            edit_rows(
                Path("plan.xlsx"),
                lambda row: with_values(row, dose="dose3") if row.subject == "m02" else row,
            )
        done = CliRunner().invoke(programs[program], arguments, input=typed.get(name))
        assert done.exit_code == codes.get(" ".join(arguments), 0), (command, done.output)
        said = [" ".join(line.split()) for line in done.stderr.splitlines()]
        for line in shown:
            wanted = " ".join(line.removesuffix("]: y").split())
            assert any(wanted in one for one in said), (command, line, said)
        run.append(name)
    assert run == ["mouse", "convert", "scan", "login", "check", "check", "upload", "verify",
                   "report", "set-variables"]  # fmt: skip
    assert server.files("TRIAL") == expected_files(Path("trial"))
    rows = server.served.rows("/data/projects/TRIAL/resources/bruker_data/files")
    assert len(rows) == 6
    assert "dose2 -&gt; dose3" not in Path("report.html").read_text("utf-8")
    assert CliRunner().invoke(main, ["report", "plan.xlsx", "-o", "report.html"]).exit_code == 0
    assert "dose2 -&gt; dose3" in Path("report.html").read_text("utf-8")


def test_the_second_plan_with_the_first_ones_key(start, monkeypatch):
    """The commands of the page about other UIDs."""
    server = start()
    for name, value in (("SERVER", server.url), ("USER", "admin"), ("PASSWORD", "admin")):
        monkeypatch.setenv(f"XNAT_PIC_{name}", value)
    make_trial()
    for plan in ("plan.xlsx", "second.xlsx"):
        scan = ["scan", "trial", "--project", "T", "-o", plan]
        assert CliRunner().invoke(main, scan).exit_code == 0
    first = ["upload", "plan.xlsx", "--create-project", "--anonymise", "--map-uids"]
    assert CliRunner().invoke(main, first).exit_code == 0
    commands = block("### Other UIDs").splitlines()
    assert len(commands) == 2
    for command in commands:
        done = CliRunner().invoke(main, command.split()[1:])
        assert done.exit_code == 0, done.output
    assert "6 nothing to do" in done.stderr


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
    codes = set()
    for room in (planning, scanning):
        for path in Path(room.__file__).parent.glob("*.py"):
            text = path.read_text(encoding="utf-8")
            codes |= set(re.findall(r'\b(?:error|warning)\(\s*"([a-z-]+)"', text))
    named = set(re.findall(r"`([a-z-]+)`", PAGE))
    assert {"label-twice", "changed"} <= codes
    assert codes - named - {"no-project", "not-in-plan", "not-in-table", "table-differs",
                            "table-line-unused"} == set()  # fmt: skip
