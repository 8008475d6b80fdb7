"""Files of a resource on the server: list, look into, fetch by network or by path."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import requests

from .client import Client
from .errors import ServerError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PIXELS = b"\xe0\x7f\x10\x00"
_LONGEST_HEADER = 64 << 20
_FOLDER = re.compile(r"/resources/[^/]+/files/")
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
    local : Path or None
        Where the file lies, when this machine sees the server's disk.
    """

    path: str
    uri: str
    size: int
    md5: str
    resource: str
    local: Path | None = None


def list_files(client: Client, parent: str, resource: str = "") -> list[RemoteFile]:
    """Return the files of an item's resource, or of all its resources, in the order of paths.

    Raises
    ------
    MissingError
        Where the item or the resource is not there.
    """
    below = f"/resources/{quote(resource, safe='')}" if resource else ""
    rows = client.rows(f"{parent}{below}/files")
    if len(rows) > _MOST:
        raise ServerError(f"{parent} has {len(rows)} files; at most {_MOST} are taken.")
    found = [_file(row) for row in rows]
    return sorted(found, key=lambda one: (one.resource, one.path))


def _file(row: dict[str, str]) -> RemoteFile:
    uri, size = row.get("URI", ""), row.get("Size", "")
    tail = _FOLDER.split(uri, maxsplit=1)[-1] if _FOLDER.search(uri) else row.get("Name", "")
    return RemoteFile(
        path=unquote(tail),
        uri=uri if uri.startswith("/data/") else f"/data{uri}",
        size=int(size) if size.isascii() and size.isdigit() else -1,
        md5=row.get("digest", "").lower(),
        resource=row.get("collection", ""),
    )


def seen_from_here(
    client: Client, parent: str, resource: str, files: Sequence[RemoteFile]
) -> list[RemoteFile]:
    """Return the files with the place where each lies, if this machine sees the server's disk.

    A file counts as seen where its size and checksum are those that the server tells.
    """
    address = f"{parent}/resources/{quote(resource, safe='')}/files"
    try:
        rows = client.rows(address, locator="absolutePath")
    except ServerError:
        return list(files)
    places: dict[tuple[str, str], list[Path]] = {}
    for row in rows:
        key = (row.get("Name", ""), row.get("digest", "").lower())
        places.setdefault(key, []).append(Path(row.get("absolutePath", "")))
    found = []
    for one in files:
        there = places.get((one.path.rpartition("/")[2], one.md5), [])
        if len(there) != 1 or not _is_same(there[0], one):
            return list(files)
        found.append(replace(one, local=there[0]))
    return found


def _is_same(path: Path, file: RemoteFile) -> bool:
    try:
        if not path.is_absolute() or not path.is_file() or path.stat().st_size != file.size:
            return False
        return not file.md5 or _md5(path) == file.md5
    except OSError:
        return False


def _md5(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "md5").hexdigest()


def read_header(client: Client, file: RemoteFile) -> Dataset | None:
    """Return the header of a DICOM file without fetching its pixels; None where it has none."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    # The mark of the pixels may stand in an icon too: then the whole is needed.
    for enough in (_holds_header, _is_too_long):
        data = client.read(file.uri, enough)
        if data[128:132] != b"DICM":
            return None
        try:
            return pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
        except (InvalidDicomError, EOFError, OSError, ValueError, AttributeError, KeyError):
            continue
    return None


def _holds_header(data: bytearray) -> bool:
    other = len(data) >= 132 and data[128:132] != b"DICM"
    return other or _PIXELS in data or _is_too_long(data)


def _is_too_long(data: bytearray) -> bool:
    return len(data) > _LONGEST_HEADER


def fetch(
    client: Client, parent: str, resource: str, files: Sequence[RemoteFile], target: Path
) -> str:
    """Put the files of a resource into a new folder and return how: ``path`` or ``network``.

    Names of the server are not used: files are numbered in the order given, and keep no more than
    a known ending.

    Parameters
    ----------
    client : Client
        The server.
    parent, resource : str
        Address of the item, label of its resource.
    files : sequence of RemoteFile
        Of `list_files`.
    target : Path
        Made here, complete or not at all.

    Raises
    ------
    ServerError
        Where a file does not arrive as the server lists it.
    """
    files = seen_from_here(client, parent, resource, files)
    aside = target.with_name(target.name + ".part")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    places = [(aside / _name(number, one), one) for number, one in enumerate(files)]
    seen = bool(files) and all(one.local is not None for one in files)
    if seen:
        for place, one in places:
            assert one.local is not None
            _link(one.local, place)
    elif len(files) > 1:
        _fetch_zip(client, parent, resource, {one.path: (place, one) for place, one in places})
    for place, one in places:
        if not place.exists():
            fetch_one(client, one, place)
    aside.replace(target)
    return "path" if seen else "network"


def _name(number: int, file: RemoteFile) -> str:
    ending = file.path.lower().rpartition(".")[2]
    return f"{number:06d}.{ending if ending in ('dcm', 'xml', 'json', 'gz') else 'dcm'}"


def _link(source: Path, place: Path) -> None:
    try:
        place.symlink_to(source)
    except OSError:
        shutil.copyfile(source, place)


def _fetch_zip(
    client: Client, parent: str, resource: str, wanted: dict[str, tuple[Path, RemoteFile]]
) -> None:
    """Fetch many files at once; one that is missing or differs is left to be fetched alone."""
    address = f"{parent}/resources/{quote(resource, safe='')}/files"
    folder = next(iter(wanted.values()))[0].parent
    packed = folder.parent / f"{folder.name}.zip.part"
    try:
        with client.stream(address, format="zip") as pieces, packed.open("wb") as out:
            for piece in pieces:
                out.write(piece)
        with zipfile.ZipFile(packed) as opened:
            for member in opened.infolist():
                name = member.filename.replace("\\", "/")
                place, file = wanted.get(name.partition("/files/")[2], (None, None))
                if place is None or file is None or member.file_size != file.size:
                    continue
                aside = place.with_name(place.name + ".part")
                with opened.open(member) as source, aside.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                if not file.md5 or _md5(aside) == file.md5:
                    aside.replace(place)
                else:
                    aside.unlink()
    except (requests.RequestException, zipfile.BadZipFile, ServerError, OSError, EOFError):
        pass  # what did not come this way is fetched file by file
    finally:
        packed.unlink(missing_ok=True)


def fetch_one(client: Client, file: RemoteFile, place: Path) -> None:
    """Fetch one file; it appears complete or not at all.

    Raises
    ------
    ServerError
        Where it does not arrive as the server lists it.
    """
    aside = place.with_name(place.name + ".part")
    attempts = client.access.patience.attempts
    for attempt in range(1, attempts + 1):
        try:
            digest = hashlib.md5(usedforsecurity=False)
            with client.stream(file.uri) as pieces, aside.open("wb") as out:
                for piece in pieces:
                    digest.update(piece)
                    out.write(piece)
            whole = file.size in (-1, aside.stat().st_size)
            if whole and file.md5 in ("", digest.hexdigest()):
                aside.replace(place)
                return
        except requests.RequestException:
            pass
        if attempt < attempts:
            client.pause(attempt)
    aside.unlink(missing_ok=True)
    raise ServerError(
        f"{file.path} of {file.resource} does not arrive as the server lists it.",
        hint="Ask the administrator to refresh the catalog of the resource.",
    )
