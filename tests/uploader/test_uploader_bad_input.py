"""Everything that may be wrong with a folder, at once, from scan to verify through the commands.

What can be sent is on the server, once; what cannot is in a row that says why.
"""

import json
import shutil
import warnings

import pytest
from click.testing import CliRunner
from disk import expected_files
from small_dicom import dataset, write, write_series

from uploader.cli import main
from uploader.planning.plan_files import read_plan

LONG = "Mäuschen & 'Co' #1 50% " + "x" * 177  # 200 characters


@pytest.fixture
def run(xnat, tmp_path):
    env = {
        "XNAT_PIC_SERVER": xnat.url,
        "XNAT_PIC_USER": "admin",
        "XNAT_PIC_PASSWORD": "admin",
        "XNAT_PIC_HOME": str(tmp_path / "home"),
    }

    def invoke(*arguments, code=0):
        done = CliRunner().invoke(main, [str(one) for one in arguments], env=env)
        assert done.exit_code == code, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done

    return invoke


def _good(base):
    """Write what can be sent, however odd; return the folders."""
    # Two studies in one folder.
    for k in (1, 2, 3):
        write(base / "two" / f"a{k}.dcm", study="11", instance=k, PatientID="two")
        later = {"PatientID": "two", "StudyTime": "170000"}
        write(base / "two" / f"b{k}.dcm", study="12", instance=k, **later)
    # One study in two folders, and copies of its files.
    write_series(base / "split" / "part1", study="13", series="1", PatientID="split")
    write_series(base / "split" / "part2", study="13", series="2", PatientID="split")
    shutil.copytree(base / "split" / "part1", base / "split" / "copy")
    # Without number, with the same number, of a class nobody knows.
    no_number = {"study": "14", "PatientID": "odd"}
    write_series(base / "odd" / "1", series="1", SeriesNumber=None, **no_number)
    write_series(base / "odd" / "2", series="2", SeriesNumber=7, **no_number)
    write_series(base / "odd" / "3", series="3", SeriesNumber=7, **no_number)
    unknown = {"sop": "1.2.826.0.1.3680043.2.1125.1", "Modality": "MR"}
    write_series(base / "odd" / "4", series="4", **unknown, **no_number)
    # Odd and long names.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # longer than the standard allows
        write_series(
            base / LONG / "s 1", study="15", PatientID=LONG, SpecificCharacterSet="ISO_IR 192"
        )
    (base / "nothing" / "here").mkdir(parents=True)


def _bad(base):
    """Write what cannot be sent; return the reason of each subject."""
    reasons = {"cut": "cut off", "differ": "other content", "unread": "not readable"}
    write_series(base / "cut" / "1", study="21", PatientID="cut")
    cut = base / "cut" / "1" / "0002.dcm"
    cut.write_bytes(cut.read_bytes()[:-20])
    write_series(base / "differ" / "1", study="22", PatientID="differ")
    other = dataset(study="22", instance=2, PatientID="differ")
    other.PixelData = b"\x09" * 128
    (base / "differ" / "2").mkdir()
    other.save_as(base / "differ" / "2" / "x.dcm", enforce_file_format=True)
    write_series(base / "unread" / "1", study="23", PatientID="unread")
    try:
        (base / "unread" / "1" / "0009.dcm").symlink_to(base / "nowhere")
    except OSError:
        del reasons["unread"]
    # Names that XNAT takes for one.
    for k, name in enumerate(("m 1", "m.1")):
        write_series(base / name / "1", study=f"3{k}", PatientID=name)
    reasons["m_1"] = "one subject in XNAT"
    return reasons


