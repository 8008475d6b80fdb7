"""Read what the headers of DICOM files say, fast: no pixels, and only the attributes needed."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from multiprocessing import get_context
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import config as pydicom_config
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.valuerep import TEXT_VR_DELIMS

from xnat_pic.errors import CorruptDataError
from xnat_pic.machine import processors
from xnat_pic.warning_filters import ignore_warnings

# Files for one task of a worker process, and the number from which workers are worth starting.
_CHUNK = 256
_WORTH_WORKERS = 1500
_MOST_WORKERS = 8

_PREAMBLE = 128
# Bytes of a file that hold most headers.
_HEAD = 32768
_CHARSET = 0x00080005
_PIXELS = {0x56000020, 0x7FE00008, 0x7FE00009, 0x7FE00010}  # spectra too
_PADDING_GROUP = 0xFFFC
_UNDEFINED = 0xFFFFFFFF
_ITEM, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_FIELDS = {
    "sop_class_uid": 0x00080016,
    "sop_instance_uid": 0x00080018,
    "study_date": 0x00080020,
    "study_time": 0x00080030,
    "modality": 0x00080060,
    "series_description": 0x0008103E,
    "patient_id": 0x00100020,
    "birth_date": 0x00100030,
    "sex": 0x00100040,
    "weight_kg": 0x00101030,
    "study_uid": 0x0020000D,
    "series_uid": 0x0020000E,
    "study_id": 0x00200010,
    "series_number": 0x00200011,
    "instance_number": 0x00200013,
}
_TAGS: list[BaseTag | int] = [_CHARSET, *_FIELDS.values()]
_FIRST_VRS = (b"UL", b"UI", b"CS", b"OB", b"SH", b"DA")
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"

OnRead = Callable[[int, int], None]


class FileStatus(Enum):
    """What a file is."""

    DICOM = "dicom"
    OTHER = "other"
    INDEX = "index"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Header:
    """One file: what it is, and for DICOM what its header says (texts without padding).

    Attributes
    ----------
    problem : str
        Why it is damaged or cannot be read, as half a message.
    """

    path: Path
    status: FileStatus
    size: int = 0
    mtime_ns: int = 0
    problem: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    modality: str = ""
    series_description: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    weight_kg: str = ""
    study_uid: str = ""
    series_uid: str = ""
    study_id: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    has_pixels: bool = False


def read_headers(
    paths: Sequence[Path], *, jobs: int | None = None, on_read: OnRead | None = None
) -> list[Header]:
    """Read many headers, in the order of the paths.

    Parameters
    ----------
    jobs : int, optional
        Worker processes; by default as many as help, and none for a few files.
    on_read : callable, optional
        Called with the number read and the number of all.
    """
    if jobs is None:
        jobs = min(processors(), _MOST_WORKERS) if len(paths) >= _WORTH_WORKERS else 1
    headers: list[Header] = []
    for part in _parts(paths, jobs):
        headers += part
        if on_read is not None:
            on_read(len(headers), len(paths))
    return headers


def _parts(paths: Sequence[Path], jobs: int) -> Iterator[list[Header]]:
    chunks = [paths[k : k + _CHUNK] for k in range(0, len(paths), _CHUNK)]
    if jobs <= 1 or len(chunks) <= 1:
        yield from map(_read_chunk, chunks)
        return
    # Spawned, not forked: a window's threads hold locks that a forked child would wait for.
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_read_chunk, chunks)


def _read_chunk(paths: Sequence[Path]) -> list[Header]:
    # Odd values are the business of whoever reads the images; here they only have to be there.
    with ignore_warnings(), pydicom_config.disable_value_validation():
        return [read_header(path) for path in paths]


def read_header(path: Path) -> Header:
    """Read one file's header; a file that cannot be read says so, nothing is raised."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return _read(path, file, status.st_size, status.st_mtime_ns)
    except OSError as error:
        return Header(path, FileStatus.UNREADABLE, problem=error.strerror or "the disk refuses")


