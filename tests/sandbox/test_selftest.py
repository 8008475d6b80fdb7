"""The self-test on the sandbox: it finds what is there, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipelines.catalog.files import write_files
from sandbox.archive import catalogue
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings
from sandbox.selftest import SelfTest, table
from xnat_config.admin.catalog import load_catalog
from xnat_config.admin.installation import Installation
from xnat_config.admin.specification import parse_specification
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login
from xnat_config.server.retry import RetryPolicy
from xnat_pic.errors import LoginError

sys.path.insert(0, str(Path(__file__).resolve().parent / "archive"))

from archive_server import serving

PASSWORD = "pass-of-nobody"
PROGRAMS = Path(sys.executable).parent


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Serve an archive whose administrator has a password that is seen at once in a text."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:

        def make(**settings):
            archive = Archive(tmp_path / "archive", Settings(faults=True, **settings))
            served = stack.enter_context(serving(archive))
            served.password = PASSWORD
            served.session.auth = ("admin", PASSWORD)
            return served

        yield make


def _trial(served, **options):
    return SelfTest(Connection(served.url, "admin"), "admin", PASSWORD, **options)


def _nothing_is_left(served, but=()):
    assert [row["ID"] for row in served.rows("/data/projects")] == list(but)
    left = served.get("/xapi/customforms").json()
    assert [one for one in left if "SELFTEST" in str(one)] == []
    assert served.rows("/data/prearchive") == []


@pytest.mark.parametrize("way", ["engine", "containers"])
def test_every_step_with_a_pipeline(start, tmp_path, way):
    served = start(
        xnat={"engine": "1.8", "containers": "1.10"}[way],
        engine=way == "engine",
        containers=way == "containers",
    )
    write_files(tmp_path / "catalog", str(PROGRAMS))
    others = []
    if way == "engine":
        with served.archive.database.write() as connection:
            catalogue.register_folder(connection, tmp_path / "catalog" / "engine")
    else:
        others = ["P1"]
        served.put("/data/projects/P1")
        spec = parse_specification({"projects": others}, Path("spec"))
        with XnatClient(Connection(served.url), password_login("admin", PASSWORD)) as server:
            pipelines = load_catalog(tmp_path / "catalog", ("process_T2",))
            Installation(server, spec, pipelines).apply()
    steps = _trial(served).run()
    outcomes = {step.name: step.outcome for step in steps}
    said = {step.name: step.said for step in steps}
    if way == "engine":  # a person would have to add the pipeline to the scratch project
        assert outcomes.pop("pipeline") == "skipped"
        assert "(server)/app/action/ManagePipeline?task=projectpipeline" in said["pipeline"]
    else:
        assert "Container Service" in said["pipeline"]
    assert set(outcomes.values()) == {"ok"}, table(steps)
    assert "pixels equal" in said["verify"]
    _nothing_is_left(served, others)


def test_a_server_without_pipelines_is_told_so(start):
    served = start(xnat="1.9", engine=False, containers=False)
    steps = _trial(served).run()
    outcomes = {step.name: step.outcome for step in steps}
    assert outcomes.pop("pipeline") == "skipped"
    assert set(outcomes.values()) == {"ok"}, table(steps)
    assert "XNAT 1.9" in steps[0].said
    _nothing_is_left(served)


def test_a_failure_is_in_the_table_and_all_is_removed(start):
    served = start(engine=False, containers=False)
    rule = {"path": "/data/services/import*", "method": "POST", "status": 403, "count": 0}
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    steps = _trial(served).run()
    outcomes = {step.name: step.outcome for step in steps}
    assert outcomes["upload"] == "failed"
    assert "verify" not in outcomes
    assert outcomes["project removed"] == "ok"
    text = table(steps)
    assert "1 failed" in text
    for secret in (PASSWORD, served.url, served.url.partition("//")[2], str(Path.cwd())):
        assert secret not in text
    served.delete("/sandbox/faults")
    _nothing_is_left(served)


def test_where_no_project_can_be_made_there_is_nothing_to_remove(start):
    served = start(engine=False, containers=False)
    rule = {"path": "/data/projects/*", "method": "PUT", "status": 403, "count": 0}
    assert served.post("/sandbox/faults", json=[rule]).status_code == 200
    trial = _trial(served)
    assert [(one.name, one.outcome) for one in trial.run()] == [
        ("server", "ok"),
        ("scratch project", "failed"),
    ]
    assert trial.is_clean


def test_a_site_that_nobody_has_set_up_is_named_as_such(start):
    trial = _trial(start(engine=False, containers=False, unconfigured=True))
    steps = trial.run()
    assert (steps[-1].name, steps[-1].outcome) == ("scratch project", "failed")
    assert "has not been set up yet" in steps[-1].said
    assert trial.is_clean


def test_a_person_who_stops_it_finds_nothing_left(start):
    served = start(engine=False, containers=False)

    def stop(step):
        if step.name == "digital mouse to DICOM":
            raise KeyboardInterrupt

    trial = _trial(served, on_step=stop)
    with pytest.raises(KeyboardInterrupt):
        trial.run()
    assert trial.is_clean
    _nothing_is_left(served)


def test_a_server_that_is_gone_at_the_end_is_a_failed_step(start):
    served = start(engine=False, containers=False)

    def stop(step):
        if step.name == "scratch project":
            rule = {"path": "/data/projects*", "status": 500, "count": 0}
            assert served.post("/sandbox/faults", json=[rule]).status_code == 200
            raise KeyboardInterrupt

    quick = RetryPolicy(attempts=2, first_wait_s=0.02)
    trial = _trial(served, on_step=stop, retry=quick)
    with pytest.raises(KeyboardInterrupt):
        trial.run()
    assert not trial.is_clean
    assert (trial.steps[-1].name, trial.steps[-1].outcome) == ("project removed", "failed")


def test_a_command_that_is_ended_leaves_nothing(start):
    served = start(engine=False, containers=False)
    command = [str(PROGRAMS / "xnat-pic-sandbox"), "selftest"]
    command += ["--server", served.url, "--user", "admin"]
    around = {**os.environ, "XNAT_PIC_PASSWORD": PASSWORD}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=around) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.split() == ["ok", "scratch", "project"]:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stderr.read()
        assert process.wait(60) == 8, rest
    assert "Stopped; what was made is removed." in rest
    _nothing_is_left(served)


def test_a_wrong_password_changes_nothing(start):
    served = start()
    with pytest.raises(LoginError) as refused:
        SelfTest(Connection(served.url), "admin", "wrong-password").run()
    assert "wrong-password" not in str(refused.value)
    _nothing_is_left(served)


def test_a_refused_form_is_a_failure_and_all_is_removed(start):
    served = start(engine=False, containers=False)
    served.post("/xapi/users", json={"username": "owner", "password": "pw-of-owner"})
    steps = SelfTest(Connection(served.url, "owner"), "owner", "pw-of-owner").run()
    outcomes = {step.name: step.outcome for step in steps}
    assert outcomes["variables and forms defined"] == "failed"
    said = {step.name: step.said for step in steps}
    assert "XNAT-PIC variables" in said["variables and forms defined"]
    assert outcomes["verify"] == "ok", table(steps)
    assert outcomes["project removed"] == "ok"
    _nothing_is_left(served)


def test_an_archive_named_from_here_has_whole_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive = Archive(Path("archive"))
    assert archive.folder == tmp_path / "archive"
