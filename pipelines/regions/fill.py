"""Fill all contours of a region in one plane: holes, islands, overlaps, repeats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np

from .model import Doubles, Mask
from .scanline import Filled, boundaries_cross, contains, fill, same_line, shoelace


class Holes(Enum):
    """What several contours of one plane mean together.

    AUTO: a contour inside another one is a hole, an island in a hole is filled again; contours
    whose lines cross are taken together. XOR: even-odd over all of them. UNION: all of them.
    """

    AUTO = "auto"
    XOR = "xor"
    UNION = "union"


@dataclass(frozen=True, eq=False)
class Drawn:
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

    def leaves(self, size: tuple[int, int]) -> bool:
        """Tell whether part of it lies beyond the outer edge of the image."""
        low, high = self.box
        return bool(min(low) < -0.5 or high[0] > size[1] - 0.5 or high[1] > size[0] - 0.5)

    def meets(self, other: Drawn) -> bool:
        """Tell whether the boxes of two lines overlap."""
        return bool((self.box[0] < other.box[1]).all() and (other.box[0] < self.box[1]).all())


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


def fill_plane(lines: list[Drawn], size: tuple[int, int], holes: Holes, plane: Mask) -> PlaneFill:
    """Fill contours into a plane.

    Parameters
    ----------
    lines : list of Drawn
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
            _put(plane, one, union=holes is Holes.UNION)
    area = np.nan if crossing or looped else _area(kept, holes)
    return PlaneFill(area, crossing, len(lines) - len(kept), looped)


def _put(plane: Mask, one: Filled, *, union: bool) -> None:
    if union:
        plane[one.rows, one.columns] |= one.inside
    else:
        plane[one.rows, one.columns] ^= one.inside


def _without_repeats(lines: list[Drawn]) -> list[Drawn]:
    kept: list[Drawn] = []
    for line in lines:
        if not any(same_line(line.points, other.points) for other in kept):
            kept.append(line)
    return kept


def _groups(lines: list[Drawn]) -> list[int]:
    """Return a number for each line, equal for lines that cross, directly or through others."""
    group = list(range(len(lines)))
    for i, line in enumerate(lines):
        for j in range(i):
            apart = group[i] != group[j]
            if apart and line.meets(lines[j]) and boundaries_cross(line.points, lines[j].points):
                old, new = group[i], group[j]
                group = [new if number == old else number for number in group]
    return group


def _area(lines: list[Drawn], holes: Holes) -> float:
    """Return the area of lines that do not cross: those at odd depth are holes."""
    total = 0.0
    for line in lines:
        depth = sum(
            other is not line
            and other.meets(line)
            and abs(other.area) > abs(line.area)
            and np.count_nonzero(contains(other.points, line.points)) * 2 > len(line.points)
            for other in lines
        )
        if holes is Holes.UNION:
            total += abs(line.area) if depth == 0 else 0.0
        else:
            total += abs(line.area) * (1 - 2 * (depth % 2))
    return total
