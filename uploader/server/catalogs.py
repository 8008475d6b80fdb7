"""Catalogues of the server: see what they list and the store does not have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from .listing import RemoteScan, children


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
