"""What the values of a map are inside a region: counts, moments, order statistics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .voxelwise import mean_of, second_order

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

PERCENTILES = (5, 10, 25, 75, 90, 95)
# Least part of a voxel that is inside, for the whole region and for its core.
WHOLE = 0.5
CORE = 0.95
_BINS = 64


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of a grid that a region touches; small where the grid is large.

    Attributes
    ----------
    shape : tuple of int
        Of the grid: slices, rows, columns.
    index : ndarray of int64, shape (n,)
        Place of each voxel in the flattened grid, ascending.
    share : ndarray of float32, shape (n,)
        Part of each voxel inside, above 0 and at most 1.
    """

    shape: tuple[int, ...]
    index: Integers
    share: Floats

    @classmethod
    def of(cls, fraction: npt.NDArray[Any]) -> Voxels:
        """Return the voxels of a volume of parts or of a mask."""
        index = np.flatnonzero(fraction)
        return cls(fraction.shape, index, fraction.ravel()[index].astype(np.float32))

    def at_least(self, part: float) -> Bools:
        """Return the mask of the voxels of which at least a part is inside, of the grid's shape."""
        mask = np.zeros(self.shape, np.bool_)
        mask.ravel()[self.index[self.share >= part]] = True
        return mask

    def count(self, part: float) -> int:
        """Return how many voxels have at least a part inside."""
        return int(np.count_nonzero(self.share >= part))


