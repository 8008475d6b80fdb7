"""Whom a run tells what, exactly once: done, failed, and done in part."""

import re
import sys
from importlib import resources
from pathlib import Path

import pytest
from cohort import PROJECT, break_session

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "engine"))

from engine_bench import Bench as EngineBench

BROKEN, WHOLE = "m02_post1w_MR", "m01_pre_MR"
_SUBJECT = re.compile(r"(?m)^\S+ (?:failed on \S+|on \S+: done(?:, with a warning)?)$")


def _mails(fields):
    """Return the subjects of the mails that were handed over with a run."""
    return _SUBJECT.findall(fields.get("comments", ""))


@pytest.mark.slow
def test_each_run_of_the_engine_is_told_once(serve, small):
    bench = serve(small)
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    engine = EngineBench(bench.served, bench.sessions[WHOLE], catalog)
    engine.use(catalog)

    def run(name, session, **parameters):
        engine.session = bench.sessions[session]
        ended = engine.end(engine.launch(name, **parameters))
        engine.page(ended.number, "failed on" if ended.status == "Failed" else "Complete")
        return ended, engine.state(ended.number)

    ended, fields = run("process_T2_project", WHOLE, workers="2")
    assert ended.status == "Complete", ended.err
    assert _mails(fields) == [f"process_T2_project on {WHOLE}: done"], "one for all sessions"
    assert "8 of 8 sessions done" in fields["comments"]
    assert "details" not in fields

    ended, fields = run("process_T2", WHOLE)
    assert ended.status == "Complete", ended.err
    assert _mails(fields) == [f"process_T2 on {WHOLE}: done"]
    assert "1 result made, 0 there already: scan 30001, PROCESSED_T2." in fields["comments"]
    assert not fields.get("details")

    break_session(bench, BROKEN)
    ended, fields = run("process_T2", BROKEN)
    assert ended.status == "Failed"
    assert _mails(fields) == [f"process_T2 failed on {BROKEN}"]
    reason = fields["details"]
    assert reason.startswith("Scan 30001: ")
    assert reason[:80] in fields["comments"], "the engine's mail ends with it"
    assert reason[:80] in ended.err.strip().splitlines()[-1]
    assert fields["step_description"].endswith(".err for errors")

    ended, fields = run("process_T2_project", WHOLE, workers="2")
    assert ended.status == "Failed", "a session broke"
    assert _mails(fields) == [f"process_T2_project failed on {WHOLE}"]
    assert "7 of 8 sessions done" in fields["details"]
    assert BROKEN in fields["comments"]
    names = bench.files(f"/data/projects/{PROJECT}")
    assert sum(name.endswith("/summary.html") for name in names) == 1, "after all else was uploaded"
