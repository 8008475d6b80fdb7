"""What a run tells the server about itself: progress, reason, mail, and earlier runs that died."""

import copy
import inspect
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pydicom
import pytest
from drawn import draw, rtstruct, store
from quick_retry import RETRY
from test_xnat_commands import _call

from pipelines.project.outcome import SessionResult, summarise
from pipelines.xnat.outcome import IN_PART, RunResult
from pipelines.xnat.run_record import RunRecord, Started, end_dead_runs
from pipelines.xnat.session_run import run_session
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.errors import RefusedError
from xnat_config.server.login import password_login
from xnat_config.server.mail import MOST_SUBJECT
from xnat_config.server.workflows import (
    WorkflowRow,
    list_workflows,
    sign_of_life,
    update_workflow,
)

PREFIX = "wrk:workflowData/"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _record(bench, pipeline="process_T1w_SR", launched="2026-02-01 10:00:00", **more):
    """Make the record that XNAT makes when a run is started, and return its number."""
    values = {
        "id": bench.mr, "data_type": "xnat:mrSessionData", "externalid": "P1",
        "pipeline_name": f"/pipeline/catalog/xnat_pic/{pipeline}.xml", "launch_time": launched,
        "status": "Running", "src": "sandbox", **more,
    }  # fmt: skip
    answer = bench.served.put("/data/workflows", params={PREFIX + k: v for k, v in values.items()})
    assert answer.status_code == 200, answer.text
    asked = {"experiment": bench.mr, "display": "ALL", "format": "json"}
    rows = bench.served.get(f"/data/services/workflows/{pipeline}", params=asked).json()
    rows = rows["ResultSet"]["Result"]
    return max((str(row["wrk_workflowData_id"]) for row in rows), key=int)


def _fields(bench, number):
    answer = bench.served.get(f"/data/workflows/{number}", params={"format": "json"})
    return answer.json()["items"][0]["data_fields"]


def _step(bench, tmp_path, number, *more, pipeline="process_T1w_SR"):
    alias, secret = bench.token()
    env = {"XNAT_HOST": bench.served.url, "XNAT_USER": alias, "XNAT_PASS": secret}
    words = [
        "step", pipeline, "--project=P1", f"--session={bench.mr}", "--label=mouse 1",
        f"--workdir={tmp_path / 'WORK'}", *more,
    ]  # fmt: skip
    if number:
        words += [f"--workflow={number}", "--mail-to=admin@localhost"]
    return _call(words, env)


def test_a_run_by_the_engine_mails_once_when_it_is_done(bench, tmp_path):
    number = _record(bench)
    done = _step(bench, tmp_path, number, "--scans=40001")
    assert done.returncode == 0, done.stderr
    found = _fields(bench, number)
    mail = found["comments"]
    assert mail.count("process_T1w_SR on mouse 1: done") == 1
    assert "1 result made, 0 there already: scan 40001, PROCESSED_T1_SR." in mail
    assert "details" not in found  # nothing to explain
    assert found["status"] == "Running"  # the engine alone says that it is complete
    assert "mail" not in done.stderr  # and no fault of it


def test_the_subject_of_a_mail_is_one_short_line(bench):
    number, lines = _record(bench), []
    record = RunRecord(bench.access, Started(number, "admin@localhost", True), lines.append)
    label = "ü\r\nBcc: evil@example.org\r\n\r\n" + "x" * 1000
    record.close(f"process_T1w_SR on {label}: done", "Text\nof two lines.", "", failed=False)
    subject, text = _fields(bench, number)["comments"].split("\n", 1)
    assert subject.startswith("process_T1w_SR on ü Bcc: evil@example.org xxx")
    assert len(subject) == MOST_SUBJECT
    assert text == "Text\nof two lines."
    assert lines == []


def test_a_run_that_fails_leaves_the_mail_to_the_engine_and_the_reason_on_its_page(bench, tmp_path):
    number = _record(bench, "process_T2")
    done = _step(bench, tmp_path, number, "--scans=40001", pipeline="process_T2")
    assert done.returncode == 3, done.stderr
    found = _fields(bench, number)
    assert "comments" not in found
    assert "no scan that serves process_T2" in found["details"]
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("xnat-pic-pipelines: ")
    assert found["details"][:100] in last  # the engine mails the end of this


