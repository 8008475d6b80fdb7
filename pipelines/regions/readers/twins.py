"""Recognise the RTSTRUCT that the archive made from an AIM drawing, shifted or not.

A converter that forgets the half-pixel rule puts every contour half a pixel, along both axes,
towards larger indices. Nothing in the structure set alone shows it; beside its AIM, it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from ..geometry import nearest_slice, to_pixels
from ..model import Contour, Doubles, ImageGrid, Region, RegionSet

_NEAR_PX = 0.1
_HALF_PIXEL = 0.5
_FIRST_CONTOURS = 20


class Twin(Enum):
    """How a structure set relates to an AIM file."""

    EQUAL = "equal"
    SHIFTED = "shifted"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two files.

    Attributes
    ----------
    twin : Twin
        The verdict.
    offset_px : tuple of float
        Mean of structure set minus AIM: columns, rows. NaN where no contour matches.
    compared : int
        Pairs of contours.
    """

    twin: Twin
    offset_px: tuple[float, float]
    compared: int

    def sentence(self, aim: str, twin: str) -> str:
        """Return the finding for a person, with the names of both files."""
        if self.twin is Twin.EQUAL:
            return f"{twin} holds the same drawing as {aim}."
        if self.twin is Twin.SHIFTED:
            return (
                f"{twin} holds the drawing of {aim} shifted by half a pixel, to the right and "
                "down: it was converted without the half-pixel rule."
            )
        across, down = self.offset_px
        return f"{twin} and {aim} differ by {across:.2f} columns and {down:.2f} rows."


def compare(aim: RegionSet, twin: RegionSet, image: ImageGrid) -> Comparison:
    """Compare the contours of two files that may hold the same drawing.

    Parameters
    ----------
    aim, twin : RegionSet
        The AIM file and the structure set.
    image : ImageGrid
        The image both were drawn on.

    Returns
    -------
    Comparison
        EQUAL or SHIFTED when every compared pair is displaced alike, by (0, 0) or (0.5, 0.5)
        pixels within 0.1.
    """
    others: dict[str, list[Region]] = {}
    for region in twin.regions:
        others.setdefault(region.name, []).append(region)
    offsets: list[Doubles] = []
    for region in aim.regions:
        for partner in others.get(region.name, [])[:1]:
            offsets += _offsets(region, partner, image)
    if not offsets:
        return Comparison(Twin.DIFFERENT, (np.nan, np.nan), 0)
    table = np.array(offsets)
    mean = table.mean(axis=0)
    verdict = Twin.DIFFERENT
    if np.abs(table).max() < _NEAR_PX:
        verdict = Twin.EQUAL
    elif np.abs(table - _HALF_PIXEL).max() < _NEAR_PX:
        verdict = Twin.SHIFTED
    return Comparison(verdict, (float(mean[0]), float(mean[1])), len(offsets))


def _offsets(one: Region, other: Region, image: ImageGrid) -> list[Doubles]:
    """Return partner minus region in pixels for contours of a slice, taken in turn."""
    ours, theirs = _by_slice(one, image), _by_slice(other, image)
    found: list[Doubles] = []
    for index in sorted(set(ours) & set(theirs)):
        if len(ours[index]) != len(theirs[index]):
            return [np.array([np.inf, np.inf])]
        for line, partner in zip(ours[index], theirs[index], strict=True):
            middle = to_pixels(image, partner.points_mm, index).mean(axis=0)
            found.append(middle - to_pixels(image, line.points_mm, index).mean(axis=0))
        if len(found) >= _FIRST_CONTOURS:
            break
    return found


def _by_slice(region: Region, image: ImageGrid) -> dict[int, list[Contour]]:
    found: dict[int, list[Contour]] = {}
    for contour in region.contours:
        found.setdefault(nearest_slice(image, contour.points_mm)[0], []).append(contour)
    return found
