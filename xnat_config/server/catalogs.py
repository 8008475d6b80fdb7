"""Catalogues of the server: have them made anew from the files."""

from __future__ import annotations

from .client import XnatClient
from .errors import ServerError

# From here on `checksum` computes those anew that are there; before, only those that are missing.
_SINCE = (1, 8)
_LONGEST_S = 3600.0  # the server reads every file of the item


def refresh_catalogs(client: XnatClient, *paths: str) -> str:
    """Have the server compute size and MD5 of the files of items anew.

    Nothing is removed: what a catalogue names and the store does not have stays listed.

    Parameters
    ----------
    paths : str
        Addresses of items, or of resources of theirs.

    Returns
    -------
    str
        Why the server did not, as a message; empty: it did.
    """
    version = client.version
    if version and version < _SINCE:
        return f"XNAT {client.version_text} does not compute checksums anew"
    named = [("resource", "/archive" + one.removeprefix("/data")) for one in paths]
    try:
        client.send(
            "POST",
            "/data/services/refresh/catalog",
            params=[*named, ("options", "checksum,populateStats")],
            repeat=True,
            read_timeout_s=_LONGEST_S,
        )
    except ServerError as error:
        return f"the server did not compute the checksums anew ({error.message.rstrip('.')})"
    return ""
