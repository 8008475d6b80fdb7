"""Find animals on a bed from how far they reach along it. Pure: arrays in, boxes out."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
# An animal fills at least this share of the slices that the fullest column of voxels fills.
_MIN_DEPTH_FRACTION = 0.15
# What is thinner than this is bed, tube or hair, mm.
_MIN_THICKNESS_MM = 3.0
_MIN_AREA_MM2 = 60.0
# Limbs, tail and lumps that are too short or thin to be found lie within this of the body.
_MARGIN_MM = 6.0
_ROW_NAMES = {1: ("",), 2: ("top", "bottom"), 3: ("top", "middle", "bottom")}
_COLUMN_NAMES = {1: ("",), 2: ("left", "right"), 3: ("left", "middle", "right")}


@dataclass(frozen=True)
class Box:
    """A rectangle on the image, mm from its middle: to the right, and down.

    Attributes
    ----------
    left, right, top, bottom : float
        Edges.
    centre : tuple of float
        Of the animal in it.
    """

    left: float
    right: float
    top: float
    bottom: float
    centre: tuple[float, float]


def coordinates(count: int, step_mm: float) -> Floats:
    """Return the centres of voxels along one axis, mm from the middle of the image."""
    return np.arange(count, dtype=np.float64) * step_mm - (count - 1) / 2 * step_mm


def find_animals(depth: Floats, spacing_mm: tuple[float, float]) -> list[Box]:
    """Find what is as thick as an animal, the largest first.

    Parameters
    ----------
    depth : ndarray of float, shape (rows, columns)
        Number of slices in which a voxel is tissue.
    spacing_mm : tuple of float
        Between rows, and between columns.

    Returns
    -------
    list of Box
        Bounding boxes without a margin.
    """
    if depth.max(initial=0.0) <= 0:
        return []
    filled = depth > _MIN_DEPTH_FRACTION * depth.max()
    reach = [max(1, round(_MIN_THICKNESS_MM / 2 / step)) for step in spacing_mm]
    opened = _dilate(~_dilate(~filled, reach), reach) & filled
    labels, count = label_components(opened)
    y, x = (coordinates(n, d) for n, d in zip(depth.shape, spacing_mm, strict=True))
    half = [step / 2 for step in spacing_mm]
    found: list[tuple[float, Box]] = []
    for number in range(1, count + 1):
        rows, columns = np.nonzero(labels == number)
        area = len(rows) * spacing_mm[0] * spacing_mm[1]
        if area < _MIN_AREA_MM2:
            continue
        left, right = float(x[columns.min()] - half[1]), float(x[columns.max()] + half[1])
        top, bottom = float(y[rows.min()] - half[0]), float(y[rows.max()] + half[0])
        centre = (float(x[columns].mean()), float(y[rows].mean()))
        found.append((area, Box(left, right, top, bottom, centre)))
    return [box for _, box in sorted(found, key=lambda pair: -pair[0])]


def label_components(mask: Bools) -> tuple[npt.NDArray[np.intp], int]:
    """Give each connected part of a mask (four neighbours) a number, from 1.

    Returns
    -------
    labels : ndarray of int, same shape
        0 outside.
    count : int
    """
    labels = np.zeros(mask.shape, dtype=np.intp)
    rows, columns = mask.shape
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start]:
            continue
        count += 1
        pending = [(int(start[0]), int(start[1]))]
        labels[start] = count
        while pending:  # every voxel enters once
            row, column = pending.pop()
            for r, c in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if 0 <= r < rows and 0 <= c < columns and mask[r, c] and not labels[r, c]:
                    labels[r, c] = count
                    pending.append((r, c))
    return labels, count


def _dilate(mask: Bools, reach: list[int]) -> Bools:
    """Return the mask grown by so many voxels along rows and columns."""
    for axis, steps in enumerate(reach):
        for _ in range(steps):
            padded = np.pad(mask, [(1, 1) if k == axis else (0, 0) for k in (0, 1)])
            before = padded.take(range(mask.shape[axis]), axis)
            after = padded.take(range(2, mask.shape[axis] + 2), axis)
            mask = mask | before | after
    return mask


def separate_boxes(boxes: list[Box], field_mm: tuple[float, float]) -> list[Box]:
    """Give every animal a rectangle of its own: its box and a margin, never two over each other.

    Parameters
    ----------
    boxes : list of Box
    field_mm : tuple of float
        Width and height of the image.
    """
    regions = [_nearest_region(own, boxes, field_mm) for own in boxes]
    return [
        Box(
            max(area.left, own.left - _MARGIN_MM),
            min(area.right, own.right + _MARGIN_MM),
            max(area.top, own.top - _MARGIN_MM),
            min(area.bottom, own.bottom + _MARGIN_MM),
            own.centre,
        )
        for own, area in zip(boxes, regions, strict=True)
    ]


def boxes_around(centres: list[tuple[float, float]], field_mm: tuple[float, float]) -> list[Box]:
    """Return rectangles about given centres, as large as the others and the image allow."""
    points = [Box(x, x, y, y, (x, y)) for x, y in centres]
    return [_nearest_region(own, points, field_mm) for own in points]


def _nearest_region(own: Box, boxes: list[Box], field_mm: tuple[float, float]) -> Box:
    """Return what of the image is nearest to one of several animals.

    Two neighbours are separated half-way between them, along the axis on which they lie further
    apart.
    """
    left, right = -field_mm[0] / 2, field_mm[0] / 2
    top, bottom = -field_mm[1] / 2, field_mm[1] / 2
    for other in boxes:
        dx, dy = other.centre[0] - own.centre[0], other.centre[1] - own.centre[1]
        if other is own:
            continue
        if abs(dx) >= abs(dy):
            border = _midpoint((own.left, own.right), (other.left, other.right), dx)
            left, right = (left, min(right, border)) if dx > 0 else (max(left, border), right)
        else:
            border = _midpoint((own.top, own.bottom), (other.top, other.bottom), dy)
            top, bottom = (top, min(bottom, border)) if dy > 0 else (max(top, border), bottom)
    return Box(left, right, top, bottom, own.centre)


def _midpoint(own: tuple[float, float], other: tuple[float, float], direction: float) -> float:
    """Return the middle of the gap between two spans; the sign of `direction` orders them."""
    return (own[1] + other[0]) / 2 if direction > 0 else (own[0] + other[1]) / 2


def position_names(boxes: list[Box]) -> list[str]:
    """Name where animals lie on the image: left and right, top and bottom, or both.

    Animals in one row have ``left``, ``middle`` and ``right``; in one column ``top``, ``middle``
    and ``bottom``; in both, such as ``top-left``. More than three in a row or column are counted,
    such as ``column2``.
    """
    columns = _group_numbers(
        [box.centre[0] for box in boxes], [box.right - box.left for box in boxes]
    )
    rows = _group_numbers([box.centre[1] for box in boxes], [box.bottom - box.top for box in boxes])
    across, down = max(columns, default=0) + 1, max(rows, default=0) + 1
    column_names = _COLUMN_NAMES.get(across) or tuple(f"column{k + 1}" for k in range(across))
    row_names = _ROW_NAMES.get(down) or tuple(f"row{k + 1}" for k in range(down))
    found = [
        "-".join(filter(None, (row_names[r], column_names[c])))
        for r, c in zip(rows, columns, strict=True)
    ]
    return [name or "only" for name in found]


def _group_numbers(centres: list[float], sizes: list[float]) -> list[int]:
    """Return the number of the row (or column) of each: a new one after half a size of gap."""
    step = 0.5 * (float(np.median(sizes)) if sizes else 0.0)
    order = np.argsort(centres, kind="stable")
    group = [0] * len(centres)
    number = 0
    for before, after in itertools.pairwise(order.tolist()):
        if centres[after] - centres[before] > step:
            number += 1
        group[after] = number
    return group
