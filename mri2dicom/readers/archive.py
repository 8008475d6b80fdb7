"""Open an input: a folder as it is, an archive unpacked into a folder of its own.

Archives come from strangers. Only the files a reader needs are unpacked, under names that cannot
leave the folder, as plain files, and with a bound on what they may grow to.
"""

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path, PurePosixPath
from typing import IO

from xnat_pic.errors import CorruptDataError, NothingUsableError, OutputError
from xnat_pic.text import UniqueNames, safe_name

ZIP_SUFFIXES = (".zip", ".pvdatasets")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
WANTED = frozenset({"2dseq", "visu_pars", "method", "acqp", "subject", "reco", "mri2dicom.toml"})
# Images of Inveon and their headers; its raw data stay where they are.
WANTED_SUFFIXES = (".img", ".hdr")
_IMAGES = ("2dseq", ".img")
MAX_ENTRIES = 2_000_000
MAX_PARAMETER_BYTES = 256 * 2**20
# Images compress well, but not endlessly: an archive that grows more than this is a trap.
MAX_GROWTH = 1000
FREE_GROWTH = 2**30
_CHUNK = 2**20
_BLOCK = 512
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    NotImplementedError,
    zlib.error,
    lzma.LZMAError,
    BadGzipFile,
    FileExistsError,
    NotADirectoryError,
    ValueError,
)


def archive_stem(path: Path) -> str | None:
    """Return an archive's name without its suffix; None for anything that is no archive."""
    lowered = path.name.lower()
    for suffix in (*TAR_SUFFIXES, *ZIP_SUFFIXES):
        if lowered.endswith(suffix):
            return path.name[: -len(suffix)]
    return None


@contextmanager
def open_input(path: Path) -> Iterator[Path]:
    """Give a folder to read from.

    Raises
    ------
    NothingUsableError
        If the path does not exist or is a file that is no archive.
    CorruptDataError
        If the archive is damaged or a trap.
    OutputError
        If there is no room to unpack it.
    """
    if not path.exists():
        raise NothingUsableError(f"{path} does not exist.", path=path)
    if path.is_dir():
        yield path
        return
    stem = archive_stem(path)
    if stem is None:
        raise NothingUsableError(
            f"{path} is neither a folder nor an archive.",
            path=path,
            hint="Give a study's folder, a .zip, a .PvDatasets or a .tar.gz.",
        )
    outer = Path(tempfile.mkdtemp(prefix="mri2dicom-")).resolve()
    try:
        # The archive's own name, so that what is derived from a study's folder stays the same.
        folder = outer / safe_name(stem, limit=120)
        folder.mkdir()
        unpack(path, folder)
        yield folder
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def unpack(path: Path, folder: Path) -> None:
    """Unpack what readers need from an archive."""
    budget = _Budget(path.stat().st_size * MAX_GROWTH + FREE_GROWTH, path)
    targets = _Targets(folder)
    try:
        if path.name.lower().endswith(ZIP_SUFFIXES):
            _unpack_zip(path, targets, budget)
        else:
            _unpack_tar(path, targets, budget)
    except _DAMAGE as error:
        raise CorruptDataError(
            f"The archive {path.name} is damaged ({error}).", path=path, hint="Copy it again."
        ) from error
    except RuntimeError as error:
        raise CorruptDataError(
            f"The archive {path.name} is encrypted.", path=path, hint="Unpack it first."
        ) from error
    except OSError as error:
        raise CorruptDataError(
            f"The archive {path.name} is damaged or cannot be read ({error.strerror or error}).",
            path=path,
            hint="Copy it again.",
        ) from error


class _Budget:
    """How much an archive may still grow to."""

    def __init__(self, total: int, path: Path) -> None:
        self._left = total
        self._path = path
        self._entries = 0

    def entry(self) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise CorruptDataError(
                f"The archive {self._path.name} has too many entries.", path=self._path
            )

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise CorruptDataError(
                f"The archive {self._path.name} grows far beyond its size and is refused.",
                path=self._path,
            )


class _Targets:
    """Where entries go: below one folder, each folder of the archive in one of its own."""

    def __init__(self, folder: Path) -> None:
        self._folders: dict[tuple[str, ...], Path] = {(): folder}
        self._names: dict[Path, UniqueNames] = {}

    def path_for(self, name: str) -> Path | None:
        """Return an entry's place; None for one not wanted or that would leave the folder."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or not (parts[-1] in WANTED or parts[-1].lower().endswith(WANTED_SUFFIXES)):
            return None
        if any(part in ("..", "/", "//") or part.endswith(":") for part in parts):
            return None
        return self._folder(parts[:-1]) / parts[-1]

    def _folder(self, parts: tuple[str, ...]) -> Path:
        for depth in range(1, len(parts) + 1):
            if parts[:depth] not in self._folders:
                parent = self._folders[parts[: depth - 1]]
                # Two names may become one when they are cleaned or shortened.
                names = self._names.setdefault(parent, UniqueNames())
                own = names.claim(safe_name(parts[depth - 1], limit=120))
                self._folders[parts[:depth]] = parent / own
        return self._folders[parts]


def _copy(source: IO[bytes], target: Path, budget: _Budget, announced: int) -> None:
    limit = (
        announced if target.name.lower().endswith(_IMAGES) else min(announced, MAX_PARAMETER_BYTES)
    )
    written = 0
    with _create(target) as file:
        while block := source.read(_CHUNK):
            written += len(block)
            budget.spend(len(block))
            if written > limit:
                raise CorruptDataError(f"{target.name} in the archive is larger than announced.")
            _write(file, block)


def _create(target: Path) -> IO[bytes]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("wb")
    except (FileExistsError, NotADirectoryError):  # the archive has a file of a folder's name
        raise
    except OSError as error:
        raise _no_space(error) from error


def _write(file: IO[bytes], block: bytes) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise _no_space(error) from error


def _no_space(error: OSError) -> OutputError:
    return OutputError(
        f"The archive cannot be unpacked: {error.strerror or error}.",
        hint="Free some space in the folder for temporary files.",
    )


def _unpack_zip(path: Path, targets: _Targets, budget: _Budget) -> None:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            budget.entry()
            target = targets.path_for(info.filename)
            is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
            if target is None or info.is_dir() or is_link or target.exists():
                continue
            with archive.open(info) as source:
                _copy(source, target, budget, info.file_size)


def _unpack_tar(path: Path, targets: _Targets, budget: _Budget) -> None:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            budget.entry()
            target = targets.path_for(member.name)
            if target is None or not member.isreg() or target.exists():
                continue
            source = archive.extractfile(member)
            if source is not None:
                _copy(source, target, budget, member.size)
        # Whatever ends without its blocks of zeros was cut off; tarfile is silent about that.
        if not _is_complete(archive, budget):
            raise tarfile.ReadError("its end is missing")


def _is_complete(archive: tarfile.TarFile, budget: _Budget) -> bool:
    """Tell whether the end is there; reading on to it also tests a compressed file's checksum."""
    file = archive.fileobj
    if file is None:
        return False
    file.seek(archive.offset)
    ended = file.read(_BLOCK) == bytes(_BLOCK)
    while ended and (block := file.read(_CHUNK)):
        budget.spend(len(block))
    return ended
