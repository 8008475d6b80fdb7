"""Prove that everything planned is on the server: instance by instance, and by checksum."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from xnat_config.server.catalogs import refresh_catalogs
from xnat_config.server.client import XnatClient
from xnat_config.server.errors import LoginError, RefusedError, UnreachableError
from xnat_config.server.paths import data_path
from xnat_config.site import SiteConfig
from xnat_pic.errors import CancelledError, XnatPicError
from xnat_pic.text import counted, list_some

from ..control import Progress, ProgressMeter, RunControl
from ..deidentification.deidentifier import Deidentifier
from ..errors import unexpected
from ..planning.journal import ArrivedObject, Journal
from ..planning.plan import Plan, PlanRow
from ..server.listing import (
    RemoteScan,
    RemoteSession,
    count_lost,
    find_studies,
    read_item,
    read_prearchive,
    read_scans,
    read_sessions,
    variables_in,
)
from ..server.ownership import undo_advice
from ..server.project import missing_project
from .content_check import Copy, Suspect, check_contents, content_notes, series_name
from .levels import ProofLevel, RowVerification, VerificationLevel
from .listing_check import ListingCheck, ObjectRecords, lost_text
from .matching import SeriesMatch, match_series
from .payload import SessionPayload, build_payload
from .records import record_verification
from .side_file_check import check_side_files, verify_uploads

__all__ = ["RowVerification", "VerificationLevel", "VerifyOptions", "verify", "verify_uploads"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerifyOptions:
    """How to verify.

    Attributes
    ----------
    level : ProofLevel
        What is to be proved of every file.
    sample : int
        How many copies to fetch of a session; 0 fetches all that the listing does not prove.
    accept_changes : bool
        What the server changed after arrival, with equal pixels, is taken for its own work, such
        as a script that ran when a session was relabelled.
    jobs : int
        Sessions at a time.
    """

    level: ProofLevel = ProofLevel.DIGEST
    sample: int = 0
    accept_changes: bool = False
    jobs: int = 4


def verify(
    plan: Plan,
    client: XnatClient,
    config: SiteConfig,
    journal: Journal | None = None,
    *,
    deidentifier: Deidentifier | None = None,
    options: VerifyOptions | None = None,
    control: RunControl | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[RowVerification]:
    """Compare the files on disk, read anew, with what the server has.

    The server computes its checksums anew; where one is another or missing, its copy is fetched,
    and decoded pixels are compared.

    Parameters
    ----------
    journal : Journal, optional
        Tells what was sent and what arrived, and takes the result.
    deidentifier : Deidentifier, optional
        The change of the upload.
    """
    options = options or VerifyOptions()
    rows = [row for row in plan.rows if row.include]
    payloads = {
        row.key: build_payload(plan.sessions[row.key], deidentifier)
        for row in rows
        if row.key in plan.sessions
    }
    meter = ProgressMeter(sum(payload.bytes for payload in payloads.values()), on_progress)
    shared = _Verification(
        plan, client, config, journal, deidentifier, options, meter, control or RunControl()
    )
    shared.find_studies(payload.study_uid for payload in payloads.values())
    with ThreadPoolExecutor(max(options.jobs, 1)) as pool:
        return list(pool.map(lambda row: shared.verify_row(row, payloads.get(row.key)), rows))


@dataclass
class _Verification:
    """What the checks of all sessions share."""

    plan: Plan
    client: XnatClient
    config: SiteConfig
    journal: Journal | None
    deidentifier: Deidentifier | None
    options: VerifyOptions
    meter: ProgressMeter
    control: RunControl
    studies: dict[str, list[RemoteSession]] = field(default_factory=lambda: defaultdict(list))

    def find_studies(self, uids: Iterable[str]) -> None:
        """Note where the studies of the plan are on the server."""
        for one in find_studies(self.client, uids):
            self.studies[one.study_uid].append(one)

    @property
    def planned(self) -> set[tuple[str, str]]:
        """Project and label of every session of the plan."""
        rows = [row for row in self.plan.rows if row.include]
        return {(row.project, row.session.casefold()) for row in rows}

    def strangers(self, row: PlanRow) -> frozenset[str]:
        """Return the names of the plan's other animals."""
        own: set[str] = set()
        others: set[str] = set()
        for one in self.plan.rows:
            claim = self.plan.claims.get(one.key)
            names = {one.subject, one.session, claim.patient if claim else ""}
            (own if one.subject.casefold() == row.subject.casefold() else others).update(names)
        return frozenset(others - own - {""})

    def verify_row(self, row: PlanRow, payload: SessionPayload | None) -> RowVerification:
        """Verify one session; its faults become problems of its own."""
        self.control.wait_if_paused()
        self.meter.set_activity(f"Session {row.session}")
        options = self.options
        found = RowVerification.of_plan(row, options.level, is_sample=bool(options.sample))
        if payload is None:
            found.problems.append("Its files are not on the disk any more. Put them back.")
            record_verification(self.journal, found, None, self.client.user)
            return found
        try:
            _SessionVerifier(self, found, payload).run()
        except (LoginError, UnreachableError, CancelledError):
            raise  # it holds for all rows
        except XnatPicError as error:
            found.problems.append(error.sentence())
        except Exception as error:  # one row's fault must not end the others
            _log.exception("the verification of %s met a fault", row.session)
            found.problems.append(unexpected(error, f"The check of {row.session}").sentence())
        record_verification(self.journal, found, payload, self.client.user)
        return found