def test_folder_with_everything_wrong(xnat, run, tmp_path):
    good, bad = tmp_path / "data" / "good", tmp_path / "data" / "bad"
    _good(good)
    reasons = _bad(bad)
    plan = tmp_path / "plan.csv"
    scanned = run("scan", tmp_path / "data", "--project", "P1", "-o", plan, code=8)
    assert "2 folders are empty: good/nothing" in scanned.stderr
    checked = json.loads(run("check", plan, "--json", code=8).stdout)
    verdicts = {row["session"]: row["verdict"] for row in checked}
    assert set(verdicts.values()) == {"new", "bad"}
    uploaded = json.loads(run("upload", plan, "--json", code=8).stdout)
    for row in uploaded["rows"]:
        assert (row["outcome"] == "done") == (verdicts[row["session"]] == "new"), row
        assert bool(row["reason"]) == (row["outcome"] == "failed"), row
    failed = {row["session"]: row["reason"] for row in uploaded["rows"] if row["reason"]}
    for subject, reason in reasons.items():
        assert any(
            name.startswith(f"{subject}_") and reason in said for name, said in failed.items()
        ), (subject, failed)
    # Every object of the good part is there once, under the name of its UID.
    assert xnat.files() == sorted(set(expected_files(good)))
    assert xnat.waiting() == []
    assert xnat.served.rows("/data/projects/P1/subjects") != []
    verified = json.loads(run("verify", plan, "--json", code=8).stdout)
    for row in verified["rows"]:
        wanted = "pixels equal" if verdicts[row["session"]] == "new" else "not verified"
        assert row["proof"] == wanted, row
    (long,) = [row for row in read_plan(plan).rows if row.subject.startswith("M_uschen")]
    assert len(long.session) <= 64

    # The person leaves the bad rows out: the rest is complete.
    _leave_out(plan, {name for name, verdict in verdicts.items() if verdict == "bad"})
    done = json.loads(run("upload", plan, "--json").stdout)
    assert {row["outcome"] for row in done["rows"]} == {"nothing to do", "left out"}
    run("verify", plan)


def _leave_out(path, sessions):
    from dataclasses import replace

    from uploader.planning.plan_files import write_plan

    plan = read_plan(path)
    rows = [replace(row, include=row.session not in sessions) for row in plan.rows]
    write_plan(replace(plan, rows=tuple(rows)), path)


def test_labels_that_are_one_after_xnats_cleaning_never_merge(xnat, run, tmp_path):
    """A person types labels that differ only in what XNAT replaces, or in capitals."""
    from dataclasses import replace

    from uploader.planning.plan_files import write_plan

    for k, name in enumerate(("a", "b", "c")):
        write_series(tmp_path / "data" / name, study=f"4{k}", PatientID=name)
    path = tmp_path / "plan.csv"
    run("scan", tmp_path / "data", "--project", "P1", "-o", path)
    plan = read_plan(path)
    labels = ("T_1", "T 1", "t_1")
    rows = [replace(row, session=label) for row, label in zip(plan.rows, labels, strict=True)]
    write_plan(replace(plan, rows=tuple(rows)), path)
    checked = json.loads(run("check", path, "--json", code=8).stdout)
    assert {row["verdict"] for row in checked} == {"bad"}
    run("upload", path, code=8)
    assert xnat.files() == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no plan",
        b"\xff\xfe\x00\x00",
        b"include,project\n" * 3,
        b'"' * 10_000,
        b"# plan,1\n# root,/no/such/folder\nkey,project,subject,session\n1.2/MR,P1,m01,m01_MR\n",
        b"# plan,1\n# root,.\nkey,project,subject,session\n",
    ],
)
def test_plans_that_are_none_end_with_a_sentence(xnat, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    path = tmp_path / "plan.csv"
    path.write_bytes(content)
    for command in ("check", "upload", "verify", "report", "set-variables"):
        env = {"XNAT_PIC_SERVER": xnat.url, "XNAT_PIC_USER": "admin", "XNAT_PIC_PASSWORD": "admin"}
        done = CliRunner().invoke(main, [command, str(path)], env=env, input="")
        assert done.exit_code in (0, 2, 3, 8), (command, done.output)
        assert isinstance(done.exception, SystemExit | None), (command, done.output)
        assert "Traceback" not in done.output
