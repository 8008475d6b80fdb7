"""A real server of the sandbox with a digital mouse: MR, PET and CT, sent by the uploader."""

import shutil
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from quick_retry import RETRY

import mri2dicom
from pipelines.xnat.client import Access
from pipelines.xnat.session_run import run_session
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive, Settings
from sandbox.mouse import MouseOptions, write_mice
from uploader import Journal, UploadOptions, build_plan, scan_folder, upload
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sandbox" / "archive"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "regions"))

from archive_server import Served, serving


@dataclass
class Bench:
    """A served archive with a session of MR and one of PET, and an access to it."""

    served: Served
    access: Access
    sessions: dict = field(default_factory=dict)

    @property
    def mr(self):
        return self.sessions["MR"]

    @property
    def pet(self):
        return self.sessions["PT"]

    def files(self, path):
        """Return size and digest of every file below an item by resource and path."""
        found = {}
        answer = self.served.get(f"{path}/files", params={"format": "json"})
        if answer.status_code == 404:
            return found
        for row in answer.json()["ResultSet"]["Result"]:
            name = f"{row['collection']}/{row['URI'].partition('/files/')[2]}"
            assert name not in found, f"{name} is there twice"
            found[name] = (int(row["Size"]), row["digest"])
        return found

    def scan(self, scan, session=""):
        """Return the results of a scan, its images left out."""
        found = self.files(f"/data/experiments/{session or self.mr}/scans/{scan}")
        return {name: one for name, one in found.items() if not name.startswith("DICOM/")}

    def fault(self, *rules):
        answer = self.served.session.post(f"{self.served.url}/sandbox/faults", json=list(rules))
        assert answer.status_code == 200, answer.text

    def faults(self):
        return self.served.session.get(f"{self.served.url}/sandbox/faults").json()

    def no_faults(self):
        self.served.session.delete(f"{self.served.url}/sandbox/faults")

    def token(self):
        answer = self.served.get("/data/services/tokens/issue").json()
        return answer["alias"], answer["secret"]


@pytest.fixture(scope="session")
def mouse_dicom(tmp_path_factory):
    """One digital mouse, converted: MR, PET and CT."""
    folder = tmp_path_factory.mktemp("mouse")
    options = MouseOptions(
        animals=1, groups=("treated",), doses=("dose1",), timepoints=("pre",), size="SMALL",
        noise=0.002, traps=False, pet_ct=True,
    )  # fmt: skip
    write_mice(folder / "raw", options)
    mri2dicom.convert(folder / "raw", folder / "dicom", jobs=1)
    return folder / "dicom"


@pytest.fixture(scope="session")
def filled(mouse_dicom, tmp_path_factory):
    """A folder of an archive that the uploader filled; tests serve copies of it."""
    folder = tmp_path_factory.mktemp("archive")
    home = folder / "home"
    home.mkdir()
    config = load_config(environ={"XNAT_PIC_HOME": str(home)})
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        with serving(Archive(folder / "data", Settings(faults=True))) as served:
            assert served.put("/data/projects/P1").status_code == 200
            plan = build_plan(scan_folder(mouse_dicom, config), "P1", config)
            login = password_login("admin", "admin")
            with (
                Journal(home / "j") as journal,
                XnatClient(Connection(served.url), login) as client,
            ):
                upload(plan, client, journal, config, UploadOptions(settle_s=20))
    return folder / "data"


@pytest.fixture(scope="session")
def mapped(filled, tmp_path_factory):
    """The same with T1 maps of the session, made once."""
    folder = tmp_path_factory.mktemp("mapped")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PASSWORD_VARIABLE, raising=False)
        with served_copy(filled, folder / "archive") as made:
            outcome = run_session(made.access, "process_T1w_SR", made.mr, {}, folder / "work")
            assert outcome.exit_code == 0, outcome
    return folder / "archive"


@pytest.fixture
def bench(request, tmp_path, monkeypatch):
    """A copy of the archive, with maps for tests that name `mapped`, served, with a fresh token."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    kind = "mapped" if "mapped" in request.fixturenames else "filled"
    with served_copy(request.getfixturevalue(kind), tmp_path / "archive") as made:
        yield made
        made.no_faults()


@contextmanager
def served_copy(source, folder):
    """Serve a copy of an archive."""
    shutil.copytree(source, folder)
    with ExitStack() as stack:
        archive = Archive(folder, Settings(faults=True))
        served = stack.enter_context(serving(archive))
        made = Bench(served, Access(served.url, "", "", retry=RETRY))
        alias, secret = made.token()
        made.access = Access(served.url, alias, secret, retry=RETRY)
        kinds = {
            "xnat:mrSessionData": "MR",
            "xnat:petSessionData": "PT",
            "xnat:ctSessionData": "CT",
        }
        for row in served.rows("/data/projects/P1/experiments"):
            made.sessions[kinds[row["xsiType"]]] = row["ID"]
        yield made
