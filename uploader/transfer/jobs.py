"""The work on one session, and what all of it shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xnat_config.server.client import XnatClient
from xnat_config.site import SiteConfig
from xnat_pic.text import list_some

from ..control import ProgressMeter, RunControl
from ..deidentification.deidentifier import Deidentifier
from ..errors import RowError
from ..planning.journal import Journal
from ..planning.plan import PlanRow
from ..server.listing import RemoteSession, read_scans, read_sessions
from ..verification.matching import SeriesMatch, match_series
from ..verification.payload import Instance, SeriesPayload, SessionPayload

# One import carries as many series of a session as fit into this; a larger series goes in several.
# Proxies cut requests that last for minutes, and what was cut is sent again from its start.
LARGEST_IMPORT = 512 << 20


@dataclass(frozen=True)
class UploadOptions:
    """How to upload.

    Attributes
    ----------
    jobs : int
        Sessions sent at the same time.
    direct_archive : bool
        Send past the prearchive, into the archive.
    create_project : bool
        Make the project, and define the variables that it lacks.
    raw : Path, optional
        Folder of scanner data that becomes a resource of the project.
    part_bytes : int
        Bytes of one import, see `LARGEST_IMPORT`.
    settle_s : float
        How long to wait for the server to finish building or archiving one session.
    deidentifier : Deidentifier, optional
        Changes objects on their way.
    repair : bool
        Send again what `verify` found to be another on the server, in its place.
    """

    jobs: int = 4
    direct_archive: bool = False
    create_project: bool = False
    raw: Path | None = None
    part_bytes: int = LARGEST_IMPORT
    settle_s: float = 900.0
    deidentifier: Deidentifier | None = None
    repair: bool = False


@dataclass(frozen=True)
class UploadContext:
    """What every job works with."""

    client: XnatClient
    journal: Journal
    config: SiteConfig
    control: RunControl
    meter: ProgressMeter
    options: UploadOptions


@dataclass
class SessionJob:
    """One session on its way.

    Attributes
    ----------
    todo : dict of str to list of Instance
        What is missing on the server, by Series Instance UID on disk.
    existing : RemoteSession, optional
        The session where it is on the server already.
    received, rejected : set of str
        UIDs of the instances sent that the prearchive holds, and of those that it does not,
        though the server took them without a fault.
    sent : set of str
        UIDs of the instances that this run sent.
    replaces : dict of str to str
        Address of the files on the server that are to be replaced, by the UID sent.
    """

    row: PlanRow
    payload: SessionPayload
    todo: dict[str, list[Instance]] = field(default_factory=dict)
    existing: RemoteSession | None = None
    received: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    replaces: dict[str, str] = field(default_factory=dict)
    is_repair: bool = False

    @property
    def key(self) -> str:
        """Key of its row."""
        return self.row.key

    @property
    def pending(self) -> list[SeriesPayload]:
        """The series that are not wholly on the server."""
        return [one for one in self.payload.series if self.todo.get(one.uid)]


def compare_with_server(context: UploadContext, job: SessionJob) -> list[SeriesMatch]:
    """Compare a session with the server, and note in the job what is missing.

    Raises
    ------
    RowError
        If the label belongs to another study or another subject.
    """
    row = job.row
    found = read_sessions(context.client, row.project, row.session)
    job.existing = found[0] if found else None
    scans = []
    if job.existing is not None:
        _check_identity(job, job.existing)
        scans = read_scans(context.client, job.existing.path)
    matches = [
        match_series(context.client, one, scans, trust_names=True) for one in job.payload.series
    ]
    job.todo = {}
    for one, match in zip(job.payload.series, matches, strict=True):
        if match.missing:
            job.todo[one.uid] = [one.instances[uid] for uid in match.missing]
            job.is_repair = job.is_repair or bool(match.scans)
    return matches


def rejection(job: SessionJob) -> str:
    """Return which files of a session the site did not take, as a message."""
    parts = []
    for series in job.payload.series:
        count = len(job.rejected.intersection(series.instances))
        name = f"series {series.number or series.uid} ({series.description or 'no description'})"
        if count:
            parts.append(name if count == len(series.instances) else f"{count} of {name}")
    arrived = job.payload.instances - len(job.rejected)
    return (
        f"{arrived} of {job.payload.instances} files of {job.row.session} arrived: the site "
        f"rejects {list_some(parts)}. A series filter or an anonymisation script leaves them out."
    )


def _check_identity(job: SessionJob, session: RemoteSession) -> None:
    row = job.row
    if session.study_uid and session.study_uid != job.payload.study_uid:
        raise RowError(
            "label-clash",
            f"The session {row.session} on the server is another study.",
            hint="Give this row another session label.",
        )
    if session.subject.casefold() != row.subject.casefold():
        raise RowError(
            "subject-elsewhere",
            f"The session {row.session} on the server belongs to subject {session.subject}.",
            hint="Correct the subject, or give this row another session label.",
        )
