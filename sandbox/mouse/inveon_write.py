"""Write an image as an Inveon workstation does: voxels without a header, and a text beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
# data_type of the header: float32 and int16, both little-endian.
_DATA_TYPE = {"f4": 4, "i2": 2}

Record = tuple[str, Any]


@dataclass(frozen=True)
class InveonFrame:
    """One frame: its block of the header, and its stored voxels.

    Attributes
    ----------
    voxels : ndarray of float32 or int16, shape (z, y, x)
    scale_factor : float
        Of the stored values.
    """

    voxels: npt.NDArray[Any]
    scale_factor: float
    start_s: float = 0.0
    duration_s: float = 0.0
    decay_correction: float = 1.0


def asctime(when: datetime) -> str:
    """Return a time in C's form, in English whatever the locale."""
    day, month = _DAYS[when.weekday()], _MONTHS[when.month - 1]
    return f"{day} {month} {when.day:2d} {when:%H:%M:%S} {when.year}"


def write_inveon(path: Path, records: Sequence[Record], frames: Sequence[InveonFrame]) -> None:
    """Write ``path`` and ``path.hdr``.

    Parameters
    ----------
    path : Path
        The image, such as ``m01.pet.img``.
    records : sequence of (str, value)
        Main section, without what follows from the voxels.
    frames : sequence of InveonFrame
        All of one shape and type.
    """
    first = frames[0].voxels
    nz, ny, nx = first.shape
    kind = first.dtype.str[1:]
    lines = [
        "#",
        f"# Header file for data file {path.name}",
        f"#\twith {len(frames)} frames",
        "#",
        "# Digital mouse: a phantom, not an animal",
        "#",
        "version 001.910",
        "manufacturer Siemens",
        f"file_name D:\\data\\digital mouse\\{path.name}",
        "file_type 5",
        f"data_type {_DATA_TYPE[kind]}",
        "data_order 1",
        "number_of_dimensions 3",
        f"x_dimension {nx}",
        f"y_dimension {ny}",
        f"z_dimension {nz}",
        f"total_frames {len(frames)}",
        f"time_frames {len(frames)}",
        *(f"{key} {_text(value)}".rstrip() for key, value in records),
        "end_of_header",
    ]
    size = first.nbytes
    for number, frame in enumerate(frames):
        lines += _frame_lines(number, number * size, frame)
    with path.open("wb") as file:
        for frame in frames:
            file.write(np.ascontiguousarray(frame.voxels, dtype=f"<{kind}").tobytes())
    header = path.with_name(f"{path.name}.hdr")
    header.write_text("\r\n".join(lines) + "\r\n", encoding="latin-1", newline="")


def _frame_lines(number: int, offset: int, frame: InveonFrame) -> list[str]:
    high, low = divmod(offset, 2**32)
    return [
        f"frame {number}",
        "event_type 4",
        "gate 0",
        "bed 0",
        "energy_window 0",
        "bed_offset 0",
        f"data_file_pointer {high} {low}",
        f"frame_start {_text(frame.start_s)}",
        f"frame_duration {_text(frame.duration_s)}",
        f"scale_factor {_text(frame.scale_factor)}",
        f"minimum {_text(float(frame.voxels.min()))}",
        f"maximum {_text(float(frame.voxels.max()))}",
        "deadtime_correction 1.0",
        f"decay_correction {_text(frame.decay_correction)}",
        "end_of_header",
    ]


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return asctime(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return " ".join(_text(one) for one in value)
    return str(value)
