"""``xnat-pic-uploader scan``: what it writes, says and answers."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from small_dicom import write, write_series

from uploader.cli import main
from uploader.planning.plan_files import read_plan


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


def run(*arguments):
    return CliRunner().invoke(main, ["scan", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    write_series(tmp_path / "data" / "group" / "treated" / "timepoint" / "pre" / "m01" / "s" / "1")
    return tmp_path / "data"


def test_a_plan_and_words_on_it(folder, tmp_path):
    done = run(folder, "--project", "P1", "-o", tmp_path / "plan.csv")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "m01_pre_MR" in done.stderr
    assert "group/{group}/timepoint/{timepoint}/{subject}" in done.stderr
    (row,) = read_plan(tmp_path / "plan.csv").rows
    assert row.variables == {"group": "treated", "timepoint": "pre", "dose": ""}


def test_json_is_data_alone(folder, tmp_path):
    plan = tmp_path / "p.xlsx"
    done = run(folder, "--project", "P1", "--set", "dose=d1", "--json", "-o", plan)
    assert done.exit_code == 0
    content = json.loads(done.stdout)
    assert content["rows"][0]["variables"]["dose"] == "d1"
    assert content["rows"][0]["files"] == 3
    assert read_plan(plan).rows[0].variables["dose"] == "d1"


def test_a_plan_that_is_there_stays_unless_told(folder, tmp_path):
    plan = tmp_path / "plan.csv"
    plan.write_text("edited by hand", encoding="utf-8")
    done = run(folder, "--project", "P1", "-o", plan)
    assert done.exit_code == 2
    assert "--overwrite" in done.stderr
    assert plan.read_text(encoding="utf-8") == "edited by hand"
    assert run(folder, "--project", "P1", "-o", plan, "--overwrite").exit_code == 0
    assert len(read_plan(plan).rows) == 1


def test_the_plan_may_lie_in_the_folder(folder):
    plan = folder / "plan.csv"
    for _ in range(2):
        done = run(folder, "--project", "P1", "-o", plan, "--overwrite")
        assert done.exit_code == 0
        assert "plan.csv lie" not in done.stderr
        assert [f.code for f in read_plan(plan).rows[0].findings] == []


def test_rows_that_need_attention_are_exit_code_8(folder, tmp_path):
    bad = next(folder.rglob("0001.dcm"))
    bad.write_bytes(bad.read_bytes()[:-1])
    done = run(folder, "--project", "P1", "-o", tmp_path / "plan.csv")
    assert done.exit_code == 8
    assert "damaged" in done.stderr
    assert (tmp_path / "plan.csv").exists()


def test_nothing_found_and_only_damage(tmp_path):
    (tmp_path / "a").mkdir()
    done = run(tmp_path / "a", "--project", "P1")
    assert done.exit_code == 3
    assert "mri2dicom" in done.stderr
    bad = write(tmp_path / "b" / "a.dcm")
    bad.write_bytes(bad.read_bytes()[:-1])
    assert run(tmp_path / "b", "--project", "P1").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--layout", "{Group}"], "not understood"),
        (["--set", "group"], "NAME=VALUE"),
        (["--set", "files=3"], "cannot name a variable"),
        (["-o", "plan.ods"], ".csv or .xlsx"),
        (["--variables", "gone.csv"], "is not there"),
        (["--site", "gone.toml"], "cannot be read"),
    ],
)
def test_wrong_calls(folder, arguments, what):
    done = run(folder, "--project", "P1", *arguments)
    assert done.exit_code == 2
    assert what in done.stderr
    assert "Traceback" not in done.output


def test_a_folder_that_is_not_there(tmp_path):
    done = run(tmp_path / "x", "--project", "P1")
    assert done.exit_code == 2
    assert "is not there" in done.stderr


def test_odd_names_do_not_steer_the_terminal(tmp_path):
    write_series(tmp_path / "d", PatientID="[red]m\x1b[31m1")
    done = run(tmp_path / "d", "--project", "P1", "-o", tmp_path / "p.csv")
    assert "\x1b" not in done.stderr
    assert read_plan(tmp_path / "p.csv").rows[0].subject == "_red_m__31m1"


def test_the_command_starts_without_heavy_imports():
    code = "import sys, uploader.cli; print(sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert "click" in loaded
    assert loaded & {"pydicom", "numpy", "xnat", "requests", "openpyxl", "keyring"} == set()


def test_a_plan_is_a_workbook_unless_one_of_an_earlier_day_is_there(tmp_path, monkeypatch):
    write_series(tmp_path / "data" / "m01")
    monkeypatch.chdir(tmp_path)
    assert run("data", "--project", "P1").exit_code == 0
    assert [row.subject for row in read_plan(tmp_path / "plan.xlsx").rows] == ["m01"]
    assert "is there already" in run("data", "--project", "P1").stderr
    (tmp_path / "plan.xlsx").rename(tmp_path / "plan.csv")
    done = run("data", "--project", "P1")
    assert done.exit_code == 2
    assert "replace it with -o plan.csv --overwrite" in done.stderr
    assert not (tmp_path / "plan.xlsx").exists()
    assert run("data", "--project", "P1", "-o", "plan.csv", "--overwrite").exit_code == 0
