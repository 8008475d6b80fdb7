"""Pipelines: lists, registration and launch, with and without a runner, and as pyxnat does it."""

import threading
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import requests
from archive_server import ServeArchive, Served
from filled import add_user, fill, use_pipeline, write_catalog

from sandbox.archive import launching, workflows
from sandbox.archive.archive import Archive
from sandbox.archive.launching import Launcher, Run

ARC = "{http://nrg.wustl.edu/arc}"


@pytest.fixture
def session(served: Served, tmp_path: Path) -> str:
    """A session of a project that uses process_T2."""
    made = fill(served)
    use_pipeline(served, write_catalog(tmp_path / "catalog"))
    return made


def _runs(served: Served) -> list[workflows.Workflow]:
    with served.archive.database.read() as connection:
        return workflows.find(connection, {})


def _launch(served: Served, **options: Any) -> requests.Response:
    path = "/data/projects/P1/pipelines/process_T2/experiments/S1_MR"
    return served.post(path, **options)


def test_project_lists_its_pipelines(served: Served, session: str) -> None:
    rows = served.rows("/data/projects/P1/pipelines")
    assert [(row["Name"], row["Datatype"], row["StepId"]) for row in rows] == [
        ("process_T2", "xnat:mrSessionData", "process_T2")
    ]
    assert rows[0]["Applies To"] == "xnat:mrSessionData"
    assert rows[0]["Path"] == "process_T2/process_T2.xml"


def test_list_needs_an_owner(served: Served, session: str) -> None:
    assert add_user(served, "m", "Members").get("/data/projects/P1/pipelines").status_code == 403
    assert add_user(served, "o", "Owners").get("/data/projects/P1/pipelines").status_code == 200


def test_additional_lists_those_of_the_site(served: Served, session: str) -> None:
    served.put("/data/projects/P2")
    assert served.rows("/data/projects/P2/pipelines") == []
    rows = served.rows("/data/projects/P2/pipelines", additional="true")
    assert [row["Name"] for row in rows] == ["process_T2"]


def test_details_tell_the_inputs(served: Served, session: str) -> None:
    about = served.get("/data/projects/P1/pipelines/process_T2").json()
    assert about["inputParameters"][0] == {
        "name": "scanids",
        "description": "Scans to fit",
        "values": {"schemaLink": "xnat:imageSessionData/scans/scan/ID"},
    }
    assert about["inputParameters"][1]["values"] == {"csv": "2p,3p"}
    assert about["steps"][1] == {"id": "2", "description": "Fit"}
    assert about["authors"][0]["email"] == "imaging@example.org"
    missing = served.session.head(served.url + "/data/projects/P1/pipelines/nothing")
    assert missing.status_code == 404


def test_archive_spec_is_read_and_never_put(served: Served, session: str) -> None:
    spec = served.get("/data/projects/P1/archive_spec").content
    element = ElementTree.fromstring(spec).find(f".//{ARC}pipeline")
    assert element is not None
    assert element.get("stepId") == "process_T2"
    headers = {"Content-Type": "text/xml"}
    answer = served.put("/data/projects/P1/archive_spec", data=spec, headers=headers)
    assert answer.status_code == 405


def test_an_owner_adds_a_pipeline_on_the_page_of_xnat(served: Served, session: str) -> None:
    served.put("/data/projects/P2")
    named = {"project": "P2", "pipeline_path": "process_T2/process_T2.xml"}
    page = "/app/action/ManagePipeline"
    shown = served.get(page, params={"task": "projectpipeline", **named})
    assert shown.status_code == 200
    assert "Submit" in shown.text
    assert served.get(page, params={"task": "launch", **named}).status_code == 501
    member = add_user(served, "m", "Members")
    sent = {**named, "dataType": "xnat:mrSessionData", "eventSubmit_doAddprojectpipeline": "Submit"}
    assert member.post(page, data=sent).status_code == 404
    assert served.rows("/data/projects/P2/pipelines") == []
    assert served.post(page, data=sent).status_code == 303
    assert [row["StepId"] for row in served.rows("/data/projects/P2/pipelines")] == ["process_T2"]
    # What a project uses is not among what it could use besides.
    assert served.rows("/data/projects/P2/pipelines", additional="true") == []


