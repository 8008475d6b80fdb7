"""Read DICOM files that nobody vouches for: a header for the rules, or a dump for people."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from xnat_pic.warning_filters import ignore_warnings

from .dicom_rules import keywords

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MAX_INFLATED = 2**29
_MAX_VALUE = 2**16
_BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
_MAX_SHOWN = 1024


class NotDicomError(Exception):
    """A file that is no DICOM object, or lacks what one must have."""


def read_header(path: Path) -> dict[str, str]:
    """Return what the rules need of a DICOM file, as text by keyword.

    Raises
    ------
    NotDicomError
        Also where SOP class, SOP instance, study or series UID is missing.
    """
    tags = [tag for keyword in keywords() if (tag := tag_for_keyword(keyword)) is not None]
    dataset = _read(path, tags)
    header = {}
    with ignore_warnings():  # what a value may not be is decided where it is stored
        for keyword, tag in zip(keywords(), tags, strict=True):
            if text := _text(dataset, tag):
                header[keyword] = text
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if keyword not in header:
            raise NotDicomError(f"it has no {keyword}")
    return header


def read_attributes(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return attributes of a DICOM file that it has, as texts, numbers and lists of them.

    Raises
    ------
    NotDicomError
    """
    tags = {name: tag for name in names if (tag := tag_for_keyword(name)) is not None}
    with ignore_warnings():
        dataset = _read(path, list(tags.values()))
        found = {}
        for name, tag in tags.items():
            try:
                value = dataset[tag].value
            except (KeyError, ValueError, NotImplementedError):
                continue
            if value not in (None, ""):
                found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, MultiValue):
        return [_plain(one) for one in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if float(value).is_integer() else float(value)
    return str(value)


def _read(path: Path, tags: list[int] | None = None) -> Dataset:
    with path.open("rb") as file:
        start = file.read(2**16)
    has_preamble = start[128:132] == b"DICM"
    if not has_preamble and (start[:2] != b"\x08\x00" or len(start) < 132):
        raise NotDicomError("it does not begin as a DICOM file does")
    if _DEFLATED in start:
        _check_inflated(path, start)
    try:
        return pydicom.dcmread(
            path, stop_before_pixels=True, force=not has_preamble, specific_tags=tags
        )
    except Exception as error:  # what a broken file makes pydicom raise has no common base
        raise NotDicomError(f"it cannot be read ({type(error).__name__})") from error


def _check_inflated(path: Path, start: bytes) -> None:
    """Refuse a deflated data set that would fill the memory."""
    if start[132:138] != b"\x02\x00\x00\x00UL":
        raise NotDicomError("its deflated content has no beginning")
    offset = 144 + struct.unpack_from("<L", start, 140)[0]
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(2**20)
        while data and size <= _MAX_INFLATED:
            try:
                size += len(inflater.decompress(data, 2**22))
            except zlib.error as error:
                raise NotDicomError("its deflated content is broken") from error
            data = inflater.unconsumed_tail or file.read(2**20)
    if size > _MAX_INFLATED:
        raise NotDicomError("its deflated content is too large")


def _text(dataset: Dataset, tag: int) -> str:
    raw = dataset.get_item(tag)
    if raw is None or (isinstance(raw, RawDataElement) and raw.length > _MAX_VALUE):
        return ""
    try:
        return _shown(dataset[tag].value)
    except Exception:  # a value that is not of its kind counts as absent
        return ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, MultiValue | list):
        return "\\".join(str(part) for part in value)
    return str(value).strip("\0 ")


def dump(path: Path, fields: list[str]) -> Iterator[dict[str, str]]:
    """Yield a file's elements as rows: tag1, tag2 (of an element in a sequence), vr, value, desc.

    Parameters
    ----------
    fields : list of str
        Keywords, or tags as eight digits; empty for all.

    Raises
    ------
    NotDicomError
    """
    wanted = {_tag(field) for field in fields}
    dataset = _read(path)
    for part in (getattr(dataset, "file_meta", Dataset()), dataset):
        for element in part:
            if wanted and int(element.tag) not in wanted:
                continue
            yield _row(element, _tag_text(element), "")
            if element.VR == "SQ":
                for item in element.value:
                    for inner in item:
                        yield _row(inner, _tag_text(element), _tag_text(inner))


def _tag(field: str) -> int:
    found = tag_for_keyword(field)
    if found is not None:
        return int(found)
    digits = field.strip("()").replace(",", "").removeprefix("0x")
    try:
        return int(digits, 16)
    except ValueError:
        return -1


def _tag_text(element: DataElement) -> str:
    return f"({element.tag.group:04X},{element.tag.element:04X})"


def _row(element: DataElement, tag1: str, tag2: str) -> dict[str, str]:
    hidden = element.VR in _BULK or element.VR == "SQ"
    value = "" if hidden else _shown(element.value)[:_MAX_SHOWN]
    return {
        "tag1": tag1,
        "tag2": tag2,
        "vr": str(element.VR),
        "value": value,
        "desc": str(element.name),
    }
