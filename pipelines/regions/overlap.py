"""Share of the voxels of one grid that a mask on another grid covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..images.tolerances import SAME_PLACE
from .geometry import corners, same_grid, slabs, slice_at
from .model import Doubles, Floats, ImageGrid

_LEAST_SAMPLES, _MOST_SAMPLES = 6, 16
_PARALLEL = 1e-4


def crop(share: npt.NDArray[np.generic], grid: ImageGrid) -> tuple[Floats, ImageGrid]:
    """Return the smallest box that holds all non-zero voxels, as float32, with its grid."""
    inside = share != 0
    spans = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero(inside.any(axis=others))
        spans.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 1))
    box = np.ascontiguousarray(share[tuple(spans)], dtype=np.float32)
    k, j, i = spans
    shift = i.start * grid.spacing[1] * grid.row + j.start * grid.spacing[0] * grid.column
    small = replace(
        grid,
        shape=(box.shape[0], box.shape[1], box.shape[2]),
        positions=grid.positions[k] + shift,
        planes=(),
        instances={},
    )
    return box, small


def volume_mm3(share: Floats, grid: ImageGrid) -> float:
    """Return the volume of a mask in mm3, each voxel counted with its share and its slab."""
    thickness = np.diff(slabs(grid), axis=1)[:, 0]
    per_slice = share.sum(axis=(1, 2), dtype=np.float64)
    return float(per_slice @ thickness) * grid.spacing[0] * grid.spacing[1]


def overlap(share: Floats, source: ImageGrid, target: ImageGrid) -> Floats:
    """Return how much of each voxel of a grid a mask covers.

    w = volume of (voxel inside mask) / volume of voxel, with every source voxel a box as wide as
    its pixel and as thick as its slab. Exact where the axes of both grids are parallel, in any
    order and direction; else each voxel is sampled at 6 x 6 x 6 points or more, an error of about
    1 / 6 of a source voxel's face at most.

    Parameters
    ----------
    share : ndarray of float32, shape ``source.shape``
        0 to 1.
    source, target : ImageGrid
        Grids in one patient space.

    Returns
    -------
    fraction : ndarray of float32, shape ``target.shape``
        0 to 1.
    """
    if same_grid(source, target):
        return np.asarray(share, dtype=np.float32).copy()
    share, source = crop(share, source)
    fraction = np.zeros(target.shape, dtype=np.float32)
    match = _matching_axes(source, target)
    if match is not None:
        _separable(share, source, target, match, fraction)
    else:
        _sampled(share, source, target, fraction)
    return np.clip(fraction, 0.0, 1.0)


def _frame(grid: ImageGrid) -> Doubles:
    """Return the axes (slice, row, column) as rows of a matrix, shape (3, 3)."""
    return np.array([grid.normal, grid.column, grid.row])


def _is_sheared(grid: ImageGrid) -> bool:
    apart = grid.positions - grid.positions[0]
    return bool(
        np.abs(apart @ grid.row).max() > SAME_PLACE * grid.spacing[1]
        or np.abs(apart @ grid.column).max() > SAME_PLACE * grid.spacing[0]
    )


def _matching_axes(source: ImageGrid, target: ImageGrid) -> list[int] | None:
    """Return the target axis parallel to each source axis, None where the grids are oblique."""
    cosines = np.abs(_frame(source) @ _frame(target).T)
    match = [int(k) for k in np.argmax(cosines, axis=1)]
    parallel = all(1 - cosines[i, k] < _PARALLEL**2 / 2 for i, k in enumerate(match))
    if sorted(match) != [0, 1, 2] or not parallel or _is_sheared(source) or _is_sheared(target):
        return None
    return match


def _borders(grid: ImageGrid, axis: int) -> Doubles:
    """Return where voxels begin and end along an axis of the grid, mm, shape (n, 2)."""
    if axis == 0:
        return slabs(grid)
    pitch = grid.spacing[axis - 1]
    first = float(grid.positions[0] @ (grid.column if axis == 1 else grid.row))
    centres = first + pitch * np.arange(grid.shape[axis])
    return np.column_stack([centres - pitch / 2, centres + pitch / 2])


def _weights(source: ImageGrid, target: ImageGrid, axis: int, other: int) -> Doubles:
    """Return the part of each target interval that each source interval covers, (n_t, n_s)."""
    ours, theirs = _borders(source, axis), _borders(target, other)
    if _frame(source)[axis] @ _frame(target)[other] < 0:
        theirs = -theirs[:, ::-1]
    length = np.minimum(theirs[:, None, 1], ours[None, :, 1]) - np.maximum(
        theirs[:, None, 0], ours[None, :, 0]
    )
    part = np.clip(length, 0.0, None) / np.diff(theirs, axis=1)
    # What rounding of positions leaves of a neighbour is not inside.
    part[part < 1e-6] = 0.0
    return np.asarray(part, dtype=np.float64)


def _separable(
    share: Floats, source: ImageGrid, target: ImageGrid, match: list[int], fraction: Floats
) -> None:
    """Contract one axis after the other: w = Wz Wy Wx share."""
    block = share.astype(np.float64)
    spans: list[slice] = [slice(0, 0)] * 3
    for axis, other in enumerate(match):
        weights = _weights(source, target, axis, other)
        used = np.flatnonzero(weights.any(axis=1))
        if not used.size:
            return
        spans[other] = slice(int(used[0]), int(used[-1]) + 1)
        block = np.moveaxis(np.tensordot(weights[spans[other]], block, axes=(1, axis)), 0, axis)
    fraction[tuple(spans)] = block.transpose(np.argsort(match))


def _sampled(share: Floats, source: ImageGrid, target: ImageGrid, fraction: Floats) -> None:
    """Look up a lattice of points of each target voxel in the mask."""
    rows, columns, slices = _box_around(source, target)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    counts = _samples(source, target)
    borders = slabs(target)
    y = _lattice(rows, counts[1])
    x = _lattice(columns, counts[2])
    for k in range(slices.start, slices.stop):
        total = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
        low, high = borders[k] - target.depths[k]
        for part in range(counts[0]):
            depth = low + (high - low) * (part + 0.5) / counts[0]
            origin = target.positions[k] + depth * target.normal
            found = _look_up(share, source, target, origin, y, x)
            shape = (total.shape[0], counts[1], total.shape[1], counts[2])
            total += found.reshape(shape).mean(axis=(1, 3))
        fraction[k, rows, columns] = total / counts[0]


def _lattice(span: slice, count: int) -> Doubles:
    """Return `count` places in each pixel of a span, in pixels, 0 at the centre of the first."""
    inner = (np.arange(count) + 0.5) / count - 0.5
    return (np.arange(span.start, span.stop)[:, None] + inner).ravel()


def _samples(source: ImageGrid, target: ImageGrid) -> list[int]:
    """Return points per axis of a target voxel: two for each source voxel it may hold."""
    smallest = min(source.step_mm, *source.spacing)
    sizes = (target.step_mm, *target.spacing)
    return [
        int(np.clip(np.ceil(2 * size / smallest), _LEAST_SAMPLES, _MOST_SAMPLES)) for size in sizes
    ]


def _look_up(
    share: Floats, source: ImageGrid, target: ImageGrid, origin: Doubles, y: Doubles, x: Doubles
) -> Floats:
    """Return the mask at points of a plane of the target, shape (len(y), len(x))."""
    along_y = target.column * target.spacing[0]
    along_x = target.row * target.spacing[1]

    def coordinate(axis: Doubles) -> Doubles:
        return np.asarray(
            origin @ axis + (y * (along_y @ axis))[:, None] + x * (along_x @ axis), np.float64
        )

    k = slice_at(source, coordinate(source.normal))
    start = np.maximum(k, 0)
    first_row = (source.positions @ source.column)[start]
    first_column = (source.positions @ source.row)[start]
    j = np.floor((coordinate(source.column) - first_row) / source.spacing[0] + 0.5).astype(np.intp)
    i = np.floor((coordinate(source.row) - first_column) / source.spacing[1] + 0.5).astype(np.intp)
    inside = (k >= 0) & (j >= 0) & (j < source.shape[1]) & (i >= 0) & (i < source.shape[2])
    found = np.zeros(k.shape, dtype=np.float32)
    found[inside] = share[k[inside], j[inside], i[inside]]
    return found


def _box_around(source: ImageGrid, target: ImageGrid) -> tuple[slice, slice, slice]:
    """Return the rows, columns and slices of the target that the source may touch."""
    reach = [source.row * source.spacing[1] / 2, source.column * source.spacing[0] / 2]
    reach.append(source.normal * source.step_mm / 2)
    around = np.array([a + b + c for a in _both(reach[0]) for b in _both(reach[1])
                       for c in _both(reach[2])])  # fmt: skip
    every = (corners(source)[:, None] + around).reshape(-1, 3)
    depth = every @ target.normal
    borders = slabs(target)
    touched = np.flatnonzero((borders[:, 1] > depth.min()) & (borders[:, 0] < depth.max()))
    if not touched.size:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    slices = slice(int(touched[0]), int(touched[-1]) + 1)
    starts = target.positions[slices]
    spans = []
    for axis, pitch, size in (
        (target.column, target.spacing[0], target.shape[1]),
        (target.row, target.spacing[1], target.shape[2]),
    ):
        first = ((every @ axis).min() - (starts @ axis).max()) / pitch
        last = ((every @ axis).max() - (starts @ axis).min()) / pitch
        low = int(np.clip(np.floor(first), 0, size))
        spans.append(slice(low, max(low, int(np.clip(np.ceil(last) + 1, 0, size)))))
    return spans[0], spans[1], slices


def _both(vector: Doubles) -> tuple[Doubles, Doubles]:
    return vector, -vector
