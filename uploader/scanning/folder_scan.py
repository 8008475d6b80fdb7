"""Read a folder of DICOM files: which sessions it holds, and what is wrong with its files."""

from __future__ import annotations

import filecmp
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom.uid import UID

from xnat_config import SiteConfig
from xnat_config.kinds import Kinds
from xnat_pic.errors import CancelledError
from xnat_pic.text import counted, list_some

from ..findings import Finding, error, note, path_below, warning
from .folder_tree import FolderTree, list_tree
from .headers import FileStatus, Header, read_headers
from .sessions import HeaderIdentity, Series, Session, SourceFile
from .side_files import assign_side_files, nearest_sessions, sessions_by_folder

OnRead = Callable[[int, int], None]
# What people and systems call a folder that keeps copies, as a word of its name.
_SPARE = re.compile(
    r"(?<![^\W_])(backups?|bak|back-?up|cop(y|ies)|copia|kopien?|copie|old|older|alt|vecchi[oa]?|"
    r"archives?|archivio|archiv|spare|duplicates?|sicherung(en)?|trash|tmp|temp)(?![^\W_])",
    re.IGNORECASE,
)
# What reading the files can show; a later scan says it anew.
FILE_CODES = frozenset(
    {"closed-folder", "damaged", "dicom-in-raw", "duplicate-differs", "duplicate-instance",
     "empty-folder", "instance-in-two-studies", "no-dicom", "no-series-number", "patients-differ",
     "same-series-number", "shared-side-file", "study-has-more", "unknown-sop-class", "unreadable"}
)  # fmt: skip


@dataclass(frozen=True)
class FolderScan:
    """What a folder holds.

    Attributes
    ----------
    sessions : tuple of Session
        In the order of date, time, kind and study.
    findings : tuple of Finding
        What concerns no single session.
    damaged : int
        Files that are damaged or cannot be read.
    """

    root: Path
    sessions: tuple[Session, ...]
    findings: tuple[Finding, ...]
    damaged: int = 0

    def __repr__(self) -> str:
        """Show what counts in a line."""
        return f"<FolderScan {self.root}: {len(self.sessions)} sessions>"


def scan_folder(
    root: Path,
    config: SiteConfig,
    *,
    jobs: int | None = None,
    on_read: OnRead | None = None,
    cancelled: Callable[[], bool] | None = None,
    leave_out: Iterable[Path] = (),
) -> FolderScan:
    """Read the headers of all DICOM files in a folder and sort them into sessions.

    Parameters
    ----------
    jobs : int, optional
        Worker processes; by default as many as help.
    on_read : callable, optional
        Called with the number of files read and of all files.
    cancelled : callable, optional
        Asked between groups of files; true ends the scan.
    leave_out : iterable of Path
        Files below the folder that are not part of the data, such as the plan itself.

    Raises
    ------
    WrongCallError
        If there is no such folder.
    CancelledError
        If `cancelled` answered true.
    """
    root = root.absolute()
    tree = list_tree(root, config.resources, frozenset(path.absolute() for path in leave_out))

    def progress(done: int, total: int) -> None:
        if cancelled is not None and cancelled():
            raise CancelledError("The scan was stopped.")
        if on_read is not None:
            on_read(done, total)

    headers = read_headers(tree.files, jobs=jobs, on_read=progress)
    headers = [_without_pixels(one, config.kinds) for one in headers]
    usable = [one for one in headers if one.status is FileStatus.DICOM]
    bad = [one for one in headers if one.status in (FileStatus.DAMAGED, FileStatus.UNREADABLE)]
    sessions = _sessions(usable, config.kinds, root)
    sessions, homeless = _add_damage(sessions, bad, root)
    others = [one.path for one in headers if one.status is FileStatus.OTHER]
    sessions, loose = assign_side_files(sessions, [*others, *tree.raw_files], root)
    findings = [*_tree_findings(tree, root), *_bad_findings(homeless, root), *loose]
    return FolderScan(root, tuple(sessions), tuple(findings), damaged=len(bad) + len(tree.closed))


def _without_pixels(header: Header, kinds: Kinds) -> Header:
    """Call an image damaged that has no pixels: the file ends before them."""
    uid = header.sop_class_uid
    is_image = kinds.has_pixels(uid) or "Image Storage" in UID(uid).name
    if header.status is not FileStatus.DICOM or header.has_pixels or not is_image:
        return header
    return replace(header, status=FileStatus.DAMAGED, problem="it ends before the pixels")