def test_a_wrong_parameter_stands_on_the_page_too(bench, tmp_path):
    number = _record(bench)
    done = _step(bench, tmp_path, number, "--model=9p")
    assert done.returncode == 2
    assert "9p" in _fields(bench, number)["details"]


def test_a_run_in_a_container_neither_mails_nor_writes_a_reason(bench, tmp_path):
    number = _record(bench, "process_T2")
    alias, secret = bench.token()
    env = {
        "XNAT_HOST": bench.served.url, "XNAT_USER": alias, "XNAT_PASS": secret,
        "XNAT_WORKFLOW_ID": number,
    }  # fmt: skip
    words = [
        "step", "process_T2", "--project=P1", f"--session={bench.mr}", "--scans=40001",
        f"--workdir={tmp_path / 'WORK'}",
    ]  # fmt: skip
    done = _call(words, env)
    assert done.returncode == 3
    found = _fields(bench, number)
    assert not {"comments", "details"} & set(found)


def test_a_run_that_was_stopped_says_so_on_its_page(bench, tmp_path):
    number = _record(bench)
    bench.fault({"path": f"/data/experiments/{bench.mr}*", "delay_s": 10, "count": 1000})
    alias, secret = bench.token()
    words = [
        "step", "process_T1w_SR", "--project=P1", f"--session={bench.mr}",
        f"--workflow={number}", f"--workdir={tmp_path / 'WORK'}",
    ]  # fmt: skip
    env = os.environ | {"XNAT_HOST": bench.served.url, "XNAT_USER": alias, "XNAT_PASS": secret}
    program = [sys.executable, "-c", "from pipelines.cli import main; main()", *words]
    with subprocess.Popen(program, env=env, stderr=subprocess.PIPE, text=True) as run:
        _until(lambda: bench.faults()[0]["hits"])
        run.terminate()
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "stopped; run it again" in said
    found = _fields(bench, number)
    assert found["details"] == "It was stopped; start it again to do the rest."
    assert "comments" not in found


@pytest.mark.parametrize("failed", [False, True])
def test_a_run_in_a_container_that_is_done_does_not_stay_at_its_last_scan(bench, failed):
    number, lines = _record(bench), []
    quick = {"often_s": 0.05, "sign_s": 0.2}
    record = RunRecord(bench.access, Started(number), lines.append, **quick)
    with record:
        record.progress(0.25, "scan 5")
        _until(lambda: "scan 5" in _fields(bench, number).get("step_description", ""))
    record.close("done", "text", "why", failed=failed)
    found = _fields(bench, number)
    assert found["step_description"].startswith("scan 5" if failed else "Done")
    assert str(found["percentageComplete"]) == ("25" if failed else "100")
    assert not {"comments", "details"} & set(found)
    assert lines == []


def test_a_mail_that_the_server_does_not_take_is_no_fault_of_the_run(bench, tmp_path):
    number = _record(bench)
    bench.fault({"method": "POST", "path": "/data/services/mail/send", "status": 403})
    done = _step(bench, tmp_path, number, "--scans=40001")
    assert done.returncode == 0, done.stderr
    assert "The server took no mail of how the run ended." in done.stderr


def test_progress_rises_to_its_end_and_names_the_scan(bench, tmp_path):
    told = []
    outcome = run_session(
        bench.access, "process_T1w_SR", bench.mr, {}, tmp_path / "w",
        progress=lambda share, doing: told.append((share, doing)),
    )  # fmt: skip
    assert outcome.exit_code == 0
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert 0.85 < shares[-1] < 1
    assert told[-1][1].startswith("scan ")
    assert told[-1][1].endswith(": sending results")


@pytest.fixture
def half_drawn(mapped, mouse_dicom, tmp_path):
    """A collection of two ROIs, one of them without contours."""
    drawn = draw(next(one for one in mouse_dicom.rglob("40001_*") if one.is_dir()))
    dataset = pydicom.dcmread(BytesIO(rtstruct(drawn, tmp_path)))
    empty = copy.deepcopy(dataset.ROIContourSequence[0])
    named = copy.deepcopy(dataset.StructureSetROISequence[0])
    del empty.ContourSequence
    named.ROIName = "nowhere"
    empty.ReferencedROINumber = named.ROINumber = 2
    dataset.ROIContourSequence.append(empty)
    dataset.StructureSetROISequence.append(named)
    body = BytesIO()
    dataset.save_as(body, enforce_file_format=True)
    return body.getvalue()


