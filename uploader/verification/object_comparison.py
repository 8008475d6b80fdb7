"""Compare a DICOM object on disk with the server's copy: decoded pixels, or content without them.

A site may rewrite headers and decompress, so bytes and checksums say nothing; what is decoded does.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread, uid
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from private_dictionaries.decoders import find_decoder
from xnat_pic.errors import CorruptDataError
from xnat_pic.warning_filters import ignore_warnings

from ..deidentification.deidentifier import load_profile
from ..scanning.object_files import SMALL_FILE, object_source

if TYPE_CHECKING:
    import numpy as np

_DEFERRED = 1 << 16  # bytes of a value above which it is read when it is asked for
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# What says how stored values are to be read: another value is another image.
_READING = (
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "Units", "RealWorldValueMappingSequence",
)  # fmt: skip
# What only says how pixels are packed, or is counted of them: a server that decompresses writes it.
_PACKING = frozenset(
    {
        "PhotometricInterpretation", "PlanarConfiguration", "LossyImageCompression",
        "LossyImageCompressionRatio", "LossyImageCompressionMethod", "SmallestImagePixelValue",
        "LargestImagePixelValue", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    }
)  # fmt: skip
# Values of these representations are no names or texts: anonymisation does not rewrite them.
_FACTS = frozenset(
    ("UI", "CS", "DS", "IS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "OF", "OD", "OL", "AT")
)
# Sequences that place the frames of an image, and say how they were acquired.
_FRAMES = frozenset(
    ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
     "DimensionIndexSequence")
)  # fmt: skip
_NAMES = ("PatientID", "PatientName")
_LOSSY = {
    uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000,
    uid.JPEG2000MC, uid.HTJ2K,
}  # fmt: skip
_COLOUR = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "YBR_PARTIAL_422"}
# Decoders of lossy methods may round differently; more than this is another image.
_ROUNDING = 4
_NAMED = 6  # elements in a reason
_LUMA = (0.299, 0.587, 0.114)


class ContentResult(Enum):
    """How two copies of an object compare.

    ``PIXELS``: every decoded pixel is equal. ``CONTENT``: an object without pixels, equal but for
    what sites rewrite. ``UNDECIDED``: it cannot be told here. ``DIFFERENT``: it is another content.
    """

    PIXELS = "pixels equal"
    CONTENT = "content equal"
    UNDECIDED = "undecided"
    DIFFERENT = "different"


@dataclass(frozen=True)
class ObjectComparison:
    """What was found of one object.

    Attributes
    ----------
    reason : str
        Why it is undecided or different; else empty.
    rewritten : frozenset of str
        Keywords of the elements that the server's copy has otherwise, or not.
    """

    result: ContentResult
    reason: str = ""
    rewritten: frozenset[str] = frozenset()


def read_sop_uid(path: Path) -> str:
    """Return the SOP Instance UID of a file; empty where it is no readable DICOM object."""
    try:
        found = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        return str(found.get("SOPInstanceUID", ""))
    except Exception:  # what a damaged file makes pydicom raise has no common base
        return ""


def compare_objects(ours: Path, theirs: Path, strangers: Collection[str] = ()) -> ObjectComparison:
    """Compare two files of one SOP Instance, frame by frame in bounded memory.

    Parameters
    ----------
    ours, theirs : Path
        The object as it was to be sent, and the server's copy.
    strangers : collection of str
        Names of other animals: a copy that has one of them as PatientID or PatientName, where ours
        has another, is another animal's.

    Raises
    ------
    CorruptDataError
        If `ours` cannot be read.
    """
    with ignore_warnings():  # odd values are compared as they are
        try:
            mine = _read(ours)
            pixels = _pixel_keyword(mine)
        except Exception as error:  # as above
            raise CorruptDataError(
                f"{ours} cannot be read.", path=ours, hint="Put a good copy in its place."
            ) from error
        try:
            other = _read(theirs)
            rewritten = _differing(mine, other)
            if _pixel_keyword(other) != pixels:
                there = "has no pixels" if pixels else "has pixels"
                return _different(f"the server's copy {there}", rewritten)
            named = _stranger(mine, other, strangers)
            if named:
                return _different(named, rewritten)
        except Exception as error:  # as above
            return _different(f"the server's copy cannot be read ({type(error).__name__})")
        if pixels:
            return _compare_images(ours, theirs, mine, other, rewritten)
        return _compare_contents(rewritten)


def _read(path: Path) -> Dataset:
    """Return an object; large values of a large file are read when they are asked for."""
    source = object_source(path)
    if not isinstance(source, Path):
        return dcmread(source)
    dataset = dcmread(source, defer_size=_DEFERRED)
    return dcmread(source) if _is_deflated(dataset) else dataset


def _is_deflated(dataset: Dataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return bool(syntax == uid.DeflatedExplicitVRLittleEndian)


def _different(reason: str, rewritten: frozenset[str] = frozenset()) -> ObjectComparison:
    return ObjectComparison(ContentResult.DIFFERENT, reason, rewritten)


def _undecided(reason: str, rewritten: frozenset[str]) -> ObjectComparison:
    return ObjectComparison(ContentResult.UNDECIDED, reason, rewritten)


def _pixel_keyword(dataset: Dataset) -> str:
    return next((name for name in _PIXELS if name in dataset), "")


def _differing(mine: Dataset, other: Dataset) -> frozenset[str]:
    """Return the elements, by keyword or tag, that two objects do not share; pixels left out."""
    left_out = {tag_for_keyword(name) for name in _PIXELS}
    tags = (set(mine.keys()) | set(other.keys())) - left_out
    found = set()
    for tag in tags:
        if tag.element == 0 or tag == 0xFFFC_FFFC:  # lengths of groups, padding
            continue
        if tag not in mine or tag not in other or not _is_same(mine, other, tag):
            found.add(keyword_for_tag(tag) or str(tag))
    return frozenset(found)


def _is_same(mine: Dataset, other: Dataset, tag: Any) -> bool:
    raw, raw_other = mine.get_item(tag), other.get_item(tag)
    values = (getattr(raw, "value", None), getattr(raw_other, "value", None))
    if isinstance(values[0], bytes) and values[0] == values[1]:
        return True
    return bool(_text(mine[tag].value) == _text(other[tag].value))


def _text(value: Any) -> Any:
    """Return a value without what only pads it."""
    if value is None:
        return ""
    return value.rstrip("\0 ") if isinstance(value, str) else value


def _compare_contents(rewritten: frozenset[str]) -> ObjectComparison:
    """Judge an object without pixels by its elements."""
    changed = sorted(name for name in rewritten if not _is_site_rewritten(name))
    if changed:
        return _different(f"other values of {', '.join(changed[:5])}", rewritten)
    return ObjectComparison(ContentResult.CONTENT, rewritten=rewritten)


def _is_site_rewritten(keyword: str) -> bool:
    """Tell whether an element is one of those that anonymisation rewrites."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        return False
    if tag >> 16 in (0x0010, 0x0012) or keyword in ("StudyDescription", "AccessionNumber"):
        return True
    rule = load_profile().rules.get(tag)
    return rule is not None and rule.action not in ("K", "U") and keyword != "ContentSequence"


