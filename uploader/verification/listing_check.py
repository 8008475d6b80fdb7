"""Compare what the server lists of the objects of a session with what was sent, without reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from xnat_config.server.files import RemoteFile
from xnat_pic.text import list_some

from ..control import ProgressMeter, RunControl
from ..deidentification.deidentifier import Deidentifier
from ..planning.journal import ArrivedObject, Journal, SentObject
from .content_check import Suspect, series_name
from .matching import SeriesMatch
from .payload import Instance, SeriesPayload, SessionPayload, file_stamp, sent_md5


@dataclass(frozen=True)
class ObjectRecords:
    """What the journal knows of the objects of a session.

    Attributes
    ----------
    sent : mapping of str to SentObject
        What was sent, by the SOP Instance UID sent.
    arrived : mapping of str to ArrivedObject
        What this very session had of them when they were archived.
    """

    sent: Mapping[str, SentObject] = field(default_factory=dict)
    arrived: Mapping[str, ArrivedObject] = field(default_factory=dict)
    is_another_session: bool = False

    @classmethod
    def of(cls, journal: Journal | None, row_key: str, place: str) -> ObjectRecords:
        """Read them; what is known of a session that was deleted says nothing of a new one."""
        if journal is None:
            return cls()
        arrived = journal.arrived(row_key)
        here = {uid: one for uid, one in arrived.items() if one.place == place}
        return cls(journal.digests(row_key), here, bool(arrived) and not here)


@dataclass
class ListingReport:
    """What the listing proves.

    Attributes
    ----------
    checksummed, kept : int
        Objects with the MD5 of the bytes sent, and rewritten ones that were compared before and
        did not change since.
    suspects : list of Suspect
        Those that it does not prove.
    edited : list of Suspect
        Those that are there as they were sent, and that changed on the disk.
    """

    checksummed: int = 0
    kept: int = 0
    suspects: list[Suspect] = field(default_factory=list)
    edited: list[Suspect] = field(default_factory=list)


@dataclass(frozen=True)
class ListingCheck:
    """Compares digests or sizes of a session.

    Attributes
    ----------
    is_believed : bool
        The server computed its digests anew; otherwise every object has to be read.
    lost : collection of (str, str)
        Scan and resource where files that are listed are not in the store.
    """

    records: ObjectRecords
    deidentifier: Deidentifier | None
    is_believed: bool
    lost: Collection[tuple[str, str]]
    meter: ProgressMeter
    control: RunControl

    def digests(self, payload: SessionPayload, matches: list[SeriesMatch]) -> ListingReport:
        """Compare MD5: of the bytes on disk, as they were to be sent."""
        report = ListingReport()
        for series, instance, file in _pairs(payload, matches):
            self.control.check()
            ours = self._digest(instance)
            self.meter.add(instance.file.size)
            self._judge(report, series, instance, file, ours)
        return report

    def _judge(
        self,
        report: ListingReport,
        series: SeriesPayload,
        instance: Instance,
        file: RemoteFile,
        ours: str,
    ) -> None:
        sent = self.records.sent.get(instance.sent_uid)
        arrived = self.records.arrived.get(instance.sent_uid)
        before = arrived.md5 if arrived else ""
        is_edited = bool(self.deidentifier is None and sent and sent.md5 != ours)
        suspect = Suspect(series, instance, file, ours, before, is_edited)
        if not self.is_believed or (file.scan, file.resource) in self.lost:
            report.suspects.append(suspect)
        elif ours and file.md5 == ours:
            report.checksummed += 1
        elif is_edited and sent and file.md5 == sent.md5:
            report.edited.append(suspect)
        elif arrived and file.md5 and file.md5 == before and arrived.equal_to == ours:
            report.kept += 1
        else:
            report.suspects.append(suspect)

    def _digest(self, instance: Instance) -> str:
        if self.deidentifier is None:
            return sent_md5(instance.file.path, None)
        sent = self.records.sent.get(instance.sent_uid)
        # To make an object anew costs much; one that nobody wrote since is as it was.
        if self.is_believed and sent and sent.stamp == file_stamp(instance.file.path):
            return sent.md5
        return sent_md5(instance.file.path, self.deidentifier)

    def sizes(
        self, payload: SessionPayload, matches: list[SeriesMatch]
    ) -> tuple[int, list[tuple[str, list[str]]]]:
        """Compare sizes; return how many are those sent, and what is wrong with which objects."""
        sized = 0
        problems: list[tuple[str, list[str]]] = []
        for series, match in zip(payload.series, matches, strict=True):
            others = []
            for uid, file in match.files.items():
                known = self._sizes(series.instances[uid])
                is_lost = (file.scan, file.resource) in self.lost
                if not is_lost and file.size in known:
                    sized += 1
                elif is_lost or known:
                    others.append(uid)
            if others:
                text = (
                    f"{series_name(series)}: {len(others)} of {len(series.instances)} files have "
                    f"another size on the server, or are not in its store (SOP Instance UID "
                    f"{list_some(others)})."
                )
                problems.append((text, others))
        return sized, problems

    def _sizes(self, instance: Instance) -> set[int]:
        """Return the sizes that an object may have there; none where nobody knows."""
        arrived = self.records.arrived.get(instance.sent_uid)
        if arrived is not None and arrived.size >= 0:
            return {arrived.size}
        sent = self.records.sent.get(instance.sent_uid)
        if self.deidentifier is not None:
            return {sent.size} if sent and sent.size >= 0 else set()
        return {instance.file.size}


def _pairs(
    payload: SessionPayload, matches: list[SeriesMatch]
) -> Iterator[tuple[SeriesPayload, Instance, RemoteFile]]:
    for series, match in zip(payload.series, matches, strict=True):
        for uid, file in match.files.items():
            yield series, series.instances[uid], file


def lost_text(lost: Counter[tuple[str, str]]) -> str:
    """Return what the catalogue lists and the store does not have, as a message."""
    places = [f"{count} in {label} of scan {scan}" for (scan, label), count in lost.items()]
    return f"The server lists files that are not in its store: {list_some(places)}."
