"""From frames to planes: geometry, scaling, loops and per-frame values of a reconstruction."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError

from ...mapping.tables import load_mapping
from ...series import geometry
from ...series.geometry import Floats, Ints
from ...series.model import Dimension, Loop
from .diffusion import diffusion_group
from .frames import FrameGroup, are_counts, per_frame
from .reco import Reco


@dataclass(frozen=True)
class Planes:
    """Where each plane lies and what its stored values mean.

    Attributes
    ----------
    frame : ndarray of int, shape (n_planes,)
        Frame that each plane is part of.
    """

    frame: Ints
    position: Floats
    orientation: Floats
    thickness: Floats
    stack: Ints
    spacing_mm: tuple[float, float]
    slope: Floats
    offset: Floats


def read_planes(reco: Reco, size: tuple[int, ...], frames: int) -> Planes:
    """Read geometry and scaling of every plane.

    Raises
    ------
    CorruptDataError
        If position, orientation or extent are missing or impossible.
    """
    extent = [float(value) for value in reco.visu.numbers("VisuCoreExtent")]
    if len(extent) != len(size) or min(extent) <= 0 or not np.all(np.isfinite(extent)):
        raise CorruptDataError("visu_pars does not say how large the field of view is.")
    position, orientation = _frame_geometry(reco, frames)
    depth = size[2] if len(size) > 2 else 1
    thickness = per_frame(reco.visu, reco.groups, "VisuCoreFrameThickness")
    if depth > 1 or len(size) > 2:
        pitch = extent[2] / depth
        order = str(reco.first("VisuCoreDiskSliceOrder") or "")
        positions = geometry.slab_positions(
            position,
            orientation[:, 2],
            depth,
            pitch,
            reversed_order="reverse" in order,
        ).reshape(-1, 3)
        orientation = np.repeat(orientation, depth, axis=0)
        thickness_mm = np.full(len(positions), pitch)
    else:
        positions = position
        if thickness is None:
            reco.warnings.append("The slice thickness is not known.")
        thickness_mm = np.full(frames, np.nan) if thickness is None else thickness[:, 0]
    frame = np.repeat(np.arange(frames), depth)
    slope, offset = _scaling(reco, frames)
    return Planes(
        frame=frame,
        position=positions,
        orientation=orientation,
        thickness=thickness_mm,
        stack=_stacks(reco, positions, orientation, frames, depth),
        spacing_mm=(extent[1] / size[1], extent[0] / size[0]),
        slope=np.repeat(slope, depth),
        offset=np.repeat(offset, depth),
    )


def _frame_geometry(reco: Reco, frames: int) -> tuple[Floats, Floats]:
    position = per_frame(reco.visu, reco.groups, "VisuCorePosition", 3)
    axes = per_frame(reco.visu, reco.groups, "VisuCoreOrientation", 9)
    if position is None or axes is None:
        raise CorruptDataError("visu_pars does not say where the image lies in the animal.")
    orientation = axes.reshape(frames, 3, 3)
    if not np.all(np.isfinite(position)) or not geometry.is_orthonormal(orientation):
        raise CorruptDataError("The orientation in visu_pars is no set of perpendicular axes.")
    return position, orientation


def _scaling(reco: Reco, frames: int) -> tuple[Floats, Floats]:
    """Return slope and offset of each frame: value = stored * slope + offset.

    Without Visu slopes the reconstruction's map slope is used, which is the reciprocal.
    """
    slope = per_frame(reco.visu, reco.groups, "VisuCoreDataSlope")
    offset = per_frame(reco.visu, reco.groups, "VisuCoreDataOffs")
    if slope is None:
        slope = _reciprocal_slope(reco)
    for name, found in (("VisuCoreDataSlope", slope), ("VisuCoreDataOffs", offset)):
        values = reco.items(name)
        if found is None and values:
            raise CorruptDataError(
                f"{name} has {len(values)} values, which fit no loop of the {frames} frames."
            )
    if slope is None:
        reco.warnings.append("No scaling in the files: stored values are written as they are.")
        slope = np.ones((frames, 1))
    if offset is None:
        offset = np.zeros((frames, 1))
    if not np.all(np.isfinite(slope)) or not np.all(np.isfinite(offset)) or np.any(slope == 0):
        raise CorruptDataError("The data slope in visu_pars is zero or no number.")
    return slope[:, 0], offset[:, 0]


def _reciprocal_slope(reco: Reco) -> Floats | None:
    values = np.asarray(reco.numbers("reco:RECO_map_slope"), dtype=np.float64)
    rows = reco.groups.rows("RECO_map_slope", len(values)) if values.size else None
    if rows is None or np.any(values == 0):
        return None
    reco.warnings.append("VisuCoreDataSlope is missing or does not fit: RECO_map_slope is used.")
    return np.asarray(1.0 / values[rows][:, None], dtype=np.float64)


def _stacks(reco: Reco, position: Floats, orientation: Floats, frames: int, depth: int) -> Ints:
    """Return the stack of each plane: a slab, a slice package, or what geometry shows."""
    slices = next((g for g in reco.groups.groups if g.identifier == "FG_SLICE"), None)
    if slices is None:
        return _stacks_by_position(position[::depth], orientation[::depth], depth)
    step = reco.groups.index(slices)
    if depth > 1:
        return np.repeat(step, depth)
    first = [int(np.flatnonzero(step == k)[0]) for k in range(slices.length)]
    own = position[first], orientation[first]
    packages = _declared_packages(reco, slices)
    by_slice = geometry.split_stacks(*own) if packages is None else packages
    by_slice = _split_invalid_stacks(reco, by_slice, *own)
    return by_slice[step]


def _stacks_by_position(position: Floats, orientation: Floats, depth: int) -> Ints:
    """Give frames of one place one stack; frames elsewhere get their own, in stored order."""
    geometries = np.concatenate([position, orientation.reshape(-1, 9)], axis=1)
    _, first, number = np.unique(
        np.round(geometries, 6), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(np.argsort(first))
    return np.repeat(order[number.reshape(-1)], depth).astype(np.intp)


def _declared_packages(reco: Reco, slices: FrameGroup) -> Ints | None:
    """Return the package of each slice from ``VisuCoreSlicePacksSlices``, None without."""
    result = np.full(slices.length, -1, dtype=np.intp)
    entries = reco.items("VisuCoreSlicePacksSlices")
    for number, entry in enumerate(entries):
        if not isinstance(entry, tuple) or len(entry) < 2 or not are_counts(*entry[:2]):
            return None
        result[entry[0] : entry[0] + entry[1]] = number
    return result if entries and np.all(result >= 0) else None


def _split_invalid_stacks(reco: Reco, stack: Ints, position: Floats, orientation: Floats) -> Ints:
    """Break up what is called a stack and is none."""
    result = np.zeros_like(stack)
    following = 0
    for number in dict.fromkeys(stack.tolist()):
        members = np.flatnonzero(stack == number)
        axes = orientation[members]
        parallel = np.allclose(axes, axes[0], atol=geometry.PARALLEL_TOLERANCE, rtol=0)
        if parallel and geometry.stack_faces_normal(position[members], axes):
            result[members] = following
            following += 1
        else:
            reco.warnings.append(
                f"{len(members)} slices are announced as one stack and do not lie one above the "
                "other along their normal: each is written as a stack of its own."
            )
            result[members] = following + np.arange(len(members))
            following += len(members)
    return result


def read_dimensions(reco: Reco, planes: Planes) -> tuple[Dimension, ...]:
    """Return the loops of the planes, fastest first; loops of one step are left out."""
    table = load_mapping("paravision")["loops"]
    diffusion = diffusion_group(reco.groups)
    result = []
    for group in reco.groups.groups:
        if group.length < 2 and group.identifier not in ("FG_ISA", "FG_DTI", "FG_CONTRAST_MAP"):
            continue
        loop = Loop.DIFFUSION if group is diffusion else _loop_meaning(reco, group, table)
        index = reco.groups.index(group)[planes.frame]
        result.append(
            Dimension(
                loop,
                group.identifier,
                group.length,
                index,
                group.comment,
                _step_labels(reco, group),
            )
        )
    return tuple(result)


def _step_labels(reco: Reco, group: FrameGroup) -> tuple[str, ...]:
    """Return the names of a loop's steps: its own, else those that fit it alone."""
    for name in ("VisuFGElemComment", "VisuFGElemId"):
        labels = [str(item) for item in reco.items(name)]
        owner = reco.groups.owner(name)
        if owner is not None:
            first = owner[1]
            own = labels[first : first + group.length] if owner[0] is group else []
        else:
            fitting = [g for g in reco.groups.groups if g.length == len(labels)]
            own = labels if fitting == [group] and group.identifier != "FG_SLICE" else []
        if len(own) == group.length:
            return tuple(own)
    return ()


_BY_DEPENDENT = {
    "VisuAcqEchoTime": Loop.ECHO,
    "VisuAcqRepetitionTime": Loop.REPETITION_TIME,
    "VisuAcqInversionTime": Loop.INVERSION,
    "VisuAcqDiffusionBMatrix": Loop.DIFFUSION,
}


def _loop_meaning(reco: Reco, group: FrameGroup, table: dict[str, Any]) -> Loop:
    for name, _ in group.depends:
        if name in _BY_DEPENDENT:
            return _BY_DEPENDENT[name]
    loop = Loop(table.get(group.identifier, "other"))
    if loop in (Loop.CARDIAC, Loop.TIME, Loop.OTHER):
        varying = len(set(reco.numbers("method:MultiRepTime")))
        if varying == group.length:
            return Loop.REPETITION_TIME
        if group.identifier == "FG_MOVIE" and str(reco.first("VisuCardiacSynchUsed")) != "Yes":
            return Loop.CARDIAC if reco.items("VisuCardiacMovieFrameTime") else Loop.TIME
    return loop
