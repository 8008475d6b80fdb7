"""Fetch the server's copies of objects that no listing proves, and compare what they hold."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, unquote

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import BrokenAnswerError, RefusedError
from xnat_config.server.files import RemoteFile
from xnat_pic.files import new_digest

from ..control import ProgressMeter, RunControl
from ..deidentification.deidentifier import Deidentifier
from .object_comparison import ContentResult, ObjectComparison, compare_objects, read_sop_uid
from .payload import Instance, SeriesPayload
from .zip_members import zip_members

# From so many files on, an archive of the session is fetched instead of one file after another.
_ARCHIVE_FROM = 20
_NAMED = 12  # of header elements in a message
_MEMBER = re.compile(r"(?:^|/)scans/([^/]+)/(?:resources/)?[^/]+/(?:files/)?(.+)$")


@dataclass(frozen=True)
class Suspect:
    """An object that the server's listing does not prove.

    Attributes
    ----------
    md5 : str
        Of the bytes to be there; empty where it is not known.
    arrived : str
        MD5 of the server's copy when it arrived; empty where it is not known.
    is_edited : bool
        The file on this side is not the one that was sent.
    """

    series: SeriesPayload
    instance: Instance
    file: RemoteFile
    md5: str
    arrived: str = ""
    is_edited: bool = False


@dataclass(frozen=True)
class Copy:
    """A copy on the server that is equal in pixels or content: its MD5, bytes and whose it is."""

    suspect: Suspect
    md5: str
    size: int


@dataclass
class ContentReport:
    """What the comparison found.

    Attributes
    ----------
    checksummed, pixels, contents : int
        Objects whose bytes are equal after all, whose decoded pixels are, and whose content is.
    undecided, different : list of (Suspect, str)
        Objects that cannot be compared here, and that hold something else, with the reason.
    left_out : int
        Objects that were not looked at because a sample was asked for.
    rewritten : set of str
        Keywords of the header elements that the server rewrote.
    equal : list of Copy
        The copies that the server rewrote, of equal pixels or content.
    """

    checksummed: int = 0
    pixels: int = 0
    contents: int = 0
    undecided: list[tuple[Suspect, str]] = field(default_factory=list)
    different: list[tuple[Suspect, str]] = field(default_factory=list)
    left_out: int = 0
    rewritten: set[str] = field(default_factory=set)
    equal: list[Copy] = field(default_factory=list)

    def add(self, copy: Copy, found: ObjectComparison) -> None:
        """Count one comparison."""
        suspect = copy.suspect
        self.rewritten |= found.rewritten
        if found.result is ContentResult.UNDECIDED:
            self.undecided.append((suspect, found.reason))
            return
        if found.result is ContentResult.DIFFERENT:
            self.different.append((suspect, f"{found.reason}{_since(suspect, copy.md5)}"))
            return
        self.equal.append(copy)
        if found.result is ContentResult.PIXELS:
            self.pixels += 1
        else:
            self.contents += 1

    @staticmethod
    def grouped(
        found: Sequence[tuple[Suspect, str]],
    ) -> list[tuple[tuple[SeriesPayload, str], list[str]]]:
        """Return series and reason with the SOP Instance UIDs they hold for."""
        groups: dict[tuple[str, str], tuple[tuple[SeriesPayload, str], list[str]]] = {}
        for suspect, reason in found:
            key = (suspect.series.uid, reason)
            groups.setdefault(key, ((suspect.series, reason), []))[1].append(
                suspect.instance.sent_uid
            )
        return list(groups.values())


def _since(suspect: Suspect, md5: str) -> str:
    """Return where a difference comes from, as far as the journal tells."""
    if suspect.is_edited:
        return ", as the file on disk was changed after it was sent"
    if not suspect.arrived:
        return ""
    return ", so since it arrived" if md5 == suspect.arrived else ", changed after it arrived"


def series_name(series: SeriesPayload) -> str:
    """Return what people call a series."""
    return f"Series {series.number or series.uid} ({series.description or 'no description'})"


def content_notes(report: ContentReport) -> list[str]:
    """Return what should be known of a comparison, as messages."""
    notes = []
    if report.pixels:
        notes.append(f"Rewritten by the server, with equal decoded pixels: {report.pixels}.")
    if report.contents:
        notes.append(
            f"Rewritten by the server, without pixels and of equal content: {report.contents}."
        )
    if report.rewritten:
        names = sorted(report.rewritten)
        notes.append(f"Other values in headers there: {', '.join(names[:_NAMED])}"
                     f"{', ...' if len(names) > _NAMED else ''}.")  # fmt: skip
    notes += [
        f"Not proved, only counted by UID: {count}, as {reason}."
        for reason, count in Counter(reason for _, reason in report.undecided).items()
    ]
    if report.left_out:
        notes.append(
            f"Not looked at, only counted by UID: {report.left_out}, as a sample was asked for. "
            "A wrong pixel, header or object there is not found."
        )
    return notes


def check_contents(
    client: XnatClient,
    session: str,
    suspects: Sequence[Suspect],
    *,
    sample: int = 0,
    deidentifier: Deidentifier | None = None,
    strangers: Collection[str] = (),
    meter: ProgressMeter,
    control: RunControl,
) -> ContentReport:
    """Compare objects with the server's copies, of which one at a time is kept on disk.

    Parameters
    ----------
    session : str
        Address of the session.
    sample : int
        How many objects to look at, spread over the series; 0 looks at all of them.
    strangers : collection of str
        Names of other animals, see `compare_objects`.

    Raises
    ------
    CorruptDataError
        If a file on this side cannot be read.
    """
    chosen = choose_sample(suspects, sample) if sample else list(suspects)
    report = ContentReport(left_out=len(suspects) - len(chosen))
    meter.extend(sum(max(one.file.size, 0) for one in chosen))
    with TemporaryDirectory(prefix="xnat-pic-", ignore_cleanup_errors=True) as folder:
        check = _Check(client, Path(folder), deidentifier, strangers, meter, control, report)
        check.pending = {one.instance.sent_uid: one for one in chosen}
        if len(chosen) >= _ARCHIVE_FROM and not report.left_out:
            check.read_archives(session)
        for suspect in list(check.pending.values()):
            check.read_file(suspect)
    return report


def choose_sample(suspects: Sequence[Suspect], count: int) -> list[Suspect]:
    """Return so many objects, of each series in turn; the same ones for the same objects."""
    groups: dict[str, list[Suspect]] = {}
    # The order of a hash knows nothing of places in the series, and is the same the next time.
    for one in sorted(
        suspects, key=lambda one: hashlib.sha256(one.instance.sent_uid.encode()).digest()
    ):
        groups.setdefault(one.series.uid, []).append(one)
    chosen: list[Suspect] = []
    for turn in range(max(map(len, groups.values()), default=0)):
        chosen += [group[turn] for group in groups.values() if turn < len(group)]
    return chosen[:count]


def _is_file(suspect: Suspect, member: str) -> bool:
    """Tell whether a member of a session's archive is the file that an object is listed as."""
    found = _MEMBER.search(member)
    if found is None:
        return False
    folder, scan = unquote(found[1]), suspect.file.scan
    is_scan = folder == scan or folder.startswith(f"{scan}-")
    return is_scan and suspect.file.path in (found[2], unquote(found[2]))


