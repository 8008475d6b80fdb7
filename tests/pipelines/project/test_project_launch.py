"""A project run that is launched as from the page of a session, by REST and the engine's runner."""

import sys
from importlib import resources
from pathlib import Path

import pytest
from cohort import PROJECT, break_session

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "engine"))

from engine_bench import Bench as EngineBench


@pytest.mark.slow
def test_a_launch_on_one_session_covers_the_project_and_says_what_failed(serve, small):
    bench = serve(small)
    broken, started = "m02_post1w_MR", "m01_pre_MR"
    break_session(bench, broken)
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    engine = EngineBench(bench.served, bench.sessions[started], catalog)
    engine.use(catalog)
    ended = engine.end(engine.launch("process_T2_project", workers="1"))
    assert ended.status == "Failed", ended.fields
    said = ended.err + str(ended.fields)
    assert "7 of 8 sessions done" in said, said
    assert broken in said
    names = bench.files(f"/data/projects/{PROJECT}")
    assert sum(name.endswith("/summary.html") for name in names) == 1
    page = bench.served.get(f"/runs/{ended.number}").text
    assert broken in page
