"""From regions and maps to numbers: on the image's grid, on the map's, then inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..outputs import catalogue
from .geometry import grid_of_affine
from .model import ImageGrid, RegionMask, RegionSet, Transferred
from .outputs.rates import rate_of
from .rasterize import Between, rasterize
from .run_maps import MapVolume
from .run_result import MapResult, RegionResult
from .statistics import CORE, WHOLE, Voxels, measure
from .transfer import transfer
from .voxelwise import reciprocal

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Progress = Callable[[str], None]

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LEAST_VALID = 0.5
_LEAST_COVERED = 0.999
_MOST_EDGE = 0.5
_ENOUGH = 250_000  # values that show the range of a map


@dataclass(frozen=True, eq=False)
class _Quantity:
    """A map or its rate, ready to be measured."""

    name: str
    unit: str
    values: Floats
    window: tuple[float, float]
    errors: Floats | None = None


@dataclass(frozen=True, eq=False)
class _Target:
    """A map with its grid."""

    map: MapVolume
    grid: ImageGrid
    flags: Bools | None
    own: _Quantity
    rate: _Quantity | None


def grid_of(one: MapVolume) -> ImageGrid:
    """Return the grid of a map, as regions are carried to it."""
    count, rows, columns = one.values.shape
    grid = grid_of_affine(_TO_RAS @ one.affine, (count, rows, columns))
    return replace(grid, frame_of_reference_uid=one.frame_of_reference, title=one.name)


def measure_regions(
    image: ImageGrid,
    regions: RegionSet,
    maps: Sequence[MapVolume],
    *,
    library_source: tuple[Path, Path] | None = None,
    assume_aligned: bool = False,
    keep_flagged: bool = False,
    between: Between = Between.NEAREST,
    progress: Progress = lambda _: None,
) -> list[RegionResult]:
    """Measure every region in every map.

    Parameters
    ----------
    image : ImageGrid
        What the regions were drawn on.
    regions : RegionSet
        The regions.
    maps : sequence of MapVolume
        The maps.
    library_source : tuple of Path, optional
        Structure set and folder of its image, for dcmrtstruct2nii to fill the contours.
    assume_aligned : bool
        Take positions of another frame of reference as they are.
    keep_flagged : bool
        Count voxels that carry a flag.
    between : Between
        What becomes of contours between the planes of the image.
    progress : callable
        Called with a short text on each step.

    Returns
    -------
    list of RegionResult
        One for each region, the unusable ones among them.
    """
    targets = [_target(one, keep_flagged) for one in maps]
    results = []
    masks: Iterator[RegionMask] = (
        rasterize(one, image, assume_aligned=assume_aligned, between=between)
        for one in regions.regions
    )
    if library_source is not None:
        from .rasterize_dcmrtstruct2nii import rasterize_with_dcmrtstruct2nii

        masks = iter(rasterize_with_dcmrtstruct2nii(*library_source, regions, image))
    for number, mask in enumerate(masks, 1):
        progress(f"measured ROI {number} of {len(regions.regions)}")
        results.append(_region(number, mask, image, targets, assume_aligned))
    return results


def _target(one: MapVolume, keep_flagged: bool) -> _Target:
    own = _Quantity(one.name, one.unit, one.values, _window(one.name, one.values))
    rate = rate_of(one.name, one.unit)
    other = None
    if rate is not None:
        values = reciprocal(one.values, rate.factor)
        other = _Quantity(rate.name, rate.unit, values, _window("", values))
        if one.errors is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                own = replace(own, errors=one.errors)
                other = replace(other, errors=values * (values / rate.factor) * one.errors)
    return _Target(one, grid_of(one), None if keep_flagged else one.flags, own, other)


def _window(name: str, values: Floats) -> tuple[float, float]:
    """Return first and last edge of the histogram: fixed by the map's name, else by its values."""
    fixed = catalogue.entry(name).window
    if fixed is not None:
        return fixed
    some = values.ravel()[:: max(1, values.size // _ENOUGH)]
    finite = some[np.isfinite(some)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, [0.5, 99.5])
    room = 0.02 * (high - low) or max(abs(high), 1.0) * 0.01
    return float(low - room), float(high + room)


def _region(
    number: int,
    drawn: RegionMask,
    image: ImageGrid,
    targets: Sequence[_Target],
    assume_aligned: bool,
) -> RegionResult:
    voxels = Voxels.of(drawn.mask)
    unusable = drawn.unusable
    rows: list[MapResult] = []
    if not unusable:
        last: tuple[ImageGrid, Transferred, Voxels] | None = None
        for target in targets:
            if last is None or not _same(last[0], target.grid):
                moved = transfer(drawn, image, target.grid, assume_aligned=assume_aligned)
                last = (
                    target.grid,
                    moved,
                    voxels if moved.same_grid else Voxels.of(moved.fraction),
                )
            rows.append(_in_map(target, last[1], last[2]))
        if all(row.unusable for row in rows):
            reasons = list(dict.fromkeys(row.unusable for row in rows))
            unusable = " ".join(reasons)
    return RegionResult(
        number=number,
        region=drawn.region,
        drawn=voxels,
        volume_mm3=len(voxels.index) * image.voxel_mm3,
        drawn_mm3=drawn.drawn_mm3,
        contour_mm3=_contour_mm3(drawn, image),
        unusable=unusable,
        warnings=drawn.warnings,
        maps=tuple(rows),
        is_partial=drawn.is_partial,
    )


def _contour_mm3(drawn: RegionMask, image: ImageGrid) -> float | None:
    """Return the volume of the contours themselves, holes taken off; None where it has no sense."""
    if drawn.areas_mm2 is None or not np.isfinite(drawn.areas_mm2).all():
        return None
    return float(drawn.areas_mm2.sum() * image.step_mm)


def _same(one: ImageGrid, other: ImageGrid) -> bool:
    """Tell whether two maps have one grid, as those of one fit."""
    return (
        one.shape == other.shape
        and one.frame_of_reference_uid == other.frame_of_reference_uid
        and np.array_equal(one.affine, other.affine)
    )


def _in_map(target: _Target, moved: Transferred, inside: Voxels) -> MapResult:
    """Measure a region in a map, and say what is doubtful."""
    one = target.map
    size = (one.voxel_mm3, one.pixel_mm2)
    own, rate = (
        None
        if q is None
        else measure(q.name, q.unit, q.values, inside, target.flags, size, q.window, q.errors)
        for q in (target.own, target.rate)
    )
    assert own is not None  # only the rate may be absent
    unusable = ""
    if not len(inside.index):
        unusable = f"It lies outside the field of view of the map {one.name}."
    elif not own.whole.voxels:
        unusable = (
            f"No voxel of the map {one.name} lies at least half inside: the ROI is smaller than a "
            "voxel, covers less than half a slice of the map, or the map ends there."
        )
        if np.isfinite(own.weighted.mean):
            unusable += (
                f" Weighted by the part inside, the mean is {own.weighted.mean:.6g} "
                f"{own.unit}".rstrip()
                + "."
            )
    elif not own.whole.valid:
        unusable = (
            f"None of its {own.whole.voxels} voxels has a value in the map {one.name} "
            f"({own.whole.nan} without a value, {own.whole.flagged} flagged)."
        )
    notes = [moved.note] if moved.note else []
    if not unusable:
        notes += _doubts(one.name, inside, moved, own.whole.valid)
    return MapResult(
        map=one,
        inside=inside,
        same_grid=moved.same_grid,
        covered=moved.covered,
        own=own,
        reciprocal=rate,
        unusable=unusable,
        warnings=tuple(notes),
    )


def _doubts(name: str, inside: Voxels, moved: Transferred, valid: int) -> list[str]:
    whole, core = inside.count(WHOLE), inside.count(CORE)
    notes = []
    if moved.covered < _LEAST_COVERED:
        notes.append(
            f"Only {100 * moved.covered:.0f} % of its volume lies inside the field of view of the "
            f"map {name}."
        )
    if valid < _LEAST_VALID * whole:
        notes.append(f"Only {valid} of its {whole} voxels count in the map {name}.")
    if not core:
        notes.append(
            f"No voxel of the map {name} is wholly inside, so every value is mixed with what lies "
            "around the ROI."
        )
    elif whole - core > _MOST_EDGE * whole:
        notes.append(
            f"{whole - core} of its {whole} voxels in the map {name} lie on the edge; the core has "
            "the values of the tissue alone."
        )
    return notes
