"""A served archive in each version, a catalog as the export writes it, and the command itself."""

import html
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipelines.catalog.files import write_files
from sandbox.archive import catalogue
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "archive"))

from archive_server import serving


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    write_files(folder)
    return folder


@pytest.fixture
def start(tmp_path, monkeypatch, catalog):
    """Serve an archive with the projects P1 and P2; with an engine, its catalog is in place."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with ExitStack() as stack:

        def make(**settings):
            archive = Archive(tmp_path / "archive", Settings(faults=True, **settings))
            if archive.settings.engine:
                with archive.database.write() as connection:
                    catalogue.register_folder(connection, catalog / "engine")
            served = stack.enter_context(serving(archive))
            for project in ("P1", "P2"):
                assert served.put(f"/data/projects/{project}").status_code == 200
            return served

        yield make


@pytest.fixture
def login():
    """Log in at a served archive."""
    with ExitStack() as stack:

        def make(served, user="admin", password="admin"):
            made = XnatClient(
                Connection(served.url, user), password_login(user, password), sleep=lambda _s: None
            )
            return stack.enter_context(made)

        yield make


@pytest.fixture
def do_by_hand():
    """Open the page that each message names and press Submit there, as a person would."""

    def work(served, messages):
        for message in messages:
            address = re.search(rf"open {re.escape(served.url)}(\S+) and press Submit", message)[1]
            page = served.get(address)
            assert page.status_code == 200, message
            form = page.text[page.text.index('action="/app/action/ManagePipeline"') :]
            sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
            button = re.search(r'<button name="(\w+)" value="(Submit)"', form)
            sent = {name: html.unescape(value) for name, value in sent.items()}
            answer = served.post("/app/action/ManagePipeline", data={**sent, button[1]: button[2]})
            assert answer.status_code == 303

    return work


@pytest.fixture
def admin(tmp_path):
    """Run the command on a served archive; return exit code, rows, and what was message."""

    def run(served, *words, password="admin", user="admin"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "xnat_config.admin.cli", *map(str, words), "--json"),
                *("--server", served.url, "--user", user),
            ],
            env={**os.environ, "XNAT_PIC_PASSWORD": password, "XNAT_PIC_HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        rows = json.loads(done.stdout) if done.stdout.strip() else None
        return done.returncode, rows, done.stderr

    return run
