"""The committed descriptors with the real step program, launched on a real session."""

import shutil
import time
from contextlib import ExitStack, suppress
from importlib import resources
from pathlib import Path

import pytest
from archive_server import serving
from engine_bench import Bench
from filled import add_user
from mouse_session import AWKWARD, T1, T2, fill_mouse, make_mouse
from process import process
from trees import present_files

from sandbox.archive import accounts, workflows
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive

PASSWORD = "Gr0ss-geheim'9"


@pytest.fixture(scope="module")
def mouse(tmp_path_factory):
    return make_mouse(tmp_path_factory.mktemp("mouse"))


@pytest.fixture(scope="module")
def stored(mouse, tmp_path_factory):
    """An archive with the session, to be copied."""
    folder = tmp_path_factory.mktemp("stored") / "archive"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        with serving(Archive(folder)) as served:
            session = fill_mouse(served, mouse)
            add_user(served, "tech", "Owners", PASSWORD)
    return folder, session


@pytest.fixture
def bench(stored, tmp_path, monkeypatch):
    """A copy of it, served, with the committed catalog in use."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    folder, session = stored
    shutil.copytree(folder, tmp_path / "archive")
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    with ExitStack() as stack:
        served = stack.enter_context(serving(Archive(tmp_path / "archive")))
        made = Bench(served, session, catalog)
        made.use(catalog)
        yield made


def files(bench, scan, label):
    """Return the names of the files in a resource of a scan."""
    path = f"/data/experiments/{bench.session}/scans/{scan}/resources/{label}/files"
    answer = bench.served.get(path, params={"format": "json"})
    if answer.status_code == 404:
        return []
    return sorted(row["Name"] for row in answer.json()["ResultSet"]["Result"])


def test_maps_of_two_ticked_scans_and_no_secret_anywhere(bench, monkeypatch):
    tokens = []
    issue = accounts.issue_token

    def recorded(*arguments):
        tokens.append(issue(*arguments))
        return tokens[-1]

    monkeypatch.setattr(accounts, "issue_token", recorded)
    bench.served = bench.served.as_user("tech", PASSWORD)
    number = bench.launch("process_T2", scanids=f"[{T2},{T1}]", model="3p")
    seen = set()
    while bench.state(number)["status"] in ("Queued", "Running"):
        assert running(PASSWORD) == []
        seen |= {bool(running(f"/runs/{number}/build"))}
        time.sleep(0.05)
    assert True in seen, "the step was looked at while it ran"
    ended = bench.end(number)
    assert ended.status == "Complete", ended.fields
    assert ended.steps == {"1": "Complete", "2": "Complete"}
    made = files(bench, T2, "PROCESSED_T2")
    assert sum(name.endswith("maps.json") for name in made) == 1
    assert files(bench, T1, "PROCESSED_T2") == []
    scans = bench.served.rows(f"/data/experiments/{bench.session}/scans")
    assert {row["series_description"] for row in scans} >= {AWKWARD}
    assert f"serve t2: {T2}" in ended.err
    assert tokens, "the run had a token of its own"
    secrets = {PASSWORD, *(secret for _, secret, _ in tokens)}
    for path, content in present_files(bench.served.archive.folder):
        for secret in secrets:
            assert secret.encode() not in content, path
    shown = str(ended.fields) + bench.served.get(f"/runs/{ended.number}").text
    assert not any(secret in shown for secret in secrets)
    assert not list(Path.cwd().glob("mark"))


def test_two_ticked_models_are_refused_with_a_sentence(bench):
    ended = bench.end(bench.launch("process_T2", model="[2p_default,epg_stimulated_echoes]"))
    assert ended.status == "Failed"
    wanted = "model: choose one of 2p, 3p, auto, epg, not 2p and epg"
    assert wanted in ended.err.splitlines()[-1]
    assert wanted in ended.fields["details"]
    assert wanted in bench.page(ended.number, "process_T2 failed on S1_MR")
    assert files(bench, T2, "PROCESSED_T2") == []


def test_hostile_launch_values(bench, monkeypatch):
    """The engine evaluates them before an expression of ours sees them; the step refuses."""
    tokens = []
    issue = accounts.issue_token

    def recorded(*arguments):
        tokens.append(issue(*arguments))
        return tokens[-1]

    monkeypatch.setattr(accounts, "issue_token", recorded)
    secret = "/Pipeline/parameters/parameter[name='pwd']/values/unique/text()"
    for hostile in (f"^{secret}^", f"^concat('2p ',{secret})^"):
        ended = bench.end(bench.launch("process_T2", echoes_to_skip=hostile))
        assert ended.status == "Failed"
        assert "holds the token of this run" in ended.err
    broken = bench.end(bench.launch("process_T2", anything="^concat(^"))
    assert broken.status == "Queued"
    for path, content in present_files(bench.served.archive.folder / "runs"):
        for alias, value, *_ in tokens:
            assert value.encode() not in content, path
            assert alias.encode() not in content, path


def running(text):
    """Return the processes whose command line or environment holds a text."""
    found = set()
    for name in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{name}"):
            with suppress(OSError):
                if text.encode() in path.read_bytes():
                    found.add(path.parent.name)
    return sorted(found)


def wait(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")
def test_after_a_kill_of_the_server_the_next_run_completes(stored, tmp_path, monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    folder, session = stored
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    shutil.copytree(folder, tmp_path / "archive")
    marker = str(tmp_path / "archive" / "runs" / "1")
    with process(tmp_path / "archive") as server:
        asked = server.session()
        offer = {"folder": str(catalog), "project": "P1"}
        asked.post(f"{server.url}/sandbox/pipelines", params=offer, timeout=60)
        path = f"/data/projects/P1/pipelines/process_T2/experiments/{session}"
        assert asked.post(server.url + path, timeout=60).status_code == 200
        wait(lambda: running(f"{marker}/build/S1_MR/WORK"))
        time.sleep(0.5)
        server.kill()
        wait(lambda: not running(marker))
    with serving(Archive(tmp_path / "archive")) as served:
        bench = Bench(served, session, catalog)
        assert bench.state("1")["status"] == "Running"  # nobody closes it, as in XNAT
        ended = bench.end(bench.launch("process_T2"))
        assert ended.status == "Complete", ended.fields
        made = files(bench, T2, "PROCESSED_T2")
        assert sum(name.endswith("maps.json") for name in made) == 1
        again = bench.end(bench.launch("process_T2"))
        assert again.status == "Complete"
        assert files(bench, T2, "PROCESSED_T2") == made


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes through /proc")
def test_a_server_that_ends_ends_what_it_runs(stored, tmp_path, monkeypatch):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    folder, session = stored
    shutil.copytree(folder, tmp_path / "archive")
    archive = Archive(tmp_path / "archive")
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    with serving(archive) as served:
        bench = Bench(served, session, catalog)
        bench.use(catalog)
        number = bench.launch("process_T2")
        marker = str(archive.folder / "runs" / number)
        wait(lambda: running(f"{marker}/build/S1_MR/WORK"))
    wait(lambda: not running(marker))

    def record():
        with archive.database.read() as connection:
            return workflows.get(connection, number)

    reason = archive.folder / "runs" / number / "engine.log"
    wait(reason.is_file)
    assert reason.read_text("utf-8").strip()  # stopped, or found no server to report to
    assert record().status == "Running"  # nobody closes it, as in XNAT
