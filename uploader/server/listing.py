"""What is on the server, read and never written: sessions, scans, files, the prearchive."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError, RefusedError
from xnat_config.server.files import RemoteFile, file_of
from xnat_config.server.paths import data_path, files_path

_XNAT = "{http://nrg.wustl.edu/xnat}"
_CATALOG = "{http://nrg.wustl.edu/catalog}"
_SESSION_COLUMNS = "ID,label,project,xsiType,UID,subject_ID,subject_label,date"
# A file of this ending keeps its SOP Instance UID as its name: what we send does.
_INSTANCE_NAME = re.compile(r"([0-9][0-9.]{4,62}[0-9])\.dcm")
_HEADER_BYTES = 1 << 20
# Where XNAT files the objects of a scan, by their SOP class; other resources hold other things.
# A server that does not tell a file's resource has it counted as an object.
DICOM_RESOURCES = frozenset({"dicom", "secondary", ""})


@dataclass(frozen=True)
class RemoteSession:
    """An imaging session on the server."""

    id: str
    label: str
    project: str
    xsi_type: str
    study_uid: str
    subject: str

    @property
    def path(self) -> str:
        """Its address."""
        return data_path("experiments", self.id)


@dataclass(frozen=True)
class RemoteScan:
    """A scan with its DICOM files.

    Attributes
    ----------
    others : mapping
        How many files each other resource has, such as ``SNAPSHOTS``, which XNAT makes itself.
    """

    id: str
    series_uid: str
    files: tuple[RemoteFile, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PrearchiveSession:
    """A session in the prearchive.

    Attributes
    ----------
    address : str
        ``/prearchive/projects/...`` without ``/data``.
    status : str
        ``READY``, ``RECEIVING``, ``CONFLICT`` and so on, without the marks of a queue.
    """

    address: str
    status: str
    study_uid: str
    label: str
    subject: str

    @property
    def path(self) -> str:
        """Its address as it is asked for."""
        return "/data" + quote(self.address, safe="/")

    @property
    def is_busy(self) -> bool:
        """Whether the server is at work on it."""
        return self.status in ("BUILDING", "ARCHIVING", "MOVING", "SEPARATING", "DELETING")


@dataclass(frozen=True)
class RemoteSubject:
    """A subject, with its classic custom variables."""

    id: str
    label: str
    project: str
    variables: Mapping[str, str] = field(default_factory=dict)


def read_sessions(client: XnatClient, project: str, label: str = "") -> list[RemoteSession]:
    """Return the imaging sessions of a project, or the one with a label."""
    params = {"xsiType": "xnat:imageSessionData", "columns": _SESSION_COLUMNS}
    if label:
        params["label"] = label
    rows = client.rows(data_path("projects", project, "experiments"), params)
    found = [_session(row) for row in rows]
    return [one for one in found if not label or one.label.casefold() == label.casefold()]


def find_studies(client: XnatClient, study_uids: Iterable[str]) -> list[RemoteSession]:
    """Return the sessions of these studies in every project that may be read."""
    wanted = sorted(set(study_uids))
    found = []
    for start in range(0, len(wanted), 25):
        params = {
            "xsiType": "xnat:imageSessionData",
            "columns": _SESSION_COLUMNS,
            "UID": ",".join(wanted[start : start + 25]),
        }
        rows = client.rows("/data/experiments", params)
        found += [_session(row) for row in rows]
    known = set(wanted)
    return [one for one in found if one.study_uid in known]


def _session(row: Mapping[str, str]) -> RemoteSession:
    values = {name.lower(): value for name, value in row.items()}

    def value(*names: str) -> str:
        return next((values[name] for name in names if values.get(name)), "")

    return RemoteSession(
        id=value("id"),
        label=value("label"),
        project=value("project"),
        xsi_type=value("xsitype"),
        study_uid=value("uid", "xnat:imagesessiondata/uid"),
        subject=value("subject_label", "xnat:subjectdata/label") or value("subject_id"),
    )


def read_subjects(client: XnatClient, project: str, names: Iterable[str]) -> list[RemoteSubject]:
    """Return the subjects of a project with these variables."""
    paths = {name: f"xnat:subjectData/fields/field[name={name}]/field" for name in names}
    columns = ",".join(["ID", "label", "project", *paths.values()])
    rows = client.rows(data_path("projects", project, "subjects"), {"columns": columns})
    found = []
    for row in rows:
        lower = {name.lower(): value for name, value in row.items()}
        variables = {name: lower.get(path.lower(), "") for name, path in paths.items()}
        found.append(
            RemoteSubject(
                lower.get("id", ""), lower.get("label", ""), lower.get("project", ""), variables
            )
        )
    return found


def read_owners(client: XnatClient, ids: Iterable[str]) -> dict[str, str]:
    """Return the project that each subject belongs to; a project's listing names itself instead."""
    wanted = sorted(set(ids))
    found = {}
    for start in range(0, len(wanted), 50):
        params = {"columns": "ID,project", "ID": ",".join(wanted[start : start + 50])}
        rows = client.rows("/data/subjects", params)
        found.update({row.get("ID", ""): row.get("project", "") for row in rows})
    return found


