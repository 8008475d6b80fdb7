"""Put frames on one grid: slices along their normal, samples by what was varied."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError

from .frames import Doubles, Frame

_TOLERANCE_MM = 0.01
_UNEVEN = 0.02
_RANGE_NAMES = {
    "echo_time_ms": "echo times",
    "repetition_time_ms": "repetition times",
    "inversion_time_ms": "inversion times",
    "flip_angle_deg": "flip angles",
    "b_value": "b-values",
    "offset_ppm": "saturation offsets",
}


def plural_name(variable: str) -> str:
    """Return what a person calls the variable, in the plural."""
    return _RANGE_NAMES[variable]


def geometry_key(frame: Frame) -> tuple[object, ...]:
    """Return what frames of one volume have in common."""
    orientation = tuple(round(value, 3) + 0.0 for value in frame.orientation)
    return (frame.shape, orientation, tuple(round(v, 4) for v in frame.spacing), frame.component)


def check_geometry(frame: Frame) -> None:
    """Refuse a frame that cannot be placed."""
    if len(frame.spacing) != 2 or min(frame.spacing) <= 0:
        raise NothingUsableError(
            f"The series {frame.title} does not say how large its pixels are.",
            path=frame.path,
            hint="Convert it again; a map without a scale cannot be measured.",
        )
    if len(frame.position) != 3 or len(frame.orientation) != 6:
        raise NothingUsableError(
            f"The series {frame.title} does not say where its planes lie.",
            path=frame.path,
            hint="Convert it again with positions and orientations.",
        )


def by_slice(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames of each slice, slices sorted along the normal of their plane."""
    first = frames[0]
    check_geometry(first)
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    places = np.array([frame.position for frame in frames])
    depth = places @ normal
    order = np.argsort(depth, kind="stable")
    slices: list[list[Frame]] = []
    last = -np.inf
    for index in order:
        if depth[index] - last > _TOLERANCE_MM:
            slices.append([])
            last = depth[index]
        slices[-1].append(frames[index])
    return slices


def match_samples(slices: list[list[Frame]], variable: str, sort: bool) -> list[list[Frame]]:
    """Return the slices with their samples in the same order.

    Parameters
    ----------
    slices : list of list of Frame
        From `by_slice`.
    variable : str
        What was varied, such as ``echo_time_ms``.
    sort : bool
        By the value of the variable; otherwise in the order of acquisition.
    """
    counts = sorted({len(one) for one in slices})
    if len(counts) > 1:
        raise NothingUsableError(
            f"Some slices have {counts[0]} images and others {counts[-1]}.",
            path=slices[0][0].path.parent,
            hint="Images are missing or belong to another series; get the complete series.",
        )
    missing = [f for one in slices for f in one if variable not in f.values and not f.reference]
    if missing:
        raise NothingUsableError(
            f"{len(missing)} images do not say their {plural_name(variable)}, such as "
            f"{missing[0].path.name}.",
            path=missing[0].path,
            hint="Get the complete series, or give NIfTI with a sidecar that lists the values.",
        )
    if sort:
        return [sorted(one, key=lambda f: (f.values[variable], f.order)) for one in slices]
    acquired = [sorted(one, key=lambda f: f.order) for one in slices]
    keys = [[_sample_key(f, variable) for f in one] for one in acquired]
    if all(key == keys[0] for key in keys):
        return acquired
    # Frames in no order of acquisition: what is alike belongs together.
    return [sorted(one, key=lambda f: (_sample_key(f, variable), f.order)) for one in slices]


def _sample_key(frame: Frame, variable: str) -> tuple[float, ...]:
    """Return what tells a sample of a slice from the others: reference, value, direction."""
    value = frame.values.get(variable, 0.0)
    direction = frame.direction or frame.b_matrix or ()
    return (-float(frame.reference), round(value, 3), *(round(v, 3) + 0.0 for v in direction))


def value_table(slices: list[list[Frame]]) -> dict[str, Doubles]:
    """Return every value that all frames have, shape (n_slices, n_samples)."""
    names = set.intersection(*(set(f.values) for one in slices for f in one))
    return {
        name: np.array([[f.values[name] for f in one] for one in slices], dtype=np.float64)
        for name in sorted(names)
    }


def affine_of(slices: list[list[Frame]]) -> tuple[Doubles, list[str]]:
    """Return the affine from (column, row, slice) to RAS mm, and notes on uneven slices.

    Returns
    -------
    affine : ndarray of float64, shape (4, 4)
    notes : list of str
    """
    first = slices[0][0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    places = np.array([one[0].position for one in slices])
    notes = []
    if len(slices) > 1:
        step = (places[-1] - places[0]) / (len(slices) - 1)
        normal = np.cross(row, column)
        gaps = np.array([(b - a) @ normal for a, b in pairwise(places)])
        if np.ptp(gaps) > _UNEVEN * np.mean(gaps):
            notes.append(
                f"The slices are {gaps.min():g} to {gaps.max():g} mm apart; "
                "the affine uses their mean distance."
            )
    else:
        step = np.cross(row, column) * (first.pitch_mm or 1.0)
        if not first.pitch_mm:
            notes.append("The thickness of the slice is not known; 1 mm was taken.")
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[1]
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, notes


def distinct(frames: Sequence[Frame], variable: str) -> int:
    """Return how many different values of a variable frames have."""
    return len({round(f.values[variable], 3) for f in frames if variable in f.values})


def rebuild_echo_times(frames: list[Frame]) -> tuple[list[Frame], str]:
    """Give each echo its own time where the header repeats one, and the echo number tells them.

    Returns
    -------
    frames : list of Frame
        As given, or with echo times of number times spacing.
    note : str
        What was rebuilt, or empty.
    """
    numbers = {f.values.get("echo_number") for f in frames}
    if None in numbers or distinct(frames, "echo_time_ms") != 1 or len(numbers) < 3:
        return frames, ""
    spacing = frames[0].values["echo_time_ms"]
    ordered = sorted(float(number) for number in numbers if number is not None)
    if ordered != [float(k) for k in range(1, len(ordered) + 1)]:
        return frames, ""
    for frame in frames:
        frame.values["echo_time_ms"] = spacing * frame.values["echo_number"]
    return frames, (
        f"Every image says an echo time of {spacing:g} ms; the times of the {len(ordered)} echoes "
        "were rebuilt as multiples of it."
    )


def group(frames: Sequence[Frame]) -> dict[tuple[object, ...], list[Frame]]:
    """Return the frames by geometry and component."""
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[geometry_key(frame)].append(frame)
    return groups


def directions_of(samples: list[Frame]) -> tuple[Doubles | None, Doubles | None]:
    """Return directions (n_samples, 3) and b-matrices (n_samples, 6); None where all lack one."""

    def stack(rows: list[tuple[float, ...] | None], width: int) -> npt.NDArray[np.float64] | None:
        if all(row is None for row in rows):
            return None
        return np.array([row if row is not None else (np.nan,) * width for row in rows])

    return stack([f.direction for f in samples], 3), stack([f.b_matrix for f in samples], 6)
