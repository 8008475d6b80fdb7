"""What a region does along the axis of a series: over time, echoes, b-values or offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .statistics import WHOLE, Voxels

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Samples:
    """A series on one grid, with the meaning of its axis of samples.

    Attributes
    ----------
    name, unit : str
        Of the values; the unit is UCUM, or empty.
    axis, axis_unit : str
        What varies, such as ``time`` and ``s``.
    at : ndarray of float64, shape (n_samples,)
        Where each sample lies on the axis; of a frame of time its start.
    durations_s : ndarray of float64, shape (n_samples,), or None
        How long each frame of time lasts.
    data : ndarray of float32, shape (n_samples, n_slices, rows, columns)
        The values.
    per_suv, per_percent_dose : float
        Factors from the values to an SUV by body weight and to per cent of the injected dose per
        gram; NaN where they are not known.
    notes : tuple of str
        Messages for a person.
    """

    name: str
    unit: str
    axis: str
    axis_unit: str
    at: Doubles
    durations_s: Doubles | None
    data: Floats
    per_suv: float = float("nan")
    per_percent_dose: float = float("nan")
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Curve:
    """One region along the axis.

    Attributes
    ----------
    number : int
        Of the region.
    roi : str
        Its name.
    samples : Samples
        Of which series.
    voxels : ndarray of int, shape (n_samples,)
        Voxels with a value, at least half inside.
    mean, sd, median : ndarray of float64, shape (n_samples,)
        NaN where no voxel has a value; the standard deviation is over voxels, with n - 1.
    """

    number: int
    roi: str
    samples: Samples
    voxels: npt.NDArray[np.int64]
    mean: Doubles
    sd: Doubles
    median: Doubles

    @property
    def peak(self) -> float:
        """Largest mean."""
        return float(np.nanmax(self.mean)) if np.isfinite(self.mean).any() else float("nan")

    @property
    def at_peak(self) -> float:
        """Where on the axis the mean is largest; of a frame of time its middle."""
        if not np.isfinite(self.mean).any():
            return float("nan")
        return float(middles(self.samples)[int(np.nanargmax(self.mean))])

    @property
    def area(self) -> float:
        """Area below the mean: of frames the sum of mean times duration, else by trapezes."""
        if not np.isfinite(self.mean).all():
            return float("nan")
        if self.samples.durations_s is not None:
            return float(self.mean @ self.samples.durations_s)
        along = middles(self.samples)
        return float(np.sum((self.mean[1:] + self.mean[:-1]) / 2 * np.diff(along)))


def middles(samples: Samples) -> Doubles:
    """Return where each sample stands on a plot: of a frame of time its middle."""
    if samples.durations_s is None:
        return samples.at
    return np.asarray(samples.at + samples.durations_s / 2)


def curve_of(number: int, roi: str, samples: Samples, inside: Voxels) -> Curve:
    """Return a region's values along the axis.

    Parameters
    ----------
    number, roi
        Of the region.
    samples : Samples
        The series.
    inside : Voxels
        The region on the grid of the series; voxels at least half inside count.
    """
    index = inside.index[inside.share >= WHOLE]
    values = samples.data.reshape(len(samples.data), -1)[:, index].astype(np.float64)
    counts = np.isfinite(values).sum(axis=1)
    mean, sd, median = (np.full(len(values), np.nan) for _ in range(3))
    for k, row in enumerate(values):
        known = row[np.isfinite(row)]
        if known.size:
            mean[k], median[k] = known.mean(), np.median(known)
            sd[k] = known.std(ddof=1) if known.size > 1 else np.nan
    return Curve(number, roi, samples, counts, mean, sd, median)


COLUMNS = (
    *("roi_number", "roi", "map", "unit", "axis", "axis_unit", "sample", "at", "duration_s"),
    *("voxels", "mean", "sd", "median", "suv_mean", "percent_dose_per_g_mean"),
)


def rows(curves: Sequence[Curve]) -> list[dict[str, object]]:
    """Return a row for each region and sample, by `COLUMNS`."""
    found: list[dict[str, object]] = []
    for one in curves:
        samples = one.samples
        for k, at in enumerate(samples.at):
            lasts = None if samples.durations_s is None else float(samples.durations_s[k])
            found.append(
                {
                    "roi_number": one.number,
                    "roi": one.roi,
                    "map": samples.name,
                    "unit": samples.unit,
                    "axis": samples.axis,
                    "axis_unit": samples.axis_unit,
                    "sample": k + 1,
                    "at": float(at),
                    "duration_s": lasts,
                    "voxels": int(one.voxels[k]),
                    "mean": float(one.mean[k]),
                    "sd": float(one.sd[k]),
                    "median": float(one.median[k]),
                    "suv_mean": float(one.mean[k] * samples.per_suv),
                    "percent_dose_per_g_mean": float(one.mean[k] * samples.per_percent_dose),
                }
            )
    return found
