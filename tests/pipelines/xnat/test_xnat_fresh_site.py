"""A study on an XNAT as it comes out of the box, from upload to maps and back to verification."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid
from quick_retry import RETRY

from pipelines.xnat.client import Access
from pipelines.xnat.session_run import run_session
from sandbox.archive.archive import PASSWORD_VARIABLE, Archive
from uploader import (
    Journal,
    Outcome,
    UploadOptions,
    VerificationLevel,
    build_plan,
    scan_folder,
    upload,
    verify,
)
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login

from archive_server import Served, serving  # isort: skip

REASONS = ("requireChangeJustification", "showChangeJustification")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


@dataclass
class Centre:
    """A folder of studies, and the site that they are uploaded to."""

    served: Served
    folder: Path
    home: Path

    def _run(self, work):
        config = load_config(environ={"XNAT_PIC_HOME": str(self.home)})
        plan = build_plan(scan_folder(self.folder, config), "P1", config)
        login = password_login("admin", "admin")
        with (
            Journal(self.home / "journal") as journal,
            XnatClient(Connection(self.served.url), login, retry=RETRY) as client,
        ):
            return work(plan, client, config, journal)

    def upload(self):
        options = UploadOptions(settle_s=60)
        result = self._run(lambda plan, client, config, journal: upload(
            plan, client, journal, config, options))  # fmt: skip
        assert result.exit_code == 0, [row.reason for row in result.rows]
        return {row.row.subject: row.outcome for row in result.rows}

    def verify(self):
        found = self._run(verify)
        assert [one.problems for one in found] == [[]] * len(found)
        counted = (VerificationLevel.NONE, VerificationLevel.COUNTED)
        assert not [one for one in found if one.level in counted]

    def look(self, session):
        """Open a session's page as a person does, with its pictures."""
        page = self.served.get(f"/experiments/{session}")
        assert page.status_code == 200
        pictures = re.findall(r'src="(/experiments/[^"]+thumbnail\.png)"', page.text)
        for address in pictures:
            assert self.served.get(address).status_code == 200
        return len(pictures)


def _add_animal(source, target, name):
    """Write the studies of an animal under another name, as objects of their own."""
    for path in sorted(source.rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        for keyword in UIDS:
            if keyword in dataset:
                uid = generate_uid(entropy_srcs=[name, str(dataset[keyword].value)])
                setattr(dataset, keyword, uid)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = dataset.PatientName = dataset.StudyID = name
        out = target / path.relative_to(source)
        out.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(out)


@pytest.mark.slow
@pytest.mark.parametrize("code", ["0", "4", "5"])
def test_study_is_uploaded_mapped_looked_at_and_grows(mouse_dicom, tmp_path, monkeypatch, code):
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    animal = sorted(path for path in mouse_dicom.rglob("*") if list(path.glob("30001_*")))[0]
    shutil.copytree(animal, tmp_path / "data" / "first")
    (tmp_path / "home").mkdir()
    with serving(Archive(tmp_path / "archive")) as served:
        demanded = dict.fromkeys(REASONS, True)  # the uploader and the steps give a reason
        assert served.post("/xapi/siteConfig", json=demanded).status_code == 200
        assert served.put("/data/projects/P1").status_code == 200
        assert served.get("/data/projects/P1/prearchive_code").text == "4"
        assert served.put(f"/data/projects/P1/prearchive_code/{code}").status_code == 200
        centre = Centre(served, tmp_path / "data", tmp_path / "home")
        (first,) = centre.upload()
        centre.verify()
        (row,) = served.rows("/data/projects/P1/experiments")
        token = served.get("/data/services/tokens/issue").json()
        access = Access(served.url, token["alias"], token["secret"], retry=RETRY)
        outcome = run_session(access, "process_T2", row["ID"], {}, tmp_path / "work")
        assert outcome.exit_code == 0, outcome
        assert centre.look(row["ID"]) > 0
        rows = served.rows(f"/data/experiments/{row['ID']}/scans/ALL/files")
        assert {"PROCESSED_T2", "SNAPSHOTS"} <= {one["collection"] for one in rows}
        centre.verify()
        _add_animal(tmp_path / "data" / "first", tmp_path / "data" / "second", "another")
        assert centre.upload() == {first: Outcome.NOTHING_TO_DO, "another": Outcome.DONE}
        centre.verify()
        assert served.rows("/data/prearchive/projects/P1") == []