@dataclass
class _Check:
    """One session's comparison; `pending` are the objects that are still to be seen."""

    client: XnatClient
    folder: Path
    deidentifier: Deidentifier | None
    strangers: Collection[str]
    meter: ProgressMeter
    control: RunControl
    report: ContentReport
    pending: dict[str, Suspect] = field(default_factory=dict)

    def read_archives(self, session: str) -> None:
        """Compare what the archives of the session's resources hold; the rest stays pending."""
        counts = Counter(one.file.resource for one in self.pending.values())
        for label, count in counts.items():
            if count < _ARCHIVE_FROM or not label:
                continue
            path = f"{session}/scans/ALL/resources/{quote(label, safe='')}/files"
            try:
                self.client.repeat_broken(lambda path=path: self._read_archive(path))  # type: ignore[misc]
            except (RefusedError, BrokenAnswerError):
                continue  # one file after another does it, too

    def _read_archive(self, path: str) -> None:
        with self.client.stream(path, {"format": "zip"}) as blocks:
            for member in zip_members(blocks):
                self.control.wait_if_paused()
                copy, md5 = self._store(member.blocks)
                suspect = self.pending.get(read_sop_uid(copy))
                # An object in the place of another one is looked at in its own place, below.
                if suspect is not None and _is_file(suspect, member.name):
                    self._compare(suspect, copy, md5)

    def read_file(self, suspect: Suspect) -> None:
        """Compare one file of the server."""

        def fetch() -> tuple[Path, str]:
            with self.client.stream(suspect.file.uri) as blocks:
                return self._store(blocks)

        self.control.wait_if_paused()
        try:
            copy, md5 = self.client.repeat_broken(fetch)
        except RefusedError as refusal:
            self._differs(suspect, f"the server lists it and does not give it ({refusal.status})")
            return
        uid = read_sop_uid(copy)
        if uid == suspect.instance.sent_uid:
            self._compare(suspect, copy, md5)
            return
        reason = f"its file holds the object {uid}" if uid else "its file is no DICOM object"
        self._differs(suspect, f"{reason}{_since(suspect, md5)}")

    def _differs(self, suspect: Suspect, reason: str) -> None:
        del self.pending[suspect.instance.sent_uid]
        self.report.different.append((suspect, reason))

    def _store(self, blocks: Iterator[bytes]) -> tuple[Path, str]:
        """Keep the bytes of one object aside; return where, and their MD5."""
        target, digest = self.folder / "copy.dcm", new_digest("md5")
        with target.open("wb") as file:
            for block in blocks:
                self.control.check()
                digest.update(block)
                file.write(block)
        return target, digest.hexdigest()

    def _compare(self, suspect: Suspect, copy: Path, md5: str) -> None:
        del self.pending[suspect.instance.sent_uid]
        size = copy.stat().st_size
        self.meter.add(max(suspect.file.size, 0))
        if md5 == suspect.md5:
            self.report.checksummed += 1
            return
        ours = suspect.instance.file.path
        if self.deidentifier is not None:
            changed = self.folder / "ours.dcm"
            changed.write_bytes(self.deidentifier.content(ours))
            ours = changed
        found = compare_objects(ours, copy, self.strangers)
        self.report.add(Copy(suspect, md5, size), found)