def test_regions_left_out_are_a_warning_by_the_engine_and_8_for_a_person(
    bench, half_drawn, tmp_path
):
    store(bench, "RTSTRUCT", half_drawn, "half")
    number = _record(bench, "Mask_Average")
    done = _step(bench, tmp_path, number, pipeline="Mask_Average")
    assert done.returncode == 0, done.stderr
    assert "done, with a warning. Some ROIs, or parts of them, could not be measured" in done.stderr
    found = _fields(bench, number)
    assert found["comments"].count("Mask_Average on mouse 1: done, with a warning") == 1
    assert "nowhere" in found["comments"]
    assert "Some ROIs, or parts of them, could not be measured" in found["details"]
    outcome = run_session(bench.access, "Mask_Average", bench.mr, {"redo": "true"}, tmp_path / "w")
    assert (outcome.exit_code, outcome.broken, outcome.is_warning) == (IN_PART, False, True)
    log = bench.files(f"/data/experiments/{bench.mr}")
    assert any(name.startswith("XNAT_PIC_SUMMARY/Mask_Average") for name in log)


def test_a_fault_beside_results_is_a_failed_run():
    result = RunResult(results=1, faults=[RefusedError("no")])
    assert result.verdict("")[0] == IN_PART
    whole = SessionResult("E1", "a", "m1", rows=({"map": "T2"},))
    partly = SessionResult("E2", "b", "m2", IN_PART, "Some ROIs.", rows=({"map": "T2"},))
    broken = SessionResult("E3", "c", "m3", IN_PART, "No.", rows=({"map": "T2"},), broken=True)
    lost = SessionResult("E4", "d", "m4", 6, "No.", broken=True)
    bare = SessionResult("E5", "e", "m5", 3, "Nothing.")
    for results, code, warning in (
        ([whole], 0, False),
        ([whole, bare], 0, False),
        ([whole, partly], IN_PART, True),
        ([whole, partly, bare], IN_PART, True),
        ([whole, broken], IN_PART, False),
        ([whole, lost], IN_PART, False),
        ([partly, lost], IN_PART, False),
        ([bare], 3, False),
    ):
        outcome = summarise("process_T2_project", "P1", results)
        assert (outcome.exit_code, outcome.is_warning) == (code, warning), results