def _stranger(mine: Dataset, other: Dataset, strangers: Collection[str]) -> str:
    """Return why a copy is another animal's; empty where no name says so."""
    for name in _NAMES:
        value = str(other.get(name, "")).strip()
        if value in strangers and value != str(mine.get(name, "")).strip():
            return f"its {name} is {value}, another animal of this plan"
    return ""


def _altered(mine: Dataset, other: Dataset, rewritten: frozenset[str]) -> list[str]:
    """Return the elements that differ, and that neither anonymisation nor decoding rewrites.

    Those are UIDs, codes and numbers, such as position, orientation and spacing, and private values
    other than taken out; names, texts and dates a site's script may rewrite.
    """
    return sorted(
        name for name in rewritten if name not in _PACKING and _is_fact(mine, other, name)
    )


def _is_fact(mine: Dataset, other: Dataset, name: str) -> bool:
    tag = tag_for_keyword(name)
    if tag is None:  # private or unknown: scripts take those out, and change none
        theirs = next((one for one in set(other.keys()) if str(one) == name), None)
        return theirs is not None and bool(other.get_item(theirs).value)
    if _is_site_rewritten(name):
        return False
    element = mine[tag] if tag in mine else other[tag]
    return name in _FRAMES or element.VR in _FACTS


def _compare_images(
    ours: Path, theirs: Path, mine: Dataset, other: Dataset, rewritten: frozenset[str]
) -> ObjectComparison:
    changed = [name for name in _READING if _changed(mine, other, name)]
    if _models(mine, other) - _COLOUR and len(_models(mine, other)) > 1:
        changed.append("PhotometricInterpretation")
    changed += [name for name in _altered(mine, other, rewritten) if name not in changed]
    if changed:
        more = ", ..." if len(changed) > _NAMED else ""
        return _different(f"other values of {', '.join(changed[:_NAMED])}{more}", rewritten)
    rounded = 0.0
    with closing(_frames(ours, mine)) as frames, closing(_frames(theirs, other)) as copies:
        for number, (frame, copy) in enumerate(zip_longest(frames, copies), 1):
            if isinstance(frame, Exception):
                return _compare_encoded(mine, other, rewritten)
            if isinstance(copy, Exception):
                return _unread_copy(mine, other, rewritten)
            if frame is None or copy is None or frame.shape != copy.shape:
                return _different("another number of pixels", rewritten)
            largest = _difference(frame, copy)
            rounded = max(rounded, largest)
            if largest and not (
                _may_round(mine, other) and _luma_difference(frame, copy) <= _ROUNDING
            ):
                where = f" in frame {number}" if int(mine.get("NumberOfFrames") or 1) > 1 else ""
                return _different(f"other pixels{where}", rewritten)
    if rounded:
        text = f"{_syntax(mine)} is decoded otherwise there, by up to {rounded:g}"
        return _undecided(text, rewritten)
    return ObjectComparison(ContentResult.PIXELS, rewritten=rewritten)


