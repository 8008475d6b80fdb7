"""The demonstration: the whole story from an empty folder, its stages alone, and wrong numbers."""

import json
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict

import pytest

from sandbox.archive.serving import lock_folder
from sandbox.demo.__main__ import NAMES
from sandbox.demo.compare import compare_effects, compare_means
from sandbox.demo.demo_folder import DemoFolder, Options, Study
from sandbox.demo.programs import Programs, curl, login
from sandbox.demo.stages import STAGES, how_far
from xnat_pic.errors import XnatPicError

STUDIES = [
    Study(f"m{n}", group, dose, timepoint, "")
    for n, (group, dose) in enumerate([("treated", "d1"), ("treated", "d2"), ("untreated", "")])
    for timepoint in ("pre", "post")
]
TRUTH = {"tumour": {"T2_ms": 60.0, "ADC_um2_ms": 0.8}, "kidney": {"T2_ms": 50.0, "ADC_um2_ms": 1.8}}
STEPS = {"tumour_t2": 0.08, "tumour_adc": 0.1}
SMALL = ("--animals", "1", "--doses", "1")
KNOWN = {"T2map": ("T2_ms", "ms"), "ADC": ("ADC_um2_ms", "um2/ms")}


def _demo(folder, *more):
    return subprocess.run(
        [sys.executable, "-m", "sandbox.demo", str(folder), *SMALL, *more],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=folder.parent,
        check=False,
    )


def test_how_far_a_run_is(tmp_path):
    folder, row = DemoFolder(tmp_path), {"wrk_workflowData_id": "7"}
    assert how_far(folder, "process_T2_project", row) == ""
    log = folder.archive / "runs" / "7" / "build" / "m01" / "LOGS" / "process_T2_project.err"
    log.parent.mkdir(parents=True)
    log.write_text("process_T2_project on DEMO: 18 sessions\n")
    assert how_far(folder, "process_T2_project", row) == ""
    with log.open("a") as told:
        told.write("1 of 18: m01_pre_MR: done\n2 of 18: m02_pre_MR: failed. 5 of 9: b\n3 o")
    assert how_far(folder, "process_T2_project", row) == "2 of 18 sessions"
    assert how_far(folder, "process_DWI_project", row) == ""
    assert how_far(folder, "process_T2_project", {"wrk_workflowData_id": "../runs/7"}) == ""


@pytest.mark.slow
def test_the_whole_story(tmp_path):
    folder = tmp_path / "my demo"
    ended = _demo(folder)
    text = ended.stdout
    assert ended.returncode == 0, text + ended.stderr
    assert [int(n) for n in re.findall(r"^ *(\d+)/10 ", text, re.MULTILINE)] == list(range(1, 11))
    assert "All 8 numbers agree with what was planted." in text
    assert "4 studies" in text
    assert "my demo/summary/summary.html" in text
    assert "<svg" in (folder / "summary" / "summary.html").read_text(encoding="utf-8")
    _a_shell_takes_what_is_told(text)
    _one_stage_sees_wrong_numbers(folder)


def _a_shell_takes_what_is_told(text):
    lines = re.findall(r"^  ((?:xnat|mri|curl|export).*)", text, re.MULTILINE)
    asked = _words(lines)
    assert len(asked) == len(lines) - 1 == 15, text  # export itself is no program of ours
    assert asked[7][:5] == ["xnat-pic-uploader", "scan", "my demo/dicom", "--project", "DEMO"]
    addresses = [one[-1] for one in asked if one[0] == "curl"]
    server = "http://localhost:8080/"
    assert [one.partition(server)[:2] for one in addresses] == [("", server)] * 6, text
    assert addresses[0] == f"{server}data/projects/DEMO"
    assert addresses[-1].endswith("?parallel_sessions=2&map_names=T2,ADC")


def _words(lines):
    """Return the words that bash gives to each program of some lines."""
    programs = sorted({one.split()[0] for one in lines} - {"export"})
    told = r"""{ printf '%s\n' "${FUNCNAME[0]}" "$@"; printf '\n'; }"""
    script = "\n".join(["set -eu", *(f"{name}() {told}" for name in programs), *lines])
    ended = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), script
    return [one.split("\n") for one in ended.stdout.removesuffix("\n\n").split("\n\n")]


def test_a_shell_names_the_server_of_an_address(monkeypatch):
    monkeypatch.delenv("XNAT_PIC_SANDBOX_PASSWORD", raising=False)
    line = curl("/data/a%24b?map=T2,ADC&workers=2", "-X", "POST")
    told = ["curl", "-u", "admin", "-X", "POST"]
    assert _words([login(), line]) == [
        [*told, "http://localhost:8080/data/a%24b?map=T2,ADC&workers=2"]
    ]


def test_no_line_holds_a_password_of_ones_own(monkeypatch):
    monkeypatch.setenv("XNAT_PIC_SANDBOX_PASSWORD", "se cret")
    assert "se cret" not in login()
    (asked,) = _words([login(), 'curl "$XNAT_PIC_PASSWORD"'])
    assert asked == ["curl", "se cret"]


