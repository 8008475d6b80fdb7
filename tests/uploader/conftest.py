"""A real server of the sandbox, and small studies on disk."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from upload_work import Server, Work

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sandbox" / "archive"))

from archive_server import serving


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Serve an archive with faults; call it with settings that differ."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with ExitStack() as stack:
        servers = []

        def make(folder="archive", **settings):
            archive = Archive(tmp_path / folder, Settings(faults=True, **settings))
            servers.append(Server(stack.enter_context(serving(archive))))
            return servers[-1]

        yield make
        for server in servers:
            server.no_faults()
            for client in server.clients:
                client.close()


@pytest.fixture
def xnat(start):
    """A server with an empty project P1."""
    server = start()
    assert server.served.put("/data/projects/P1").status_code == 200
    return server


@pytest.fixture
def work(xnat, tmp_path):
    """An empty folder to fill with studies for the server's project P1."""
    (tmp_path / "data").mkdir()
    (tmp_path / "home").mkdir()
    return Work(xnat, tmp_path / "data", tmp_path / "home")
