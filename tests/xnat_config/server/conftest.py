"""A served archive with faults on purpose, and servers that are something else."""

import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login
from xnat_config.server.retry import RetryPolicy

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "archive"))

from archive_server import serving

QUICK = RetryPolicy(attempts=4, first_wait_s=0.01, longest_wait_s=0.05)


@dataclass
class Served:
    """A served archive, and clients of it."""

    served: object
    clients: list = field(default_factory=list)

    @property
    def url(self):
        return self.served.url

    def client(self, user="admin", password="admin", **options):
        options.setdefault("retry", QUICK)
        login = password_login(user, password)
        self.clients.append(XnatClient(Connection(self.url, user), login, **options))
        return self.clients[-1]

    def fault(self, *rules):
        answer = self.served.session.post(f"{self.url}/sandbox/faults", json=list(rules))
        assert answer.status_code == 200, answer.text

    def faults(self):
        return self.served.session.get(f"{self.url}/sandbox/faults").json()


@pytest.fixture
def xnat(tmp_path, monkeypatch):
    """An archive with an empty project P1."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with ExitStack() as stack:
        archive = Archive(tmp_path / "archive", Settings(faults=True))
        server = Served(stack.enter_context(serving(archive)))
        assert server.served.put("/data/projects/P1").status_code == 200
        yield server
        server.served.session.delete(f"{server.url}/sandbox/faults")
        for client in server.clients:
            client.close()


@pytest.fixture
def other():
    """Serve answers on this machine; remember what was asked and with what headers.

    Call it with a status, a body and headers, or with a function of the method and the path that
    returns the three.
    """
    servers = []

    def make(status, body=b"", **headers):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(length)
                asked.append((self.command, self.path, dict(self.headers), content))
                found = status(self.command, self.path) if callable(status) else None
                code, text, more = found or (status, body, headers)
                self.send_response(code)
                for name, value in more.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", asked

    yield make
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
