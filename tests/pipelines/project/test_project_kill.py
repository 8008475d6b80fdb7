"""Runs that are cut off: the next one completes, and nothing is there twice."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from archive_server import Served
from cohort import PROJECT, bench_of, maps_agree_with_the_truth
from process import process

from pipelines.project import run_project
from pipelines.project.lock import LockTimes
from sandbox.archive.archive import PASSWORD_VARIABLE

LOCK_TIMES = LockTimes(0.3, 2.0)
PIPELINE = "process_T2_project"
PROGRAM = """
import json, sys
from pathlib import Path
from pipelines.project import run_project
from pipelines.project.lock import LockTimes
from pipelines.xnat.client import Access
if __name__ == "__main__":
    server, alias, secret = json.loads(sys.stdin.readline())
    run_project(Access(server, alias, secret), "process_T2_project", "P1", {}, Path(sys.argv[1]),
                workers=1, lock_times=LockTimes(0.3, 2.0),
                report=lambda line: print(line, flush=True))
"""


@pytest.fixture
def bench(serve, small):
    return serve(small)


def _whole(bench):
    """Every session has one whole result, and nothing else is there."""
    found = bench.results()
    contents = [n for names in found.values() for n in names if n.endswith("/maps.json")]
    assert len(contents) == len(bench.sessions) == 8, contents
    assert not any(n.endswith(".part") for names in found.values() for n in names)
    return found


def _children(pid):
    """Return the processes below one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")
def test_after_a_kill_of_the_run_the_next_one_completes(bench, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "killed")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        access = bench.access
        child.stdin.write(json.dumps([access.server, access.alias, access.secret]) + "\n")
        child.stdin.flush()
        for line in child.stdout:
            if line.startswith("2 of 8"):
                break
        below = _children(child.pid)
        os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{one}/fd").is_dir() and _alive(one) for one in below):
        assert time.monotonic() < deadline, "processes of a killed run live on"
        time.sleep(0.1)
    outcome = run_project(
        bench.access, PIPELINE, PROJECT, {}, tmp_path / "next", workers=1, lock_times=LOCK_TIMES
    )
    assert (outcome.exit_code, outcome.done) == (0, 8), outcome
    assert 2 <= outcome.skipped < 8
    _whole(bench)


def _alive(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")
def test_a_killed_worker_is_replaced_in_the_same_run(bench, tmp_path):
    killed = []
    before = set(_children(os.getpid()))

    def kill(done, total, last):
        if killed:
            return
        for one in set(_children(os.getpid())) - before:
            if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes():
                os.kill(one, signal.SIGKILL)
                killed.append(one)

    outcome = run_project(
        bench.access,
        PIPELINE,
        PROJECT,
        {},
        tmp_path / "w",
        workers=1,
        lock_times=LOCK_TIMES,
        progress=kill,
    )
    assert killed
    assert (outcome.exit_code, outcome.done, outcome.failed) == (0, 8, {}), outcome
    _whole(bench)


def test_after_a_kill_of_the_server_the_next_run_completes(small, tmp_path, monkeypatch):
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path))
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    shutil.copytree(small.folder, tmp_path / "archive")
    with process(tmp_path / "archive") as server:
        bench = bench_of(Served(None, server.url), small)

        def fall(done, total, last):
            if done == 2:
                server.kill()  # the next session is on its way to it

        cut = run_project(
            bench.access, PIPELINE, PROJECT, {}, tmp_path / "cut", workers=1, lock_times=LOCK_TIMES,
            progress=fall,
        )  # fmt: skip
        assert server.process.returncode == -signal.SIGKILL
    assert cut.exit_code in (6, 8), cut
    assert "failed or was cut" in cut.failure, cut.failure
    with process(tmp_path / "archive") as server:
        bench = bench_of(Served(None, server.url), small)
        outcome = run_project(
            bench.access, PIPELINE, PROJECT, {}, tmp_path / "next", workers=1, lock_times=LOCK_TIMES
        )
        assert (outcome.exit_code, outcome.done) == (0, 8), outcome
        assert 2 <= outcome.skipped < 8
        _whole(bench)


def test_other_parameters_are_kept_apart(bench, tmp_path):
    runs = [
        run_project(
            bench.access, PIPELINE, PROJECT, {"model": model}, tmp_path / model, workers=1,
            lock_times=LOCK_TIMES,
        )
        for model in ("2p", "3p")
    ]  # fmt: skip
    assert [one.exit_code for one in runs] == [0, 0], runs
    assert runs[0].folder != runs[1].folder
    contents = [n for names in bench.results().values() for n in names if n.endswith("/maps.json")]
    assert len(contents) == 16
    tables = [bench.summary(one, "summary.csv").decode() for one in runs]
    assert tables[0] != tables[1]
    rows = list(csv.DictReader(io.StringIO(tables[0])))
    maps_agree_with_the_truth(bench.cohort, rows, bench.sessions)
