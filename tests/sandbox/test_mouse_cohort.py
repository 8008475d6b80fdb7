"""A whole project: folders, animals, effect, repeatability, refusals, sizes, command line."""

import hashlib
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli import main
from sandbox.mouse import MouseOptions, write_mice
from sandbox.mouse.options import plan_studies, timepoint_days
from xnat_pic.errors import OutputError, WrongCallError

SMALL = {"size": "SMALL", "animals": 1}


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pixel_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("2dseq"))


def read_truth(study) -> dict:
    return json.loads((study.truth / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    out = tmp_path_factory.mktemp("project") / "mice"
    return out, write_mice(out, MouseOptions(**SMALL))


def test_default_project_is_18_studies_of_9_animals():
    plans = plan_studies(MouseOptions())
    assert len(plans) == 18
    assert sorted({p.subject for p in plans}) == [f"m0{i}" for i in range(1, 10)]
    assert {(p.group, p.dose) for p in plans} == {
        ("treated", "dose1"), ("treated", "dose2"), ("untreated", ""),
    }  # fmt: skip


def test_folder_levels(project):
    out, studies = project
    levels = {study.path.parent.relative_to(out).as_posix() for study in studies}
    assert levels == {
        "group/treated/dose/dose1/timepoint/pre/m01",
        "group/treated/dose/dose1/timepoint/post1w/m01",
        "group/treated/dose/dose2/timepoint/pre/m02",
        "group/treated/dose/dose2/timepoint/post1w/m02",
        "group/untreated/timepoint/pre/m03",
        "group/untreated/timepoint/post1w/m03",
    }
    for study in studies:
        assert (study.path / "subject").is_file()
        assert study.truth.is_relative_to(out.with_name("mice_truth"))
    assert not list(out.rglob("*.nii*")), "no truth among the data"


def test_the_treatment_changes_the_tumour_and_nothing_else(project):
    found = {(s.subject, s.timepoint): read_truth(s) for s in project[1]}
    for subject, strength in (("m01", 1), ("m02", 2), ("m03", 0)):
        pre, post = found[subject, "pre"], found[subject, "post1w"]
        for name, tissue in pre["tissues"].items():
            factors = {
                k: post["tissues"][name][k] / tissue[k] for k in ("T1_ms", "T2_ms", "ADC_um2_ms")
            }
            treated = name == "tumour"
            assert factors["T1_ms"] == 1
            assert factors["T2_ms"] == pytest.approx(1 + 0.08 * strength * treated)
            assert factors["ADC_um2_ms"] == pytest.approx(1 + 0.10 * strength * treated)
        same = [o for o in pre["organs"] if o["name"] != "tumour"]
        assert same == [o for o in post["organs"] if o["name"] != "tumour"]
    sizes = [found[s, "post1w"]["effect"]["size_factor"] for s in ("m03", "m01", "m02")]
    assert sizes == sorted(sizes, reverse=True)


def test_animals_differ_a_little(project):
    values = {read_truth(s)["tissues"]["brain"]["T2_ms"] for s in project[1]}
    assert len(values) == 3
    assert max(values) / min(values) < 1.1


def test_post1w_is_seven_days_later(project):
    days = {
        (s.subject, s.timepoint): date.fromisoformat(read_truth(s)["study_date"])
        for s in project[1]
    }
    assert all((days[s, "post1w"] - days[s, "pre"]).days == 7 for s in ("m01", "m02", "m03"))


@pytest.mark.parametrize(
    ("names", "days"),
    [
        (("pre", "post1w", "post2w"), (0, 7, 14)),
        (("pre", "post3d", "post1m"), (0, 3, 28)),
        (("first", "second"), (0, 7)),
    ],
)
def test_days_of_timepoints(names, days):
    assert timepoint_days(names) == days


def test_effect_grows_over_three_timepoints(tmp_path):
    options = MouseOptions(
        **SMALL, groups=("treated",), doses=(), timepoints=("pre", "post1w", "post2w")
    )
    studies = write_mice(tmp_path / "a", options)
    assert [s.dose for s in studies] == ["", "", ""]
    t2 = [read_truth(s)["tissues"]["tumour"]["T2_ms"] for s in studies]
    assert t2[1] / t2[0] == pytest.approx(1.08)
    assert t2[2] / t2[0] == pytest.approx(1.16)


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_mice(tmp_path / name, MouseOptions(**SMALL, seed=seed, groups=("untreated",)))
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b
    assert digest(tmp_path / "a_truth") == digest(tmp_path / "b_truth")
    assert set(a.values()).isdisjoint({v for k, v in c.items() if k.endswith("2dseq") and v})


def test_different_content_never_shares_a_uid(tmp_path):
    uids = []
    for i, wish in enumerate(({}, {"noise": 0.02}, {"matrix": 48}, {"seed": 2})):
        options = MouseOptions(**SMALL | wish, groups=("untreated",))
        uids += [read_truth(s)["study_uid"] for s in write_mice(tmp_path / str(i), options)]
    assert len(set(uids)) == len(uids) == 8


def test_full_size_study_stays_in_its_budget(tmp_path):
    options = MouseOptions(animals=1, groups=("untreated",), timepoints=("pre",))
    study = write_mice(tmp_path / "full", options)[0]
    everything = sum(p.stat().st_size for p in (tmp_path / "full").rglob("*") if p.is_file())
    assert everything * 18 < 300e6
    assert {p.name for p in study.path.iterdir()} == {*"123456789", "subject"}


@pytest.mark.parametrize("mib", [2, 12])
def test_a_size_in_mib_is_one_study_of_that_size(tmp_path, mib):
    studies = write_mice(tmp_path / "big", MouseOptions(size=str(mib)))
    assert len(studies) == 1
    assert pixel_bytes(tmp_path / "big") / 2**20 == pytest.approx(mib, rel=0.25)
    scans = read_truth(studies[0])["scans"]
    assert all(s["repetitions"] > 1 for s in scans if s["key"] in ("t2map", "dwi", "cest"))
    for scan in scans:
        folder = studies[0].path / str(scan["expno"]) / "pdata" / "1"
        text = (folder / "visu_pars").read_text(encoding="utf-8")
        assert f"##$VisuCoreFrameCount={scan['frames']}\n" in text


def test_a_full_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="already holds files"):
        write_mice(tmp_path / "out", MouseOptions(**SMALL))
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_an_empty_folder_is_used_and_an_old_truth_is_not(tmp_path):
    (tmp_path / "out").mkdir()
    write_mice(tmp_path / "out", MouseOptions(**SMALL, groups=("untreated",), timepoints=("pre",)))
    with pytest.raises(OutputError, match="out_truth"):
        write_mice(tmp_path / "other", MouseOptions(**SMALL, truth=tmp_path / "out_truth"))


def test_truth_inside_the_data_is_refused(tmp_path):
    with pytest.raises(WrongCallError, match="inside the data"):
        write_mice(tmp_path / "out", MouseOptions(**SMALL, truth=tmp_path / "out" / "truth"))


def test_nothing_is_left_when_writing_breaks_off(tmp_path):
    def stop(done, _total, _subject):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mice(tmp_path / "out", MouseOptions(**SMALL), stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wish",
    [
        {"paravision": "6"},
        {"animals": 0},
        {"noise": -0.1},
        {"noise": float("nan")},
        {"matrix": 100},
        {"matrix": 1024},
        {"size": "LARGE"},
        {"size": "0"},
        {"groups": ()},
        {"groups": ("a", "A")},
        {"timepoints": ("pre", "../up")},
        {"doses": ("dose 1",)},
        {"seed": -1},
    ],
)
def test_wishes_that_cannot_be_granted(wish):
    with pytest.raises(WrongCallError) as caught:
        MouseOptions(**wish)
    assert caught.value.hint.endswith(".")


def test_command_writes_and_reports(tmp_path):
    out = tmp_path / "out"
    arguments = ["mouse", str(out), "--size", "small", "--animals", "1", "--groups", "untreated"]
    result = CliRunner().invoke(main, [*arguments, "--truth", str(tmp_path / "t"), "--json"])
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert [(r["subject"], r["dose"], r["timepoint"]) for r in rows] == [
        ("m01", "", "pre"), ("m01", "", "post1w"),
    ]  # fmt: skip
    assert all(Path(row["path"], "subject").is_file() for row in rows)
    assert (tmp_path / "t" / "mice.json").is_file()


def test_command_refuses_in_words_with_exit_code_2(tmp_path):
    (tmp_path / "file").write_text("x")
    for arguments in ([str(tmp_path)], [str(tmp_path / "new"), "--matrix", "33"]):
        result = CliRunner().invoke(main, ["mouse", *arguments])
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.rstrip().endswith(".")


def test_version_and_quick_start():
    code = (
        "import sys; from sandbox.cli import main; main(['--version'], standalone_mode=False);"
        "print(sorted({'numpy', 'nibabel', 'rich', 'pydicom'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("xnat-pic-sandbox ")
    assert run.stdout.endswith("[]\n")
