"""A served archive, and a folder of studies with its plan and journal, as tests ask them."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from disk import content_digest

from uploader.planning.journal import Journal
from uploader.planning.plan_building import build_plan
from uploader.scanning.folder_scan import scan_folder
from uploader.transfer.jobs import UploadOptions
from uploader.transfer.plan_upload import upload
from uploader.verification.session_verification import VerifyOptions, verify
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login
from xnat_config.server.retry import RetryPolicy

RETRY = RetryPolicy(attempts=4, first_wait_s=0.01, longest_wait_s=0.05)


@dataclass
class Server:
    """A served archive with what tests ask of it."""

    served: object
    clients: list = field(default_factory=list)

    @property
    def url(self):
        return self.served.url

    def client(self, user="admin", password="admin", **options):
        options.setdefault("retry", RETRY)
        made = XnatClient(Connection(self.url, user), password_login(user, password), **options)
        self.clients.append(made)
        return made

    def fault(self, *rules):
        answer = self.served.session.post(f"{self.url}/sandbox/faults", json=list(rules))
        assert answer.status_code == 200, answer.text

    def faults(self):
        return self.served.session.get(f"{self.url}/sandbox/faults").json()

    def no_faults(self):
        self.served.session.delete(f"{self.url}/sandbox/faults")

    def files(self, project="P1"):
        """Return name and content digest of every DICOM file in the archive, doubles included."""
        found = []
        for row in self.served.rows(f"/data/projects/{project}/experiments"):
            path = f"/data/experiments/{row['ID']}/scans/ALL/files"
            for file in self.served.rows(path, locator="absolutePath"):
                found.append((file["Name"], content_digest(file["absolutePath"])[1]))
        return sorted(found)

    def waiting(self, project="P1"):
        return self.served.rows(f"/data/prearchive/projects/{project}")


@dataclass
class Work:
    """A folder of studies, its plan and its journal, against one server."""

    server: Server
    folder: Path
    home: Path

    def plan(self, project="P1", **options):
        config = load_config(environ={"XNAT_PIC_HOME": str(self.home)})
        return build_plan(scan_folder(self.folder, config), project, config, **options)

    @property
    def config(self):
        return load_config(environ={"XNAT_PIC_HOME": str(self.home)})

    def journal(self):
        return Journal(self.home / "plan.csv.journal")

    def forget_arrival(self):
        """Let the journal know nothing of what arrived, as on a server that rewrites later."""
        with sqlite3.connect(self.home / "plan.csv.journal") as connection:
            connection.execute("DELETE FROM arrival")
        connection.close()

    def upload(self, plan=None, *, client=None, control=None, on_row=None, **options):
        """Upload; return the result and close what was opened."""
        with self.journal() as journal, client or self.server.client() as logged_in:
            return upload(
                plan or self.plan(),
                logged_in,
                journal,
                self.config,
                UploadOptions(**{"settle_s": 20, **options}),
                control=control,
                on_row=on_row,
            )

    def verify(self, plan=None, *, deidentifier=None, control=None, on_progress=None, **options):
        with self.journal() as journal, self.server.client() as client:
            return verify(
                plan or self.plan(),
                client,
                self.config,
                journal,
                deidentifier=deidentifier,
                options=VerifyOptions(**options),
                control=control,
                on_progress=on_progress,
            )
