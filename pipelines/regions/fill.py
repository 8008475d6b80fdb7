"""Fill all contours of a region in one plane: holes, islands, overlaps, repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .model import Doubles, Mask

_MOST_COMPARED = 4000
_TOUCH_PX = 2e-4
_ROUNDING_PX = 1e-6
_CHUNK = 2_000_000


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


@dataclass(frozen=True, eq=False)
class Filled:
    """One closed line on the pixels around it.

    Attributes
    ----------
    rows, columns : slice
        Where the box lies in the image; may be empty.
    winding : ndarray of int32, shape of the box
        How often the line runs around each pixel centre, signed.
    """

    rows: slice
    columns: slice
    winding: npt.NDArray[np.int32]

    @property
    def inside(self) -> Mask:
        """Pixels an odd number of crossings away from the outside."""
        return np.asarray(self.winding % 2 != 0)

    @property
    def crosses_itself(self) -> bool:
        """The line runs around some pixel twice, or around pixels in both directions."""
        if not self.winding.size:
            return False
        low, high = int(self.winding.min()), int(self.winding.max())
        return max(high, -low) > 1 or (low < 0 < high)


def fill(points: Doubles, size: tuple[int, int]) -> Filled:
    """Return the winding number of a closed line at the pixel centres.

    Parameters
    ----------
    points : ndarray of float64, shape (n_points, 2)
        (column, row), 0 at the centre of the first pixel; the last point joins the first.
    size : tuple of int
        Rows and columns of the image; what lies outside is cut off.

    Returns
    -------
    Filled
        With the smallest box that holds the line.
    """
    low, high = np.ceil(points.min(axis=0)), np.ceil(points.max(axis=0))
    left, right = (int(min(max(v, 0), size[1])) for v in (low[0], high[0]))
    top, bottom = (int(min(max(v, 0), size[0])) for v in (low[1], high[1]))
    rows, columns = slice(top, bottom), slice(left, right)
    width, height = right - left, bottom - top
    if width == 0 or height == 0:
        return Filled(rows, columns, np.zeros((height, width), dtype=np.int32))
    here, next_one = points, np.roll(points, -1, axis=0)
    down = here[:, 1] < next_one[:, 1]
    # Each edge from its upper end, so that both polygons of a shared edge compute one crossing.
    upper = np.where(down[:, None], here, next_one)
    lower = np.where(down[:, None], next_one, here)
    first = np.clip(np.ceil(upper[:, 1]), top, bottom).astype(np.intp)
    counts = np.clip(np.ceil(lower[:, 1]), top, bottom).astype(np.intp) - first
    steps = np.zeros(height * (width + 1))
    # In portions of edges, so that a line of millions of long edges needs no more memory.
    done = np.cumsum(counts)
    for start in range(0, int(done[-1]), _CHUNK):
        number = np.arange(start, min(start + _CHUNK, int(done[-1])))
        edge = np.searchsorted(done, number, side="right")
        y = number - (done - counts)[edge] + first[edge]
        x = _crossings(upper[edge], lower[edge], y)
        column = np.clip(x, left, right).astype(np.intp) - left
        sign = np.where(down[edge], 1.0, -1.0)
        cell = (y - top) * (width + 1) + column
        steps += np.bincount(cell, weights=sign, minlength=steps.size)
    winding = np.cumsum(steps.reshape(height, width + 1)[:, :-1], axis=1)
    return Filled(rows, columns, winding.astype(np.int32))


def _crossings(upper: Doubles, lower: Doubles, y: npt.NDArray[np.intp]) -> Doubles:
    """Return the first column at or right of where each edge crosses its line of pixels."""
    slope = (lower - upper)[:, 0] / (lower - upper)[:, 1]
    x = upper[:, 0] + (y - upper[:, 1]) * slope
    whole = np.rint(x)
    return np.where(np.abs(x - whole) < _ROUNDING_PX, whole, np.ceil(x))


def shoelace(points: Doubles) -> float:
    """Return the signed area of a polygon in pixels, |sum(x0 y1 - x1 y0)| / 2 without the bars."""
    centred = points - points.mean(axis=0)
    x, y = centred[:, 0], centred[:, 1]
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


def contains(outer: Doubles, points: Doubles) -> Mask:
    """Tell which points, shape (n, 2), are inside a polygon, shape (m, 2), by even-odd parity."""
    inside = np.zeros(len(points), dtype=np.bool_)
    (x0, y0), (x1, y1) = outer.T, np.roll(outer, -1, axis=0).T
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    for part in _parts(len(points), len(outer)):
        px, py = points[part, :1], points[part, 1:]
        across = (y0 <= py) != (y1 <= py)
        left = x0 + (py - y0) * (x1 - x0) / rise <= px
        inside[part] = np.count_nonzero(across & left, axis=1) % 2 == 1
    return inside


def boundaries_cross(one: Doubles, other: Doubles) -> bool:
    """Tell whether two closed lines cross; lines that only touch do not.

    They cross where the ends of an edge of each lie strictly on both sides of an edge of the
    other, or, for lines that pass through each other's corners or run along each other, where a
    line has corners or middles of edges strictly inside the other one and strictly outside.
    """
    if (one.max(axis=0) < other.min(axis=0)).any() or (other.max(axis=0) < one.min(axis=0)).any():
        return False
    c, d = other, np.roll(other, -1, axis=0)
    starts, ends = one, np.roll(one, -1, axis=0)
    for part in _parts(len(one), len(other)):
        a, b = starts[part, None], ends[part, None]
        sides = _side(a, b, c) * _side(a, b, d)
        other_sides = _side(c, d, a) * _side(c, d, b)
        if np.any((sides < 0) & (other_sides < 0)):
            return True
    return _on_both_sides(one, other) or _on_both_sides(other, one)


def _parts(count: int, per_item: int) -> Iterator[slice]:
    """Yield slices of a length that keeps a table of both counts small."""
    step = max(1, _CHUNK // max(per_item, 1))
    return (slice(start, start + step) for start in range(0, count, step))


def _on_both_sides(line: Doubles, outer: Doubles) -> bool:
    """Tell whether a line has points strictly inside another one and strictly outside."""
    points = np.vstack([line, (line + np.roll(line, -1, axis=0)) / 2])
    inside = contains(outer, points)
    if inside.all() or not inside.any():  # as of a hole and the line around it
        return False
    start, along = outer, np.roll(outer, -1, axis=0) - outer
    length = np.maximum((along**2).sum(axis=1), _TOUCH_PX**4)
    away = np.empty(len(points), dtype=np.bool_)
    for part in _parts(len(points), len(outer)):
        to = points[part, None] - start
        place = np.clip((to * along).sum(axis=2) / length, 0, 1)
        gap = to - place[..., None] * along
        away[part] = (gap**2).sum(axis=2).min(axis=1) > _TOUCH_PX**2
    return bool((inside & away).any() and (~inside & away).any())


def _side(a: Doubles, b: Doubles, p: Doubles) -> Doubles:
    """Return the sign of p's side of the line a to b, 0 where it lies on it but for rounding."""
    along, to = b - a, p - a
    cross = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
    length = np.hypot(along[..., 0], along[..., 1])
    return np.where(np.abs(cross) <= _TOUCH_PX * length, 0.0, np.sign(cross))


def same_line(one: Doubles, other: Doubles, tolerance: float = 1e-3) -> bool:
    """Tell whether two closed lines have the same points, wherever they start and end."""
    near = np.abs(one.min(axis=0) - other.min(axis=0)).max() <= tolerance
    if len(one) != len(other) or not near:
        return False
    start = int(np.argmin(np.abs(other - one[0]).sum(axis=1)))
    forward = np.roll(other, -start, axis=0)
    backward = np.roll(other[::-1], start + 1, axis=0)
    return any(np.abs(one - line).max() <= tolerance for line in (forward, backward))
