"""Where the voxels of each frame lie in the image file, and what the file is."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError
from xnat_pic.files import new_digest

from .groups import FrameGroup
from .header import Header

# Key data_type of the header.
TYPES = {
    1: "u1",
    2: "<i2",
    3: "<i4",
    4: "<f4",
    5: ">f4",
    6: ">i2",
    7: ">i4",
}
_MAX_SIDE = 65_535
_CHUNK = 2**22
_WORD = 2**32


@dataclass(frozen=True)
class ImageLayout:
    """How the image file is laid out.

    Attributes
    ----------
    size : tuple of int
        Voxels along x (fastest), y, z.
    offsets : tuple of int
        Byte at which each frame begins.
    """

    size: tuple[int, int, int]
    dtype: np.dtype[Any]
    offsets: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return int(np.prod(self.size, dtype=object)) * self.dtype.itemsize


def read_layout(header: Header, image: Path) -> ImageLayout:
    """Return the layout of an image file.

    Raises
    ------
    CorruptDataError
        If the header's numbers make no sense or do not fit the file.
    OSError
        If the file cannot be looked at.
    """
    dtype = _stored_type(header)
    size = _size(header)
    layout = ImageLayout(size, dtype, ())
    total, count = image.stat().st_size, len(header.frames)
    expected = layout.frame_bytes * count
    if total < expected:
        raise CorruptDataError(
            f"The image {image.name} is cut off: {count} frames of {layout.frame_bytes} bytes need "
            f"{expected} bytes, and it has {total}. Copy it again."
        )
    offsets, warnings = _frame_offsets(header, layout.frame_bytes)
    end = max(offsets) + layout.frame_bytes
    if end > total:
        raise CorruptDataError(
            f"The image {image.name} is cut off: a frame ends at byte {end} and the file at "
            f"{total}. Copy it again."
        )
    if end < total and total != expected:
        raise CorruptDataError(
            f"The image {image.name} has {total} bytes and its header describes {end}: they do not "
            "belong together."
        )
    return ImageLayout(size, dtype, offsets, tuple(warnings))


def _stored_type(header: Header) -> np.dtype[Any]:
    number = header.main.integer("data_type")
    if number not in TYPES:
        stated = header.main.text("data_type") or "nothing"
        raise CorruptDataError(
            f"The header's data_type is {stated}: this is no type of voxels that is known."
        )
    if number == 1 and any((f.number("minimum") or 0.0) < 0 for f in header.frames):
        # Nothing else tells whether a byte has a sign; readers disagree.
        return np.dtype("i1")
    return np.dtype(TYPES[number])


def _size(header: Header) -> tuple[int, int, int]:
    sides = [header.main.integer(f"{axis}_dimension") for axis in "xyz"]
    for axis, side in zip("xyz", sides, strict=True):
        if side is None or not 0 < side <= _MAX_SIDE:
            stated = header.main.text(f"{axis}_dimension") or "nothing"
            raise CorruptDataError(
                f"The header's {axis}_dimension is {stated}: no number of voxels."
            )
    x, y, z = (int(side or 0) for side in sides)
    return x, y, z


def _parse_pointer(words: list[float]) -> int | None:
    """Return a byte offset from its low word, or its high and low words; both may have signs."""
    if not 1 <= len(words) <= 2 or any(word != int(word) for word in words):
        return None
    if len(words) == 2:
        return int(words[0]) % _WORD * _WORD + int(words[1]) % _WORD
    # One number alone is a whole offset, or a low word with a sign.
    return int(words[0]) if words[0] >= 0 else int(words[0]) % _WORD


def _frame_offsets(header: Header, frame_bytes: int) -> tuple[tuple[int, ...], list[str]]:
    """Return where each frame begins, from its data_file_pointer."""
    count = len(header.frames)
    sequential = tuple(k * frame_bytes for k in range(count))
    found = [_parse_pointer(frame.numbers("data_file_pointer")) for frame in header.frames]
    pointers = [pointer for pointer in found if pointer is not None]
    if len(pointers) < count:
        return sequential, [
            "A frame has no data_file_pointer: frames are read one after the other."
        ]
    if count > 1 and not any(pointers):
        return sequential, [
            "The data_file_pointer of every frame is 0: frames are read one after the other."
        ]
    ordered = sorted(pointers)
    for low, high in itertools.pairwise(ordered):
        if high - low < frame_bytes:
            raise CorruptDataError(
                f"The header is damaged: by their data_file_pointer, frames at bytes {low} and "
                f"{high} overlap, as one has {frame_bytes} bytes."
            )
    return tuple(pointers), []


def group_offsets(layout: ImageLayout, group: FrameGroup) -> tuple[int, ...]:
    """Return where the frames of one series begin."""
    return tuple(layout.offsets[number] for number in group.frames)


@dataclass(frozen=True)
class ImageContent:
    """What identifies an image file, and how many of its values are no finite numbers."""

    sha256: str
    not_finite: int


def scan_content(image: Path, dtype: np.dtype[Any]) -> ImageContent:
    """Read an image file once, from beginning to end, in parts."""
    digest, bad = new_digest(), 0
    with image.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
            if dtype.kind == "f":
                whole = block[: len(block) - len(block) % dtype.itemsize]
                values = np.frombuffer(whole, dtype)
                bad += values.size - int(np.count_nonzero(np.isfinite(values)))
    return ImageContent(digest.hexdigest(), bad)


def sample_values(
    image: Path, layout: ImageLayout, frame: int, *, planes: int = 16
) -> np.ndarray[Any, Any]:
    """Return every third voxel (in x and y) of some planes spread over a frame, as floats."""
    x, y, z = layout.size
    plane_bytes = x * y * layout.dtype.itemsize
    chosen = np.unique(np.linspace(0, z - 1, min(planes, z)).astype(int))
    parts = []
    for number in chosen.tolist():
        offset = layout.offsets[frame] + number * plane_bytes
        plane = np.fromfile(image, layout.dtype, x * y, offset=offset).reshape(y, x)
        parts.append(plane[::3, ::3].astype(np.float64).ravel())
    return np.concatenate(parts)
