"""Turn a region into voxels of the image it was drawn on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

import numpy as np

from ..images.tolerances import CONTOUR_IN_PLANE, SAME_PLACE
from .fill import Holes, Polygon, fill_plane
from .geometry import nearest_slice, to_pixels
from .model import Contour, Doubles, DrawnMask, ImageGrid, Mask, Region, RegionMask
from .overlap import overlap, volume_mm3

__all__ = ["Between", "Holes", "rasterize"]

_HALF = 0.5
_SMALL_DIFFERENCE = 0.1
_MOST_BRIDGED = 4  # slices from one contour to the next between which a shape is interpolated
_DRAWN_AS_LINES = frozenset({"AIM", "RTSTRUCT"})


class Between(StrEnum):
    """What becomes of a contour that lies between the planes of the image.

    Attributes
    ----------
    NEAREST
        It counts in the nearest plane, where that is within half a slice.
    INTERPOLATE
        Shapes between two contours are interpolated, by the distance from their edges.
    REFUSE
        The region cannot be used.
    """

    NEAREST = "nearest"
    INTERPOLATE = "interpolate"
    REFUSE = "refuse"


@dataclass
class _Placed:
    """The contours of a region by slice, and what was found on the way."""

    by_slice: dict[int, list[Polygon]] = field(default_factory=lambda: defaultdict(list))
    clipped: int = 0
    outside: int = 0
    between: int = 0
    flat: int = 0
    shapes: dict[int, Mask] = field(default_factory=dict)
    moved: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)
    unnamed: int = 0
    foreign: int = 0
    misnamed: int = 0
    all_foreign: bool = False


def rasterize(
    region: Region,
    image: ImageGrid,
    *,
    holes: Holes = Holes.AUTO,
    assume_aligned: bool = False,
    between: Between = Between.NEAREST,
) -> RegionMask:
    """Return the voxels of the image whose centres are inside a region.

    Parameters
    ----------
    region : Region
        As `readers.read_regions` gives it.
    image : ImageGrid
        The image it was drawn on.
    holes : Holes
        What several contours of one plane mean together.
    assume_aligned : bool
        Take another frame of reference as the same one, and say so.
    between : Between
        What becomes of contours that lie between the planes of the image.

    Returns
    -------
    RegionMask
        With `unusable` saying why where no voxel is inside; never an error.
    """
    warnings = [*region.warnings, *_lost(region)]
    apart = _other_frame_of_reference(region, image)
    if apart and not assume_aligned:
        return _nothing(region, image, apart, warnings)
    if apart:
        warnings.append(f"{apart} The positions were taken as they are, as asked.")
    if region.mask is not None:
        return _from_mask(region, region.mask, image, warnings)
    if not region.contours:
        return _nothing(region, image, _why_no_contours(region), warnings)
    placed = _place(region.contours, image, between)
    warnings += _remarks(placed, image)
    if placed.moved and between is Between.REFUSE:
        why = (
            f'Contours of the region "{region.name}" between the planes of the image: '
            f"{len(placed.moved)}, by up to {max(placed.moved):.2g} mm."
        )
        return _nothing(region, image, why, warnings)
    if between is Between.INTERPOLATE:
        _interpolate(region, placed, image, warnings)
    return _from_contours(region, placed, image, holes, warnings)


def _lost(region: Region) -> list[str]:
    return [f"Left out, {what}: {count}." for what, count in sorted(region.lost.items())]


def _why_no_contours(region: Region) -> str:
    why = "it has no contours" if region.source in _DRAWN_AS_LINES else "it marks no voxel"
    if region.lost:
        lost = ", ".join(f"{what}: {count}" for what, count in sorted(region.lost.items()))
        why = f"none of its shapes can be used ({lost})"
    return f'The region "{region.name}" is empty: {why}.'


def _other_frame_of_reference(region: Region, image: ImageGrid) -> str:
    its, ours = region.frame_of_reference_uid, image.frame_of_reference_uid
    if not its or not ours or its == ours:
        return ""
    return (
        f'The region "{region.name}" was drawn in another frame of reference ({its}) than that of '
        f"the image ({ours})."
    )


def _nothing(region: Region, image: ImageGrid, why: str, warnings: list[str]) -> RegionMask:
    empty = np.zeros(image.shape, dtype=np.bool_)
    return RegionMask(region, empty, unusable=why, warnings=tuple(warnings))


def _place(contours: tuple[Contour, ...], image: ImageGrid, between: Between) -> _Placed:
    placed = _Placed()
    known = {uid for uid, _ in image.instances}
    depths = image.depths
    margin = image.step_mm / 2
    for contour in contours:
        index, off = nearest_slice(image, contour.points_mm)
        middle = float(contour.points_mm.mean(axis=0) @ image.normal)
        if off > CONTOUR_IN_PLANE * image.step_mm:
            flat = np.ptp(contour.points_mm @ image.normal) <= CONTOUR_IN_PLANE * image.step_mm
            near = off <= (0.5 + SAME_PLACE) * image.step_mm
            if not (flat and near):
                beyond = not depths[0] - margin <= middle <= depths[-1] + margin
                placed.outside += beyond
                placed.between += not beyond
                continue
            placed.moved.append(off)
        elif off > SAME_PLACE * image.step_mm:
            placed.off.append(off)
        named = image.instances.get((contour.instance_uid, contour.frame))
        placed.unnamed += not contour.instance_uid
        placed.foreign += bool(contour.instance_uid) and contour.instance_uid not in known
        placed.misnamed += named is not None and named != index
        drawn = Polygon(to_pixels(image, contour.points_mm, index))
        if drawn.is_flat:
            placed.flat += 1
            continue
        placed.clipped += drawn.exceeds(image.shape[1:])
        placed.by_slice[index].append(drawn)
    placed.all_foreign = placed.foreign == len(contours)
    return placed


def _interpolate(region: Region, placed: _Placed, image: ImageGrid, warnings: list[str]) -> None:
    """Put shapes into slices between two that have contours, by the distance from their edges."""
    planes = sorted(placed.by_slice)
    rule = Holes.XOR if region.explicit_holes else Holes.AUTO
    made = 0
    for lower, upper in pairwise(planes):
        if not 1 < upper - lower <= _MOST_BRIDGED:
            continue
        ends = [_distance(placed.by_slice[k], image, rule) for k in (lower, upper)]
        for k in range(lower + 1, upper):
            part = (image.depths[k] - image.depths[lower]) / (
                image.depths[upper] - image.depths[lower]
            )
            placed.shapes[k] = (1 - part) * ends[0] + part * ends[1] >= 0
            made += 1
    if made:
        warnings.append(f"Slices between contours whose shape was interpolated, as asked: {made}.")


def _distance(lines: list[Polygon], image: ImageGrid, rule: Holes) -> Doubles:
    """Return how far each pixel lies inside contours, mm, below 0 outside."""
    from scipy.ndimage import distance_transform_edt

    mask = np.zeros(image.shape[1:], dtype=np.bool_)
    fill_plane(lines, image.shape[1:], rule, mask)
    inner = distance_transform_edt(mask, sampling=image.spacing)
    outer = distance_transform_edt(~mask, sampling=image.spacing)
    return np.asarray(inner - outer, dtype=np.float64)


def _remarks(placed: _Placed, image: ImageGrid) -> list[str]:
    """Return what was found while placing, as notes."""
    found = [
        (placed.outside, "Contours outside the image, left out: {}."),
        (placed.between, "Contours in no plane of the image, left out: {}."),
        (placed.flat, "Contours without an area, left out: {}."),
        (placed.clipped, "Contours that leave the image, cut off at its edge: {}."),
        (placed.unnamed, "Contours that name no image, placed by their position: {}."),
        (placed.foreign, "Contours that name an image that is not here, placed by their "
         "position: {}."),
        (placed.misnamed, "Contours that lie on another image than they name, placed by their "
         "position: {}."),
    ]  # fmt: skip
    notes = [text.format(count) for count, text in found if count]
    if placed.moved:
        notes.append(
            f"Contours between two planes, counted in the nearest: {len(placed.moved)}, moved by "
            f"up to {max(placed.moved):.2g} mm; a slice is {image.step_mm:.3g} mm."
        )
    if placed.off:
        notes.append(
            f"Contours off the plane of their slice: {len(placed.off)}, by up to "
            f"{max(placed.off):.2g} mm; a slice is {image.step_mm:.3g} mm."
        )
    return notes


def _from_contours(
    region: Region, placed: _Placed, image: ImageGrid, holes: Holes, warnings: list[str]
) -> RegionMask:
    mask = np.zeros(image.shape, dtype=np.bool_)
    areas = np.zeros(image.shape[0])
    drawn, filled, merged, doubled, looped = 0.0, 0, 0, 0, 0
    rule = Holes.XOR if region.explicit_holes else holes
    for index, lines in placed.by_slice.items():
        plane = fill_plane(lines, image.shape[1:], rule, mask[index])
        areas[index] = plane.area
        drawn += sum(abs(line.area) for line in lines)
        filled += len(lines)
        merged += plane.crossing
        doubled += plane.duplicates
        looped += plane.looped
    for index, shape in placed.shapes.items():
        mask[index] = shape
        areas[index] = np.count_nonzero(shape)
        drawn += areas[index]
    if merged:
        did = "their union was taken" if rule is not Holes.XOR else "what both hold was left out"
        warnings.append(f"Slices in which contours cross each other: {merged}; {did}.")
    if doubled:
        warnings.append(f"Contours that repeat another one, left out: {doubled}.")
    if looped:
        warnings.append(
            f"Contours that cross themselves: {looped}; what they run around twice is outside."
        )
    pixel = image.spacing[0] * image.spacing[1]
    warnings += _difference(mask, areas, placed, pixel)
    return RegionMask(
        region=region,
        mask=mask,
        contours=filled,
        clipped=placed.clipped,
        outside=placed.outside + placed.between,
        drawn_mm3=drawn * pixel * image.step_mm,
        areas_mm2=areas * pixel,
        all_foreign=placed.all_foreign,
        unusable="" if mask.any() else _why_empty(region, placed, filled),
        warnings=tuple(warnings),
    )


def _difference(mask: Mask, areas: np.ndarray, placed: _Placed, pixel: float) -> list[str]:
    """Say where the voxels hold clearly more or less than the lines around them."""
    expected = float(areas.sum())
    if placed.clipped or not np.isfinite(expected) or expected <= 0:
        return []
    count = int(np.count_nonzero(mask))
    apart = count / expected - 1
    if abs(apart) <= _SMALL_DIFFERENCE or count == 0:
        return []
    return [
        f"The voxels cover {count * pixel:.4g} mm2 and the contours {expected * pixel:.4g} mm2 "
        f"({100 * apart:+.0f} %): the region is small for its voxels."
    ]


def _why_empty(region: Region, placed: _Placed, filled: int) -> str:
    name = f'The region "{region.name}"'
    if filled and placed.clipped == filled:
        return f"{name} lies beside the image."
    if filled:
        return f"{name} is smaller than a voxel: it holds the centre of none."
    if placed.outside + placed.between:
        return f"{name} lies on no plane of the image."
    return f"{name} is empty: none of its contours has an area."


def _from_mask(
    region: Region, drawn: DrawnMask, image: ImageGrid, warnings: list[str]
) -> RegionMask:
    """Return a mask that was drawn as voxels, on the grid of the image."""
    total = float(drawn.share.sum(dtype=np.float64))
    name = f'The region "{region.name}"'
    if total == 0:
        return _nothing(region, image, f"{name} is empty: it marks no voxel.", warnings)
    fraction = overlap(drawn.share, drawn.grid, image)
    mask = fraction >= _HALF
    inside = volume_mm3(fraction, image) / volume_mm3(drawn.share, drawn.grid)
    if inside < 1 - SAME_PLACE:
        warnings.append(f"Outside the image, cut off: {100 * (1 - inside):.3g} % of it.")
    binary = not np.any((drawn.share > SAME_PLACE) & (drawn.share < 1 - SAME_PLACE))
    between = (fraction > 2 * SAME_PLACE) & (fraction < 1 - 2 * SAME_PLACE)
    if not binary:
        warnings.append("Its voxels hold shares; those of at least one half were taken.")
    elif between.any():
        warnings.append(
            "It was drawn on another grid; voxels of the image at least half inside were taken."
        )
    why = ""
    if not mask.any():
        why = (
            f"{name} lies outside the image." if inside == 0 else f"{name} fills no voxel by half."
        )
    return RegionMask(region, mask, unusable=why, warnings=tuple(warnings))
