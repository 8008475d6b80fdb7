"""Files and folders that are there complete or not at all, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError, WrongCallError


def part_path(path: Path) -> Path:
    """Return where a file or folder is written before it is complete: hidden, beside it."""
    return path.with_name(f".{path.name}.part")


def write_file(
    path: Path, content: str | bytes | Iterable[bytes], *, private: bool = False
) -> Path:
    """Write a file aside and rename it: there complete or not at all; return its path.

    Parameters
    ----------
    path : Path
        The file; folders above it are made.
    content : str, bytes or iterable of bytes
        Text is written as UTF-8 with its line ends as they are.
    private : bool
        Only its owner can read it from the first moment, where the system knows file modes, and it
        is on the disk before it gets its name.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode("utf-8")
    blocks = (content,) if isinstance(content, bytes) else content
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(aside, flags, 0o600 if private else 0o666), "wb") as file:
            file.writelines(blocks)
            if private:
                file.flush()
                os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return path


def check_writable(folder: Path) -> None:
    """Make a folder where it is missing, and see whether files can be made in it.

    Raises
    ------
    OutputError
        Where they cannot, with what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise OutputError(
            f"Nothing can be written into {folder}: {error.strerror or error}.",
            path=folder,
            hint=_remedy(folder, error),
        ) from error


def _remedy(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "Free space there, or name another folder."
    if not isinstance(error, PermissionError):
        return "Name another folder."
    hint = "Name a folder of your own."
    if not hasattr(os, "geteuid"):
        return hint
    for one in (folder, *folder.parents):
        try:
            owner = one.stat().st_uid
        except OSError:
            continue
        return (
            f"This runs as user {os.geteuid()}, and {one} belongs to user {owner}. {hint} A "
            f"container needs {owner} as Container User in the settings of XNAT's Docker host."
        )
    return hint


@contextmanager
def replacing_folder(out: Path, overwrite: bool, contents: str) -> Iterator[Path]:
    """Yield a new folder beside `out`, which becomes `out` when all went well.

    Parameters
    ----------
    out : Path
        The folder wanted.
    overwrite : bool
        Replace earlier results there.
    contents : str
        The file by which earlier results are known, such as ``maps.json``.

    Raises
    ------
    WrongCallError
        Where `out` holds something.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        ours = (out / contents).is_file()
        if not (ours and overwrite):
            hint = "Give --overwrite to replace them." if ours else "Name another folder."
            what = f"holds {Path(contents).stem} already" if ours else "is not empty"
            raise WrongCallError(f"{out.name} {what}.", path=out, hint=hint)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Named before it is made, so that an interruption at any moment finds what to remove.
    aside = out.parent / f".{out.name}.{secrets.token_hex(6)}"
    try:
        aside.mkdir(mode=0o700)
        yield aside
        old = None
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
            out.replace(old / "replaced")
        aside.chmod(0o777 & ~_umask())
        aside.replace(out)
        if old is not None:
            shutil.rmtree(old)
    finally:
        if aside.exists():
            shutil.rmtree(aside)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file, as hexadecimal text.

    Parameters
    ----------
    path : Path
        The file, read in blocks.
    algorithm : str
        ``sha256``, or ``md5`` where XNAT's catalogues are compared with.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: new_digest(algorithm)).hexdigest()


def bytes_digest(content: bytes, algorithm: str = "sha256") -> str:
    """Return the checksum of bytes, as hexadecimal text."""
    digest = new_digest(algorithm)
    digest.update(content)
    return digest.hexdigest()


def new_digest(algorithm: str = "sha256") -> hashlib._Hash:
    """Return an empty checksum to feed; none of them is for security."""
    return hashlib.new(algorithm, usedforsecurity=False)
