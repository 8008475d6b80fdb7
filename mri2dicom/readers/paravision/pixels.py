"""Describe the pixels in ``2dseq`` without loading them."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError

from ...series.pixels import PixelSource
from .frames import group_frames, is_complex
from .reco import Reco

_WORD_TYPES = {
    "_8BIT_UNSGN_INT": "u1",
    "_16BIT_SGN_INT": "i2",
    "_32BIT_SGN_INT": "i4",
    "_32BIT_FLOAT": "f4",
}
_LFS_SIGNATURE = b"version https://git-lfs"


def stored_type(reco: Reco) -> np.dtype[Any]:
    """Return the stored type with its byte order.

    Raises
    ------
    CorruptDataError
        If the word type is missing or unknown.
    """
    word = str(reco.first("VisuCoreWordType", "reco:RECO_wordtype"))
    if word not in _WORD_TYPES:
        raise CorruptDataError(f"The word type {word!r} of the image is not known.")
    order = str(reco.first("VisuCoreByteOrder", "reco:RECO_byte_order") or "littleEndian")
    return np.dtype((">" if order.lower().startswith("big") else "<") + _WORD_TYPES[word])


def core_size(reco: Reco) -> tuple[int, ...]:
    """Return the frame's sizes, fastest axis first.

    Raises
    ------
    CorruptDataError
        If sizes are missing or make no image.
    """
    numbers = reco.visu.numbers("VisuCoreSize")
    if not numbers or len(numbers) != reco.number("VisuCoreDim"):
        raise CorruptDataError("visu_pars does not say how large the image is.")
    if len(numbers) not in (2, 3):
        raise CorruptDataError(f"An image of {len(numbers)} dimensions is not possible.")
    if not all(1 <= number <= 65535 and number.is_integer() for number in numbers):
        shown = " x ".join(f"{number:g}" for number in numbers)
        raise CorruptDataError(f"An image of {shown} is not possible.")
    return tuple(int(number) for number in numbers)


def frame_count(reco: Reco, path: Path, frame_bytes: int) -> int:
    """Return the number of frames; the file's size decides between two that disagree.

    Raises
    ------
    CorruptDataError
        If the file's size fits no declared number of frames.
    """
    declared = reco.number("VisuCoreFrameCount")
    grouped = group_frames(reco.visu)
    candidates = [int(declared)] if declared is not None else []
    candidates += [grouped, 2 * grouped] if is_complex(reco.visu) else [grouped]
    size = path.stat().st_size
    for count in candidates:
        if count > 0 and count * frame_bytes == size:
            if declared is not None and count != int(declared):
                reco.warnings.append(
                    f"visu_pars announces {int(declared)} frames; the file holds {count}."
                )
            return count
    expected = candidates[0] * frame_bytes
    if size < expected:
        raise CorruptDataError(
            f"2dseq is cut off: {size} bytes of the {expected} that visu_pars announces."
        )
    raise CorruptDataError(f"2dseq has {size} bytes and visu_pars announces {expected}.")


def is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is a git-LFS pointer instead of data."""
    if path.stat().st_size > 1024:
        return False
    with path.open("rb") as file:
        return file.read(len(_LFS_SIGNATURE)) == _LFS_SIGNATURE


def transposed_frames(reco: Reco, size: tuple[int, ...]) -> list[int]:
    """Return the frames stored with their two sizes transposed.

    Frames of one series may differ in transposition. Square ones need nothing; of non-square
    2-D ones those with transposition 1 are stored the other way round.
    """
    if len(size) != 2 or size[0] == size[1]:
        return []
    transpositions = reco.per_frame("VisuCoreTransposition")
    if not transpositions or all(one == transpositions[0] for one in transpositions):
        return []
    transposed = [frame for frame, one in enumerate(transpositions) if one == 1]
    if transposed:
        reco.warnings.append(
            "Frames that are not square differ in transposition: "
            f"{len(transposed)} of {len(transpositions)} were turned back; check them by eye."
        )
    return transposed


def pixel_source(
    path: Path, dtype: np.dtype[Any], size: tuple[int, ...], frames: int, transposed: list[int]
) -> PixelSource:
    """Return the planes: a 3-D frame counts as many as it has."""
    depth = math.prod(size[2:])
    return PixelSource(path, dtype, (frames * depth, size[1], size[0]), tuple(transposed))
