"""No secret is in any log, report, plan, journal, setting or process argument."""

import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner
from disk import write_group
from keyring.backends.fail import Keyring as NoKeyring

from sandbox.archive import accounts
from uploader.cli import main
from uploader.login import login_store as credentials
from xnat_config.server.retry import RetryPolicy

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "Pa55-of-the-test!"
PASSPHRASE = "open-sesame-of-the-test"


@pytest.fixture
def no_keyring(monkeypatch):
    before = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())
    monkeypatch.setitem(credentials._SCRYPT, "n", 2**10)
    yield
    keyring.set_keyring(before)


@pytest.fixture
def ann(xnat):
    """A user with a password that is found nowhere by chance."""
    with xnat.served.archive.database.write() as connection:
        accounts.set_user(connection, "ann", PASSWORD)
    assert xnat.served.put("/data/projects/P1/users/Owners/ann").status_code == 200
    return xnat


def _tokens(server):
    """Return name and secret of every token the server issued, as it sent them."""
    return server.issued


@pytest.fixture
def watched(ann, monkeypatch):
    """The server, with every secret it ever gave out."""
    ann.issued = []
    original = accounts.issue_token

    def issue(connection, user):
        alias, secret, expires = original(connection, user)
        ann.issued += [alias, secret]
        return alias, secret, expires

    monkeypatch.setattr(accounts, "issue_token", issue)
    opened = accounts.open_session

    def open_session(connection, user):
        token = opened(connection, user)
        ann.issued.append(token)
        return token

    monkeypatch.setattr(accounts, "open_session", open_session)
    return ann


class Recorder(logging.Handler):
    """Keeps every log record of every library."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage() + str(record.exc_info))


@pytest.fixture
def logs():
    recorder, root = Recorder(), logging.getLogger()
    level = root.level
    root.addHandler(recorder)
    root.setLevel(logging.DEBUG)
    yield recorder.lines
    root.removeHandler(recorder)
    root.setLevel(level)


def _texts(folder):
    """Return every file below a folder as bytes, with its name."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_that_is_written_or_said_holds_a_secret(
    watched, no_keyring, logs, tmp_path, monkeypatch
):
    monkeypatch.setattr(RetryPolicy, "wait_s", lambda *_: 0.01)
    home = tmp_path / "home"
    env = {"XNAT_PIC_HOME": str(home), "XNAT_PIC_SERVER": watched.url, "XNAT_PIC_USER": "ann"}
    data, plan = tmp_path / "out" / "data", tmp_path / "out" / "plan.csv"
    write_group(data)
    said = []

    def run(*arguments, code=0, typed=None, **more):
        done = CliRunner().invoke(
            main, [str(one) for one in arguments], env={**env, **more}, input=typed
        )
        said.append(done.output + repr(done.exception))
        assert done.exit_code == code, done.output

    with_password = {"XNAT_PIC_PASSWORD": PASSWORD}
    run("login", typed=f"{PASSWORD}\n{PASSPHRASE}\n{PASSPHRASE}\n")
    assert (home / "login.aes").is_file()
    run("scan", data, "--project", "P1", "-o", plan)
    run("check", plan, **with_password)
    watched.fault(
        {"path": "/data/services/import", "drop_login": True},
        {"path": "/data/services/import", "cut_request_after": 500, "skip": 1},
        {"path": "/data/services/archive", "status": 500},
        {"path": "/data/services/archive", "status": 400, "skip": 1},
    )
    run("upload", plan, code=8, **with_password)
    watched.no_faults()
    run("upload", plan, "--json", **with_password)
    run("verify", plan, "--json", **with_password)
    run("report", plan)
    run("upload", plan, code=5, XNAT_PIC_PASSWORD=f"{PASSWORD}x")
    run("check", plan, code=6, XNAT_PIC_SERVER="http://127.0.0.1:9", **with_password)
    run("logout")

    secrets = [PASSWORD, PASSPHRASE, *watched.issued]
    assert len(secrets) > 8, "tokens and sessions were watched"
    written = {**_texts(home), **_texts(tmp_path / "out")}
    assert {path.name for path in written} >= {
        "plan.csv", "plan.csv.journal", "plan.csv.report.html", "plan.csv.report.csv",
        "connection.toml",
    }  # fmt: skip
    for secret in secrets:
        for form in (secret, secret.encode("utf-16-le").decode("latin-1")):
            needle = form.encode("latin-1")
            assert [str(path) for path, content in written.items() if needle in content] == []
        assert [text for text in said if secret in text] == []
        assert [line for line in logs if secret in line] == []
    assert any("/data/services/import" in line for line in logs), "the logs were recorded"


def test_withdrawn_token_is_not_named_where_the_line_breaks(watched, tmp_path, logs):
    """The address that withdraws a token holds it; the error must not hold the address."""
    from xnat_config.server.client import XnatClient
    from xnat_config.server.connection import Connection
    from xnat_config.server.tokens import issue_token, withdraw_token
    from xnat_pic.errors import XnatPicError

    with watched.client("ann", PASSWORD) as client:
        token = issue_token(client)
    watched.fault({"path": "/data/services/tokens/*", "cut_answer_after": 0, "count": 0})
    quick = RetryPolicy(attempts=2, first_wait_s=0.01)
    with XnatClient(Connection(watched.url, "ann"), token, retry=quick) as client:
        with pytest.raises(XnatPicError) as caught:
            withdraw_token(client, token)
        chain = []
        error = caught.value
        while error is not None:
            chain.append(f"{error!r} {error}")
            error = error.__cause__
    for secret in (token.name, token.secret):
        assert secret not in "".join(chain)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no list of processes to read")
def test_arguments_of_processes_hold_no_secret(ann, tmp_path):
    write_group(tmp_path / "data")
    env = {
        **os.environ,
        "XNAT_PIC_HOME": str(tmp_path / "home"),
        "XNAT_PIC_SERVER": ann.url,
        "XNAT_PIC_USER": "ann",
        "XNAT_PIC_PASSWORD": PASSWORD,
    }
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for arguments in (
            ("scan", tmp_path / "data", "--project", "P1", "-o", tmp_path / "plan.csv"),
            ("upload", tmp_path / "plan.csv"),
        ):
            done = subprocess.run(
                [sys.executable, "-c", "from uploader.cli import main; main()", *arguments],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                encoding="utf-8",
            )
            assert done.returncode == 0, done.stderr
    finally:
        stop.set()
        watcher.join()
    assert any(b"plan.csv" in line for line in seen), "the processes were watched"
    assert [line for line in seen if PASSWORD.encode() in line] == []


def test_no_command_has_an_option_for_a_secret():
    for command in main.commands.values():
        for parameter in command.params:
            names = " ".join(parameter.opts)
            assert not re.search("pass|secret|token|alias|key", names), f"{command.name} {names}"
