"""Files of an item on the server: list them, and fetch one whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from xnat_pic.files import new_digest, part_path

from .client import XnatClient
from .errors import BrokenAnswerError, RefusedError, ServerError

_FOLDER = re.compile(r"/resources/[^/]+/files/")
_SCAN = re.compile(r"/scans/([^/]+)/(?:resources/)?")
_MOST = 200_000


@dataclass(frozen=True)
class RemoteFile:
    """One file of a resource.

    Attributes
    ----------
    path : str
        Below the resource, ``/`` between folders.
    uri : str
        Address on the server.
    size : int
        Bytes, -1 where the server does not say.
    md5 : str
        In lower case, empty where the server keeps none.
    resource : str
        Label of the resource.
    """

    path: str
    uri: str
    size: int
    md5: str
    resource: str

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.path.rpartition("/")[2]

    @property
    def scan(self) -> str:
        """Id of the scan it belongs to; empty where it belongs to none."""
        found = _SCAN.search(self.uri)
        return unquote(found.group(1)) if found else ""


def list_files(client: XnatClient, parent: str, resource: str = "") -> list[RemoteFile]:
    """Return the files of an item's resource, or of all its resources, in the order of paths.

    Parameters
    ----------
    parent : str
        Address of the item.
    resource : str
        Label; empty for all of them.

    Raises
    ------
    MissingError
        Where the item or the resource is not there.
    """
    below = f"/resources/{quote(resource, safe='')}" if resource else ""
    rows = client.rows(f"{parent}{below}/files")
    if len(rows) > _MOST:
        raise ServerError(f"{parent} has {len(rows)} files; at most {_MOST} are read.")
    return sorted((file_of(row) for row in rows), key=lambda one: (one.resource, one.path))


def file_of(row: dict[str, str]) -> RemoteFile:
    """Return the file that a row of a listing tells of."""
    uri, size = row.get("URI", ""), row.get("Size", "")
    found = _FOLDER.search(uri)
    below = uri[found.end() :] if found else row.get("Name", "")
    if found and (" " in below or "+" in below):  # such a name was decoded, and is listed so
        path, uri = below, uri[: found.end()] + quote(below, safe="/")
    else:
        path = unquote(below)
    return RemoteFile(
        path=path,
        uri=uri if uri.startswith("/data/") else f"/data{uri}",
        size=int(size) if size.isascii() and size.isdigit() else -1,
        md5=row.get("digest", "").lower(),
        resource=row.get("collection", ""),
    )


def fetch_file(client: XnatClient, file: RemoteFile, target: Path) -> None:
    """Fetch one file; it appears complete or not at all.

    Raises
    ------
    ServerError
        Where it does not arrive as the server lists it.
    """
    aside = part_path(target)

    def fetch() -> None:
        digest = new_digest("md5")
        with client.stream(file.uri) as blocks, aside.open("wb") as out:
            for block in blocks:
                digest.update(block)
                out.write(block)
        if file.size not in (-1, aside.stat().st_size) or file.md5 not in ("", digest.hexdigest()):
            raise BrokenAnswerError(
                f"{file.path} of {file.resource} does not arrive as the server lists it.",
                hint="Ask the administrator to refresh the catalog of the resource.",
            )

    try:
        client.repeat_broken(fetch)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def remote_digest(client: XnatClient, file: RemoteFile) -> str:
    """Return the MD5 of a file as the server gives it; empty where it does not."""

    def fetch() -> str:
        digest = new_digest("md5")
        with client.stream(file.uri) as blocks:
            for block in blocks:
                digest.update(block)
        return digest.hexdigest()

    try:
        return client.repeat_broken(fetch)
    except RefusedError:
        return ""