def _sessions(headers: Sequence[Header], kinds: Kinds, root: Path) -> list[Session]:
    studies: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        studies[header.study_uid].append(header)
    shared = _in_two_studies(headers)
    sessions = []
    for members in studies.values():
        kept, doubles = _without_doubles(members, root)
        by_kind = _by_kind(kept, kinds)
        for kind, series in by_kind.items():
            findings = [*_session_findings(series, kinds, root)]
            own = {one.series_uid for files in series for one in files}
            copies = [place for one in doubles if one.series_uid in own for place in one.folders]
            session = _session(kind, series, copies)
            findings += [one.finding for one in doubles if one.series_uid in own]
            twice = [one for files in series for one in files if one.sop_instance_uid in shared]
            if twice:
                findings.append(
                    warning(
                        "instance-in-two-studies",
                        f"{counted(len(twice), 'image has', 'images have')} a SOP Instance UID "
                        f"that another study has too, such as {path_below(twice[0].path, root)}. "
                        "Convert the data again.",
                    )
                )
            if len(by_kind) > 1:
                others = ", ".join(code for code in by_kind if code != kind)
                findings.append(
                    note("study-has-more", f"The same study also holds {others}: own sessions.")
                )
            sessions.append(replace(session, findings=tuple(findings)))
    return sorted(sessions, key=lambda s: (s.study_date, s.study_time, s.modality, s.study_uid))


def _in_two_studies(headers: Iterable[Header]) -> set[str]:
    first: dict[str, str] = {}
    return {
        one.sop_instance_uid
        for one in headers
        if first.setdefault(one.sop_instance_uid, one.study_uid) != one.study_uid
    }


@dataclass(frozen=True)
class _Doubles:
    """Files of a series that are there again, and the folders they lie in."""

    series_uid: str
    folders: tuple[Path, ...]
    finding: Finding


def is_spare(path: Path, root: Path) -> bool:
    """Tell whether a folder's name says that its files are kept as a copy of others."""
    names = path.parent.relative_to(root).parts
    return any(_SPARE.search(name) for name in names)


def _without_doubles(members: Sequence[Header], root: Path) -> tuple[list[Header], list[_Doubles]]:
    """Keep each instance of a study once; say what was left out.

    A copy in a folder that is called one never takes the place of the original.
    """
    first: dict[str, Header] = {}
    same: dict[str, list[Header]] = defaultdict(list)
    different: dict[str, list[Header]] = defaultdict(list)
    if len({one.sop_instance_uid for one in members}) < len(members):
        members = sorted(members, key=lambda one: is_spare(one.path, root))
    for header in members:
        kept = first.setdefault(header.sop_instance_uid, header)
        if kept is not header:
            equal = _equal_files(kept, header)
            (same if equal else different)[kept.series_uid].append(header)
    found = [
        _Doubles(
            uid,
            _folders(doubles),
            note(
                "duplicate-instance",
                f"{counted(len(doubles), 'file is a copy', 'files are copies')} of others, "
                f"not sent twice: {list_some([path_below(one.path, root) for one in doubles])}.",
            ),
        )
        for uid, doubles in same.items()
    ]
    found += [
        _Doubles(
            uid,
            _folders(doubles),
            error(
                "duplicate-differs",
                f"{counted(len(doubles), 'file has', 'files have')} the SOP Instance UID "
                "of another file and other content: "
                f"{list_some([path_below(one.path, root) for one in doubles])}. "
                "Move what is wrong out of the folder and scan again.",
            ),
        )
        for uid, doubles in different.items()
    ]
    return list(first.values()), found


def _folders(headers: Iterable[Header]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(one.path.parent for one in headers))


def _equal_files(one: Header, other: Header) -> bool:
    if one.size != other.size:
        return False
    try:
        return filecmp.cmp(one.path, other.path, shallow=False)
    except OSError:
        return False


def _by_kind(headers: Iterable[Header], kinds: Kinds) -> dict[str, list[list[Header]]]:
    """Sort the series of one study into kinds; what refers to images goes with them."""
    series: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        series[header.series_uid].append(header)
    leads = [files for files in series.values() if not kinds.joins(files[0].sop_class_uid)]
    codes = {kinds.of(files[0].sop_class_uid, files[0].modality) for files in leads}
    leading = kinds.leading(codes)
    found: dict[str, list[list[Header]]] = defaultdict(list)
    for files in series.values():
        head = files[0]
        own = kinds.of(head.sop_class_uid, head.modality)
        if kinds.joins(head.sop_class_uid) and codes and own not in codes:
            own = leading
        found[own].append(files)
    return dict(found)


def _session(kind: str, series: Sequence[Sequence[Header]], copies: Iterable[Path]) -> Session:
    head = series[0][0]
    parents = {one.path.parent for files in series for one in files}
    built = sorted(
        (_series(files) for files in series),
        key=lambda one: (one.number is None, one.number or 0, one.uid),
    )
    said = _header_identity([one for files in series for one in files])
    dated = min((one for files in series for one in files), key=lambda h: (not h.study_date,))
    return Session(
        source=Path(os.path.commonpath(parents)),
        study_uid=head.study_uid,
        study_date=dated.study_date,
        study_time=dated.study_time,
        patient_id=head.patient_id or next(iter(said.patients), ""),
        modality=kind,
        series=tuple(built),
        header=said,
        copies=tuple(dict.fromkeys(place for place in copies if place not in parents)),
    )


