"""The command `mri2dicom`: data on standard output, sentences on standard error, exit codes."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from builder import make_reco
from cases import FIXTURES, checksums, files_below, small_study
from click.testing import CliRunner

from mri2dicom.cli import main

SERIES_KEYS = {
    "study",
    "expno",
    "procno",
    "protocol",
    "method",
    "paravision",
    "kind",
    "status",
    "reason",
    "files",
    "path",
    "warnings",
}


@pytest.fixture
def run():
    """Run the command in this process; nothing but a wanted exit may come out of it."""

    def of(*arguments, columns=100):
        runner = CliRunner(env={"COLUMNS": str(columns)})
        done = runner.invoke(main, [str(one) for one in arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "Traceback" not in done.output
        return done

    return of


@pytest.fixture
def study(tmp_path):
    return small_study(tmp_path / "study")


def spectroscopy(study: Path, *, expno: int = 8) -> Path:
    make_reco(study, expno=expno, frames=1, visu={"VisuCoreDimDesc": ["spectroscopic"] * 2})
    return study


def cut_off(study: Path, *, expno: int = 9) -> Path:
    make_reco(study, expno=expno, frames=1, pixels=b"\0" * 10)
    return study


def in_process(*arguments, **options):
    command = [sys.executable, "-m", "mri2dicom.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)


# --- JSON ------------------------------------------------------------------------------------


def test_json_of_a_conversion(run, study, tmp_path):
    spectroscopy(study)
    done = run("convert", study, tmp_path / "out", "--json", "--jobs", "1")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["input"], report["output"]) == (str(study), str(tmp_path / "out"))
    assert [set(one) >= SERIES_KEYS for one in report["series"]] == [True] * 3
    first, _, last = report["series"]
    assert {key: first[key] for key in SERIES_KEYS} == {
        "study": ".",
        "expno": 1,
        "procno": 1,
        "protocol": "scan_1",
        "method": "Bruker:FLASH",
        "paravision": "6.0.1",
        "kind": "anatomy",
        "status": "converted",
        "reason": "",
        "files": 3,
        "path": str(tmp_path / "out" / "10001_scan_1"),
        "warnings": [],
    }
    assert (last["status"], last["files"], last["path"]) == ("skipped", 0, "")
    assert last["reason"].startswith("Spectroscopy")
    assert "Done: 2 converted, 1 skipped; 6 files written." in done.stderr


def test_every_status(run, study, tmp_path):
    run("convert", study, tmp_path / "out", "--jobs", "1")
    small_study(study, scans=3)
    cut_off(study)
    done = run("convert", study, tmp_path / "out", "--json", "--jobs", "1")
    status = [one["status"] for one in json.loads(done.stdout)["series"]]
    assert status == ["kept", "kept", "converted", "skipped"]
    assert done.exit_code == 8


def test_json_of_an_inspection(run, study):
    spectroscopy(study)
    done = run("inspect", study, "--json")
    rows = json.loads(done.stdout)
    assert [row["kind"] for row in rows] == ["anatomy", "anatomy", "skipped"]
    assert [(row["matrix"], row["planes"], row["loops"]) for row in rows[:2]] == [
        ("8 x 6", 3, "SLICE:3")
    ] * 2
    assert done.stderr == ""
    assert done.exit_code == 0


def test_names_that_no_terminal_can_show_are_still_json(tmp_path):
    """Standard output may be able to hold ASCII alone, as a pipe on Windows does."""
    make_reco(tmp_path / "s", frames=1, visu={"VisuAcquisitionProtocol": "σ µ 脳"})
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = in_process("inspect", tmp_path / "s", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["protocol"] == "σ µ 脳"
    done = in_process("inspect", tmp_path / "s", env=environment)
    assert done.returncode == 0, done.stderr
    assert b"? ? ?" in done.stdout


# --- standard output holds data alone --------------------------------------------------------


def test_conversion_writes_to_standard_error(run, study, tmp_path):
    done = run("convert", study, tmp_path / "out", "--jobs", "1")
    assert done.stdout == ""
    assert "converted 1/1 scan_1 (anatomy, 3 files)" in done.stderr
    assert f"DICOM files: {tmp_path / 'out'}" in done.stderr


def test_a_real_process(study, tmp_path):
    before = checksums(study)
    done = in_process("convert", study, "--json", "--jobs", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["output"] == str(tmp_path / "study_dcm")
    assert len(files_below(tmp_path / "study_dcm")) == 6
    assert checksums(study) == before
    assert b"\x1b" not in done.stderr  # no bar and no colours where no person watches


# --- exit codes ------------------------------------------------------------------------------


def test_done_with_a_stated_reason(run, study, tmp_path):
    assert run("convert", spectroscopy(study), tmp_path / "o", "--jobs", "1").exit_code == 0


def test_done_in_part(run, study, tmp_path):
    done = run("convert", cut_off(study), tmp_path / "o", "--jobs", "1")
    assert done.exit_code == 8
    assert "damaged   9/1 scan_9: 2dseq is cut off" in done.stderr


def test_nothing_but_spectroscopy(run, tmp_path):
    study = spectroscopy(tmp_path / "s")
    assert run("convert", study, tmp_path / "o", "--jobs", "1").exit_code == 3
    assert run("inspect", study).exit_code == 3
    assert not (tmp_path / "o").exists()


def test_nothing_but_damage(run, tmp_path):
    study = cut_off(tmp_path / "s")
    assert run("convert", study, tmp_path / "o", "--jobs", "1").exit_code == 4
    assert run("inspect", study).exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convert"], "Missing argument"),
        (["convert", "{study}", "--jobs", "0"], "--jobs"),
        (["convert", "{study}", "--jobs", "many"], "--jobs"),
        (["convert", "{study}", "--no-such-option"], "--no-such-option"),
        (["convert", "{study}", "--subject-position", "upside-down"], "no subject position"),
        (["convert", "{study}", "--anatomical-orientation", "fish"], "quadruped"),
        (["convert", "{study}", "{study}/out"], "inside the input"),
        (["convert", "{study}", "{study}/subject"], "inside the input"),
        (["inspect"], "Missing argument"),
        (["undo", "{study}"], "undo"),
    ],
)
def test_wrong_calls(run, study, arguments, said):
    done = run(*[one.format(study=study) for one in arguments])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert list(study.parent.iterdir()) == [study]


def _missing(folder: Path) -> Path:
    return folder / "nowhere"


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _other_file(folder: Path) -> Path:
    (folder / "notes.txt").write_text("nothing")
    return folder / "notes.txt"


def _other_folder(folder: Path) -> Path:
    (folder / "holiday").mkdir()
    (folder / "holiday" / "1.jpg").write_bytes(b"\xff\xd8")
    return folder / "holiday"


def _empty_archive(folder: Path) -> Path:
    with tarfile.open(folder / "e.tar.gz", "w:gz"):
        pass
    return folder / "e.tar.gz"


def _broken_archive(folder: Path) -> Path:
    (folder / "b.zip").write_bytes(b"no archive at all")
    return folder / "b.zip"


@pytest.mark.parametrize("command", ["inspect", "convert"])
@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (_missing, 3, "does not exist"),
        (_empty, 3, "No scanner data found"),
        (_other_file, 3, "neither a folder nor an archive"),
        (_other_folder, 3, "No scanner data found"),
        (_empty_archive, 3, "No scanner data found"),
        (_broken_archive, 4, "is damaged"),
    ],
)
def test_inputs_that_cannot_be_used(run, tmp_path, command, make, code, said):
    done = run(command, make(tmp_path))
    assert done.exit_code == code
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("mri2dicom: ")
    assert said in line
    assert line.endswith(".")


def test_sentences_name_a_remedy(run, tmp_path):
    assert "Choose a ParaVision study" in run("convert", _empty(tmp_path)).stderr
    assert "Give a study's folder, a .zip" in run("convert", _other_file(tmp_path)).stderr
    assert "Copy it again." in run("convert", _broken_archive(tmp_path)).stderr


# --- what people see -------------------------------------------------------------------------

MARKUP = "[red]T2[/red] [/nonsense] \x1b[31m"


def test_names_are_shown_as_they_are(run, tmp_path):
    make_reco(tmp_path / "s", frames=1, visu={"VisuAcquisitionProtocol": MARKUP})
    shown = run("inspect", tmp_path / "s", columns=200).stdout
    assert "[red]T2[/red] [/nonsense] ?[31m" in shown
    done = run("convert", tmp_path / "s", tmp_path / "o", "--jobs", "1")
    assert done.exit_code == 0
    assert "[red]T2[/red] [/nonsense] ?[31m" in done.stderr
    assert "\x1b" not in shown + done.stderr


def test_the_bar_shows_names_as_they_are(monkeypatch):
    """The bar is for a terminal: names with markup neither colour it nor break it."""
    import io

    from xnat_pic.cli import ProgressBars

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with ProgressBars() as bars:
        for done in (1, 2, 3):
            bars.update("1/1 [red]T2[/red] [/nonsense]", done, 4)
    assert "[red]T2[/red] [/nonsense]" in terminal.getvalue()


def test_the_table_at_100_columns(run, shared_data):
    """Short columns are never broken; lines keep to the width."""
    done = run("inspect", shared_data / "paravision", columns=100)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert "Bruker:" not in done.stdout
    (line,) = [line for line in lines if "RARE_final_hisres" in line]
    cells = line.split()
    assert cells == [
        "2/1",
        "RARE",
        "RARE_final_hisres_20200731",
        "128x128",
        "24",
        "SLICE:24",
        "anatomy",
    ]
    (line,) = [line for line in lines if line.startswith("4/1")]
    assert line.split()[-3:] == ["176", "CYCLE:176", "CEST"]
    assert "skipped: No reconstruction" in done.stdout


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_at_other_widths(run, study, columns):
    done = run("inspect", study, columns=columns)
    assert "anatomy" in done.stdout
    assert max(map(len, done.stdout.splitlines()[1:])) <= columns
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("2/1")]
    assert line.split() == ["2/1", "FLASH", "scan_2", "8x6", "3", "SLICE:3", "anatomy"]


def test_studies_stand_under_their_names(run, tmp_path):
    for name in ("treated/m01", "untreated/m02"):
        small_study(tmp_path / "in" / name, scans=1)
    shown = run("inspect", tmp_path / "in").stdout
    assert shown.index("treated/m01 (subject m01)") < shown.index("untreated/m02 (subject m01)")
    assert run("inspect", tmp_path / "in" / "treated" / "m01").stdout.startswith("m01 (subject")


@pytest.mark.parametrize("name", FIXTURES)
def test_real_studies(run, shared_data, name):
    done = run("inspect", shared_data / "paravision" / name, "--json")
    assert len(json.loads(done.stdout)) >= 1
    assert done.exit_code == (4 if name == "misc_dicomifier_tests" else 0)


# --- the command itself ----------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["convert"], ["inspect"]])
def test_help_names_the_exit_codes(run, command):
    done = run(*command, "--help")
    assert done.exit_code == 0
    assert "Exit codes:" in done.stdout
    assert "8  done in part" in done.stdout


def test_version(run):
    from xnat_pic.version import version

    assert run("--version").stdout == f"mri2dicom {version()}\n"


def test_options_reach_the_conversion(run, study, tmp_path):
    import pydicom

    done = run(
        "convert", study, tmp_path / "o", "--enhanced", "--jobs", "1", "--subject-id", "m 9",
        "--species", "mouse", "--strain", "C57BL/6J", "--study-label", "pilot",
        "--anatomical-orientation", "biped", "--subject-position", "ffp",
    )  # fmt: skip
    assert done.exit_code == 0
    ds = pydicom.dcmread(files_below(tmp_path / "o")[0])
    assert ds.SOPClassUID.name == "Enhanced MR Image Storage"
    assert [
        ds.PatientID,
        ds.PatientSpeciesDescription,
        ds.StrainDescription,
        ds.StudyDescription,
        ds.AnatomicalOrientationType,
        ds.PatientPosition,
    ] == ["m 9", "mouse", "C57BL/6J", "pilot", "BIPED", "FFP"]


def test_overwrite(run, study, tmp_path):
    run("convert", study, tmp_path / "o", "--jobs", "1")
    kept = run("convert", study, tmp_path / "o", "--jobs", "1", "--species", "rat")
    assert "--overwrite replaces it" in kept.stderr
    done = run("convert", study, tmp_path / "o", "--jobs", "1", "--species", "rat", "--overwrite")
    assert "Done: 2 converted" in done.stderr
