"""Compare what is to be on the server with what is there, instance by instance."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from xnat_config.server.client import XnatClient
from xnat_config.server.files import RemoteFile

from ..server.listing import (
    RemoteScan,
    instance_uid_of_name,
    read_catalog_instances,
    read_header,
)
from .payload import SeriesPayload

# What an object of DICOM is called; files of other endings are none, and cost no download.
_OBJECT_NAME = re.compile(r"^[^.]+$|\.(?:dcm|dicom|ima|\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class SeriesMatch:
    """How much of a series is on the server.

    Attributes
    ----------
    present : frozenset of str
        SOP Instance UIDs that are planned and there.
    missing : tuple of str
        Those that are planned and not there.
    doubled : tuple of str
        Those that are there more than once.
    extra : int
        Files of this series on the server that the plan does not know.
    files : mapping of str to RemoteFile
        The file of each instance present.
    """

    series_uid: str
    present: frozenset[str]
    missing: tuple[str, ...]
    doubled: tuple[str, ...] = ()
    extra: int = 0
    scans: tuple[str, ...] = ()
    files: Mapping[str, RemoteFile] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every instance planned is there."""
        return not self.missing


def match_series(
    client: XnatClient, payload: SeriesPayload, scans: Sequence[RemoteScan], *, trust_names: bool
) -> SeriesMatch:
    """Find the instances of a series among the scans of its session.

    Parameters
    ----------
    trust_names : bool
        Take a file's name for its instance where it is one of those planned (we give the names
        when sending). Otherwise the server's catalogue, or the object itself, has to say it.
    """
    mine = [scan for scan in scans if scan.series_uid == payload.sent_uid]
    files = [file for scan in mine for file in scan.files]
    return match_files(client, payload, files, trust_names, tuple(scan.id for scan in mine))


def match_files(
    client: XnatClient,
    payload: SeriesPayload,
    files: Iterable[RemoteFile],
    trust_names: bool,
    scans: tuple[str, ...] = (),
) -> SeriesMatch:
    """Find the instances of a series among files, some of which may be other objects."""
    named = _identify(client, payload, list(files), trust_names)
    counts = Counter(uid for uid, _ in named if uid)
    present = frozenset(uid for uid in counts if uid in payload.instances)
    found = {uid: file for uid, file in named if uid in present}
    return SeriesMatch(
        series_uid=payload.uid,
        present=present,
        missing=tuple(uid for uid in payload.instances if uid not in present),
        doubled=tuple(sorted(uid for uid, count in counts.items() if count > 1)),
        extra=sum(1 for uid, _ in named if uid not in payload.instances),
        scans=scans,
        files=found,
    )


def _identify(
    client: XnatClient, payload: SeriesPayload, files: list[RemoteFile], trust_names: bool
) -> list[tuple[str, RemoteFile]]:
    """Return the SOP Instance UID of each file; it is empty for one that is no DICOM object."""
    catalogs: dict[str, dict[str, str]] = {}
    named = []
    for file in files:
        uid = instance_uid_of_name(file)
        if not (trust_names and uid in payload.instances):
            resource = file.uri.partition("/files/")[0]
            if resource not in catalogs:
                catalogs[resource] = read_catalog_instances(client, file)
            uid = catalogs[resource].get(file.name.rpartition("/")[2], "")
            if not uid and _OBJECT_NAME.search(file.name):
                uid = "".join(read_header(client, file, "SOPInstanceUID")[:1])
        named.append((uid, file))
    return named
