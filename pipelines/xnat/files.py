"""Images of a resource on the server: read headers, fetch by network or by path."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError
from xnat_config.server.files import RemoteFile, fetch_file
from xnat_config.server.paths import files_path
from xnat_pic.errors import ServerError
from xnat_pic.files import file_digest

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PIXELS = b"\xe0\x7f\x10\x00"
_LONGEST_HEADER = 64 << 20
_NUMBERED = "file-"
_HARMLESS = re.compile(
    rf"(?!{_NUMBERED})[A-Za-z0-9][A-Za-z0-9_.-]{{0,119}}\.(?:dcm|xml|json|gz)", re.IGNORECASE
)


def find_on_disk(
    client: XnatClient, parent: str, resource: str, files: Sequence[RemoteFile]
) -> list[Path]:
    """Return where each file lies, if this machine sees the server's disk; else nothing.

    A file counts as seen where its size and checksum are those that the server lists.
    """
    try:
        rows = client.rows(files_path(parent, resource), {"locator": "absolutePath"})
    except ServerError:
        return []
    paths: dict[tuple[str, str], list[Path]] = {}
    for row in rows:
        key = (row.get("Name", ""), row.get("digest", "").lower())
        paths.setdefault(key, []).append(Path(row.get("absolutePath", "")))
    found = []
    for one in files:
        there = paths.get((one.name, one.md5), [])
        if len(there) != 1 or not _is_same(there[0], one):
            return []
        found.append(there[0])
    return found


def _is_same(path: Path, file: RemoteFile) -> bool:
    try:
        if not path.is_absolute() or not path.is_file() or path.stat().st_size != file.size:
            return False
        return not file.md5 or file_digest(path, "md5") == file.md5
    except OSError:
        return False


def read_header(client: XnatClient, file: RemoteFile) -> Dataset | None:
    """Return the header of a DICOM file without fetching its pixels; None where it has none.

    Also None where the server lists the file and has it not: that is told when all are fetched.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    # The mark of the pixels may stand in an icon too: then the whole is needed.
    for enough in (_holds_header, _is_too_long):
        try:
            data = client.read(file.uri, enough=enough)
        except MissingError:
            return None
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
    client: XnatClient, parent: str, resource: str, files: Sequence[RemoteFile], target: Path
) -> str:
    """Put the files of a resource into a new folder and return how: ``path`` or ``network``.

    A file keeps its name where that is harmless and no other's, so that messages and provenance
    name what is on the server; any other one is numbered, in the order given.

    Parameters
    ----------
    client : XnatClient
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
    on_disk = find_on_disk(client, parent, resource, files)
    aside = target.with_name(target.name + ".part")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    places = [(aside / name, one) for name, one in zip(local_names(files), files, strict=True)]
    if on_disk:
        for source, (place, _) in zip(on_disk, places, strict=True):
            _link(source, place)
    elif len(files) > 1:
        _fetch_zip(client, parent, resource, {one.path: (place, one) for place, one in places})
    for place, one in places:
        if not place.exists():
            fetch_file(client, one, place)
    aside.replace(target)
    return "path" if on_disk else "network"


def local_names(files: Sequence[RemoteFile]) -> list[str]:
    """Return what each file is called here: its own name where it is harmless and no other's."""
    count = Counter(one.name.casefold() for one in files)
    names = []
    for number, one in enumerate(files):
        is_own = _HARMLESS.fullmatch(one.name) and count[one.name.casefold()] == 1
        ending = one.path.lower().rpartition(".")[2]
        ending = ending if ending in ("dcm", "xml", "json", "gz") else "dcm"
        names.append(one.name if is_own else f"{_NUMBERED}{number:06d}.{ending}")
    return names


def _link(source: Path, place: Path) -> None:
    try:
        place.symlink_to(source)
    except OSError:
        shutil.copyfile(source, place)


def _fetch_zip(
    client: XnatClient, parent: str, resource: str, wanted: dict[str, tuple[Path, RemoteFile]]
) -> None:
    """Fetch many files at once; one that is missing or differs is left to be fetched alone."""
    address = files_path(parent, resource)
    folder = next(iter(wanted.values()))[0].parent
    packed = folder.parent / f"{folder.name}.zip.part"
    try:
        with client.stream(address, {"format": "zip"}) as pieces, packed.open("wb") as out:
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
                if not file.md5 or file_digest(aside, "md5") == file.md5:
                    aside.replace(place)
                else:
                    aside.unlink()
    except (zipfile.BadZipFile, ServerError, OSError, EOFError):
        pass  # what did not come this way is fetched file by file
    finally:
        packed.unlink(missing_ok=True)
