"""Planes in their places: which lie on one another, which make one volume, which are packs apart.

Scanners put several packs of slices into one series: side by side at one depth, behind each other,
turned against each other. Depth along the normal alone does not tell them: two animals in one bed
have slices at one depth. Planes are one slice where they lie in one place, all three coordinates
taken; slices are one volume where the step from each to the next is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .tolerances import ALIKE, DRIFT, EVEN, PARALLEL, SAME_PLACE

Doubles = npt.NDArray[np.float64]
_MOST_SLANTED = 0.5  # cosine of 60 degrees: no scanner shifts slices further than they are apart


@dataclass(frozen=True, eq=False)
class Pack:
    """Slices of one volume, in the order of their depth along the normal of their planes.

    Attributes
    ----------
    members : tuple of tuple of int
        For each slice the planes that lie there, by their numbers as given.
    positions : ndarray of float64, shape (n_slices, 3)
        Centre of the first pixel of each slice, patient LPS, mm.
    is_even : bool
        Whether every step is the mean one, within `EVEN` of it.
    """

    members: tuple[tuple[int, ...], ...]
    positions: Doubles
    is_even: bool

    @property
    def step(self) -> Doubles:
        """The mean step from a slice to the next, mm, shape (3,); zeros of a single slice."""
        count = len(self.positions)
        if count < 2:
            return np.zeros(3)
        return np.asarray((self.positions[-1] - self.positions[0]) / (count - 1))


def edge_mm(spacing: Sequence[float], pitch_mm: float = 0.0) -> float:
    """Return the shortest edge of a voxel, mm.

    Parameters
    ----------
    spacing : sequence of float
        Between rows and between columns, mm.
    pitch_mm : float
        Between slices as a header says it, else the thickness; 0 where it does not.
    """
    return min(*spacing, *([pitch_mm] if pitch_mm > 0 else []))


def arrange(
    positions: npt.ArrayLike, normal: npt.ArrayLike, edge: float, *, split_gaps: bool = True
) -> list[Pack]:
    """Return planes of one orientation and size as packs, in the order of their first plane.

    Parameters
    ----------
    positions : array_like, shape (n_planes, 3)
        Centre of the first pixel, patient LPS, mm; in any order, several may be equal.
    normal : array_like, shape (3,)
        Unit vector, row x column.
    edge : float
        Shortest edge of a voxel, mm, see `edge_mm`.
    split_gaps : bool
        Whether slices of one line that lie in groups apart are packs of their own. A mask has
        slices only where something is drawn: there a gap says nothing.

    Returns
    -------
    list of Pack
        Every plane is in one of them.
    """
    places = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    along = np.asarray(normal, dtype=np.float64)
    groups = _same_places(places, along, SAME_PLACE * edge)
    centres = np.array([places[group[0]] for group in groups])
    packs = [
        _pack([groups[k] for k in run], centres[run])
        for line in _lines(centres, along, edge)
        for run in (_runs(line, centres @ along) if split_gaps else [line])
    ]
    return sorted(packs, key=lambda pack: min(min(group) for group in pack.members))


def _same_places(places: Doubles, along: Doubles, within: float) -> list[tuple[int, ...]]:
    """Return the planes of each place, by depth; planes of a place in the order as given."""
    depths = places @ along
    groups: list[list[int]] = []
    for index in np.argsort(depths, kind="stable"):
        near = _near(groups, int(index), places, depths, within)
        if near is None:
            groups.append([int(index)])
        else:
            near.append(int(index))
    return [tuple(sorted(group)) for group in groups]


def _near(
    groups: list[list[int]], index: int, places: Doubles, depths: Doubles, within: float
) -> list[int] | None:
    """Return the group that a plane lies in, of groups by depth."""
    for group in reversed(groups):
        first = group[0]
        if depths[index] - depths[first] > within:
            return None
        if np.abs(places[index] - places[first]).max() <= within:
            return group
    return None


def _lines(centres: Doubles, along: Doubles, edge: float) -> list[npt.NDArray[np.intp]]:
    """Return slices that follow each other along one line, each by depth.

    All of them where they do so together, as in a stack whose slices are shifted evenly. Else
    those that lie above each other.
    """
    everything = np.arange(len(centres))
    if is_even(centres) and (len(centres) < 2 or _goes_along(centres, along)):
        return [everything]
    aside = centres - np.outer(centres @ along, along)
    found: list[list[int]] = []
    for index in everything:
        for line in found:
            # With the slice before it: rounded cosines let a stack drift.
            if np.abs(aside[index] - aside[line[-1]]).max() <= DRIFT * edge:
                line.append(int(index))
                break
        else:
            found.append([int(index)])
    return [np.array(line, dtype=np.intp) for line in found]


def _goes_along(centres: Doubles, along: Doubles) -> bool:
    """Tell whether slices follow each other along their normal rather than aside of it."""
    whole = centres[-1] - centres[0]
    return bool(whole @ along > _MOST_SLANTED * np.linalg.norm(whole))


def _runs(line: npt.NDArray[np.intp], depths: Doubles) -> list[npt.NDArray[np.intp]]:
    """Return the parts of a line in which slices are equally far apart.

    A line whose parts would be single slices is left whole: its slices are uneven, and no packs.
    """
    gaps = np.diff(depths[line])
    if len(gaps) < 2 or np.ptp(gaps) <= EVEN * gaps.mean():
        return [line]
    typical = float(np.median(gaps))
    borders = np.flatnonzero(np.abs(gaps - typical) > EVEN * typical) + 1
    parts = np.split(line, borders)
    several = min(len(part) for part in parts) > 1
    return parts if several else [line]


def _pack(groups: list[tuple[int, ...]], centres: Doubles) -> Pack:
    return Pack(tuple(groups), centres, is_even(centres))


def is_even(centres: Doubles) -> bool:
    """Tell whether places lie on a line, each within `EVEN` of a step of its even place.

    Parameters
    ----------
    centres : ndarray of float64, shape (n_slices, 3)
        Of slices in their order, mm.
    """
    if len(centres) < 2:
        return True
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + np.arange(len(centres))[:, None] * step
    length = float(np.linalg.norm(step))
    return bool(length > 0 and np.linalg.norm(centres - even, axis=1).max() <= EVEN * length)


def are_parallel(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether two orientations of six cosines are one."""
    return bool(np.abs(np.subtract(one, other)).max() <= PARALLEL)


def are_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether sizes are one, each within `ALIKE` of the larger."""
    return all(abs(a - b) <= ALIKE * max(abs(a), abs(b)) for a, b in zip(one, other, strict=True))


class Plane(Protocol):
    """A plane of pixels, as headers describe it."""

    @property
    def orientation(self) -> Sequence[float]:
        """Six direction cosines, along a row and down a column."""

    @property
    def spacing(self) -> Sequence[float]:
        """Between rows and between columns, mm."""


def have_one_shape(one: Plane, other: Plane) -> bool:
    """Tell whether two planes are parallel, and their pixels of one size."""
    parallel = are_parallel(one.orientation, other.orientation)
    return parallel and are_alike(one.spacing, other.spacing)


def gaps_of(positions: Doubles, normal: Doubles) -> Doubles:
    """Return the distances between neighbouring slices along the normal, mm."""
    return np.array([float((b - a) @ normal) for a, b in pairwise(positions)])