def _compare_encoded(mine: Dataset, other: Dataset, rewritten: frozenset[str]) -> ObjectComparison:
    """Judge pixels that no decoder reads: equal where they are packed into the same bytes."""
    if _syntax(mine) == _syntax(other) and mine.PixelData == other.PixelData:
        return ObjectComparison(ContentResult.PIXELS, rewritten=rewritten)
    return _undecided(f"no decoder here reads {_syntax(mine)}", rewritten)


def _unread_copy(mine: Dataset, other: Dataset, rewritten: frozenset[str]) -> ObjectComparison:
    """Judge a copy that cannot be decoded, though ours can."""
    if _syntax(mine) == _syntax(other) or not other.file_meta.TransferSyntaxUID.is_compressed:
        return _different("its pixels cannot be decoded", rewritten)
    return _undecided(f"no decoder here reads {_syntax(other)}", rewritten)


def _changed(mine: Dataset, other: Dataset, name: str) -> bool:
    default = {"NumberOfFrames": 1, "SamplesPerPixel": 1}.get(name)
    left, right = (one.get(name, default) for one in (mine, other))
    return bool((left or default) != (right or default))


def _models(mine: Dataset, other: Dataset) -> set[str]:
    return {str(one.get("PhotometricInterpretation", "")) for one in (mine, other)}


def _syntax(dataset: Dataset) -> str:
    return str(dataset.file_meta.TransferSyntaxUID.name)


def _may_round(mine: Dataset, other: Dataset) -> bool:
    """Tell whether another decoder may give slightly other values of the same data."""
    if mine.file_meta.TransferSyntaxUID == other.file_meta.TransferSyntaxUID:
        return False
    models = _models(mine, other)
    return mine.file_meta.TransferSyntaxUID in _LOSSY or (
        len(models) > 1 and models <= _COLOUR and models != {"RGB", "YBR_RCT"}
    )


def _frames(path: Path, dataset: Dataset) -> Generator[Any, None, None]:
    """Yield decoded frames as arrays of values; an exception as the last where that fails."""
    from pydicom.pixels.utils import iter_pixels

    try:
        decoder = find_decoder(dataset.file_meta.TransferSyntaxUID)
        # A large file is read frame by frame; of a small one the header is not read again.
        whole = _is_deflated(dataset) or path.stat().st_size <= SMALL_FILE
        source = dataset if whole else path
        for frame in iter_pixels(source, decoding_plugin=decoder):
            yield _values(frame, dataset)
    except Exception as error:  # decoders raise what they like
        yield error


def _values(frame: np.ndarray[Any, Any], dataset: Dataset) -> np.ndarray[Any, Any]:
    """Return a frame's values: the stored bits alone, with their sign."""
    if frame.dtype.kind == "f":
        return frame
    stored = int(dataset.get("BitsStored") or 8 * frame.dtype.itemsize)
    spare = 8 * frame.dtype.itemsize - stored
    if spare <= 0:
        return frame
    kind = f"{'i' if dataset.get('PixelRepresentation') else 'u'}{frame.dtype.itemsize}"
    native = frame.astype(frame.dtype.newbyteorder("=")).view(kind)
    values: np.ndarray[Any, Any] = (native << spare) >> spare
    return values


def _difference(frame: np.ndarray[Any, Any], copy: np.ndarray[Any, Any]) -> float:
    """Return the largest difference; of floats, whether any bit differs."""
    import numpy as np

    if frame.dtype.kind == "f":
        same = frame.astype("<f8").tobytes() == copy.astype("<f8").tobytes()
        return 0.0 if same else np.inf
    if np.array_equal(frame, copy):
        return 0.0
    return float(np.abs(frame.astype(np.int64) - copy.astype(np.int64)).max())


def _luma_difference(frame: np.ndarray[Any, Any], copy: np.ndarray[Any, Any]) -> float:
    """Return the largest difference in brightness: colour is stored coarser, and drawn finer."""
    import numpy as np

    change = frame.astype(np.float64) - copy.astype(np.float64)
    if frame.ndim == 3:
        change = change @ np.array(_LUMA)
    return float(np.abs(change).max())