class _SessionVerifier:
    """The checks of one session, which fill in what is found."""

    def __init__(
        self, shared: _Verification, found: RowVerification, payload: SessionPayload
    ) -> None:
        self.shared = shared
        self.client = shared.client
        self.journal = shared.journal
        self.level = shared.options.level
        self.found = found
        self.payload = payload
        self.believed = False

    def run(self) -> None:
        """Fill in what is found."""
        found, payload, row = self.found, self.payload, self.found.row
        found.planned = payload.instances
        remote = self._find_session()
        if remote is None or not self._is_ours(remote):
            return
        records = ObjectRecords.of(self.journal, row.key, remote.id)
        if records.is_another_session:
            found.notes.append(
                f"The session on the server ({remote.id}) is not the one that this plan's upload "
                "archived: it was deleted and sent again since."
            )
        self._refresh(remote)
        scans = read_scans(self.client, remote.path)
        item = read_item(self.client, remote.path)
        # Names are what we gave the files; a checksum or the server itself has to confirm them.
        trusts = self.level is not ProofLevel.LISTED and self._has_digests(scans)
        matches = [
            match_series(self.client, one, scans, trust_names=trusts) for one in payload.series
        ]
        self._instances(matches)
        matches = self._compare(remote, records, scans, item, matches)
        self._doubled(scans, matches, remote)
        self._variables(remote, item)
        found.problems += check_side_files(
            self.client,
            self.shared.plan.sessions[row.key],
            remote.path,
            self.shared.config.resources,
            level=self.level,
            believed=self.believed,
            uploaded=self.journal.uploaded if self.journal else None,
        )
        self._prearchive()

    def _find_session(self) -> RemoteSession | None:
        row, problems = self.found.row, self.found.problems
        try:
            there = read_sessions(self.client, row.project, row.session)
        except RefusedError as refusal:
            if refusal.status not in (403, 404):
                raise
            problems.append(missing_project(row.project))
            return None
        if there:
            return there[0]
        elsewhere = [
            one for one in self.shared.studies[self.payload.study_uid] if one.project == row.project
        ]
        labels = list_some([f"{one.label} of {one.subject}" for one in elsewhere])
        text = f"There is no session {row.session} in {row.project}. "
        problems.append(
            f"{text}Its study is there as {labels}: it was relabelled, moved or sent under another "
            "label. Correct the plan, or the label in XNAT."
            if elsewhere
            else f"{text}Upload it."
        )
        self._prearchive()
        return None

    def _refresh(self, remote: RemoteSession) -> None:
        """Have the server look at its files anew, as far as that is to be believed."""
        if self.level not in (ProofLevel.SIZED, ProofLevel.DIGEST):
            return
        why = refresh_catalogs(self.client, remote.path)
        self.believed = not why
        if why:
            read = "the listed sizes were compared" if self.level is ProofLevel.SIZED else (
                "every file was read instead"
            )  # fmt: skip
            self.found.notes.append(f"{why[0].upper()}{why[1:]}: {read}.")

    def _compare(
        self,
        remote: RemoteSession,
        records: ObjectRecords,
        scans: list[RemoteScan],
        item: dict[str, Any],
        matches: list[SeriesMatch],
    ) -> list[SeriesMatch]:
        """Compare as far as it was asked; return what is where."""
        if self.level is ProofLevel.LISTED:
            return matches
        lost = count_lost(item, scans) if self.believed else Counter[tuple[str, str]]()
        check = ListingCheck(
            records, self.shared.deidentifier, self.believed, lost, self.shared.meter,
            self.shared.control,
        )  # fmt: skip
        if lost:
            self.found.problems.append(lost_text(lost))
        if self.level is ProofLevel.SIZED:
            self.found.sized, problems = check.sizes(self.payload, matches)
            for text, uids in problems:
                self.found.stand(text, uids)
            return matches
        listed = check.digests(self.payload, matches)
        self.found.checksummed, self.found.pixels_equal = listed.checksummed, listed.kept
        if listed.kept:
            self.found.notes.append(
                "Rewritten by the server, compared by an earlier verification and not changed "
                f"since: {listed.kept}."
            )
        self._edited(listed.edited)
        if listed.suspects and not self._contents(remote, records, listed.suspects):
            return self._count_objects(scans)
        return matches

    def _edited(self, edited: list[Suspect]) -> None:
        uids = [one.instance.sent_uid for one in edited]
        if uids:
            self.found.stand(
                f"{counted(len(uids), 'file', 'files')} changed on the disk after being sent; the "
                f"server has what was sent (SOP Instance UID {list_some(uids)}). Put the sent "
                "files back, or replace the server's with upload --repair.",
                uids,
            )

    def _is_ours(self, remote: RemoteSession) -> bool:
        """Tell whether the session is the planned study; note whose it is."""
        row, problems = self.found.row, self.found.problems
        if remote.subject.casefold() != row.subject.casefold():
            problems.append(
                f"{row.session} on the server belongs to {remote.subject}, not {row.subject}. "
                f"{undo_advice(remote, row.subject)}"
            )
        if not remote.study_uid or remote.study_uid == self.payload.study_uid:
            return True
        problems.append(
            f"{row.session} on the server is another study (Study Instance UID {remote.study_uid})."
            " If it is this one, it was sent with other UIDs: by another plan, with another key, "
            "or before the journal was moved away."
        )
        return False

    @staticmethod
    def _has_digests(scans: list[RemoteScan]) -> bool:
        files = [file for scan in scans for file in scan.files]
        return bool(files) and all(file.md5 for file in files)

    def _instances(self, matches: list[SeriesMatch]) -> None:
        found = self.found
        found.found = sum(len(match.present) for match in matches)
        rejected = self.journal.rejected(found.row.key) if self.journal else set()
        for one, match in zip(self.payload.series, matches, strict=True):
            if match.missing:
                what_to_do = "Upload again."
                if rejected.issuperset(match.missing):
                    what_to_do = "The site rejects them."
                found.stand(
                    f"{series_name(one)}: {len(match.missing)} of {len(one.instances)} files are "
                    f"missing (SOP Instance UID {list_some(match.missing)}). {what_to_do}",
                    match.missing,
                )

    def _contents(
        self, remote: RemoteSession, records: ObjectRecords, suspects: list[Suspect]
    ) -> bool:
        """Compare what the objects hold; return whether all of them were compared."""
        found, shared = self.found, self.shared
        report = check_contents(
            self.client,
            remote.path,
            suspects,
            sample=shared.options.sample,
            deidentifier=shared.deidentifier,
            strangers=shared.strangers(found.row),
            meter=shared.meter,
            control=shared.control,
        )
        found.checksummed += report.checksummed
        found.pixels_equal += report.pixels + report.contents
        for (series, reason), uids in report.grouped(report.different):
            found.stand(
                f"{series_name(series)}: {len(uids)} of {len(series.instances)} files are not as "
                f"on disk: {reason} (SOP Instance UID {list_some(uids)}). Look at them in XNAT; "
                "upload --repair replaces them by the files on disk.",
                uids,
            )
        self._changed(remote, report.equal)
        found.notes += content_notes(report)
        return not report.left_out and not report.undecided

    def _changed(self, remote: RemoteSession, equal: list[Copy]) -> None:
        """Tell copies that changed after arrival; keep what the others were compared with."""
        changed = [one for one in equal if one.suspect.arrived not in ("", one.md5)]
        if changed and not self.shared.options.accept_changes:
            uids = [one.suspect.instance.sent_uid for one in changed]
            self.found.stand(
                f"{counted(len(uids), 'file', 'files')} changed on the server after arrival, with "
                f"equal pixels (SOP Instance UID {list_some(uids)}). If XNAT was to do so, as "
                "where a session is relabelled, use verify --accept-changes.",
                uids,
            )
            equal = [one for one in equal if one not in changed]
        if self.journal is not None:
            self.journal.set_arrived(
                self.found.row.key,
                [
                    ArrivedObject(
                        one.suspect.instance.sent_uid,
                        remote.id,
                        one.md5,
                        one.size,
                        one.suspect.md5,
                    )
                    for one in equal
                ],
            )

    def _count_objects(self, scans: list[RemoteScan]) -> list[SeriesMatch]:
        """Find the instances by what the objects say, where no content proves their names."""
        found = self.found
        matches = [
            match_series(self.client, one, scans, trust_names=False) for one in self.payload.series
        ]
        found.found = sum(len(match.present) for match in matches)
        if found.found < found.planned and not found.problems:
            found.problems.append("The objects on the server are not those on disk.")
        return matches

    def _doubled(
        self, scans: list[RemoteScan], matches: list[SeriesMatch], remote: RemoteSession
    ) -> None:
        found = self.found
        doubled = [uid for match in matches for uid in match.doubled]
        if doubled:
            found.stand(
                f"{counted(len(doubled), 'instance is', 'instances are')} on the server twice. "
                "Delete the second copy in XNAT."
            )
        for match in matches:
            if len(match.scans) > 1:
                found.stand(f"One series is in the scans {list_some(match.scans)}.")
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
        self._elsewhere(remote)

    def _elsewhere(self, remote: RemoteSession) -> None:
        """Tell where else the study is."""
        found, planned = self.found, self.shared.planned
        for one in self.shared.studies[self.payload.study_uid]:
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

    def _variables(self, remote: RemoteSession, item: dict[str, Any]) -> None:
        there = variables_in(item)
        subject = variables_in(
            read_item(
                self.client, data_path("projects", remote.project, "subjects", remote.subject)
            )
        )
        for name, value in self.found.row.variables.items():
            places = [("session", there)]
            if self.shared.config.variables.of_subject(name):
                places.append(("subject", subject))
            for what, values in places:
                if value and values.get(name, "") != value:
                    old = values.get(name) or "empty"
                    self.found.problems.append(
                        f"{name} of the {what} is {old} on the server and {value} in the plan. "
                        "Use set-variables."
                    )

    def _prearchive(self) -> None:
        label = self.found.row.session.casefold()
        for one in read_prearchive(self.client, self.found.row.project):
            if one.study_uid == self.payload.study_uid and one.label.casefold() == label:
                self.found.problems.append(
                    f"{one.label} also waits in the prearchive ({one.status.lower()}). Upload "
                    "again, or delete it there."
                )
