"""The same fault gives the same waits and the same words in uploader, pipelines and admin."""

import random
import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import uploader.cli.server_access
import xnat_config.admin.cli
from pipelines.xnat.client import Access, RunClient
from xnat_config.server.errors import LoginError, ServerError

SESSION = b"0123456789ABCDEF"
ASKED = "/data/projects"


class Faulty(ThreadingHTTPServer):
    """Logs in whoever comes, and has one fault for everything else, `count` times."""

    daemon_threads = True

    def __init__(self, fault, count):
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.left, self.asked = fault, count, []


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.partition("?")[0] != ASKED:
            self.reply(200, SESSION)
            return
        self.server.asked.append(self.command)
        if self.server.left == 0:
            self.reply(200, b'{"ResultSet": {"Result": []}}')
            return
        self.server.left -= 1
        fault = self.server.fault
        if isinstance(fault, int):
            self.reply(fault, b"<html><h3>Too much to do.</h3></html>", {"Retry-After": "4"})
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        else:  # the answer is lost: the line ends without a byte
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def handle(self):
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(fault, count):
    server = Faulty(fault, count)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def uploader_client(url, waits):
    return uploader.cli.server_access.open_client(url, "me", None, sleep=waits.append)


def step_client(url, waits):
    client = RunClient(Access(url, "alias", "secret"))
    client._sleep = waits.append
    return client.__enter__()


def admin_client(url, waits, monkeypatch, tmp_path):
    """Take the client that the admin command opens, before it asks anything."""
    opened = []

    class Stop(Exception):
        pass

    def installation(client, *_):
        opened.append(client)
        raise Stop

    monkeypatch.setattr("xnat_config.admin.installation.Installation", installation)
    file = tmp_path / "xnat.toml"
    file.write_text('projects = ["P1"]\n', encoding="utf-8")
    monkeypatch.setattr("xnat_config.server.client.XnatClient.close", lambda _client: None)
    with pytest.raises(Stop):
        xnat_config.admin.cli._run(
            lambda _: 0,
            file=file,
            projects=(),
            server=url,
            user="me",
            ca_bundle=None,
            as_json=False,
        )
    monkeypatch.undo()
    (client,) = opened
    client._sleep = waits.append
    return client


@pytest.fixture
def callers(monkeypatch, tmp_path):
    monkeypatch.setenv("XNAT_PIC_PASSWORD", "secret")
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    inner = pytest.MonkeyPatch()
    yield {
        "uploader": uploader_client,
        "pipelines": step_client,
        "admin": lambda url, waits: admin_client(url, waits, inner, tmp_path),
    }
    inner.undo()


def outcome(make, fault, count, method):
    """Return waits, words and number of requests of one caller that meets a fault."""
    random.seed(7)  # the tenth by chance, the same for each caller
    waits = []
    with serving(fault, count) as server:
        client = make(f"http://127.0.0.1:{server.server_port}", waits)
        try:
            random.seed(7)
            try:
                client.send(method, ASKED)
                words = "done"
            except (ServerError, LoginError) as error:
                words = f"{type(error).__name__}: {error.message}".replace(
                    client.connection.host, "HOST"
                )
        finally:
            client.close()
        return waits, words, len(server.asked)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("count", [1, 99])
@pytest.mark.parametrize("fault", [503, 429, 500, 409, "reset", "lost", 401])
def test_the_same_fault_gives_the_same_waits_and_words(callers, fault, count, method):
    found = {name: outcome(make, fault, count, method) for name, make in callers.items()}
    assert found["uploader"] == found["pipelines"] == found["admin"]
    waits = found["uploader"][0]
    if fault in (503, 429) and method == "GET":
        assert waits[0] == 4.0
        assert len(waits) == (1 if count == 1 else 5)
    if method == "POST" and fault != 401:
        assert waits == []
