"""The command serve, as a process of its own."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from filled import write_catalog

from sandbox.archive.archive import PASSWORD_VARIABLE
from sandbox.archive.serving import is_loopback
from sandbox.cli import main

READY_S = 60


@contextmanager
def _served(folder: Path, *options: str, password: str = "") -> Iterator[tuple[str, list[str]]]:
    """Run the command on a free port; give its address and the lines it wrote for people."""
    environment = {**os.environ, PASSWORD_VARIABLE: password}
    command = [sys.executable, "-m", "sandbox.cli", "serve", "--data", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    reader = threading.Thread(target=said.extend, args=[process.stderr], daemon=True)
    reader.start()
    killer = threading.Timer(READY_S, process.kill)
    killer.start()
    try:
        line = process.stdout.readline()
        assert line, "".join(said)
        yield json.loads(line)["url"], said
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        reader.join(10)
        process.stdout.close()
        process.stderr.close()


def _get(url: str, path: str, password: str = "admin", **headers: str) -> requests.Response:
    auth = ("admin", password)
    return requests.get(url + path, auth=auth, headers=headers, timeout=20, allow_redirects=False)


def test_serves_says_where_and_keeps_everything(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog")
    with _served(tmp_path / "data", "--pipelines", str(catalog)) as (url, said):
        assert _get(url, "/data/auth").text == "User 'admin' is logged in"
        auth = ("admin", "admin")
        assert requests.put(url + "/data/projects/P1", auth=auth, timeout=20).status_code == 200
        rows = _get(url, "/data/projects/P1/pipelines?additional=true&format=json").json()
        assert rows["ResultSet"]["Result"][0]["Name"] == "process_T2"
        assert _get(url, "/data/auth", Host="attacker.example").status_code == 421
        port = url.rpartition(":")[2]
        assert _get(url, "/data/auth", Host=f"localhost:{port}").status_code == 200
    assert f"ready at {url}" in said[0]
    assert "Log in as admin, password admin." in said[1]
    # The process was killed; nothing of it is lost.
    with _served(tmp_path / "data", "--without-engine", "--xnat", "1.9") as (url, _):
        rows = _get(url, "/data/projects?format=json").json()["ResultSet"]["Result"]
        assert [row["ID"] for row in rows] == ["P1"]
        assert _get(url, "/data/projects/P1/pipelines").status_code == 404
        assert _get(url, "/xapi/siteConfig/buildInfo").json()["version"].startswith("1.9")


def test_password_of_the_environment(tmp_path: Path) -> None:
    with _served(tmp_path, "--host", "0.0.0.0", password="better") as (url, said):
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert _get(url, "/data/auth").status_code == 401
        assert _get(url, "/data/auth", "better", Host="archive.example").status_code == 200
    assert "better" not in "".join(said)


def _run(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["serve", *options])
    return result.exit_code, result.output


@pytest.mark.parametrize("password", ["", "admin"])
def test_known_password_stays_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, password)
    code, said = _run("--data", str(tmp_path / "data"), "--host", "0.0.0.0")
    assert code == 2
    assert PASSWORD_VARIABLE in said
    assert not (tmp_path / "data").exists()


def test_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, said = _run("--data", str(tmp_path / "data"), "--port", port)
    assert code == 2
    assert "Choose another --port" in said


def test_folder_has_one_server(tmp_path: Path) -> None:
    with _served(tmp_path / "data"):
        code, said = _run("--data", str(tmp_path / "data"), "--port", "0")
    assert code == 2
    assert "served already" in said


def test_folder_without_pipelines_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    options = ["--data", str(tmp_path / "data"), "--port", "0", "--pipelines"]
    code, said = _run(*options, str(tmp_path / "empty"))
    assert code == 2
    assert "no pipeline descriptor" in said


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("192.168.1.5", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_preferences_and_a_long_way(tmp_path: Path) -> None:
    options = ("--preference", "defaultPrearchiveCode=0", "--latency", "1")
    with _served(tmp_path / "a", *options) as (url, _):
        answer = _get(url, "/xapi/siteConfig")
        assert answer.json()["defaultPrearchiveCode"] == "0"
    for wrong in ("defaultPrearchiveCode=9", "odd=1", "odd"):
        done = CliRunner().invoke(
            main, ["serve", "--data", str(tmp_path / "b"), "--port", "0", "--preference", wrong]
        )
        assert done.exit_code == 2, done.output
        assert "preference" in done.output