def _until(holds, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_server_is_told_how_far_a_run_is_while_it_works(bench):
    number, lines = _record(bench), []
    quick = {"often_s": 0.05, "sign_s": 0.2, "now": lambda: NOW}
    with RunRecord(bench.access, Started(number), lines.append, **quick) as record:
        record.progress(0.25, "scan 5: fitting é")
        _until(lambda: "fitting" in _fields(bench, number).get("step_description", ""))
        found = _fields(bench, number)
        assert found["step_description"] == "scan 5: fitting é (2026-03-01 12:00:00 UTC)"
        assert str(found["percentageComplete"]) == "25"
        # Also without news, once in a while.
        update = {PREFIX + "step_description": "gone"}
        assert bench.served.put(f"/data/workflows/{number}", params=update).status_code == 200
        _until(lambda: "fitting" in _fields(bench, number).get("step_description", ""))
    assert lines == []
    assert not [one for one in threading.enumerate() if "keep_telling" in one.name]


def test_a_server_that_takes_no_progress_is_left_alone(bench):
    number, lines = _record(bench), []
    rule = {"method": "PUT", "path": f"/data/workflows/{number}", "status": 403, "count": 1000}
    bench.fault(rule)
    quick = {"often_s": 0.01, "sign_s": 0.02}
    with RunRecord(bench.access, Started(number), lines.append, **quick) as record:
        record.progress(0.5, "working")
        _until(lambda: lines)
        time.sleep(0.3)
    assert len(lines) == 1
    assert "takes no progress" in lines[0]


def test_a_server_that_refused_once_is_told_on_as_silence_means_death(bench):
    number, lines = _record(bench), []
    ticks = iter(range(1_000_000))
    quick = {
        "often_s": 0.05, "sign_s": 0.1, "now": lambda: NOW + timedelta(seconds=next(ticks)),
    }  # fmt: skip

    def sign():
        about = _fields(bench, number).get("step_description", "")
        return WorkflowRow(number, "", "", "", "Running", about, "").last_sign or NOW

    with RunRecord(bench.access, Started(number), lines.append, **quick):
        _until(lambda: sign() > NOW)
        bench.fault({"method": "PUT", "path": f"/data/workflows/{number}", "status": 404})
        _until(lambda: lines)
        refused = sign()
        _until(lambda: sign() > refused)
    assert len(lines) == 1
    assert "takes no progress" in lines[0]


def test_neither_the_beginning_nor_the_end_of_a_run_hangs_on_a_server_that_does(bench, monkeypatch):
    monkeypatch.setattr("pipelines.xnat.run_record._READ_TIMEOUT_S", 0.5)
    number, lines = _record(bench), []
    bench.fault({"path": "/data/services/workflows/process_T2", "delay_s": 3, "count": 1000})
    end_dead_runs(bench.access, "process_T2", bench.mr, "1", lines.append)
    bench.fault({"method": "PUT", "path": f"/data/workflows/{number}", "delay_s": 3, "count": 1000})
    started = Started(number, "admin@localhost", by_engine=True)
    RunRecord(bench.access, started, lines.append).close("done", "text", "why", failed=False)
    assert ["did not answer in time" in one for one in lines] == [True, True]
    assert "done" in _fields(bench, number)["comments"]  # the mail went all the same


@pytest.mark.parametrize(("after_s", "dead"), [(900, False), (901, True)])
def test_a_run_is_dead_after_its_silence_and_no_sooner(after_s, dead):
    about = sign_of_life("scan 5", NOW - timedelta(seconds=after_s))
    row = WorkflowRow("1", "E", "process_T2", "2026-03-01", "Running", about, "10")
    assert row.is_dead(NOW) is dead
    ended = WorkflowRow("1", "E", "process_T2", "2026-03-01", "Complete", about, "10")
    assert not ended.is_dead(NOW)
    mute = WorkflowRow("1", "E", "process_T2", "2026-03-01", "Running", "step 2", "10")
    assert not mute.is_dead(NOW)  # it never said it would give signs


def test_a_run_gives_a_sign_each_minute_and_no_more_than_one_in_five_seconds():
    """Fifteen signs have to fail before it counts as dead."""
    given = inspect.signature(RunRecord).parameters
    assert (given["often_s"].default, given["sign_s"].default) == (5, 60)


def test_the_longest_text_still_carries_its_sign():
    about = sign_of_life("ü" * 1000, NOW)
    assert len(about) == 255
    assert WorkflowRow("1", "", "", "", "Running", about, "").last_sign == NOW


def test_the_next_run_closes_the_one_whose_engine_died_and_no_other(bench, tmp_path):
    now = datetime.now(UTC)
    old = sign_of_life("scan 5", now - timedelta(minutes=16))
    new = sign_of_life("scan 6", now - timedelta(seconds=5))
    dead = _record(bench, launched="2026-02-01 10:00:00", step_description=old)
    lives = _record(bench, launched="2026-02-01 11:00:00", step_description=new)
    other = _record(bench, "process_T1w_SR_project", step_description=old)
    own = _record(bench, launched="2026-02-01 12:00:00", step_description=old)
    done = _step(bench, tmp_path, own, "--scans=40001")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ended without saying so") == 1
    assert _fields(bench, dead)["status"] == "Failed"
    assert "no sign of life since" in _fields(bench, dead)["details"]
    assert [_fields(bench, one)["status"] for one in (lives, other, own)] == ["Running"] * 3


def test_runs_that_cannot_be_listed_are_no_fault(bench):
    lines = []
    bench.fault({"path": "/data/services/workflows/process_T2", "status": 500, "count": 1000})
    end_dead_runs(bench.access, "process_T2", bench.mr, "1", lines.append)
    assert len(lines) == 1
    assert "could not be looked at" in lines[0]


def test_values_that_are_not_named_stay_and_long_ones_are_cut(bench):
    number = _record(bench, step_description="as it was")
    login = password_login("admin", bench.served.password)
    with XnatClient(Connection(bench.served.url), login, retry=RETRY) as client:
        update_workflow(client, number, details="é" * 300)
        (row,) = list_workflows(client, "xnat_pic/", bench.mr)
        with pytest.raises(RefusedError):
            update_workflow(client, "999999", details="x")
    assert (row.status, row.about, row.pipeline) == ("Running", "as it was", "process_T1w_SR")
    assert _fields(bench, number)["details"] == "é" * 255
