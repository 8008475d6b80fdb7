"""Runs of one pipeline on one session at the same time."""

import json
import threading

from pipelines.xnat.session_run import run_session

PIPELINE, SCAN = "process_T1w_SR", "40001"


def _result(bench):
    """Return the one result of the scan as its provenance lists it, and as it is stored."""
    stored = bench.scan(SCAN)
    (head,) = {one.rpartition("/")[0] for one in stored if one.endswith("/maps.json")}
    resource, _, folder = head.partition("/")
    address = f"/data/experiments/{bench.mr}/scans/{SCAN}/resources/{resource}/files/{folder}"
    listed = json.loads(bench.served.get(f"{address}/provenance.json").content)["step"]["files"]
    there = {name.removeprefix(f"{head}/"): list(one) for name, one in stored.items()}
    return listed, there


def test_runs_on_one_session_at_the_same_time_leave_one_whole_result(bench, tmp_path):
    """Nobody keeps a person and a project from running at once: the last one's result stands."""
    # The two meet while they send: what one has sent, the other finds or replaces.
    bench.fault({"method": "PUT", "path": "*/result.zip", "delay_s": 0.4, "count": 0})
    for turn, redo in enumerate(["", "true", "true"]):
        start = threading.Barrier(2)
        ended = []

        def one(number, turn=turn, redo=redo, start=start, ended=ended):
            start.wait(30)
            work = tmp_path / f"work{turn}-{number}"
            ended.append(run_session(bench.access, PIPELINE, bench.mr, {"redo": redo}, work))

        runs = [threading.Thread(target=one, args=(number,)) for number in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join(120)
        assert [(run.exit_code, run.failure) for run in ended] == [(0, "")] * 2
        listed, there = _result(bench)
        assert set(there) == {*listed, "provenance.json", "maps.json"}
        assert {name: there[name] for name in listed} == listed
    bench.no_faults()
    after = run_session(bench.access, PIPELINE, bench.mr, {}, tmp_path / "after")
    assert after.skipped, "the next run takes it for a whole result"
