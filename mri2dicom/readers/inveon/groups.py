"""Which frames of an image belong together: dynamic, gated, several beds or energy windows."""

from dataclasses import dataclass
from enum import Enum

from .header import Header


class FrameAxis(Enum):
    """What changes between the frames of one series."""

    NONE = "static"
    TIME = "dynamic"
    GATE = "gated"


@dataclass(frozen=True)
class FrameGroup:
    """Frames of one series, in the order in which they are written.

    Attributes
    ----------
    frames : tuple of int
        Numbers of the frame blocks.
    axis : FrameAxis
    name : str
        Tells the series from the others of the same file; empty where it is the only one.
    """

    frames: tuple[int, ...] = ()
    axis: FrameAxis = FrameAxis.NONE
    name: str = ""


def frame_groups(header: Header) -> list[FrameGroup]:
    """Deal the frames of a header out to series.

    Frames of another bed position or energy window are another series; where gates and times both
    differ, each gate is one, so that a series has one loop beside its slices. Within a series
    frames are in order of their start, gates in order of their number.

    Raises
    ------
    CorruptDataError
        If a number in the header is not finite.
    """
    marks = [
        tuple(frame.integer(key) or 0 for key in ("bed", "energy_window", "gate"))
        for frame in header.frames
    ]
    starts = [frame.number("frame_start") or 0.0 for frame in header.frames]
    parts: dict[tuple[int, ...], list[int]] = {}
    for number, mark in enumerate(marks):
        parts.setdefault(mark[:2], []).append(number)
    result: list[FrameGroup] = []
    for key in sorted(parts):
        name = _part_name(key, sorted(parts))
        result += _split_by_gate(parts[key], [mark[2] for mark in marks], starts, name)
    return result


def _split_by_gate(
    frames: list[int], gates: list[int], starts: list[float], name: str
) -> list[FrameGroup]:
    """Return the series of the frames of one bed and energy window."""
    of_gate = {g: [k for k in frames if gates[k] == g] for g in sorted({gates[k] for k in frames})}
    if len(of_gate) == 1:
        ordered = sorted(frames, key=lambda k: (starts[k], k))
        axis = FrameAxis.TIME if len(frames) > 1 else FrameAxis.NONE
        return [FrameGroup(tuple(ordered), axis, name)]
    if all(len(one) == 1 for one in of_gate.values()):
        return [FrameGroup(tuple(one[0] for one in of_gate.values()), FrameAxis.GATE, name)]
    return [
        FrameGroup(
            tuple(sorted(one, key=lambda k: (starts[k], k))),
            FrameAxis.TIME if len(one) > 1 else FrameAxis.NONE,
            " ".join(filter(None, [name, f"gate {gate + 1}"])),
        )
        for gate, one in of_gate.items()
    ]


def _part_name(key: tuple[int, ...], keys: list[tuple[int, ...]]) -> str:
    """Name one part of a file by what differs from the others, counted from 1."""
    parts = []
    for column, word in enumerate(("bed", "window")):
        if len({other[column] for other in keys}) > 1:
            parts.append(f"{word} {key[column] + 1}")
    return " ".join(parts)
