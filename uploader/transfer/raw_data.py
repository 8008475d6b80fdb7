"""The scanner's own data: compressed on the way, kept as files of the project."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from xnat_config.resources import Resources
from xnat_config.server.paths import data_path, files_path
from xnat_pic.errors import NothingUsableError
from xnat_pic.files import new_digest

from ..control import ArchiveMeter
from ..server.listing import find_file, read_resource_files
from ..verification.payload import read_blocks
from .jobs import UploadContext
from .resource_files import send_file, verify_arrival

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_SUMS = "MD5SUMS"


@dataclass(frozen=True)
class RawItem:
    """Scanner data that becomes one file of the project's resource.

    Attributes
    ----------
    name : str
        Name in the resource, with ``/`` between folders.
    files : tuple of Path
        What it holds; a single archive is sent as it is.
    """

    name: str
    source: Path
    files: tuple[Path, ...]

    @property
    def is_archive(self) -> bool:
        """Whether it is one file that is an archive already."""
        return self.source.is_file()

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for path in self.files)

    def fingerprint(self) -> str:
        """Return a text that changes when a file is added, removed or written."""
        digest = new_digest()
        for path in self.files:
            status = path.stat()
            name = path.relative_to(self.source.parent).as_posix()
            line = f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def find_raw(folder: Path, resources: Resources) -> list[RawItem]:
    """Return the studies of scanner data in a folder.

    A study is the highest folder that holds one of the scanner's files. Where there is none, each
    folder in the given one counts as a study, and its loose files as one more.

    Raises
    ------
    NothingUsableError
        If the folder is empty or not there.
    """
    if not folder.is_dir():
        raise NothingUsableError(f"There is no folder {folder}.", hint="Correct --raw.")
    folder = folder.absolute()
    found = list(_studies(folder, folder, resources))
    if not any(one for one in found):
        below = sorted(path for path in folder.iterdir() if not resources.is_ignored(path.name))
        found = [path for path in below if path.is_dir()]
        if any(path.is_file() for path in below):
            found.append(folder)
    items = [_item(path, folder, resources, loose=path == folder) for path in found]
    items = [item for item in items if item.files]
    if not items:
        raise NothingUsableError(f"{folder} holds no files.", hint="Correct --raw.")
    return items


def _studies(folder: Path, root: Path, resources: Resources) -> Iterator[Path]:
    entries = sorted(path for path in folder.iterdir() if not resources.is_ignored(path.name))
    files = [path for path in entries if path.is_file()]
    if any(resources.marks_raw(path.name) for path in files):
        yield folder
        return
    scanner = [path for path in files if path.name.casefold().endswith(resources.raw_suffixes)]
    archives = [path for path in scanner if zipfile.is_zipfile(path)]
    if len(archives) < len(scanner) and folder != root:
        yield folder
        return
    yield from archives
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            yield from _studies(path, root, resources)


def _item(source: Path, root: Path, resources: Resources, *, loose: bool) -> RawItem:
    if source.is_file():
        return RawItem(source.relative_to(root).as_posix(), source, (source,))
    inside = source.iterdir() if loose else source.rglob("*")
    files = sorted(
        path
        for path in inside
        if path.is_file() and not resources.is_ignored(path.name) and not path.is_symlink()
    )
    name = source.name if source == root else source.relative_to(root).as_posix()
    return RawItem(f"{name}.zip", source, tuple(files))


class FolderArchive:
    """A compressed archive of scanner data, made while it is sent: its length is not known.

    It also holds a list of the MD5 of every file.

    Attributes
    ----------
    md5, size : str, int
        Of the archive, once it was handed over whole.
    """

    def __init__(self, item: RawItem, on_read: Callable[[int], None]) -> None:
        self._item = item
        self._on_read = on_read
        self.md5 = ""
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the archive from its start.

        Raises
        ------
        CorruptDataError
            If a file cannot be read.
        """
        digest = new_digest("md5")
        size = 0
        for block in self._blocks():
            digest.update(block)
            size += len(block)
            yield block
        self.md5, self.size = digest.hexdigest(), size

    def _blocks(self) -> Iterator[bytes]:
        if self._item.is_archive:
            yield from read_blocks(self._item.source, self._on_read)
            return
        sink = _Sink()
        sums = []
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in self._item.files:
                name = path.relative_to(self._item.source).as_posix()
                digest = new_digest("md5")
                info = zipfile.ZipInfo(name, _EARLIEST)
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(info, "w", force_zip64=True) as target:
                    for block in read_blocks(path, self._on_read):
                        digest.update(block)
                        target.write(block)
                        yield from sink.drain()
                sums.append(f"{digest.hexdigest()}  {name}\n")
            listing = zipfile.ZipInfo(_SUMS, _EARLIEST)
            archive.writestr(listing, "".join(sums))
        yield from sink.drain()


class _Sink:
    """Collects what zipfile writes; it cannot seek, so lengths follow the data."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written waits for `drain`."""

    def close(self) -> None:
        """Do nothing, too."""

    def drain(self) -> Iterator[bytes]:
        """Yield and forget what was written."""
        parts, self._parts = self._parts, []
        joined = b"".join(parts)
        if joined:
            yield joined


def send_raw(context: UploadContext, project: str, items: Iterable[RawItem]) -> None:
    """Send scanner data as files of the project's resource, each checked on arrival.

    Raises
    ------
    RowError
        If what arrived is not what was sent.
    """
    resource = context.config.resources.raw_project
    parent = data_path("projects", project)
    for item in items:
        context.control.wait_if_paused()
        context.meter.set_activity(f"Scanner data {item.name}")
        target = files_path(parent, resource, item.name)
        fingerprint = item.fingerprint()
        known, md5 = context.journal.uploaded(target)
        there = find_file(read_resource_files(context.client, parent, resource), item.name)
        if there and known == fingerprint and there.md5 in ("", md5):
            context.meter.add(item.bytes)
            continue
        counter = ArchiveMeter(context.meter, context.control)
        stream = FolderArchive(item, counter.count)
        send_file(context.client, target, "application/zip", partial(_restarted, stream, counter))
        found = find_file(read_resource_files(context.client, parent, resource), item.name)
        verify_arrival(item.name, found, stream.md5, stream.size)
        context.journal.set_uploaded(target, str(item.source), fingerprint, stream.md5, stream.size)


def _restarted(stream: FolderArchive, counter: ArchiveMeter) -> Iterator[bytes]:
    counter.restart()
    return iter(stream)
