"""How DICOM objects become projects, subjects, sessions and scans (pure; facts in the table).

A header is a mapping from DICOM keyword to text; values of several are joined by a backslash.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from xnat_pic.tables import load_table

Header = Mapping[str, str]
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_IN_PLANES = ("xnat:mrScanData", "xnat:ctScanData")
_PLANES = ("Sag", "Cor", "Tra")  # what lies across the patient's axes x, y and z
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\Z")


@dataclass(frozen=True)
class Assignment:
    """Where a study belongs by its own headers; empty for what they do not say."""

    project: str
    subject: str
    session: str
    auto_archive: str


@dataclass(frozen=True)
class ScanDescription:
    """One scan of a session: its ID, its series, its type and element values."""

    id: str
    series: str
    xsi_type: str
    fields: dict[str, str]


@dataclass(frozen=True)
class SessionDescription:
    """A session as its objects give it."""

    xsi_type: str = "xnat:otherDicomSessionData"
    fields: dict[str, str] = field(default_factory=dict)
    scans: tuple[ScanDescription, ...] = ()


def rules() -> dict[str, Any]:
    """Return the table of facts."""
    return load_table("sandbox.archive", "dicom_rules.toml")


@cache
def _sop_classes() -> dict[str, dict[str, Any]]:
    return {row["uid"]: row for row in rules()["sop"]}


@cache
def keywords() -> tuple[str, ...]:
    """Return the keywords a header needs for these rules."""
    wanted = {row["keyword"] for row in rules()["field"]}
    for row in rules()["lookup"]:
        wanted |= {*row["places"], *row["whole"]}
    wanted |= {"SOPClassUID", "SOPInstanceUID", "SeriesNumber", "InstanceNumber", "NumberOfFrames"}
    return tuple(sorted(wanted | {"StudyInstanceUID", "SeriesInstanceUID", "Modality"}))


def clean_label(text: str) -> str:
    """Return a label as XNAT writes it when it archives: other characters become ``_``."""
    return _UNSAFE.sub("_", text.strip())


def assign(header: Header, find_project: Callable[[str], str]) -> Assignment:
    """Return where an object belongs by its header.

    Parameters
    ----------
    find_project : callable
        Returns the ID of a project that exists and may be written, by ID or alias; else nothing.
    """
    found = {row["what"]: "" for row in rules()["lookup"]}
    for row in rules()["lookup"]:
        for candidate in _candidates(header, row):
            value = find_project(candidate) if row["what"] == "project" else candidate
            if value:
                found[row["what"]] = value
                break
    return Assignment(**found)


def _candidates(header: Header, row: Mapping[str, Any]) -> Iterable[str]:
    entry = re.compile(rf"(?:^|[\s,;]){row['key']}\s*:\s*([A-Za-z0-9_-]*)(?=$|[\s,;])", re.I)
    for place in row["places"]:
        match = entry.search(header.get(place, ""))
        if match and match[1]:
            yield match[1]
    for place in row["whole"]:
        if value := header.get(place, "").strip():
            yield value


def session_type(headers: Iterable[Header]) -> str:
    """Return the type of the session that these objects make."""
    pairs = {(one.get("SOPClassUID", ""), one.get("Modality", "")) for one in headers}
    by_class = {_sop_classes().get(sop, {}).get("session", "") for sop, _ in pairs} - {""}
    table = rules()
    if by_class >= set(table["combined"]["types"]):
        return _type(table["combined"]["session"], "Session")
    for kind in table["session_order"]:
        if kind in by_class:
            return _type(kind, "Session")
    modalities = {modality for _, modality in pairs}
    for modality in table["modality_order"]:
        if modality in modalities:
            return _type(table["modality"].get(modality, table["fallback_session"]), "Session")
    return _type(table["fallback_session"], "Session")


def scan_type(headers: Iterable[Header]) -> str:
    """Return the type of the scan that the objects of a series make."""
    counted = Counter(one.get("SOPClassUID", "") for one in headers)
    for sop, _ in counted.most_common():
        if sop in _sop_classes():
            return _type(_sop_classes()[sop]["scan"], "Scan")
    return _type(rules()["fallback_scan"], "Scan")


def _type(kind: str, what: str) -> str:
    return f"xnat:{kind}{'Image' if (kind, what) == ('rt', 'Scan') else ''}{what}Data"


def resource_label(header: Header) -> str:
    """Return the scan resource an archived object goes into."""
    primary = _sop_classes().get(header.get("SOPClassUID", ""), {}).get("primary", False)
    return "DICOM" if primary else "secondary"


def modality_code(header: Header) -> str:
    """Return the letters that tell scans of one number apart."""
    return _UNSAFE.sub("", header.get("Modality", "")) or "OT"


def series_number(header: Header) -> str:
    """Return a series' own scan ID: its number, else its UID with other signs replaced."""
    number = header.get("SeriesNumber", "").strip()
    if number:
        return re.sub(r"[^\w.-]", "_", number)
    return re.sub(r"\W", "_", header["SeriesInstanceUID"])


