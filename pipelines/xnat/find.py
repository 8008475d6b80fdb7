"""Find sessions of a project, and the scans that serve a map by what their headers say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any

from private_dictionaries.reading import read_block, read_frames
from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError
from xnat_config.server.files import RemoteFile, list_files
from xnat_config.server.paths import data_path
from xnat_pic.errors import NothingUsableError, ServerError
from xnat_pic.tables import load_table

from ..inputs import attributes
from .files import read_header

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DICOM = "DICOM"
_IMAGE_SESSION = "xnat:imageSessionData"
_TOLERANCE = 1e-3
_MOST_LOOKED_AT = 24
_SHORT_MS = 30.0  # WASABI plays one pulse of about 5 ms; other saturation is longer, or a train


class Suitability(IntEnum):
    """How well a scan serves: what its headers exclude, what only its name says, what they show."""

    NO = 0
    UNKNOWN = 1
    NAMED = 2
    YES = 3


@dataclass(frozen=True)
class ScanRow:
    """One scan of a session, as the server lists it."""

    id: str
    type: str
    description: str
    uid: str
    address: str


@dataclass(frozen=True)
class Session:
    """One session.

    Attributes
    ----------
    id, label, project : str
        Of the session.
    subject_id, subject : str
        ID and label of its subject.
    scans : tuple of ScanRow
        In the order of the server.
    """

    id: str
    label: str
    project: str
    subject_id: str
    subject: str
    scans: tuple[ScanRow, ...]

    @property
    def address(self) -> str:
        """Where it is on the server."""
        return data_path("experiments", self.id)

    @property
    def subject_address(self) -> str:
        """Where its subject is on the server."""
        return data_path("subjects", self.subject_id)


@dataclass(frozen=True)
class Candidate:
    """A scan with its images, how well it serves, and why not where it does not."""

    scan: ScanRow
    files: tuple[RemoteFile, ...]
    suitability: Suitability
    reason: str = ""


def read_session(client: XnatClient, experiment_id: str) -> Session:
    """Return a session and its scans.

    Raises
    ------
    MissingError
        Where it is not there, or not for this user.
    """
    address = data_path("experiments", experiment_id)
    try:
        fields = _fields(client, address)
    except MissingError as error:
        raise MissingError(
            f"There is no session {experiment_id} on {client.server} that may be read.",
            hint="Check the ID and the user's rights.",
        ) from error
    subject_id = fields.get("subject_ID", "")
    subject = _fields(client, data_path("subjects", subject_id)) if subject_id else {}
    rows = client.rows(f"{address}/scans", {"columns": "ID,type,UID,series_description,xsiType"})
    scans = [
        ScanRow(
            id=row.get("ID", ""),
            type=row.get("type", ""),
            description=row.get("series_description", ""),
            uid=row.get("UID", ""),
            address=data_path("experiments", experiment_id, "scans", row.get("ID", "")),
        )
        for row in rows
    ]
    return Session(
        id=fields.get("ID", experiment_id),
        label=fields.get("label", experiment_id),
        project=fields.get("project", ""),
        subject_id=subject_id,
        subject=subject.get("label", subject_id),
        scans=tuple(scans),
    )


def _fields(client: XnatClient, address: str) -> dict[str, str]:
    fields = client.item(address).get("data_fields")
    if not isinstance(fields, dict):
        raise ServerError(f"{client.server} gave no item for {address}.")
    return {str(name): str(value) for name, value in fields.items()}


@dataclass(frozen=True)
class SessionRow:
    """One session of a project as it is listed: ID, label, subject and type."""

    id: str
    label: str
    subject: str
    type: str


def find_sessions(client: XnatClient, project: str) -> list[SessionRow]:
    """Return the imaging sessions of a project in the order of labels.

    Raises
    ------
    ServerError
        Where the server gives no list.
    """
    columns = "ID,label,subject_label,xsiType"
    params = {"project": project, "xsiType": _IMAGE_SESSION, "columns": columns}
    found: dict[str, SessionRow] = {}
    for row in client.rows("/data/experiments", params):
        known = {name.lower(): value for name, value in row.items()}
        one = SessionRow(*(known.get(name, "") for name in columns.lower().split(",")))
        found.setdefault(one.id, one)
    return sorted(found.values(), key=lambda one: one.label)


def session_id(client: XnatClient, project: str, named: str) -> str:
    """Return the ID of a session that a person named by ID or label.

    Raises
    ------
    NothingUsableError
        Where the project has none.
    """
    found = find_sessions(client, project)
    for one in found:
        if named in (one.id, one.label):
            return one.id
    labels = ", ".join(one.label for one in found[:20]) or "none"
    raise NothingUsableError(f"{project} has no session {named}.", hint=f"It has these: {labels}.")


def select_scans(session: Session, named: Sequence[str]) -> tuple[list[ScanRow], bool]:
    """Return the scans to look at, and whether a person chose them.

    A list that names every scan is what a launch form hands on where nobody ticked any.

    Raises
    ------
    NothingUsableError
        Where a scan that is named is not in the session.
    """
    known = {one.id: one for one in session.scans}
    unknown = [one for one in named if one not in known]
    if unknown:
        raise NothingUsableError(
            f"{session.label} has no scan {', '.join(unknown)}.",
            hint=f"It has these: {', '.join(known) or 'none'}.",
        )
    if not named or (set(named) == set(known) and len(known) > 1):
        return list(session.scans), False
    return [known[one] for one in dict.fromkeys(named)], True


@cache
def rules() -> dict[str, dict[str, Any]]:
    """Return ``rules.toml`` by the name of the map."""
    return {row["map"]: row for row in load_table("pipelines.xnat", "rules.toml")["rule"]}


def find_scans(
    client: XnatClient,
    scans: Iterable[ScanRow],
    command: str,
    model: str = "",
    *,
    chosen: bool = False,
) -> tuple[list[Candidate], list[Candidate]]:
    """Return the scans that serve a map, each with its images, and the others with a reason.

    Parameters
    ----------
    client : XnatClient
        The server.
    scans : iterable of ScanRow
        Where to look.
    command, model : str
        The map, such as ``t2``, and its model.
    chosen : bool
        A person named these scans: all that have images are returned, whatever they seem to be.

    Returns
    -------
    list of Candidate
        The best of what there is: those whose headers show it; without any, those whose name
        says it. Never those whose headers exclude it.
    list of Candidate
        All others.
    """
    found = []
    for scan in scans:
        files = _images(client, scan)
        if not files:
            found.append(
                Candidate(scan, files, Suitability.NO, "it has no images in a resource DICOM")
            )
        elif chosen:
            found.append(Candidate(scan, files, Suitability.YES))
        else:
            found.append(
                Candidate(scan, files, *_rate_by_headers(client, scan, files, command, model))
            )
    least = max([Suitability.NAMED, *(one.suitability for one in found)])
    return [one for one in found if one.suitability >= least], [
        one for one in found if one.suitability < least
    ]


def _images(client: XnatClient, scan: ScanRow) -> tuple[RemoteFile, ...]:
    try:
        return tuple(list_files(client, scan.address, DICOM))
    except MissingError:
        return ()


def _rate_by_headers(
    client: XnatClient, scan: ScanRow, files: Sequence[RemoteFile], command: str, model: str
) -> tuple[Suitability, str]:
    """Judge a scan by the headers of a few images, and of more where these leave it open.

    First, second and last differ in whatever runs fastest in the order of names, echo or slice.
    Names may be in no order at all: then more are looked at, spread over the rest.
    """
    last = len(files) - 1
    few = sorted({0, min(1, last), last})
    more = {round(number * last / _MOST_LOOKED_AT) for number in range(_MOST_LOOKED_AT)}
    headers: list[Dataset] = []
    suitability, reason = Suitability.NO, ""
    for places in (few, sorted(more - set(few))):
        found = (read_header(client, files[location]) for location in places)
        headers += [one for one in found if one is not None]
        suitability, reason = rate_suitability(
            headers, [scan.type, scan.description], command, model
        )
        if suitability in (Suitability.NO, Suitability.YES):
            break
    return suitability, reason


def rate_suitability(
    headers: Sequence[Dataset], names: Sequence[str], command: str, model: str = ""
) -> tuple[Suitability, str]:
    """Tell how well a scan serves a map, and what its headers lack where they do not show it.

    Parameters
    ----------
    headers : sequence of Dataset
        Of some of its images.
    names : sequence of str
        Type and description.
    command, model : str
        The map and its model.
    """
    rule = rules()[command]
    if not headers:
        return Suitability.NO, "its images cannot be read as DICOM"
    first = headers[0]
    modality = str(first.get("Modality", ""))
    if modality not in rule["modality"]:
        return (
            Suitability.NO,
            f"its modality is {modality or 'not given'}, not {rule['modality'][0]}",
        )
    if _is_map(first):
        return Suitability.NO, "it is a map already"
    for row in rule["excludes"]:
        if _matches_rule(first, row, model):
            stated = ", ".join(sorted(_attribute_words(first, row["attribute"])))
            return Suitability.NO, f"its {row['attribute']} is {stated}"
    values = _all(headers, rule)
    if _vary(values) or any(value > rule.get("above", inf) for value in values):
        return Suitability.YES, ""
    if any(_matches_rule(first, row, model) for row in rule["proves"]):
        return Suitability.YES, ""
    lacks = f"its images {'have one' if values else 'give no'} {rule['what']}"
    text = " ".join(names).casefold()
    if any(hint in text for hint in rule["hints"]):
        return Suitability.NAMED, f"{lacks}; only its name speaks for it"
    return Suitability.UNKNOWN, lacks


def _attribute_words(header: Dataset, attribute: str) -> set[str]:
    value: Any = ""
    if attribute in ("saturation_type", "saturation"):
        blocks = _blocks(header)
        if blocks and attribute == "saturation_type":
            value = blocks[0].saturation_type or ""
        elif blocks:
            value = _saturation(blocks[0].pulse_length_ms, blocks[0].pulse_number)
    else:
        value = header.get(attribute, "")
    items = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
    return {str(one).strip().upper() for one in items if str(one).strip()}


def _blocks(header: Dataset) -> list[Any]:
    """Return the blocks of the CEST dictionary, in one file with many frames too."""
    if header.get("PerFrameFunctionalGroupsSequence"):
        return [one for one in read_frames(header) if one is not None]
    block = read_block(header)
    return [] if block is None else [block]


def _saturation(pulse_ms: float | None, pulses: int | None) -> str:
    """Return how water was saturated, in the words of the rules; empty where it is not said."""
    if pulse_ms is None or (pulses is None and pulse_ms < _SHORT_MS):
        return ""  # a short pulse alone may be one of a train
    return "ONE SHORT PULSE" if pulse_ms < _SHORT_MS and pulses == 1 else "LONG"


def _matches_rule(header: Dataset, row: Mapping[str, Any], model: str) -> bool:
    if row.get("model", model) != model:
        return False
    values = _attribute_words(header, row["attribute"])
    if "only" in row:
        return bool(values) and values <= set(row["only"])
    return bool(values & set(row["any"]))


def _is_map(header: Dataset) -> bool:
    kind = _attribute_words(header, "ImageType")
    return "DERIVED" in kind and bool(kind & {"QUANTITY", "MAP", "PARAMETRIC"})


def _all(headers: Sequence[Dataset], rule: Mapping[str, Any]) -> list[float]:
    """Return what images say of the value of a rule, in one file with many frames too."""
    name = rule["varies"]
    return [value for header in headers for value in _values(header, name)] if name else []


def _vary(values: Sequence[float]) -> bool:
    if not values:
        return False
    low, high = min(values), max(values)
    return high - low > _TOLERANCE * max(abs(low), abs(high), _TOLERANCE)


def _values(header: Dataset, name: str) -> list[float]:
    if name == "offset_ppm":
        return [b.offset_ppm for b in _blocks(header) if b.offset_ppm is not None]
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    groups = list(header.get("PerFrameFunctionalGroupsSequence") or []) or [None]
    found = []
    for item in groups:
        places = [*([item] if item is not None else []), *shared, header]
        value = attributes.frame_value(places, name)
        if value is not None:
            found.append(value[0])
    return found
