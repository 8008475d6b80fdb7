"""Put frames on one grid: slices along their normal, samples by what was varied."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError

from ..images import stacks
from .frames import Doubles, Frame

_MOST_NAMED = 4
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


def is_placed(frame: Frame) -> bool:
    """Tell whether a frame says how large its pixels are and where its plane lies."""
    sized = len(frame.spacing) == 2 and min(frame.spacing) > 0
    return sized and len(frame.position) == 3 and len(frame.orientation) == 6


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


def packs(frames: Sequence[Frame]) -> list[list[list[Frame]]]:
    """Return frames of one geometry as packs of slices, in the order of their acquisition.

    Returns
    -------
    list of list of list of Frame
        By pack, by slice along the normal of the planes, frames of a slice as given.
    """
    first = frames[0]
    check_geometry(first)
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    found = stacks.arrange(
        [frame.position for frame in frames],
        np.cross(row, column),
        stacks.edge_mm(first.spacing, first.pitch_mm),
    )
    found.sort(key=lambda pack: min(frames[k].order for group in pack.members for k in group))
    return [[[frames[k] for k in group] for group in pack.members] for pack in found]


def by_slice(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames of each slice of one pack, slices sorted along the normal of their plane.

    Raises
    ------
    NothingUsableError
        Where they are several packs, which are no volume together.
    """
    found = packs(frames)
    if len(found) > 1:
        raise NothingUsableError(
            f"The images of {frames[0].title} are {packs_words(found)}.",
            path=frames[0].path.parent,
            hint="Give the images of one of them.",
        )
    return found[0]


def packs_words(found: Sequence[Sequence[Sequence[Frame]]]) -> str:
    """Name packs for a person: how many, of how many slices, and where each begins."""
    listed = ", ".join(
        f"{len(pack)} from ({', '.join(f'{v:.4g}' for v in pack[0][0].position)}) mm"
        for pack in found[:_MOST_NAMED]
    )
    more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return f"{len(found)} packs of slices that lie apart: {listed}{more}"


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


def repetitions(samples: Sequence[Frame], variable: str) -> int:
    """Return how often the images of a slice were measured: 1 unless each of them is repeated.

    Several images alike inside one set, such as those without diffusion weighting, are no
    repetitions.
    """
    counts = Counter(_sample_key(frame, variable) for frame in samples)
    times = set(counts.values())
    return times.pop() if len(times) == 1 and len(counts) > 1 else 1


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
        if not is_even(slices):
            gaps = stacks.gaps_of(places, np.cross(row, column))
            notes.append(
                f"The slices are {gaps.min():.4g} to {gaps.max():.4g} mm apart; "
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


def is_even(slices: Sequence[Sequence[Frame]]) -> bool:
    """Tell whether slices are evenly far apart, as an affine needs it."""
    return stacks.is_even(np.array([one[0].position for one in slices], dtype=np.float64))


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


def group(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames by geometry and component: same size, and within tolerances parallel.

    Groups in the order of their first frame as given.
    """
    exact: dict[tuple[object, ...], list[list[Frame]]] = defaultdict(list)
    found: list[list[Frame]] = []
    for frame in frames:
        known = exact[(frame.shape, frame.component, is_placed(frame))]
        for members in known:
            if not is_placed(frame) or stacks.have_one_shape(members[0], frame):
                members.append(frame)
                break
        else:
            known.append([frame])
            found.append(known[-1])
    return found


def directions_of(samples: list[Frame]) -> tuple[Doubles | None, Doubles | None]:
    """Return directions (n_samples, 3) and b-matrices (n_samples, 6); None where all lack one."""

    def stack(rows: list[tuple[float, ...] | None], width: int) -> npt.NDArray[np.float64] | None:
        if all(row is None for row in rows):
            return None
        return np.array([row if row is not None else (np.nan,) * width for row in rows])

    return stack([f.direction for f in samples], 3), stack([f.b_matrix for f in samples], 6)