def scan_ids(series: Mapping[str, Header]) -> dict[str, str]:
    """Return the scan ID of each series of a session, by series UID.

    Series that share a number all get it with modality and a count behind: ``5-MR1``, ``5-MR2``.
    """
    own = {uid: series_number(header) for uid, header in series.items()}
    shared = {number for number, count in Counter(own.values()).items() if count > 1}
    taken = set(own.values()) - shared
    ids = {}
    for uid, number in own.items():
        ids[uid] = number
        if number in shared:
            ids[uid] = numbered_id(number, series[uid], taken)
            taken.add(ids[uid])
    return ids


def numbered_id(number: str, header: Header, taken: Iterable[str]) -> str:
    """Return ``<number>-<modality><n>`` with the first n that is free."""
    return _with_count(number, modality_code(header), set(taken))


def type_code(xsi_type: str) -> str:
    """Return the letters that tell merged scans of one number apart; they are the type's."""
    prefix, _, name = xsi_type.partition(":")
    code = name[:2].upper() if prefix == "xnat" else ""
    return "PT" if code == "PE" else code


def next_scan_id(number: str, code: str, used: Iterable[str]) -> str:
    """Return a scan ID that is free: the number itself, else with letters and a count behind."""
    taken = set(used)
    if number not in taken:
        return number
    match = re.fullmatch(rf"(.)-{code}[0-9]+", number)
    return _with_count(match[1] if match else number, code, taken)


def _with_count(number: str, code: str, taken: Collection[str]) -> str:
    n = 1
    while f"{number}-{code}{n}" in taken:
        n += 1
    return f"{number}-{code}{n}"


def describe(headers: Sequence[Header]) -> SessionDescription:
    """Return the session that these objects of one study make."""
    if not headers:
        return SessionDescription()
    series: dict[str, list[Header]] = {}
    for header in headers:
        series.setdefault(header["SeriesInstanceUID"], []).append(header)
    firsts = {uid: min(group, key=_order) for uid, group in series.items()}
    ordered = dict(sorted(firsts.items(), key=lambda pair: _natural(series_number(pair[1]))))
    ids = scan_ids(ordered)
    scans = tuple(
        ScanDescription(ids[uid], uid, scan_type(series[uid]), _scan_fields(first, series[uid]))
        for uid, first in ordered.items()
    )
    lead = next(iter(ordered.values()))
    kind = session_type(headers)
    values = _fields(lead, "session")
    if kind == "xnat:mrSessionData":
        values |= _fields(lead, "mrSession")
    return SessionDescription(kind, values, scans)


def _order(header: Header) -> tuple[int, str]:
    number = header.get("InstanceNumber", "")
    return (int(number) if number.isdigit() else 0, header["SOPInstanceUID"])


def _natural(text: str) -> tuple[int, str]:
    return (int(text) if text.isdigit() else 10**12, text)


def _scan_fields(first: Header, group: Sequence[Header]) -> dict[str, str]:
    values = _fields(first, "scan")
    kind = scan_type(group)
    if kind in _IN_PLANES:
        values |= _fields(first, "plane")
    if kind == "xnat:mrScanData":
        values |= _fields(first, "mr")
    frames = (one.get("NumberOfFrames", "") for one in group)
    values["frames"] = str(sum(int(n) if n.isdigit() and int(n) else 1 for n in frames))
    values["quality"] = "usable"
    return values


def _fields(header: Header, of: str) -> dict[str, str]:
    values = {}
    for row in rules()["field"]:
        if row["of"] == of:
            text = header.get(row["keyword"], "").strip()
            if "index" in row:
                parts = text.split("\\")
                text = parts[row["index"]] if row["index"] < len(parts) else ""
            if value := _FORMS[row["form"]](text):
                values[row["path"]] = value
    return values


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if re.match(r"\d{8}", text) else ""


def _time(text: str) -> str:
    digits = text.partition(".")[0]
    if not digits.isdigit() or len(digits) < 2:
        return ""
    digits = digits.ljust(6, "0")
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:6]}"


def _number(text: str) -> str:
    try:
        return f"{float(text):g}"
    except ValueError:
        return ""


def _real(text: str) -> str:
    try:
        return str(float(text))
    except ValueError:
        return text


def _integer(text: str) -> str:
    try:
        return str(round(float(text)))
    except (ValueError, OverflowError):
        return ""


def _plane(text: str) -> str:
    """Return the main plane of an image whose rows and columns point in these directions."""
    try:
        rx, ry, rz, cx, cy, cz = (float(part) for part in text.split("\\"))
    except ValueError:
        return ""
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    sizes = [abs(part) for part in normal]
    return _PLANES[sizes.index(max(sizes))] if any(sizes) else ""


_FORMS: dict[str, Callable[[str], str]] = {
    "text": str,
    "date": _date,
    "time": _time,
    "number": _number,
    "real": _real,
    "integer": _integer,
    "plane": _plane,
}


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"


def file_name(header: Header, given: str = "") -> str:
    """Return the name an object is filed under: the given one where safe, else XNAT's own."""
    base = given.replace("\\", "/").rpartition("/")[2]
    if _SAFE_NAME.match(base):
        return base
    key = f"{header.get('SOPClassUID', '')}{header['SOPInstanceUID']}"
    digest = _base36(int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()[:12], 16))
    parts = (
        header.get("StudyInstanceUID", "") or "0",
        series_number(header),
        header.get("InstanceNumber", "") or "0",
        digest,
    )
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "-".join(parts)) + ".dcm"