def _one_stage_sees_wrong_numbers(folder):
    path = next((folder / "scanner_truth").rglob("untreated/**/truth.json"))
    content = json.loads(path.read_text(encoding="utf-8"))
    content["tissues"]["kidney"]["ADC_um2_ms"] *= 1.1
    path.write_text(json.dumps(content), encoding="utf-8")
    ended = _demo(folder, "--stage", "compare")
    assert ended.returncode == 8, ended.stdout + ended.stderr
    (line,) = [one for one in ended.stdout.splitlines() if one.startswith("OUT: ")]
    assert "ADC, kidney" in line
    assert "1 of 8 numbers are OUT" in ended.stdout


def _rows(**changes):
    rows = []
    for study in STUDIES:
        for tissue, values in TRUTH.items():
            for name, (key, unit) in KNOWN.items():
                row = {"session": study.session, "roi": tissue, "quantity": name, "set": "whole"}
                row |= {"unit": unit, "mean": str(values[key]), "se": str(0.01 * values[key])}
                rows.append(row | study.values)
    rows[0] |= changes
    return rows


def _means(rows):
    return compare_means(rows, STUDIES, {one.session: TRUTH for one in STUDIES})


def test_every_stage_can_be_asked_for():
    assert tuple(one.name for one in STAGES) == NAMES


def test_right_means_agree():
    found = _means(_rows())
    assert len(found) == 4
    assert all(one.ok for one in found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": "62.2"}, "62.2 and not 60 ms"),
        ({"mean": "57.8"}, "57.8 and not 60 ms"),
        ({"mean": ""}, "nan"),
        ({"mean": "70", "se": "20"}, "not known well enough"),
        ({"se": ""}, "not known well enough"),
        ({"unit": "s"}, "its unit is s"),
        ({"dose": "d2"}, "its dose is 'd2'"),
        ({"group": "untreated"}, "its group is 'untreated'"),
        ({"session": "other"}, "not measured"),
    ],
)
def test_a_wrong_value_is_out(changes, said):
    found = _means(_rows(**changes))
    assert [one.ok for one in found] == [False, True, True, True]
    assert found[0].said.startswith("m0_pre_MR: ")
    assert said in found[0].said


def _effects(**changes):
    planted = {"T2map": 8.0, "ADC": 10.0}
    rows = [
        {
            "roi": roi, "quantity": name, "arm": f"treated d{n}", "timepoint": "post",
            "comparison": "difference of changes", "unit": "%", "difference_low": "",
            "difference_high": "", "difference": str(step * n if roi == "tumour" else 0.0),
        }
        for roi in TRUTH
        for name, step in planted.items()
        for n in (1, 2)
    ]  # fmt: skip
    rows[1] |= changes
    return compare_effects(rows, STUDIES, STEPS)


@pytest.mark.parametrize(
    ("changes", "is_out"),
    [
        ({}, False),
        ({"difference": "18.4"}, False),
        ({"difference": "8"}, True),
        ({"difference": "-16"}, True),
        ({"difference": ""}, True),
        ({"unit": "ms"}, True),
        ({"arm": "treated"}, True),
        ({"comparison": "change"}, True),
    ],
)
def test_effects(changes, is_out):
    found = _effects(**changes)
    assert len(found) == 8
    assert [one.what for one in found if not one.ok] == ["T2, tumour, d2"] * is_out


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "scanner").mkdir()
    (tmp_path / "scanner" / "2dseq").write_bytes(b"irreplaceable")
    with pytest.raises(XnatPicError, match="not of this demonstration"):
        DemoFolder(tmp_path).begin()
    assert (tmp_path / "scanner" / "2dseq").read_bytes() == b"irreplaceable"
    ended = _demo(tmp_path)
    assert ended.returncode == 8
    assert "not of this demonstration" in ended.stdout
    assert (tmp_path / "scanner" / "2dseq").read_bytes() == b"irreplaceable"


def test_an_earlier_demonstration_is_replaced(tmp_path):
    folder = DemoFolder(tmp_path / "demo")
    folder.begin()
    folder.logs.mkdir()
    (folder.folder / "plan.csv").write_text("old")
    folder.begin()
    assert [one.name for one in folder.folder.iterdir()] == ["demo.json"]


def test_an_archive_that_is_served_stays(tmp_path):
    folder = DemoFolder(tmp_path / "demo")
    folder.begin()
    held = lock_folder(folder.archive)
    with closing(held), pytest.raises(XnatPicError, match="still served"):
        folder.begin()
    assert folder.archive.is_dir()
    folder.begin()
    assert not folder.archive.exists()


def test_a_program_that_fails_is_told_in_its_words(tmp_path):
    folder = DemoFolder(tmp_path / "demo")
    folder.begin()
    with pytest.raises(XnatPicError) as raised:
        Programs(folder, folder.logs / "one.log").run("mri2dicom", "convert", folder.scanner)
    assert "mri2dicom convert ended with status" in str(raised.value)
    assert "scanner" in str(raised.value)
    assert "one.log" in raised.value.hint


def test_a_stage_before_its_time_says_what_to_run_first(tmp_path):
    ended = _demo(tmp_path / "demo", "--stage", "regions")
    assert ended.returncode == 8
    assert "Start with --stage mouse" in ended.stdout
    folder = DemoFolder(tmp_path / "demo")
    folder.begin()
    folder.write_notes({"options": asdict(Options()), "stages": {}})
    ended = _demo(folder.folder, "--stage", "convert")
    assert ended.returncode == 8
    assert "FAILED: mri2dicom convert ended with status" in ended.stdout
    assert "--stage convert, then each stage after it" in ended.stdout