@dataclass(frozen=True)
class Statistics:
    """Statistics of one set of voxels.

    Attributes
    ----------
    voxels : int
        Voxels in the set; ``valid + nan + flagged``.
    valid : int
        Voxels whose value counts.
    nan : int
        Voxels without a finite value; left out.
    flagged : int
        Voxels with a finite value and a flag of the fit; left out.
    volume_mm3 : float
        Of all voxels of the set.
    mean, sd, median, q1, q3, iqr, minimum, maximum, mad, skewness, kurtosis : float
        In the unit of the map, NaN where they do not exist. ``sd`` has n - 1 in its denominator and
        does not exist for one voxel; ``mad`` is the median of abs(x - median); skewness and excess
        kurtosis are of population moments, without unit.
    bias : float
        What noise may shift the mean by, from the errors of the fit (`voxelwise.second_order`).
    percentiles : dict of float
        5, 10, 25, 75, 90, 95; linear between order statistics (type 7 of Hyndman and Fan,
        doi:10.1080/00031305.1996.10473566).
    """

    voxels: int
    valid: int
    nan: int
    flagged: int
    volume_mm3: float
    mean: float = np.nan
    sd: float = np.nan
    median: float = np.nan
    q1: float = np.nan
    q3: float = np.nan
    iqr: float = np.nan
    minimum: float = np.nan
    maximum: float = np.nan
    mad: float = np.nan
    skewness: float = np.nan
    kurtosis: float = np.nan
    bias: float = np.nan
    percentiles: dict[int, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the fields by the names of ``statistics.json``; null for what does not exist."""
        row: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("voxels", "valid", "nan", "flagged", "volume_mm3", "mean", "sd", "median")
        }
        row |= {"q1": self.q1, "q3": self.q3, "iqr": self.iqr}
        row |= {"min": self.minimum, "max": self.maximum, "mad": self.mad}
        row |= {"skewness": self.skewness, "kurtosis": self.kurtosis}
        row["bias"] = self.bias
        row |= {f"p{key:02d}": self.percentiles.get(key, np.nan) for key in PERCENTILES}
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in row.items()
        }


@dataclass(frozen=True)
class Histogram:
    """Counts of values between fixed edges.

    Attributes
    ----------
    edges : tuple of float
        Ascending, one more than there are bins; a bin holds ``low <= x < high``, the last one its
        upper edge too.
    counts : tuple of int
        Valid voxels of each bin.
    under, over : int
        Valid voxels below the first and above the last edge.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    under: int
    over: int


@dataclass(frozen=True)
class SliceStatistics:
    """Statistics of one slice of a region.

    Attributes
    ----------
    index : int
        Slice of the map, from 0.
    area_mm2 : float
        Of the voxels of the set in this slice.
    whole : Statistics
        Of the voxels of the region in this slice.
    """

    index: int
    area_mm2: float
    whole: Statistics


@dataclass(frozen=True)
class Weighted:
    """Statistics in which a voxel counts by the part of it that is inside.

    Attributes
    ----------
    mean, sd : float
        sum(w v) / sum(w), and its spread with (sum w)^2 / sum(w^2) as the number of voxels.
    effective_voxels : float
        (sum w)^2 / sum(w^2) of the valid voxels.
    volume_mm3 : float
        sum(w) times the volume of a voxel, over all voxels that are touched.
    """

    mean: float
    sd: float
    effective_voxels: float
    volume_mm3: float


@dataclass(frozen=True)
class RegionStatistics:
    """One quantity inside one region.

    Attributes
    ----------
    name, unit : str
        Of the quantity; the unit is UCUM, or empty where it is not known.
    whole, core : Statistics
        Of the voxels at least half inside, and of those almost wholly inside.
    slices : tuple of SliceStatistics
        Of the slices that hold a voxel of the region.
    histogram : Histogram
        Of the valid voxels of the whole region.
    weighted : Weighted
        By the part of each voxel that is inside.
    """

    name: str
    unit: str
    whole: Statistics
    core: Statistics
    slices: tuple[SliceStatistics, ...]
    histogram: Histogram
    weighted: Weighted


def describe(values: npt.NDArray[Any], flagged: Bools | None, voxel_mm3: float) -> Statistics:
    """Return the statistics of some voxels.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        NaN or infinite where a voxel has no value.
    flagged : ndarray of bool, shape (n,), or None
        Voxels to leave out although they have a value.
    voxel_mm3 : float
        Volume of a voxel. Sums are taken in float64.
    """
    finite = np.isfinite(values)
    use = finite if flagged is None else finite & ~flagged
    valid = int(np.count_nonzero(use))
    counts = {
        "voxels": len(values),
        "valid": valid,
        "nan": len(values) - int(np.count_nonzero(finite)),
        "flagged": int(np.count_nonzero(finite)) - valid,
        "volume_mm3": len(values) * voxel_mm3,
    }
    if not valid:
        return Statistics(**counts)  # type: ignore[arg-type]
    # Sorted as they are, which is faster than in float64, and summed in float64.
    ordered = np.sort(values[use] if valid < len(values) else values).astype(np.float64)
    mean = float(ordered.mean())
    centred = ordered - mean
    squared = centred * centred
    second = float(squared.mean())
    spread = second > (abs(mean) * 1e-12) ** 2
    median = _quantile(ordered, 0.5)
    percentiles = {key: _quantile(ordered, key / 100) for key in PERCENTILES}
    return Statistics(
        **counts,  # type: ignore[arg-type]
        mean=mean,
        sd=float(np.sqrt(second * valid / (valid - 1))) if valid > 1 else np.nan,
        median=median,
        q1=percentiles[25],
        q3=percentiles[75],
        iqr=percentiles[75] - percentiles[25],
        minimum=float(ordered[0]),
        maximum=float(ordered[-1]),
        mad=float(np.median(np.abs(ordered - median))),
        skewness=float(squared @ centred) / valid / second**1.5 if spread else np.nan,
        kurtosis=float(squared @ squared) / valid / second**2 - 3 if spread else np.nan,
        percentiles=percentiles,
    )


def _quantile(ordered: Doubles, part: float) -> float:
    """Return a quantile of sorted values, linear between order statistics (type 7)."""
    place = part * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (place - below) * (high - low)


def histogram(values: npt.NDArray[Any], low: float, high: float, bins: int = _BINS) -> Histogram:
    """Return counts between `low` and `high`, in bins of equal width.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Finite.
    low, high : float
        First and last edge; ``low < high``.
    bins : int
        How many.

    Returns
    -------
    Histogram
        What lies beyond the edges is counted apart, so that the counts add up to n.
    """
    counts, edges = np.histogram(values, bins, (low, high))
    return Histogram(
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(count) for count in counts),
        under=int(np.count_nonzero(values < low)),
        over=int(np.count_nonzero(values > high)),
    )


