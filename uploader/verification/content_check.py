"""Fetch the server's copies of objects whose bytes differ, and compare what they hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

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


@dataclass(frozen=True)
class Suspect:
    """An object whose bytes on the server are not those sent, or whose checksum is not known.

    Attributes
    ----------
    md5 : str
        Of the bytes sent; empty where it is not known.
    """

    series: SeriesPayload
    instance: Instance
    file: RemoteFile
    md5: str


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
    """

    checksummed: int = 0
    pixels: int = 0
    contents: int = 0
    undecided: list[tuple[Suspect, str]] = field(default_factory=list)
    different: list[tuple[Suspect, str]] = field(default_factory=list)
    left_out: int = 0
    rewritten: set[str] = field(default_factory=set)

    def add(self, suspect: Suspect, found: ObjectComparison) -> None:
        """Count one comparison."""
        self.rewritten |= found.rewritten
        if found.result is ContentResult.PIXELS:
            self.pixels += 1
        elif found.result is ContentResult.CONTENT:
            self.contents += 1
        elif found.result is ContentResult.UNDECIDED:
            self.undecided.append((suspect, found.reason))
        else:
            self.different.append((suspect, found.reason))

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
            "A wrong pixel there is not found."
        )
    return notes


def check_contents(
    client: XnatClient,
    session: str,
    suspects: Sequence[Suspect],
    *,
    sample: int = 0,
    deidentifier: Deidentifier | None = None,
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

    Raises
    ------
    CorruptDataError
        If a file on this side cannot be read.
    """
    chosen = choose_sample(suspects, sample) if sample else list(suspects)
    report = ContentReport(left_out=len(suspects) - len(chosen))
    meter.extend(sum(max(one.file.size, 0) for one in chosen))
    with TemporaryDirectory(prefix="xnat-pic-", ignore_cleanup_errors=True) as folder:
        check = _Check(client, Path(folder), deidentifier, meter, control, report)
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


@dataclass
class _Check:
    """One session's comparison; `pending` are the objects that are still to be seen."""

    client: XnatClient
    folder: Path
    deidentifier: Deidentifier | None
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
                self._compare(read_sop_uid(copy), copy, md5)

    def read_file(self, suspect: Suspect) -> None:
        """Compare one file of the server."""

        def fetch() -> tuple[Path, str]:
            with self.client.stream(suspect.file.uri) as blocks:
                return self._store(blocks)

        self.control.wait_if_paused()
        copy, md5 = self.client.repeat_broken(fetch)
        uid = read_sop_uid(copy)
        self._compare(uid, copy, md5)
        if self.pending.pop(suspect.instance.sent_uid, None) is not None:
            reason = f"its file holds the object {uid}" if uid else "its file is no DICOM object"
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

    def _compare(self, uid: str, copy: Path, md5: str) -> None:
        suspect = self.pending.pop(uid, None)
        if suspect is None:
            return
        self.meter.add(max(suspect.file.size, 0))
        if md5 == suspect.md5:
            self.report.checksummed += 1
            return
        ours = suspect.instance.file.path
        if self.deidentifier is not None:
            changed = self.folder / "ours.dcm"
            changed.write_bytes(self.deidentifier.content(ours))
            ours = changed
        self.report.add(suspect, compare_objects(ours, copy))
