"""What is to be on the server: the instances of a session, as they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.errors import CorruptDataError
from xnat_pic.files import bytes_digest, file_digest

from ..deidentification.deidentifier import Deidentifier
from ..scanning.sessions import Session, SourceFile


@dataclass(frozen=True)
class Instance:
    """One object to send.

    Attributes
    ----------
    sop_uid, sent_uid : str
        SOP Instance UID on disk, and on the server.
    """

    sop_uid: str
    sent_uid: str
    file: SourceFile

    @property
    def name(self) -> str:
        """Its file name on the server."""
        return f"{self.sent_uid}.dcm"


@dataclass(frozen=True)
class SeriesPayload:
    """A series to send; `instances` by the UID sent.

    Attributes
    ----------
    uid, sent_uid : str
        Series Instance UID on disk, and on the server.
    """

    uid: str
    sent_uid: str
    number: int | None
    description: str
    instances: dict[str, Instance]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(one.file.size for one in self.instances.values())


@dataclass(frozen=True)
class SessionPayload:
    """A session to send."""

    study_uid: str
    modality: str
    series: tuple[SeriesPayload, ...]
    side_files: tuple[Path, ...]

    @property
    def instances(self) -> int:
        """Number of objects."""
        return sum(len(one.instances) for one in self.series)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(one.bytes for one in self.series)


def build_payload(session: Session, deidentifier: Deidentifier | None = None) -> SessionPayload:
    """Return what is to be on the server for a session; an instance found twice counts once."""

    def sent(uid: str) -> str:
        return deidentifier.uid(uid) if deidentifier else uid

    series = []
    for one in session.series:
        instances: dict[str, Instance] = {}
        for file in one.files:
            uid = sent(file.sop_instance_uid)
            instances.setdefault(uid, Instance(file.sop_instance_uid, uid, file))
        series.append(SeriesPayload(one.uid, sent(one.uid), one.number, one.description, instances))
    return SessionPayload(
        sent(session.study_uid), session.modality, tuple(series), session.side_files
    )


_BLOCK = 1 << 20


def read_blocks(path: Path, on_read: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a file's blocks, telling the length of each.

    Raises
    ------
    CorruptDataError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                on_read(len(block))
                yield block
    except OSError as error:
        raise _unreadable(path, error) from error


LARGEST_FILE = 0xFFFF_FFFF


def file_md5(path: Path) -> str:
    """Return the MD5 of a file, as hexadecimal text.

    Raises
    ------
    CorruptDataError
        If it cannot be read.
    """
    try:
        return file_digest(path, "md5")
    except OSError as error:
        raise _unreadable(path, error) from error


def sent_md5(path: Path, deidentifier: Deidentifier | None) -> str:
    """Return the MD5 of what is sent of a file, made anew, as hexadecimal text.

    Raises
    ------
    CorruptDataError
        If it cannot be read.
    """
    if deidentifier is None:
        return file_md5(path)
    return bytes_digest(deidentifier.content(path), "md5")


def file_stamp(path: Path) -> str:
    """Return a text that changes when a file is written anew; empty where it cannot be seen."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _unreadable(path: Path, error: OSError) -> CorruptDataError:
    why = error.strerror or "it is not readable"
    return CorruptDataError(f"{path} cannot be read: {why}.", path=path, hint="Check it.")