def read_item(client: XnatClient, path: str) -> dict[str, Any]:
    """Return the current version of an item; empty if it is not there."""
    try:
        return client.item(path)
    except MissingError:
        return {}


def children(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the items below an item's element, such as ``fields/field``."""
    return [
        below
        for child in item.get("children", [])
        if child.get("field") == name
        for below in child.get("items", [])
    ]


def variables_in(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the classic custom variables of a subject or session."""
    found = {}
    for child in children(item, "fields/field"):
        values = child.get("data_fields", {})
        if values.get("name"):
            found[str(values["name"]).lower()] = str(values.get("field", ""))
    return found


def read_scans(client: XnatClient, session: str) -> list[RemoteScan]:
    """Return the scans of a session with their files.

    Parameters
    ----------
    session : str
        Address of the session.
    """
    rows = client.rows(f"{session}/scans", {"columns": "ID,UID,type,xsiType"})
    files: dict[str, list[RemoteFile]] = defaultdict(list)
    others: dict[str, Counter[str]] = defaultdict(Counter)
    for row in _rows_or_none(client, f"{session}/scans/ALL/files") if rows else []:
        file = file_of(row)
        # The catalogue of a resource and its statistics are no data.
        if file.scan and file.resource.casefold() in DICOM_RESOURCES:
            files[file.scan].append(file)
        elif file.scan:
            others[file.scan][file.resource] += 1
    scans = []
    for row in rows:
        lower = {name.lower(): value for name, value in row.items()}
        uid = lower.get("uid") or lower.get("xnat:imagescandata/uid", "")
        scan = lower.get("id", "")
        scans.append(RemoteScan(scan, uid, tuple(files[scan]), dict(others[scan])))
    return scans


def _rows_or_none(client: XnatClient, path: str) -> list[dict[str, str]]:
    try:
        return client.rows(path)
    except MissingError:
        return []


def read_resource_files(client: XnatClient, parent: str, resource: str) -> list[RemoteFile]:
    """Return the files of a resource that belongs to no scan; none if it is not there."""
    return [file_of(row) for row in _rows_or_none(client, files_path(parent, resource))]


def read_prearchive(client: XnatClient, project: str) -> list[PrearchiveSession]:
    """Return what waits in the prearchive of a project."""
    rows = _rows_or_none(client, data_path("prearchive", "projects", project))
    return [
        PrearchiveSession(
            address=_address(row.get("url", "")),
            status=row.get("status", "").removeprefix("_").removeprefix("QUEUED_"),
            study_uid=row.get("tag", ""),
            label=row.get("name", "") or row.get("folderName", ""),
            subject=row.get("subject", ""),
        )
        for row in rows
        if row.get("project", project) == project
    ]


def _address(text: str) -> str:
    return unquote(text.strip().removeprefix("/data").rstrip("/"))


def read_prearchive_files(client: XnatClient, path: str) -> dict[str, list[RemoteFile]]:
    """Return the files of a session in the prearchive by the UID of their series.

    Parameters
    ----------
    path : str
        `PrearchiveSession.path`.
    """
    found: dict[str, list[RemoteFile]] = {}
    uids = _series_uids(client, path)
    for row in _rows_or_none(client, f"{path}/scans"):
        scan = row.get("ID", "")
        below = f"{path}/scans/{quote(scan, safe='')}/resources"
        for resource in _rows_or_none(client, below):
            label = quote(resource.get("label", ""), safe="")
            for file in _rows_or_none(client, f"{below}/{label}/files"):
                found.setdefault(uids.get(scan, scan), []).append(file_of(file))
    return found


def _series_uids(client: XnatClient, path: str) -> dict[str, str]:
    """Return the series UID of each scan, from the session's document."""
    try:
        answer = client.send("GET", path, params={"format": "xml"})
    except MissingError:
        return {}
    root = _parse(answer.content)
    scans = root.iter(f"{_XNAT}scan") if root is not None else ()
    return {scan.get("ID", ""): scan.get("UID", "") for scan in scans}


def read_catalog_instances(client: XnatClient, file: RemoteFile) -> dict[str, str]:
    """Return SOP Instance UIDs by file name, from the catalogue of the resource of a file.

    The server fills them in from the objects themselves; names without one are left out.
    """
    resource, _, _ = file.uri.partition("/files/")
    try:
        answer = client.send("GET", resource)
    except RefusedError:
        return {}
    root = _parse(answer.content)
    entries = root.iter(f"{_CATALOG}entry") if root is not None else ()
    return {
        (entry.get("URI") or "").rpartition("/")[2]: entry.get("UID") or ""
        for entry in entries
        if entry.get("UID")
    }


def _parse(content: bytes) -> ElementTree.Element | None:
    if b"<!DOCTYPE" in content[:2000] or b"<!ENTITY" in content:
        return None
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError:
        return None


def read_header(client: XnatClient, file: RemoteFile, keyword: str) -> tuple[str, ...]:
    """Return the values of an element from the object itself, of which only the start is fetched.

    There is none where the object lacks the element, or the file is no DICOM object.
    """
    head = client.read(
        file.uri, enough=lambda head: len(head) > _HEADER_BYTES or bool(_values(head, keyword))
    )
    return _values(head, keyword)


def _values(head: bytes | bytearray, keyword: str) -> tuple[str, ...]:
    from pydicom import dcmread
    from pydicom.multival import MultiValue

    try:
        found = dcmread(
            BytesIO(head), stop_before_pixels=True, force=True, specific_tags=[keyword]
        ).get(keyword)
    except Exception:  # a head that is cut off breaks pydicom in many ways; more of it is coming
        return ()
    if isinstance(found, MultiValue):
        return tuple(map(str, found))
    return (str(found),) if found else ()


def find_file(files: Iterable[RemoteFile], path: str) -> RemoteFile | None:
    """Return the file of a resource by its path below it, with ``/`` between folders."""
    return next((one for one in files if one.path == path), None)


def instance_uid_of_name(file: RemoteFile) -> str:
    """Return the SOP Instance UID that a file's name tells; empty if it tells none."""
    match = _INSTANCE_NAME.fullmatch(file.name)
    return match.group(1) if match else ""


def count_lost(item: Mapping[str, Any], scans: Iterable[RemoteScan]) -> Counter[tuple[str, str]]:
    """Return how many files the resources of scans list and the store does not have.

    Parameters
    ----------
    item : mapping
        The session as the server tells it after `refresh_catalogs`: its counts are those of the
        files that are there.

    Returns
    -------
    Counter
        By scan and resource; only those that lack some.
    """
    stored: dict[tuple[str, str], int] = {}
    for scan in children(item, "scans/scan"):
        for resource in children(scan, "file"):
            values = resource.get("data_fields", {})
            count = str(values.get("file_count", ""))
            if count.isdecimal():
                key = (str(scan.get("data_fields", {}).get("ID", "")), str(values.get("label", "")))
                stored[key] = int(count)
    listed = Counter((scan.id, file.resource) for scan in scans for file in scan.files)
    return Counter(
        {
            key: count - stored[key]
            for key, count in listed.items()
            if count > stored.get(key, count)
        }
    )