def _header_identity(headers: Sequence[Header]) -> HeaderIdentity:
    def first(name: str) -> str:
        return next((text for one in headers if (text := getattr(one, name))), "")

    return HeaderIdentity(
        patients=tuple(sorted({one.patient_id for one in headers} - {""})),
        weight_kg=first("weight_kg"),
        sex=first("sex"),
        birth_date=first("birth_date"),
        study_id=first("study_id"),
    )


def _series(headers: Sequence[Header]) -> Series:
    head = headers[0]
    files = sorted(
        headers, key=lambda h: (h.instance_number is None, h.instance_number or 0, h.path)
    )
    return Series(
        uid=head.series_uid,
        number=head.series_number,
        modality=head.modality,
        description=head.series_description,
        files=tuple(
            SourceFile(
                h.path, h.size, h.mtime_ns, h.sop_instance_uid, h.sop_class_uid, h.instance_number
            )
            for h in files
        ),
    )


def _session_findings(
    series: Sequence[Sequence[Header]], kinds: Kinds, root: Path
) -> Iterable[Finding]:
    everything = [one for files in series for one in files]
    patients = sorted({one.patient_id for one in everything})
    if len(patients) == 2 and not patients[0]:  # two that differ are compared with the plan
        yield warning(
            "patients-differ",
            f"Some files of this study name the subject {patients[1]} and others none. Check that "
            "no other animal's files are among them.",
        )
    unnumbered = [files[0] for files in series if files[0].series_number is None]
    if unnumbered:
        yield warning(
            "no-series-number",
            f"{counted(len(unnumbered), 'series has', 'series have')} no Series Number, such as "
            f"{path_below(unnumbered[0].path.parent, root)}: XNAT names the scan by its Series "
            "Instance UID.",
        )
    numbers = [files[0].series_number for files in series if files[0].series_number is not None]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        yield warning(
            "same-series-number",
            f"Several series have the number {list_some(twice)}: XNAT adds the modality and a "
            "count to the names of these scans.",
        )
    unknown = sorted({one.sop_class_uid for one in everything if not _is_known_class(one, kinds)})
    if unknown:
        yield warning(
            "unknown-sop-class",
            f"The SOP class {list_some(unknown)} is not known: XNAT files such objects by their "
            "modality, and viewers may not show them.",
        )


def _is_known_class(header: Header, kinds: Kinds) -> bool:
    uid = UID(header.sop_class_uid)
    return header.sop_class_uid in kinds.by_uid or (uid.is_valid and uid.type == "SOP Class")


def _add_damage(
    sessions: Sequence[Session], bad: Sequence[Header], root: Path
) -> tuple[list[Session], list[Header]]:
    """Tell each session of the damaged files among its own; return those of no one session."""
    by_folder = sessions_by_folder(sessions, root)
    own: dict[str, list[Header]] = defaultdict(list)
    homeless = []
    for header in bad:
        keys = nearest_sessions(header.path, by_folder, root)
        if len(keys) == 1 or header.path.parent in by_folder:
            for key in keys:
                own[key].append(header)
        else:
            homeless.append(header)
    described = partial(_bad_findings, root=root)
    return [
        replace(session, findings=(*session.findings, *described(own[session.key])))
        for session in sessions
    ], homeless


def _bad_findings(bad: Sequence[Header], root: Path) -> Iterable[Finding]:
    for status, code, what in (
        (FileStatus.DAMAGED, "damaged", "damaged"),
        (FileStatus.UNREADABLE, "unreadable", "not readable"),
    ):
        files = [one for one in bad if one.status is status]
        if files:
            named = list_some([f"{path_below(one.path, root)} ({one.problem})" for one in files])
            yield error(
                code,
                f"{counted(len(files), 'file is', 'files are')} {what} and cannot be "
                f"sent: {named}. Put good copies in place of them, or move them out of the folder, "
                "and scan again.",
            )


def _tree_findings(tree: FolderTree, root: Path) -> Iterable[Finding]:
    for folder, reason in tree.closed:
        yield error(
            "closed-folder",
            f"The folder {path_below(folder, root)} cannot be listed ({reason}). Ask for the right "
            "to read it, and scan again.",
        )
    if tree.empty:
        names = [path_below(folder, root) for folder in tree.empty]
        yield note(
            "empty-folder",
            f"{counted(len(names), 'folder is', 'folders are')} empty: {list_some(names)}.",
        )
    hidden = [path for path in tree.raw_files if path.suffix.casefold() in (".dcm", ".ima")]
    if hidden:
        yield warning(
            "dicom-in-raw",
            f"{counted(len(hidden), 'DICOM file', 'DICOM files')} in folders of scanner data: "
            "kept with these, not imported: "
            f"{list_some([path_below(path, root) for path in hidden])}. Move them out, or convert "
            "the scanner data with mri2dicom.",
        )
