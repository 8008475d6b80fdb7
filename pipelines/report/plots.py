"""Plots of the report: histograms, residuals, example voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..outputs.catalogue import window
from .checks import mean_signal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..fitted import Fitted

_AXES = {
    "echo_time_ms": "echo time (ms)",
    "repetition_time_ms": "repetition time (ms)",
    "inversion_time_ms": "inversion time (ms)",
    "flip_angle_deg": "flip angle (degrees)",
    "b_value": "b (s/mm²)",
    "offset_ppm": "offset (ppm)",
}


def overview(fitted: Fitted) -> Figure:
    """Return histograms of the main map and of its relative error, and the mean residuals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 2.7), layout="tight")
    left, middle, right = figure.subplots(1, 3)
    name, main = next(iter(fitted.result.maps.items()))
    values = main.values[np.isfinite(main.values)]
    low, high = window(name, main.values)
    top = float(np.percentile(values, 99.5)) if values.size else high
    left.hist(np.clip(values, min(low, 0), max(high, top)), bins=80, color="#35618f")
    left.set(xlabel=f"{name} ({main.unit})", ylabel="voxels", title="Values")
    if main.error is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = 100 * main.error / np.abs(main.values)
        relative = relative[np.isfinite(relative)]
        if relative.size:
            most = max(float(np.percentile(relative, 99)), 1e-6)
            middle.hist(np.clip(relative, 0, most), bins=80, color="#7a9a01")
    middle.set(xlabel="standard error (% of the value)", ylabel="voxels", title="Uncertainty")
    residual = fitted.result.residual_mean
    right.axhline(0, color="0.6", lw=0.8)
    right.plot(np.arange(1, len(residual) + 1), residual, "o-", ms=3, lw=1, color="#a33c1b")
    right.set(xlabel="sample", ylabel="mean residual", title="Residuals")
    for axes in (left, middle, right):
        axes.title.set_fontsize(9)
        axes.tick_params(labelsize=7)
    return figure


def chosen_voxels(fitted: Fitted) -> list[tuple[str, int]]:
    """Return the best, the median and the three worst fitted voxels by R2fit, with their name."""
    score = np.where(fitted.valid, fitted.result.r2fit, np.nan)
    known = np.flatnonzero(np.isfinite(score))
    if not known.size:  # not a fit: the voxels of extreme and middle values
        score = np.where(fitted.valid, next(iter(fitted.result.maps.values())).values, np.nan)
        known = np.flatnonzero(np.isfinite(score))
        order = known[np.argsort(score[known], kind="stable")]
        picks = [("highest", -1), ("median", len(order) // 2), ("lowest", 0)]
        return [(name, int(order[k])) for name, k in picks] if known.size else []
    if not known.size:
        return []
    order = known[np.argsort(score[known], kind="stable")]
    rows = [("best", order[-1]), ("median", order[len(order) // 2])]
    rows += [(f"worst {k + 1}", index) for k, index in enumerate(order[:3])]
    return [(name, int(index)) for name, index in rows]


def examples(fitted: Fitted) -> Figure:
    """Return the samples of five voxels, with the curve where the model is one of decay."""
    from matplotlib.figure import Figure

    rows = chosen_voxels(fitted)
    figure = Figure(figsize=(9.5, 2.3), layout="tight")
    _, height, width = fitted.images.grid
    for k, (name, index) in enumerate(rows):
        axes = figure.add_subplot(1, 5, k + 1)
        slice_index = index // (height * width)
        times = fitted.images.values[fitted.variable][slice_index]
        flat = fitted.images.data.reshape(len(fitted.images.data), -1)
        axes.plot(times, flat[:, index], "o", ms=3, color="#35618f")
        curve = _curve(fitted, index, times)
        if curve is not None:
            axes.plot(*curve, lw=1, color="#a33c1b")
        where = f"slice {slice_index + 1}, row {index // width % height + 1}, "
        where += f"column {index % width + 1}"
        axes.set_title(f"{name}\n{where}", fontsize=6.5)
        axes.set_xlabel(_AXES[fitted.variable], fontsize=7)
        axes.tick_params(labelsize=6)
    return figure


def _curve(
    fitted: Fitted, index: int, times: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Return the fitted curve of a voxel; None for models without one of a single variable."""
    maps = fitted.result.maps
    names = {"T2map", "T2starmap", "T1map", "ADC"} & set(maps)
    if not names or "refocusingmap" in maps or "ADC1" in maps:
        return None
    name = names.pop()
    rate = float(maps[name].values[index])
    height = maps["S0map" if "S0map" in maps else "M0map"].values[index]
    if not np.isfinite(rate) or not np.isfinite(height):
        return None
    fine = np.linspace(
        0 if fitted.variable != "inversion_time_ms" else times.min(), times.max(), 200
    )
    k = float(maps["kmap"].values[index]) if "kmap" in maps else None
    offset = float(maps["Cmap"].values[index]) if "Cmap" in maps else 0.0
    if fitted.command in ("t2", "t2star"):
        curve = height * np.exp(-fine / rate) + offset
    elif fitted.command == "t1sr":
        curve = height * (1 - (1.0 if k is None else k) * np.exp(-fine / rate))
    elif fitted.command == "t1ir":
        k = 2.0 if k is None else k
        curve = height * (1 - k * np.exp(-fine / rate))
        own = fitted.images.values.get("repetition_time_ms")
        if own is not None and np.all(own == own.flat[0]) and own.flat[0] > times.max():
            curve = curve + height * (k - 1) * np.exp(-own.flat[0] / rate)
        elif own is not None:
            return None  # each image has its own TR, so there is no one curve
        curve = np.abs(curve) if fitted.images.component == "M" else curve
    elif fitted.command == "dwi":
        curve = height * np.exp(-1e-3 * fine * rate)
    else:
        return None
    return fine, np.asarray(curve, np.float64)


def mean_curve(fitted: Fitted) -> Figure:
    """Return the mean signal of the voxels with a value, sample by sample."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 2.4), layout="tight")
    axes = figure.add_subplot()
    times = fitted.images.values[fitted.variable][0]
    axes.plot(times, mean_signal(fitted), "o", ms=3, color="#35618f")
    axes.set(xlabel=_AXES[fitted.variable], ylabel="mean signal")
    axes.tick_params(labelsize=7)
    return figure