def test_pipeline_is_taken_from_project_and_site(served: Served, session: str) -> None:
    path = {"path": "process_T2/process_T2.xml", "datatype": "xnat:mrSessionData"}
    without = {"path": path["path"]}
    assert served.delete("/data/projects/P1/pipelines", params=without).status_code == 417
    assert served.delete("/data/projects/P1/pipelines", params=path).status_code == 200
    assert served.rows("/data/projects/P1/pipelines") == []
    assert served.delete("/data/projects/P1/pipelines", params=path).status_code == 404
    assert served.delete("/sandbox/pipelines", params=path).status_code == 200
    assert served.rows("/data/projects/P1/pipelines", additional="true") == []


def test_only_administrators_register(served: Served, tmp_path: Path) -> None:
    fill(served)
    catalog = write_catalog(tmp_path / "catalog")
    owner = add_user(served, "owner", "Owners")
    answer = owner.post("/sandbox/pipelines", params={"folder": str(catalog)})
    assert answer.status_code == 403
    empty = tmp_path / "empty"
    empty.mkdir()
    assert served.post("/sandbox/pipelines", params={"folder": str(empty)}).status_code == 422
    gone = served.post("/sandbox/pipelines", params={"folder": str(tmp_path / "gone")})
    assert gone.status_code == 404


def test_launch_without_runner_is_recorded_as_failed(served: Served, session: str) -> None:
    answer = _launch(served, params={"scanids": "[1,2]", "model": "3p"})
    assert (answer.status_code, answer.text) == (200, "")
    run = _runs(served)[0]
    assert run.status == "Failed"
    assert run.fields["details"].startswith("Nothing was run: this sandbox has no runner")
    assert run.parameters == {"scanids": ["1", "2"], "model": ["3p"]}
    assert (run.id, run.externalid) == (session, "P1")
    with served.archive.database.read() as connection:
        assert connection.execute("SELECT count(*) FROM alias_token").fetchone()[0] == 0


def test_a_launch_by_rest_hands_on_every_value_of_what_it_does_not_name(
    served: Served, session: str
) -> None:
    _launch(served)
    assert _runs(served)[0].parameters == {"scanids": ["1", "2"], "model": ["2p", "3p"]}
    _launch(served, params={"model": "3p"})
    assert _runs(served)[0].parameters == {"scanids": ["1", "2"], "model": ["3p"]}


def test_a_launch_by_rest_waits_for_no_other_run(served: Served, session: str) -> None:
    values = {
        "id": session,
        "data_type": "xnat:mrSessionData",
        "pipeline_name": "theirs",
        "launch_time": "2024-01-31",
        "status": "Running",
    }
    with served.archive.database.write() as connection:
        workflows.save(connection, values, "admin")
    assert _launch(served).status_code == 200
    assert _runs(served)[0].pipeline_name == "process_T2/process_T2.xml"


def test_parameters_come_as_a_document_too(served: Served, session: str) -> None:
    body = (
        '<Parameters xmlns="http://nrg.wustl.edu/pipeline"><parameter><name>scanids</name>'
        "<values><list>2</list></values></parameter></Parameters>"
    )
    assert _launch(served, data=body, headers={"Content-Type": "text/xml"}).status_code == 200
    assert _runs(served)[0].parameters == {"scanids": ["2"], "model": ["2p", "3p"]}


def test_unknown_step_is_only_ignored(served: Served, session: str) -> None:
    path = "/data/projects/P1/pipelines/nothing/experiments/S1_MR"
    assert served.post(path).status_code == 200
    assert _runs(served) == []


def test_launch_needs_a_session_that_one_may_see(served: Served, session: str) -> None:
    path = "/data/projects/P1/pipelines/process_T2/experiments/"
    assert served.post(path + "nothing").status_code == 404
    assert add_user(served, "stranger").post(path + session).status_code == 404
    reader = add_user(served, "reader", "Collaborators")
    fixing = path.replace("process_T2", "fixScanTypes")
    assert reader.post(fixing + session).status_code == 403
    assert _runs(served) == []
    assert reader.post(path + session).status_code == 200  # by REST; the page refuses
    assert _runs(served)[0].login == "reader"


def _use(monkeypatch: pytest.MonkeyPatch, runner: launching.Runner) -> None:
    monkeypatch.setattr(launching, "find_runner", lambda _kind: runner)


def _wait(served: Served) -> workflows.Workflow:
    for _ in range(500):
        run = _runs(served)[0]
        if not run.is_open:
            return run
        threading.Event().wait(0.01)
    raise AssertionError("the run stayed open")


