"""Catalogues of the server: have them made anew from the files, and see what they lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from xnat_config.server.client import XnatClient
from xnat_pic.errors import ServerError

from .listing import RemoteScan, children

# From here on `checksum` computes those anew that are there; before, only those that are missing.
_SINCE = (1, 8)
_LONGEST_S = 3600.0  # the server reads every file of the item


def refresh_catalogs(client: XnatClient, path: str) -> str:
    """Have the server compute size and MD5 of the files of an item anew.

    Nothing is removed: what the catalogue names and the store does not have stays listed, and is
    told by `count_lost`.

    Parameters
    ----------
    path : str
        Address of the item.

    Returns
    -------
    str
        Why the server did not, as a message; empty: it did.
    """
    version = client.version
    if version and version < _SINCE:
        return f"XNAT {client.version_text} does not compute checksums anew"
    try:
        client.send(
            "POST",
            "/data/services/refresh/catalog",
            params={
                "resource": "/archive" + path.removeprefix("/data"),
                "options": "checksum,populateStats",
            },
            repeat=True,
            read_timeout_s=_LONGEST_S,
        )
    except ServerError as error:
        return f"the server did not compute the checksums anew ({error.message.rstrip('.')})"
    return ""


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
