"""A recording of the self-test, played to the client and held against the sandbox.

``tests/sandbox/recordings`` holds recordings of real servers. While there is none, one of the
sandbox stands in, made here: it shows that recording and replay work, not that XNAT answers so.
"""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings
from sandbox.cli import main
from sandbox.recording import Recorder, mask_secret
from sandbox.selftest import SelfTest, table
from xnat_config.server.connection import Connection

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "archive"))

from archive_server import serving
from replay import differences, load, playing

PASSWORD = "pass/of nobody"
REAL = sorted((Path(__file__).parent / "recordings").glob("*.json"))


@pytest.mark.parametrize(
    ("text", "secret", "masked"),
    [
        ("user_d41d8cd9x/path", "d41d8cd9", "user_#x/path"),  # long: wherever it stands
        ("an administrator", "admin", "an administrator"),
        ("as admin, p_admin=admin", "admin", "as #, p_#=#"),
        ("abc1234d", "abc1234", "abc1234d"),
        ("abc12345d", "abc12345", "#d"),
    ],
)
def test_a_short_secret_is_masked_alone_and_a_long_one_everywhere(text, secret, masked):
    assert mask_secret(text, secret, "#") == masked


def _record(folder, monkeypatch, name="archive"):
    """Run the command on a fresh sandbox; return the server's address and the file."""
    path = folder / f"{name}.json"
    with monkeypatch.context() as patch:
        patch.setenv(PASSWORD_VARIABLE, PASSWORD)
        with serving(Archive(folder / name, Settings(engine=False))) as served:
            done = subprocess.run(
                [
                    *(Path(sys.executable).parent / "xnat-pic-sandbox", "selftest"),
                    *("--server", served.url, "--user", "admin", "--record", path),
                ],
                env={
                    **os.environ,
                    "XNAT_PIC_PASSWORD": PASSWORD,
                    "XNAT_PIC_HOME": str(folder / "home"),
                },
                capture_output=True,
                encoding="utf-8",
                timeout=120,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return served.url, path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        return _record(tmp_path_factory.mktemp("recording"), monkeypatch)


@pytest.fixture(params=REAL or [None], ids=lambda path: path.stem if path else "sandbox")
def recording(request, made):
    return load(request.param or made[1])


def test_a_recording_holds_what_was_said_and_no_secret(made):
    url, path = made
    text = path.read_text(encoding="utf-8")
    for secret in (PASSWORD, PASSWORD.replace("/", "%2F"), url, url.partition("//")[2], "admin"):
        assert secret not in text.replace("xnat-pic-admin", "").replace("XNAT_PIC_ADMIN", "")
    recording = json.loads(text)
    by_path = {}
    for one in recording["exchanges"]:
        by_path.setdefault((one["method"], one["path"]), []).append(one)
    login = by_path["PUT", "/data/services/auth"][0]
    assert login["sent"] == {"names": ["password", "username"]}
    assert login["received"] == {"text": "SESSION-REMOVED"}
    form = by_path["PUT", "/xapi/customforms/save"][0]
    assert form["sent"]["json"]["builder"]["title"] == "XNAT-PIC variables"
    assert (form["step"], form["status"]) == ("variables and forms defined", 201)
    sent = [one["sent"]["bytes"] for one in by_path["POST", "/data/services/import"]]
    assert all(size > 1000 for size in sent)
    assert {one["name"] for one in recording["steps"]} == {
        one["step"] for one in recording["exchanges"]
    } - {""} | {"digital mouse to DICOM"}


def test_the_client_meets_the_recorded_server(recording, monkeypatch, tmp_path):
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path))
    with playing(recording) as (address, unknown):
        trial = SelfTest(
            Connection(address), "USER", "any-password", wait_s=5, project=recording["project"]
        )
        steps = trial.run()
    assert unknown == []
    outcomes = [{"name": one.name, "outcome": one.outcome} for one in steps]
    assert outcomes == recording["steps"], table(steps)


def test_the_sandbox_answers_as_the_recorded_server(recording, monkeypatch, tmp_path):
    _, path = _record(tmp_path, monkeypatch, "again")
    assert differences(recording, load(path)) == []


def test_a_recording_that_is_there_is_kept(tmp_path):
    there = tmp_path / "selftest.json"
    there.write_text("of last week")
    command = ["selftest", "--server", "http://127.0.0.1:9", "--user", "me", "--record", str(there)]
    refused = CliRunner().invoke(main, command, env={"XNAT_PIC_PASSWORD": "x"})
    assert refused.exit_code == 2
    assert "is there already" in refused.stderr
    assert there.read_text() == "of last week"


def test_another_answer_is_seen(made):
    recording = load(made[1])
    changed = copy.deepcopy(recording)
    one = next(one for one in changed["exchanges"] if one["path"] == "/xapi/customforms/save")
    one["status"] = 200
    (found,) = differences(recording, changed)
    assert "PUT /xapi/customforms/save" in found
    assert "['201'] recorded, ['200', '201'] here" in found


def test_lists_of_the_site_hold_the_scratch_project_alone():
    recorder = Recorder("http://host:80/xnat", "ann", ["pw"], ["SELFTEST"])
    forms = [{"contents": "of others"}, {"contents": "SELFTEST"}]
    assert recorder._ours(forms, "/xapi/customforms") == forms[1:]
    rows = {"ResultSet": {"Result": [{"ID": "OTHER"}, {"ID": "SELFTEST"}]}}
    assert recorder._ours(rows, "/data/projects")["ResultSet"]["Result"] == [{"ID": "SELFTEST"}]
    told = {"email": "x", "note": "ann at ann@example.org, host:80, pw", "annex": "annex"}
    assert recorder._clear_json(told) == {
        "email": "REMOVED",
        "note": "USER at MAIL, server, SESSION-REMOVED",
        "annex": "annex",
    }
