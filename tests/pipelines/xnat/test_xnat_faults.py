"""What a run does when the server, the line, the login or the run itself fails."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from filled import add_user
from quick_retry import RETRY

from pipelines.xnat.client import Access, RunClient
from pipelines.xnat.session_run import run_session

STEP = "from pipelines.cli import main; main()"
PIPELINE = "process_T1w_SR"
SCAN = "40001"


def _run(bench, tmp_path, **parameters):
    return run_session(bench.access, PIPELINE, bench.mr, parameters, tmp_path / "work")


def _names(bench):
    """Return the names of all results of a session: of the scan, and the summary."""
    session = bench.files(f"/data/experiments/{bench.mr}")
    return set(bench.scan(SCAN)) | {one for one in session if one.startswith("XNAT_PIC_")}


def _is_whole(bench):
    """Tell whether every file of the one result is what its provenance lists."""
    stored = bench.scan(SCAN)
    (head,) = {one.rpartition("/")[0] for one in stored if one.endswith("/maps.json")}
    resource, _, folder = head.partition("/")
    address = f"/data/experiments/{bench.mr}/scans/{SCAN}/resources/{resource}/files/{folder}"
    listed = json.loads(bench.served.get(f"{address}/provenance.json").content)["step"]["files"]
    there = {name.removeprefix(f"{head}/"): list(one) for name, one in stored.items()}
    rest = {"provenance.json"}
    return set(there) == {*listed, *rest} and all(there[name] == listed[name] for name in listed)


@contextmanager
def _step(bench, tmp_path, *words):
    """Start the step program as an engine would, and end it by force if it still runs."""
    alias, secret = bench.token()
    fixed = ["step", PIPELINE, f"--host={bench.served.url}/", "--project=P1"]
    env = {**os.environ, "XNAT_USER": alias, "XNAT_PASS": secret}
    process = subprocess.Popen(
        [sys.executable, "-c", STEP, *fixed, f"--session={bench.mr}",
         f"--workdir={tmp_path / 'WORK'}", *words],
        env=env, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _reached(bench, process):
    """Wait until the first rule of the faults has met its request."""
    limit = time.monotonic() + 120
    while not bench.faults()[0]["hits"]:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit, "the request never came"
        time.sleep(0.02)


HOLD = {"delay_s": 1.5, "count": 1}


@pytest.mark.parametrize(
    ("rule", "again"),
    [
        ({"method": "GET", "path": f"*/scans/{SCAN}/resources/*/files*", "skip": 2}, False),
        ({"method": "PUT", "path": "*/result.zip"}, False),
        ({"method": "PUT", "path": "*/maps.json"}, False),
        ({"method": "DELETE", "path": "*/maps.json"}, True),
    ],
    ids=["headers", "send", "contents", "replace"],
)
def test_killed_anywhere_and_run_again_nothing_is_missing_or_doubled(bench, tmp_path, rule, again):
    """Where `again`, a result of the same parameters is there already and is being replaced."""
    if again:
        assert _run(bench, tmp_path).exit_code == 0
    bench.fault({**rule, **HOLD})
    with _step(bench, tmp_path, f"--redo={str(again).lower()}") as process:
        _reached(bench, process)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    bench.no_faults()
    outcome = run_session(bench.access, PIPELINE, bench.mr, {}, tmp_path / "WORK")
    assert outcome.exit_code == 0, outcome
    names = _names(bench)
    assert sum(one.endswith("/maps.json") for one in names) == 1
    assert sum(one.endswith("/sub-m01_T1map.nii.gz") for one in names) == 1
    assert sum(one.endswith("/summary.json") for one in names) == 1
    if not _is_whole(bench):
        # The server put in place what it had received of the killed run after the second had
        # sent its own: the next run sees that it is not what its provenance says.
        assert run_session(bench.access, PIPELINE, bench.mr, {}, tmp_path / "WORK").exit_code == 0
    assert _is_whole(bench)
    assert not (tmp_path / "WORK").exists(), "what the killed run left is gone too"


def test_told_to_end_it_says_so_and_what_is_there_stays(bench, tmp_path):
    bench.fault({"method": "PUT", "path": "*/result.zip", **HOLD})
    with _step(bench, tmp_path) as process:
        _reached(bench, process)
        process.terminate()
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "stopped" in said
        assert "Traceback" not in said
    assert not any(one.endswith("/maps.json") for one in bench.scan(SCAN))


@pytest.mark.parametrize(
    "rules",
    [
        [{"path": "*", "status": 500, "count": 2}, {"path": "*", "skip": 3, "status": 503}],
        [{"method": "PUT", "path": "*/result.zip", "status": 502, "count": 2}],
        [{"method": "PUT", "path": "*/result.zip", "lose_answer": True}],
        [{"method": "PUT", "path": "*/result.zip", "cut_request_after": 5000}],
        [{"method": "PUT", "path": "*/maps.json", "lose_answer": True}],
        [{"method": "GET", "path": "*/scans", "cut_answer_after": 20}],
        [{"method": "GET", "path": "*/DICOM/files*", "cut_answer_after": 300, "count": 3}],
        [{"path": "*", "drop_login": True, "skip": n, "count": 1} for n in (4, 12)],
        [{"method": "PUT", "path": "*", "drop_login": True, "count": 3}],
        [{"method": "PUT", "path": "*/XNAT_PIC_SUMMARY*", "status": 403, "count": 0}],
    ],
    ids=[
        "500 at login", "502 to results", "lost answer", "cut request", "contents unanswered",
        "cut listing", "cut images", "login lost", "login lost at sending", "no summary",
    ],
)  # fmt: skip
def test_what_passes_is_outlasted(bench, tmp_path, monkeypatch, rules):
    monkeypatch.setattr("pipelines.xnat.files._is_same", lambda path, file: False)
    bench.fault(*rules)
    outcome = _run(bench, tmp_path)
    assert all(one["hits"] for one in bench.faults()), "the fault was met"
    assert (outcome.exit_code, outcome.failure) == (0, ""), outcome
    bench.no_faults()
    assert _is_whole(bench)
    assert _run(bench, tmp_path).skipped


@pytest.mark.parametrize(
    ("rule", "code", "words"),
    [
        ({"path": "/data/JSESSION", "status": 401}, 5, "The stored login is no longer valid."),
        ({"method": "PUT", "path": "*PROCESSED*", "status": 403}, 6, "lacks the right"),
        ({"method": "PUT", "path": "*/result.zip", "status": 500}, 6, "500"),
        ({"method": "GET", "path": "*/scans", "status": 302}, 6, "another address"),
    ],
)
def test_what_stays_is_said_in_one_sentence(bench, tmp_path, rule, code, words):
    bench.fault({**rule, "count": 0})
    outcome = _run(bench, tmp_path)
    assert outcome.exit_code == code, outcome
    assert words in outcome.failure
    assert not any(one.endswith("/maps.json") for one in bench.scan(SCAN))
    assert (tmp_path / "work" / "LOGS" / "log.txt").exists()
    bench.no_faults()
    assert _run(bench, tmp_path).exit_code == 0
    assert _is_whole(bench)


def test_no_server_is_said_so(tmp_path):
    access = Access("http://127.0.0.1:9", "ann", "word-of-ann", retry=RETRY)
    outcome = run_session(access, PIPELINE, "E1", {}, tmp_path / "work")
    assert (outcome.exit_code, outcome.failure) == (
        6,
        "The connection to 127.0.0.1:9 failed or was cut. Check address and network, then try "
        "again: what is done stays.",
    )  # fmt: skip


def _expire(bench, alias):
    with bench.served.archive.database.write() as connection:
        connection.execute("UPDATE alias_token SET expires = 1 WHERE alias = ?", (alias,))


def _drop_sessions(bench):
    with bench.served.archive.database.write() as connection:
        connection.execute("DELETE FROM web_session")


def test_a_run_that_outlives_its_token_goes_on_with_another(bench, tmp_path):
    """The token ends in mid-run, and so does the session: a token of its own logs it in again."""
    access = replace(bench.access, keep_alive_s=0.05)
    bench.fault({"method": "PUT", "path": "*/result.zip", "delay_s": 1.0})
    done = {}

    def work():
        done["outcome"] = run_session(access, PIPELINE, bench.mr, {}, tmp_path / "work")

    thread = threading.Thread(target=work)
    thread.start()
    limit = time.monotonic() + 30
    while not bench.faults()[0]["hits"]:
        assert time.monotonic() < limit
        assert thread.is_alive(), done
        time.sleep(0.01)
    _expire(bench, access.alias)
    _drop_sessions(bench)
    thread.join(60)
    assert done["outcome"].exit_code == 0, done
    assert _is_whole(bench)
    # The old token is dead indeed.
    dead = run_session(access, PIPELINE, bench.mr, {}, tmp_path / "work2")
    assert dead.exit_code == 5


def test_a_token_is_renewed_before_it_ends(bench, monkeypatch):
    """A site may give tokens of a short life: half of it is waited, no more."""
    monkeypatch.setattr("sandbox.archive.accounts.TOKEN_LIFE_S", 2.0)
    with RunClient(replace(bench.access, keep_alive_s=0.05)) as client:
        seen = set()
        limit = time.monotonic() + 60
        while len(seen) < 3 and time.monotonic() < limit:
            seen.add(client.access.alias)
            time.sleep(0.02)
        assert len(seen) == 3
        _drop_sessions(bench)
        assert client.send("GET", "/data/projects", params={"format": "json"}).ok


def test_an_idle_session_stays_open(bench, monkeypatch):
    monkeypatch.setattr("sandbox.archive.accounts.SESSION_TIMEOUT_S", 2.0)
    with RunClient(replace(bench.access, keep_alive_s=0.1)) as client:
        _expire(bench, client.access.alias)
        time.sleep(3)
        assert client.send("GET", "/data/projects", params={"format": "json"}).ok


def test_the_session_is_closed_at_the_end(bench, tmp_path):
    def sessions():
        with bench.served.archive.database.read() as connection:
            return connection.execute("SELECT count(*) FROM web_session").fetchone()[0]

    before = sessions()
    assert _run(bench, tmp_path).exit_code == 0
    assert sessions() == before


def test_who_may_only_read_is_told_before_anything_is_computed(bench, tmp_path):
    reader = add_user(bench.served, "reader", "Collaborators")
    token = reader.get("/data/services/tokens/issue").json()
    access = Access(bench.served.url, token["alias"], token["secret"], retry=RETRY)
    lines = []
    outcome = run_session(
        access, "process_T1w_SR", bench.mr, {}, tmp_path / "work", report=lines.append
    )
    assert outcome.exit_code == 6
    assert "may read m01_pre_MR, and not write into the project P1" in outcome.failure
    assert "make them a member" in outcome.failure
    assert not any("files by" in line for line in lines), "nothing was fetched"