def weigh(
    values: npt.NDArray[Any], flagged: Bools | None, weights: npt.NDArray[Any], voxel_mm3: float
) -> Weighted:
    """Return the statistics weighted by the part of each voxel that is inside.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Not finite where a voxel has no value.
    flagged : ndarray of bool, shape (n,), or None
        Voxels to leave out.
    weights : ndarray of float, shape (n,)
        Part inside, 0 to 1.
    voxel_mm3 : float
        Volume of a voxel.
    """
    use = np.isfinite(values) & (weights > 0)
    if flagged is not None:
        use &= ~flagged
    volume = float(weights.sum(dtype=np.float64)) * voxel_mm3
    w, v = weights[use].astype(np.float64), values[use].astype(np.float64)
    total = float(w.sum())
    if total <= 0:
        return Weighted(np.nan, np.nan, 0.0, volume)
    mean = float(np.sum(w * v)) / total
    number = total**2 / float(np.sum(w**2))
    variance = float(np.sum(w * (v - mean) ** 2)) / total
    sd = np.sqrt(variance * number / (number - 1)) if number > 1 + 1e-9 else np.nan
    return Weighted(mean, float(sd), number, volume)


def measure(
    name: str,
    unit: str,
    values: Floats,
    inside: Voxels,
    flags: Bools | None,
    size: tuple[float, float],
    window: tuple[float, float],
    errors: Floats | None = None,
) -> RegionStatistics:
    """Return everything about one quantity inside one region.

    Parameters
    ----------
    name, unit : str
        Of the quantity.
    values : ndarray of float32, shape (n_slices, rows, columns)
        The map; not finite where it has no value.
    inside : Voxels
        Part of each voxel of the map that is inside the region.
    flags : ndarray of bool, shape (n_slices, rows, columns), or None
        Voxels of the map to leave out.
    size : tuple of float
        Volume of a voxel in mm3, area of a pixel in mm2.
    window : tuple of float
        First and last edge of the histogram.
    errors : ndarray of float32, shape (n_slices, rows, columns), or None
        Standard errors of the values, where noise shifts the mean.
    """
    touched = values.ravel()[inside.index]
    marked = None if flags is None else flags.ravel()[inside.index]
    whole = inside.share >= WHOLE
    core = inside.share >= CORE
    chosen, marks = touched[whole], None if marked is None else marked[whole]
    counted = np.isfinite(chosen) if marks is None else np.isfinite(chosen) & ~marks
    planes = inside.index[whole] // (values.shape[1] * values.shape[2])
    all_of_it = describe(chosen, marks, size[0])
    inner = all_of_it
    if not np.array_equal(core, whole):
        inner = describe(touched[core], None if marked is None else marked[core], size[0])
    if errors is not None:
        shift = second_order(touched, errors.ravel()[inside.index], marked)
        all_of_it = replace(all_of_it, bias=mean_of(shift[whole]))
        inner = replace(inner, bias=mean_of(shift[core]))
    return RegionStatistics(
        name=name,
        unit=unit,
        whole=all_of_it,
        core=inner,
        slices=_by_slice(planes, chosen, marks, size),
        histogram=histogram(chosen[counted], *window),
        weighted=weigh(touched, marked, inside.share, size[0]),
    )


def _by_slice(
    planes: Integers,
    values: npt.NDArray[Any],
    flagged: Bools | None,
    size: tuple[float, float],
) -> tuple[SliceStatistics, ...]:
    """Return the statistics of each slice; `planes` is ascending."""
    if not len(planes):
        return ()
    found, starts = np.unique(planes, return_index=True)
    stops = [*starts[1:], len(planes)]
    rows = []
    for index, start, stop in zip(found, starts, stops, strict=True):
        marks = None if flagged is None else flagged[start:stop]
        one = describe(values[start:stop], marks, size[0])
        rows.append(SliceStatistics(int(index), one.voxels * size[1], one))
    return tuple(rows)
