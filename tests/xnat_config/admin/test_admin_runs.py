"""Runs of the classic engine that died without saying so: told by status, closed by close-runs."""

from datetime import UTC, datetime, timedelta

import pytest

from xnat_config.admin import runs
from xnat_config.server import workflows
from xnat_config.server.workflows import SILENT_S, sign_of_life

PREFIX = "wrk:workflowData/"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "installation.toml"
    path.write_text('projects = ["P1"]\n', encoding="utf-8")
    return path


def _run(served, session, name, about, status="Running", folder="/catalog/xnat_pic"):
    """Make the record that the engine leaves."""
    values = {
        "id": session, "data_type": "xnat:mrSessionData", "externalid": "P1", "status": status,
        "pipeline_name": f"{folder}/{name}.xml", "launch_time": "2026-02-01 10:00:00",
        "step_description": about,
    }  # fmt: skip
    answer = served.put("/data/workflows", params={PREFIX + k: v for k, v in values.items()})
    assert answer.status_code == 200, answer.text


def _states(served, session):
    asked = {"experiment": session, "display": "ALL", "format": "json"}
    rows = served.get("/data/services/workflows/xml", params=asked).json()["ResultSet"]["Result"]
    return {row["pipeline_name"].rpartition("/")[2]: row["status"] for row in rows}


@pytest.fixture
def site(start):
    """A site with one run that died, one that lives, one that waits, and one of somebody else."""
    served = start()
    address = "/data/projects/P1/subjects/S1/experiments/S1_MR"
    assert served.put("/data/projects/P1/subjects/S1").status_code == 201
    assert served.put(address, params={"xsiType": "xnat:mrSessionData"}).status_code == 201
    session = served.rows("/data/projects/P1/experiments")[0]["ID"]
    now = datetime.now(UTC)
    old = sign_of_life("scan 5: fitting", now - timedelta(seconds=SILENT_S + 60))
    _run(served, session, "process_T2", old)
    _run(served, session, "process_DWI", sign_of_life("scan 6", now))
    _run(served, session, "process_CEST", "", status="Queued")
    _run(served, session, "other", old, folder="/catalog/theirs")
    return served, session


def test_status_names_what_died_and_what_waits(site, admin, file):
    served, session = site
    code, status, message = admin(served, "status", file)
    assert code == 0, message
    assert len(status["runs"]) == 2
    dead, waits = sorted(status["runs"], key=lambda text: "queued" in text)
    assert dead.startswith("process_T2 on S1_MR of P1, started 2026-02-01")
    assert "no sign of life since" in dead
    assert "close-runs" in dead
    assert waits.startswith("process_CEST on S1_MR")
    assert "Processing URL" in waits
    assert dead in message
    assert _states(served, session)["process_T2.xml"] == "Running", "status changes nothing"


def test_close_runs_closes_those_that_died_alone_and_asks_first(site, admin, file):
    served, session = site
    code, rows, message = admin(served, "close-runs", file)
    assert code != 0  # nobody there to say yes
    assert rows == [{"project": "P1", "session": "S1_MR", "pipeline": "process_T2"}]
    assert _states(served, session)["process_T2.xml"] == "Running"
    code, _, message = admin(served, "close-runs", file, "--yes")
    assert code == 0, message
    assert _states(served, session) == {
        "process_T2.xml": "Failed",
        "process_DWI.xml": "Running",
        "process_CEST.xml": "Queued",
        "other.xml": "Running",
    }
    code, rows, message = admin(served, "close-runs", file, "--yes")
    assert (code, rows) == (0, [])
    assert "No run has died" in message


def test_a_run_that_cannot_be_closed_is_named(site, admin, file):
    served, _ = site
    served.session.post(
        f"{served.url}/sandbox/faults",
        json=[{"method": "PUT", "path": "/data/workflows/*", "status": 403, "count": 9}],
    )
    code, _, message = admin(served, "close-runs", file, "--yes")
    assert code == 8
    assert "process_T2 on S1_MR: " in message


def test_a_site_without_an_engine_is_not_asked_for_runs(start, admin, file):
    served = start(engine=False)
    code, status, message = admin(served, "status", file)
    assert code == 0, message
    assert status["runs"] == []


@pytest.mark.parametrize("hours", [-12, 12])
def test_the_clock_of_who_asks_closes_nothing_that_lives(site, login, monkeypatch, hours):
    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=hours)

    for module in (runs, workflows):
        monkeypatch.setattr(module, "datetime", Wrong, raising=False)
    served, _ = site
    found = runs.find_open_runs(login(served), ["P1"])
    dead = {one.workflow.pipeline: one.is_dead for one in found}
    assert dead == {"process_T2": True, "process_DWI": False, "process_CEST": False}


def test_a_sign_that_is_no_time_is_none(site, admin, file):
    served, session = site
    _run(served, session, "process_SUV", "scan 5 (2026-13-45 10:00:00 UTC)")
    code, rows, message = admin(served, "close-runs", file, "--yes")
    assert code == 0, message
    assert [one["pipeline"] for one in rows] == ["process_T2"]
    assert _states(served, session)["process_SUV.xml"] == "Running"
