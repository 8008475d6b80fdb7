"""Whom a run tells what, exactly once: done, failed, and done in part."""

import json
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


def _use(served, name):
    """Add a command of the catalog and enable it; return the number of its wrapper."""
    text = (resources.files("pipelines.catalog") / "containers" / f"{name}.json").read_text("utf-8")
    answer = served.post("/xapi/commands", json=json.loads(text))
    assert answer.status_code == 201, answer.text
    made = served.get(f"/xapi/commands/{answer.json()}").json()
    wrapper = made["xnat"][0]
    path = f"commands/{answer.json()}/wrappers/{wrapper['name']}/enabled"
    for where in (path, f"projects/{PROJECT}/{path}"):
        assert served.put(f"/xapi/{where}").status_code == 200
    return wrapper["id"]


@pytest.mark.slow
def test_each_run_in_a_container_is_told_once_by_the_service(serve, small):
    bench = serve(small)
    engine = EngineBench(bench.served, bench.sessions[WHOLE], Path())
    wrappers = {name: _use(bench.served, name) for name in ("process_T2", "process_T2_project")}

    def run(name, root, target, **parameters):
        path = f"/xapi/projects/{PROJECT}/wrappers/{wrappers[name]}/root/{root}/launch"
        answer = bench.served.post(path, json={root: target, **parameters}).json()
        assert answer["status"] == "success", answer
        ended = engine.end(answer["workflow-id"])
        said = (ended.folder / "stderr.log").read_text("utf-8")
        return ended, engine.state(ended.number), said

    def mails(fields):
        return re.findall(r"(?m)^(\S+ update: \w+) processing of ", fields.get("comments", ""))

    of_project = f"/archive/projects/{PROJECT}"
    ended, fields, said = run("process_T2_project", "project", of_project, workers="2")
    assert ended.status == "Complete", said
    assert "8 of 8 sessions done" in said
    assert mails(fields) == ["process_T2_project update: Completed"]
    assert not _mails(fields), "the step mails nothing here"

    break_session(bench, BROKEN)
    session = f"/archive/experiments/{bench.sessions[BROKEN]}"
    ended, fields, said = run("process_T2", "session", session)
    assert ended.status == "Failed"
    assert mails(fields) == ["process_T2 update: Failed"]
    assert "Scan 30001: " in said, "the reason stands in the log"
    assert "Scan 30001" not in fields.get("details", ""), "the service writes its own"

    ended, fields, said = run("process_T2_project", "project", of_project, workers="2")
    assert ended.status == "Failed", "a session broke"
    assert mails(fields) == ["process_T2_project update: Failed"]
    assert "7 of 8 sessions done" in said
    assert BROKEN in said