class _AtPixels:
    """Stops the reading before the pixels, and notices elements that reach past the file's end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.missing = 0
        self.found = False
        self.fragments_at = 0

    def __call__(self, tag: BaseTag, _vr: str | None, length: int) -> bool:
        where = self._file.tell()
        if length != _UNDEFINED and where + length - self._size > self.missing:
            self.missing = where + length - self._size
        if tag in _PIXELS:
            self.found = True
            self.fragments_at = where if length == _UNDEFINED else 0
            return True
        return tag.group == _PADDING_GROUP


def _read(path: Path, file: BinaryIO, size: int, mtime_ns: int) -> Header:
    start = file.read(_HEAD)
    marked = start[_PREAMBLE : _PREAMBLE + 4] == b"DICM"
    if not (marked or _looks_like_dicom(start)):
        return Header(path, FileStatus.OTHER, size, mtime_ns)
    try:
        dataset, pixels = _parse(file, start, size, marked)
        values = _texts(dataset)
    except CorruptDataError as error:
        if not marked:
            return Header(path, FileStatus.OTHER, size, mtime_ns)
        problem = f"its header breaks off ({error.message})"
        return Header(path, FileStatus.DAMAGED, size, mtime_ns, problem)
    meta = dataset.file_meta
    if str(meta.get("MediaStorageSOPClassUID", "")) == _MEDIA_DIRECTORY:
        return Header(path, FileStatus.INDEX, size, mtime_ns)
    if not marked and not values["sop_class_uid"].startswith("1.2."):
        return Header(path, FileStatus.OTHER, size, mtime_ns)
    problem = ""
    if str(meta.get("TransferSyntaxUID", "")) != DeflatedExplicitVRLittleEndian:
        missing = pixels.missing
        if pixels.fragments_at:
            missing = _missing_fragments(file, pixels.fragments_at, size)
        problem = f"it is cut off by at least {missing} bytes" if missing > 0 else ""
    problem = problem or _missing_identity(values)
    return Header(
        path,
        FileStatus.DAMAGED if problem else FileStatus.DICOM,
        size,
        mtime_ns,
        problem,
        series_number=_integer(values.pop("series_number")),
        instance_number=_integer(values.pop("instance_number")),
        has_pixels=pixels.found,
        **values,
    )


def _parse(file: BinaryIO, start: bytes, size: int, marked: bool) -> tuple[FileDataset, _AtPixels]:
    """Parse a header from the beginning of its file; from all of it where that is too short."""
    if len(start) < size:
        # A file in memory tells its place many times faster than one on disk.
        memory = io.BytesIO(start)
        pixels = _AtPixels(memory, size)
        with suppress(Exception):
            dataset = read_partial(memory, pixels, force=not marked, specific_tags=_TAGS)
            if pixels.found:
                return dataset, pixels
        file.seek(0)
        stream = file
    else:
        stream = io.BytesIO(start)
    pixels = _AtPixels(stream, size)
    try:
        return read_partial(stream, pixels, force=not marked, specific_tags=_TAGS), pixels
    except Exception as error:
        # Damaged bytes make pydicom raise nearly anything; one file must not end the scan.
        raise CorruptDataError(str(error)) from error


def _looks_like_dicom(start: bytes) -> bool:
    """Tell whether a file without the DICOM mark begins with an element of group 2 or 8."""
    if len(start) < _PREAMBLE:
        return False
    group, element, length = struct.unpack_from("<HHI", start)
    if group not in (2, 8) or element > 0x20:
        return False
    return start[4:6] in _FIRST_VRS or length < 0x100


def _texts(dataset: FileDataset) -> dict[str, str]:
    charset = dataset.get_item(_CHARSET)
    names = _bytes(charset).decode("ascii", "replace").split("\\") if charset else [""]
    found = {name: dataset.get_item(tag) for name, tag in _FIELDS.items()}
    stored = {name: _bytes(item) if item else b"" for name, item in found.items()}
    try:
        encodings = convert_encodings([name.strip() or "ISO_IR 6" for name in names])
        texts = {
            name: decode_bytes(value, encodings, TEXT_VR_DELIMS) for name, value in stored.items()
        }
    except (LookupError, ValueError) as error:  # no such character set, or bytes that it has not
        raise CorruptDataError(str(error)) from error
    return {name: text.strip(" \0\r\n\t") for name, text in texts.items()}


def _bytes(item: Any) -> bytes:
    value = item.value
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("ascii", "replace")


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _missing_identity(values: dict[str, str]) -> str:
    names = {
        "sop_class_uid": "SOP Class UID",
        "sop_instance_uid": "SOP Instance UID",
        "study_uid": "Study Instance UID",
        "series_uid": "Series Instance UID",
    }
    missing = [name for field, name in names.items() if not values[field]]
    return f"it has no {' and no '.join(missing)}" if missing else ""


def _missing_fragments(file: BinaryIO, start: int, size: int) -> int:
    """Return the bytes missing at least from compressed pixels, 0 where all fragments are there."""
    place = start
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return place + 8 - size
        tag = head[:4]
        if tag == _SEQUENCE_END:
            return 0
        place += 8 + int.from_bytes(head[4:], "little")
        if tag != _ITEM or place > size:
            return max(1, place - size)
