"""Frame groups: which loop steps each frame belongs to, and its values of any parameter."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError

from .jcamp import Parameters

# What a slice has whatever other loop happens to be as long.
_OF_SLICES = frozenset({"VisuCorePosition", "VisuCoreOrientation", "VisuCoreFrameThickness"})


@dataclass(frozen=True)
class FrameGroup:
    """One entry of ``VisuFGOrderDesc``; `stride` frames lie between two of its steps."""

    identifier: str
    comment: str
    length: int
    stride: int
    depends: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FrameGroups:
    """All loops of a reconstruction, fastest first.

    Attributes
    ----------
    frames : int
        Number of frames in the file, complex parts included.
    """

    groups: tuple[FrameGroup, ...]
    frames: int

    def index(self, group: FrameGroup) -> npt.NDArray[np.intp]:
        """Return the zero-based step of each frame, shape (frames,)."""
        return (np.arange(self.frames) // group.stride) % group.length

    def owner(self, name: str) -> tuple[FrameGroup, int] | None:
        """Return the group that parameter `name` depends on, and its first row there."""
        for group in self.groups:
            for dependent, start in group.depends:
                if dependent == name:
                    return group, start
        return None

    def rows(self, name: str, count: int) -> npt.NDArray[np.intp] | None:
        """Return the row of a parameter with `count` rows that each frame has.

        The declared dependence decides, then the cardinality rule (one for all, or one each),
        then the length of exactly one group (for geometry: the slices). None where nothing fits.
        """
        owner = self.owner(name)
        needed = owner[1] + owner[0].length if owner is not None else 0
        if owner is not None and count == needed:
            return owner[1] + self.index(owner[0])
        if count == self.frames:
            return np.arange(self.frames)
        if owner is not None and count > needed:
            return owner[1] + self.index(owner[0])
        if count == 1:
            return np.zeros(self.frames, dtype=np.intp)
        fitting = [group for group in self.groups if group.length == count]
        if len(fitting) > 1 and name in _OF_SLICES:
            fitting = [group for group in fitting if group.identifier == "FG_SLICE"]
        if len(fitting) == 1:
            return self.index(fitting[0])
        inner = self.frames // count if count and self.frames % count == 0 else 0
        if inner == 2 and self.groups and self.groups[-1].identifier == "FG_COMPLEX":
            return np.arange(self.frames) % count
        return None


def read_frame_groups(visu: Parameters, frames: int) -> FrameGroups:
    """Read the loops from ``VisuFGOrderDesc`` and ``VisuGroupDepVals``.

    Parameters
    ----------
    frames : int
        Number of frames in the image file. Where it is twice the product of the loops the
        outermost index is the complex part, declared or not.

    Raises
    ------
    CorruptDataError
        If the loops do not multiply up to the number of frames.
    """
    depends = [_dependence(entry) for entry in visu.items("VisuGroupDepVals")]
    groups: list[FrameGroup] = []
    stride = 1
    for entry in visu.items("VisuFGOrderDesc"):
        if not isinstance(entry, tuple) or len(entry) < 5 or not isinstance(entry[0], int):
            raise CorruptDataError("VisuFGOrderDesc is not a list of frame groups.", path=visu.path)
        length, identifier, comment, first, number = entry[:5]
        own = depends[first : first + number] if are_counts(first, number) else []
        if length < 1:
            raise CorruptDataError(f"Frame group {identifier} has no steps.", path=visu.path)
        groups.append(FrameGroup(str(identifier), str(comment), length, stride, tuple(own)))
        stride *= length
    if stride != frames:
        if frames == 2 * stride and is_complex(visu):
            groups.append(FrameGroup("FG_COMPLEX", "", 2, stride, ()))
        elif not groups:
            groups.append(FrameGroup("FG_UNKNOWN", "", frames, 1, ()))
        else:
            raise CorruptDataError(
                f"The frame groups make {stride} frames and the file has {frames}.", path=visu.path
            )
    return FrameGroups(tuple(groups), frames)


def is_complex(visu: Parameters) -> bool:
    """Tell whether the frames hold real and imaginary parts; both spellings occur."""
    return any(
        text.startswith(("COMPLEX", "IMAGINARY", "IMAGINERY"))
        for text in visu.texts("VisuCoreFrameType")
    )


def are_counts(*values: Any) -> bool:
    """Tell whether all values are whole numbers of zero or more."""
    return all(isinstance(value, int) and value >= 0 for value in values)


def _dependence(entry: Any) -> tuple[str, int]:
    if isinstance(entry, tuple) and len(entry) >= 2 and isinstance(entry[1], int):
        return str(entry[0]), max(entry[1], 0)
    return "", 0


def group_frames(visu: Parameters) -> int:
    """Return the product of the declared loop lengths; 1 without loops."""
    lengths = [
        entry[0]
        for entry in visu.items("VisuFGOrderDesc")
        if isinstance(entry, tuple) and entry and isinstance(entry[0], int)
    ]
    return math.prod(lengths)


def per_frame(
    visu: Parameters, groups: FrameGroups, name: str, width: int = 1
) -> npt.NDArray[np.float64] | None:
    """Return a numeric parameter for each frame.

    Parameters
    ----------
    width : int
        Numbers per frame: 1, 3 for a position, 9 for a matrix.

    Returns
    -------
    ndarray of float, shape (frames, width) or None
        None where the parameter is missing or fits no loop.
    """
    values = np.asarray(visu.numbers(name), dtype=np.float64)
    if values.size == 0 or values.size % width:
        return None
    table = values.reshape(-1, width)
    rows = groups.rows(name, len(table))
    return None if rows is None else table[rows]


def per_frame_items(visu: Parameters, groups: FrameGroups, name: str) -> list[Any] | None:
    """Return any parameter's item for each frame; None where it is missing or fits no loop."""
    items = visu.items(name)
    if not items:
        return None
    rows = groups.rows(name, len(items))
    return None if rows is None else [items[row] for row in rows]
