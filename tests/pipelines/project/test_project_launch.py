"""A project run that is launched as from the page of a session, by REST and the engine's runner."""

import sys
import time
from contextlib import suppress
from importlib import resources
from pathlib import Path

import pytest
from cohort import PROJECT, break_session
from filled import add_user
from trees import present_files

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "engine"))

from engine_bench import Bench as EngineBench

from sandbox.archive import accounts

PASSWORD = "Gr0ss-geheim'7"


@pytest.mark.slow
def test_a_launch_on_one_session_covers_the_project_and_says_what_failed(serve, small, monkeypatch):
    bench = serve(small)
    secrets, issue = {PASSWORD}, accounts.issue_token

    def recorded(*arguments):
        made = issue(*arguments)
        secrets.add(made[1])
        return made

    monkeypatch.setattr(accounts, "issue_token", recorded)
    broken, started = "m02_post1w_MR", "m01_pre_MR"
    break_session(bench, broken)
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    engine = EngineBench(bench.served, bench.sessions[started], catalog)
    engine.use(catalog)
    engine.served = add_user(bench.served, "tech", "Owners", PASSWORD)
    number = engine.launch("process_T2_project", parallel_sessions="1")
    seen = set()
    while (status := engine.state(number)["status"]) in ("Queued", "Running"):
        seen.add(status)
        assert not _with_secret(bench, secrets)  # work folders of the sessions too
        assert not _processes(PASSWORD)
        time.sleep(0.5)
    assert "Running" in seen, "the run was looked at while it ran"
    ended = engine.end(number)
    assert ended.status == "Failed", ended.fields
    said = ended.err + str(ended.fields)
    assert "7 of 8 sessions done" in said, said
    assert broken in said
    names = bench.files(f"/data/projects/{PROJECT}")
    assert sum(name.endswith("/summary.html") for name in names) == 1
    page = bench.served.get(f"/runs/{ended.number}").text
    assert broken in page
    assert len(secrets) > 1, "the run had a token of its own"
    assert not _with_secret(bench, secrets)
    assert not any(one in page + said for one in secrets)


def _with_secret(bench, secrets):
    """Return the files of the archive, the runs in it among them, that hold a secret."""
    return [
        path
        for path, content in present_files(bench.served.archive.folder)
        if any(one.encode() in content for one in secrets)
    ]


def _processes(text):
    """Return the processes whose command line or environment holds a text."""
    found = []
    for name in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            with suppress(OSError):
                if text.encode() in path.read_bytes():
                    found.append(path)
    return found