def test_runner_reports_with_its_token(
    served: Served, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Run] = []

    def runner(run: Run) -> None:
        seen.append(run)
        as_run = Served(served.archive, run.host, run.alias, run.secret)
        assert as_run.get("/data/auth").text == "User 'member' is logged in"
        values = {
            "id": run.item,
            "pipeline_name": run.name,
            "launch_time": run.launch_time,
            "status": "Complete",
        }
        params = {f"wrk:workflowData/{name}": value for name, value in values.items()}
        assert as_run.put("/data/workflows", params=params).status_code == 200

    _use(monkeypatch, runner)
    member = add_user(served, "member", "Members")
    assert _launch(member).status_code == 200
    run = _wait(served)
    assert run.status == "Complete"
    assert seen[0].workflow == run.pk
    assert seen[0].catalog is not None
    assert (seen[0].catalog / seen[0].name).is_file()
    assert seen[0].folder.is_dir()
    assert seen[0].secret not in repr(seen[0])
    # Nothing takes the token of an engine's run back before its time.
    as_run = Served(served.archive, seen[0].host, seen[0].alias, seen[0].secret)
    assert as_run.get("/data/auth").text == "User 'member' is logged in"


def test_a_runner_that_breaks_closes_its_run(
    served: Served, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def runner(_run: Run) -> None:
        raise OSError("out of disk")

    _use(monkeypatch, runner)
    _launch(served)
    run = _wait(served)
    assert run.status == "Failed"
    assert "out of disk" in run.fields["details"]


@pytest.mark.parametrize("closing", [False, True])
def test_a_run_without_a_report_stays_queued_unless_the_site_closes_it(
    served: Served, session: str, monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    ended = threading.Event()
    _set_closing(served, closing)
    _use(monkeypatch, lambda _run: ended.set())
    _launch(served)
    assert ended.wait(60)
    if closing:
        assert "without saying" in _wait(served).fields["details"]
    else:
        threading.Event().wait(0.3)
        assert _runs(served)[0].status == "Queued"


def _set_closing(served: Served, closing: bool) -> None:
    answer = served.post("/xapi/siteConfig", json={"sandboxCloseStoppedRuns": closing})
    assert answer.status_code == 200


@pytest.mark.parametrize(("closing", "state"), [(False, "Running"), (True, "Failed")])
def test_a_new_server_closes_what_the_old_one_ran_where_the_site_wants_it(
    served: Served, session: str, closing: bool, state: str
) -> None:
    _set_closing(served, closing)
    _launch(served)
    theirs = {
        "id": session,
        "data_type": "x",
        "pipeline_name": "theirs",
        "launch_time": "2024-01-31",
    }
    with served.archive.database.write() as connection:
        ours = workflows.update(connection, _runs(served)[0], status="Running")
        foreign = workflows.save(connection, {**theirs, "status": "Running"}, "admin")
    Launcher(Archive(served.archive.folder)).close()
    with served.archive.database.read() as connection:
        closed, left = (workflows.get(connection, one.pk) for one in (ours, foreign))
    assert closed is not None
    assert left is not None
    assert (closed.status, left.status) == (state, "Running")
    if closing:
        assert closed.fields["details"] == "The server was stopped while this ran."


def test_without_engine_there_are_no_addresses(serve: ServeArchive) -> None:
    served = serve(engine=False)
    fill(served)
    assert served.get("/data/projects/P1/pipelines").status_code == 404
    assert served.get("/data/projects/P1/archive_spec").status_code == 200


def test_pyxnat_runs_a_pipeline(served: Served, session: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyxnat 1.6 imports deprecated modules
        import pyxnat

        client = pyxnat.Interface(served.url, "admin", "admin")
        project = client.select.project("P1")
        assert project.pipelines.aliases() == {"process_T2": "process_T2"}
        assert project.pipelines.info("process_T2")[0]["Datatype"] == "xnat:mrSessionData"
        pipeline = project.pipelines.pipeline("process_T2")
        assert pipeline.exists()
        assert not project.pipelines.pipeline("nothing").exists()
        assert pipeline.info()["version"] == "1.0"
        pipeline.run(session, {"model": "3p"})
        assert pipeline.status(session)["status"] == "Failed"
        client.disconnect()
