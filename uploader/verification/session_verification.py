"""Prove that everything planned is on the server: instance by instance, and by checksum."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import LoginError, RefusedError, UnreachableError
from xnat_config.server.files import RemoteFile
from xnat_config.server.paths import data_path
from xnat_config.site import SiteConfig
from xnat_pic.errors import CancelledError, XnatPicError
from xnat_pic.files import bytes_digest

from ..control import Progress, ProgressMeter, RunControl
from ..deidentification.deidentifier import Deidentifier
from ..errors import unexpected
from ..findings import IDENTITY_CONFIRMED, IDENTITY_DIFFERS, counted, list_some, messages_of
from ..planning.journal import Journal, SeriesState
from ..planning.plan import Plan, PlanRow
from ..scanning.sessions import Session
from ..scanning.side_files import side_resources
from ..server.listing import (
    RemoteScan,
    RemoteSession,
    find_file,
    find_studies,
    read_item,
    read_prearchive,
    read_resource_files,
    read_scans,
    read_sessions,
    variables_in,
)
from ..server.ownership import undo_advice
from ..server.project import missing_project
from .content_check import Suspect, check_contents, content_notes, series_name
from .matching import SeriesMatch, match_series
from .payload import SessionPayload, build_payload, file_md5

_log = logging.getLogger(__name__)


class VerificationLevel(Enum):
    """How surely a session is known to be there.

    ``CHECKSUMMED``: every instance is there, each with the MD5 of the bytes that were sent.
    ``PIXELS``: every instance is there; where the server rewrote it, its decoded pixels are those
    on disk (an object without pixels: its content). ``SAMPLED``: that holds for some of them, and
    the others are there by their SOP Instance UID. ``COUNTED``: all are there by their UID alone,
    which proves no content. ``NONE``: something is missing, doubled or different.
    """

    CHECKSUMMED = "checksummed"
    PIXELS = "pixels equal"
    SAMPLED = "pixels equal in some files"
    COUNTED = "counted"
    NONE = "not verified"


@dataclass
class RowVerification:
    """What was found of one session.

    Attributes
    ----------
    planned, found : int
        Instances planned, and those found on the server.
    checksummed, pixels_equal : int
        Instances with the MD5 of the bytes sent, and those rewritten but of equal content.
    problems : list of str
        Messages; empty where all is well.
    notes : list of str
        What should be known, though all is there.
    """

    row: PlanRow
    planned: int = 0
    found: int = 0
    checksummed: int = 0
    pixels_equal: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<RowVerification {self.row.session}: {self.proof}, {self.found}/{self.planned}>"

    @classmethod
    def of_plan(cls, row: PlanRow) -> RowVerification:
        """Begin with what the plan says of whose images these are."""
        return cls(
            row,
            problems=[
                *messages_of(row.findings, IDENTITY_DIFFERS),
                *messages_of(row.findings, "changed"),
            ],
            notes=messages_of(row.findings, IDENTITY_CONFIRMED),
        )

    @property
    def level(self) -> VerificationLevel:
        """How surely it is there."""
        if self.problems or self.found < self.planned:
            return VerificationLevel.NONE
        if self.checksummed == self.planned:
            return VerificationLevel.CHECKSUMMED
        if self._proved == self.planned:
            return VerificationLevel.PIXELS
        return VerificationLevel.SAMPLED if self._proved else VerificationLevel.COUNTED

    @property
    def proof(self) -> str:
        """How surely it is there, in how many of its files."""
        if self.level is VerificationLevel.SAMPLED:
            return f"pixels equal in {self._proved} of {self.planned} files"
        return str(self.level.value)

    @property
    def _proved(self) -> int:
        return self.checksummed + self.pixels_equal


def verify(
    plan: Plan,
    client: XnatClient,
    config: SiteConfig,
    journal: Journal | None = None,
    *,
    deidentifier: Deidentifier | None = None,
    sample: int = 0,
    jobs: int = 4,
    control: RunControl | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[RowVerification]:
    """Compare the files on disk, read anew, with what the server has.

    Where the server's checksum is another one or missing, its copy is fetched, and decoded pixels
    are compared.

    Parameters
    ----------
    journal : Journal, optional
        Tells what was sent where objects were changed on their way, and takes the result.
    deidentifier : Deidentifier, optional
        The change of the upload.
    sample : int
        How many copies to fetch of a session; 0 fetches all that the checksums do not prove.
    """
    rows = [row for row in plan.rows if row.include]
    payloads = {
        row.key: build_payload(plan.sessions[row.key], deidentifier)
        for row in rows
        if row.key in plan.sessions
    }
    studies: dict[str, list[RemoteSession]] = defaultdict(list)
    for one in find_studies(client, [payload.study_uid for payload in payloads.values()]):
        studies[one.study_uid].append(one)
    meter = ProgressMeter(sum(payload.bytes for payload in payloads.values()), on_progress)
    control = control or RunControl()
    planned = {(row.project, row.session.casefold()) for row in rows}

    def verify_row(row: PlanRow) -> RowVerification:
        control.wait_if_paused()
        meter.set_activity(f"Session {row.session}")
        found = RowVerification.of_plan(row)
        payload = payloads.get(row.key)
        if payload is None:
            found.problems.append("Its files are not on the disk any more. Put them back.")
            return found
        check = _SessionVerifier(client, config, journal, deidentifier, sample, meter, control)
        try:
            check.run(found, payload, plan.sessions[row.key], studies[payload.study_uid], planned)
        except (LoginError, UnreachableError, CancelledError):
            raise  # it holds for all rows
        except XnatPicError as error:
            found.problems.append(error.sentence())
        except Exception as error:  # one row's fault must not end the others
            _log.exception("the verification of %s met a fault", row.session)
            found.problems.append(unexpected(error, f"The check of {row.session}").sentence())
        _record(journal, found, payload)
        return found

    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        return list(pool.map(verify_row, rows))


def _record(journal: Journal | None, found: RowVerification, payload: SessionPayload) -> None:
    if journal is None:
        return
    series = [(one.uid, len(one.instances), one.bytes) for one in payload.series]
    row = found.row
    journal.add_session(row.key, row.project, row.subject, row.session, series)
    is_verified = found.level is not VerificationLevel.NONE
    journal.set_verified(row.key, found.proof if is_verified else "")
    if is_verified:
        journal.set_state(row.key, [one.uid for one in payload.series], SeriesState.VERIFIED)
        journal.set_problem(row.key, "")
    else:
        journal.set_problem(row.key, " ".join(found.problems) or "Files are missing.")


@dataclass(frozen=True)
class _SessionVerifier:
    """The checks of one session."""

    client: XnatClient
    config: SiteConfig
    journal: Journal | None
    deidentifier: Deidentifier | None
    sample: int
    meter: ProgressMeter
    control: RunControl

    def run(
        self,
        found: RowVerification,
        payload: SessionPayload,
        session: Session,
        studies: list[RemoteSession],
        planned: set[tuple[str, str]],
    ) -> None:
        """Fill in what is found."""
        row = found.row
        found.planned = payload.instances
        try:
            there = read_sessions(self.client, row.project, row.session)
        except RefusedError as refusal:
            if refusal.status not in (403, 404):
                raise
            found.problems.append(missing_project(row.project))
            return
        if not there:
            found.problems.append(f"There is no session {row.session} in {row.project}. Upload it.")
            self._prearchive(found, payload)
            return
        remote = there[0]
        self._identity(found, payload, remote)
        scans = read_scans(self.client, remote.path)
        # Names are what we gave the files; a checksum or the server itself has to confirm them.
        matches = [
            match_series(self.client, one, scans, trust_names=self._has_digests(scans))
            for one in payload.series
        ]
        self._instances(found, payload, matches)
        suspects = self._checksums(found, payload, matches)
        if suspects and not self._contents(found, remote, suspects):
            matches = self._count_objects(found, payload, scans)
        self._doubled(found, scans, matches, remote, studies, planned)
        self._variables(found, remote)
        self._side_files(found, session, remote)
        self._prearchive(found, payload)

    def _identity(
        self, found: RowVerification, payload: SessionPayload, remote: RemoteSession
    ) -> None:
        row = found.row
        if remote.study_uid and remote.study_uid != payload.study_uid:
            found.problems.append(f"{row.session} on the server is another study.")
        if remote.subject.casefold() != row.subject.casefold():
            found.problems.append(
                f"{row.session} on the server belongs to {remote.subject}, not {row.subject}. "
                f"{undo_advice(remote, row.subject)}"
            )

    @staticmethod
    def _has_digests(scans: list[RemoteScan]) -> bool:
        files = [file for scan in scans for file in scan.files]
        return bool(files) and all(file.md5 for file in files)

    def _instances(
        self, found: RowVerification, payload: SessionPayload, matches: list[SeriesMatch]
    ) -> None:
        found.found = sum(len(match.present) for match in matches)
        rejected = self.journal.rejected(found.row.key) if self.journal else set()
        for one, match in zip(payload.series, matches, strict=True):
            if match.missing:
                what_to_do = "Upload again."
                if rejected.issuperset(match.missing):
                    what_to_do = "The site rejects them."
                found.problems.append(
                    f"{series_name(one)}: {len(match.missing)} of {len(one.instances)} files are "
                    f"missing (SOP Instance UID {list_some(match.missing)}). {what_to_do}"
                )

    def _checksums(
        self, found: RowVerification, payload: SessionPayload, matches: list[SeriesMatch]
    ) -> list[Suspect]:
        """Compare MD5: of the bytes on disk, or of those sent where they were changed.

        Returns
        -------
        list of Suspect
            Those that it does not prove.
        """
        sent = self.journal.digests(found.row.key) if self.journal else {}
        suspects = []
        for one, match in zip(payload.series, matches, strict=True):
            for uid, file in match.files.items():
                self.control.check()
                instance = one.instances[uid]
                ours = sent.get(instance.sop_uid, ("", ""))[1]
                if not self.deidentifier:
                    ours = file_md5(instance.file.path)
                elif not ours:
                    ours = bytes_digest(self.deidentifier.content(instance.file.path), "md5")
                self.meter.add(instance.file.size)
                if ours and file.md5 == ours:
                    found.checksummed += 1
                else:
                    suspects.append(Suspect(one, instance, file, ours))
        return suspects

    def _contents(
        self, found: RowVerification, remote: RemoteSession, suspects: list[Suspect]
    ) -> bool:
        """Compare what the objects hold; return whether all of them were compared."""
        report = check_contents(
            self.client,
            remote.path,
            suspects,
            sample=self.sample,
            deidentifier=self.deidentifier,
            meter=self.meter,
            control=self.control,
        )
        found.checksummed += report.checksummed
        found.pixels_equal = report.pixels + report.contents
        found.problems += [
            f"{series_name(series)}: {len(uids)} of {len(series.instances)} files are not as on "
            f"disk: {reason} (SOP Instance UID {list_some(uids)}). Delete them in XNAT, and upload "
            "again."
            for (series, reason), uids in report.grouped(report.different)
        ]
        found.notes += content_notes(report)
        return not report.left_out and not report.undecided

    def _count_objects(
        self, found: RowVerification, payload: SessionPayload, scans: list[RemoteScan]
    ) -> list[SeriesMatch]:
        """Find the instances by what the objects say, where no content proves their names."""
        matches = [
            match_series(self.client, one, scans, trust_names=False) for one in payload.series
        ]
        found.found = sum(len(match.present) for match in matches)
        if found.found < found.planned and not found.problems:
            found.problems.append("The objects on the server are not those on disk.")
        return matches

    def _doubled(
        self,
        found: RowVerification,
        scans: list[RemoteScan],
        matches: list[SeriesMatch],
        remote: RemoteSession,
        studies: list[RemoteSession],
        planned: set[tuple[str, str]],
    ) -> None:
        doubled = [uid for match in matches for uid in match.doubled]
        if doubled:
            found.problems.append(
                f"{counted(len(doubled), 'instance is', 'instances are')} on the server twice. "
                "Delete the second copy in XNAT."
            )
        for match in matches:
            if len(match.scans) > 1:
                found.problems.append(f"One series is in the scans {list_some(match.scans)}.")
        extra = sum(match.extra for match in matches)
        mine = {scan for match in matches for scan in match.scans}
        others = [scan.id for scan in scans if scan.id not in mine]
        if extra or others:
            found.notes.append(
                f"The server has {counted(extra, 'file', 'files')} and "
                f"{counted(len(others), 'scan', 'scans')} more than this plan."
            )
        beside = sum((Counter(scan.others) for scan in scans), Counter[str]())
        if beside:
            found.notes.append(
                f"Beside the images there are {counted(beside.total(), 'file', 'files')} in "
                f"{', '.join(sorted(beside))}, which are not compared."
            )
        for one in studies:
            if one.id == remote.id or (one.project, one.label.casefold()) in planned:
                continue
            text = f"The same study is also in {one.project} as {one.label}"
            if one.project == remote.project and one.xsi_type != remote.xsi_type:
                # A site may keep PET and MR of one study as two sessions.
                found.notes.append(f"{text}, with its other modality.")
            elif one.project == remote.project:
                found.problems.append(f"{text}. Delete one of the two in XNAT.")
            else:
                found.notes.append(f"{text}.")

    def _variables(self, found: RowVerification, remote: RemoteSession) -> None:
        there = variables_in(read_item(self.client, remote.path))
        subject = variables_in(
            read_item(
                self.client, data_path("projects", remote.project, "subjects", remote.subject)
            )
        )
        for name, value in found.row.variables.items():
            places = [("session", there)]
            if self.config.variables.of_subject(name):
                places.append(("subject", subject))
            for what, values in places:
                if value and values.get(name, "") != value:
                    old = values.get(name) or "empty"
                    found.problems.append(
                        f"{name} of the {what} is {old} on the server and {value} in the plan. "
                        "Use set-variables."
                    )

    def _side_files(self, found: RowVerification, session: Session, remote: RemoteSession) -> None:
        listed: dict[str, list[RemoteFile]] = {}
        missing = []
        for one in side_resources(session, self.config.resources):
            if not one.path.stat().st_size:
                continue
            if one.resource not in listed:
                listed[one.resource] = read_resource_files(self.client, remote.path, one.resource)
            if find_file(listed[one.resource], one.name) is None:
                missing.append(one.name)
        if missing:
            found.problems.append(f"Files beside the images are missing: {list_some(missing)}.")

    def _prearchive(self, found: RowVerification, payload: SessionPayload) -> None:
        label = found.row.session.casefold()
        for one in read_prearchive(self.client, found.row.project):
            if one.study_uid == payload.study_uid and one.label.casefold() == label:
                found.problems.append(
                    f"{one.label} also waits in the prearchive ({one.status.lower()}). Upload "
                    "again, or delete it there."
                )


def verify_uploads(client: XnatClient, journal: Journal) -> list[str]:
    """Compare the files that were sent beside the images with the server; return what is wrong."""
    problems = []
    listed: dict[str, list[RemoteFile]] = {}
    for target, _source, md5, size in journal.uploads():
        folder, _, name = target.partition("/files/")
        parent, _, resource = folder.rpartition("/resources/")
        if folder not in listed:
            listed[folder] = read_resource_files(client, parent, unquote(resource))
        found = find_file(listed[folder], unquote(name))
        if found is None:
            problems.append(f"The file {unquote(name)} in {unquote(resource)} is missing.")
        elif found.md5 not in ("", md5) or found.size not in (-1, size):
            problems.append(f"The file {unquote(name)} in {unquote(resource)} is not as sent.")
    return problems
