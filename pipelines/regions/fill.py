"""Fill all contours of a region in one plane: holes, islands, overlaps, repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from .model import Doubles, Mask
from .scanline import Filled, boundaries_cross, contains, fill, same_line, shoelace

_MOST_COMPARED = 4000


class Holes(Enum):
    """What several contours of one plane mean together.

    AUTO: a contour inside another one is a hole, an island in a hole is filled again; contours
    whose lines cross are taken together. XOR: even-odd over all of them. UNION: all of them.
    """

    AUTO = "auto"
    XOR = "xor"
    UNION = "union"


@dataclass(frozen=True, eq=False)
class Polygon:
    """A closed line in the coordinates of a plane.

    Attributes
    ----------
    points : ndarray of float64, shape (n_points, 2)
        (column, row), 0 at the centre of the first pixel.
    """

    points: Doubles

    @cached_property
    def area(self) -> float:
        """Signed area in pixels."""
        return shoelace(self.points)

    @cached_property
    def box(self) -> tuple[Doubles, Doubles]:
        """Least and greatest column and row."""
        return self.points.min(axis=0), self.points.max(axis=0)

    @property
    def is_flat(self) -> bool:
        """Fewer than three distinct points, or all on a line."""
        low, high = self.box
        if min(high - low) <= 0 or len(self.points) < 3:
            return True
        a, b = self.points[0], self.points[np.argmax(np.abs(self.points - self.points[0]).sum(1))]
        along, to = b - a, self.points - a
        return bool(np.abs(along[0] * to[:, 1] - along[1] * to[:, 0]).max() <= 1e-9 * along @ along)

    def exceeds(self, size: tuple[int, int]) -> bool:
        """Tell whether part of it lies beyond the outer edge of the image."""
        low, high = self.box
        return bool(min(low) < -0.5 or high[0] > size[1] - 0.5 or high[1] > size[0] - 0.5)

    @cached_property
    def outline(self) -> Doubles:
        """At most 4000 of the points, to compare lines by in bounded time."""
        return self.points[:: -(-len(self.points) // _MOST_COMPARED)]


@dataclass(frozen=True)
class PlaneFill:
    """What came of the contours of a plane.

    Attributes
    ----------
    area : float
        Area of the polygons in pixels, holes taken off; NaN where lines cross.
    crossing : bool
        Contours cross each other.
    duplicates : int
        Contours that repeat another one.
    looped : int
        Contours that cross themselves.
    """

    area: float
    crossing: bool
    duplicates: int
    looped: int


def fill_plane(lines: list[Polygon], size: tuple[int, int], holes: Holes, plane: Mask) -> PlaneFill:
    """Fill contours into a plane.

    Parameters
    ----------
    lines : list of Polygon
        All contours of one region in this plane, in any order.
    size : tuple of int
        Rows and columns.
    holes : Holes
        What they mean together.
    plane : ndarray of bool, shape (rows, columns)
        False everywhere; changed in place.
    """
    kept = lines if holes is Holes.XOR else _without_repeats(lines)
    filled = [fill(line.points, size) for line in kept]
    looped = sum(one.crosses_itself for one in filled)
    group = _groups(kept)
    crossing = len(set(group)) < len(kept)
    for number in sorted(set(group)):
        members = [one for one, its in zip(filled, group, strict=True) if its == number]
        if holes is Holes.AUTO and len(members) > 1:
            together = np.zeros(size, dtype=np.bool_)
            for one in members:
                together[one.rows, one.columns] |= one.inside
            plane ^= together
            continue
        for one in members:
            _combine(plane, one, union=holes is Holes.UNION)
    area = np.nan if crossing or looped else _area(kept, holes)
    return PlaneFill(area, crossing, len(lines) - len(kept), looped)


def _combine(plane: Mask, one: Filled, *, union: bool) -> None:
    if union:
        plane[one.rows, one.columns] |= one.inside
    else:
        plane[one.rows, one.columns] ^= one.inside


def _overlapping_pairs(lines: list[Polygon]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of lines, the later one first, whose boxes overlap."""
    low = np.array([line.box[0] for line in lines]).reshape(-1, 2)
    high = np.array([line.box[1] for line in lines]).reshape(-1, 2)
    for i in range(1, len(lines)):
        overlap = (low[:i] < high[i]).all(axis=1) & (high[:i] > low[i]).all(axis=1)
        yield from ((i, int(j)) for j in np.flatnonzero(overlap))


def _without_repeats(lines: list[Polygon]) -> list[Polygon]:
    repeated = {
        i for i, j in _overlapping_pairs(lines) if same_line(lines[i].points, lines[j].points)
    }
    return [line for i, line in enumerate(lines) if i not in repeated]


def _groups(lines: list[Polygon]) -> list[int]:
    """Return a number for each line, equal for lines that cross, directly or through others."""
    group = list(range(len(lines)))
    for i, j in _overlapping_pairs(lines):
        if group[i] != group[j] and boundaries_cross(lines[i].outline, lines[j].outline):
            old, new = group[i], group[j]
            group = [new if number == old else number for number in group]
    return group


def _area(lines: list[Polygon], holes: Holes) -> float:
    """Return the area of lines that do not cross: those at odd depth are holes."""
    depth = [0] * len(lines)
    for pair in _overlapping_pairs(lines):
        inner, outer = sorted(pair, key=lambda k: abs(lines[k].area))
        points = lines[inner].outline
        within = np.count_nonzero(contains(lines[outer].outline, points))
        depth[inner] += int(within * 2 > len(points))
    areas = np.array([abs(line.area) for line in lines])
    level = np.array(depth)
    if holes is Holes.UNION:
        return float(areas[level == 0].sum())
    return float((areas * (1 - 2 * (level % 2))).sum())
