"""Charts of the report: histograms, mean signal, residuals, example voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..fitting.cest import spectra_of
from ..fitting.data import FittedMap
from ..models.cest import CERTAIN_PERCENT, mtr_asymmetry
from ..models.cest_spectra import Spectra, resample
from ..outputs.catalogue import window
from .charts import BLUE, GREEN, GREY, RED, Chart
from .checks import mean_signal
from .expected import FitSurvey
from .forward import Forward, forward_of, samples_of

Doubles = npt.NDArray[np.float64]

AXES = {
    "echo_time_ms": "echo time (ms)",
    "repetition_time_ms": "repetition time (ms)",
    "inversion_time_ms": "inversion time (ms)",
    "flip_angle_deg": "flip angle (degrees)",
    "b_value": "b (s/mm²)",
    "offset_ppm": "offset (ppm)",
}
_FAR_PPM = 20.0
_FINE = 120
_MOST_VOXELS = 5000
_SHOWN_PPM = 10.0


def histograms(fitted: FittedMap) -> list[Chart]:
    """Return a histogram of every map of one number, with its median."""
    charts = []
    for name, one in fitted.result.maps.items():
        values = one.values[np.isfinite(one.values)] if one.values.ndim == 1 else one.values[:0]
        if not values.size:
            continue
        low, high = window(name, one.values)
        bottom, top = (float(v) for v in np.percentile(values, [0.5, 99.5]))
        low, high = min(low, bottom) if bottom < low else low, max(high, top)
        middle = float(np.median(values))
        chart = Chart(name, f"{name} ({unit_words(one.unit)})", "voxels")
        chart.bars(values, low, high if high > low else low + 1)
        chart.rule(middle, RED, f"median {middle:.4g}")
        charts.append(chart)
    return charts


def unit_words(unit: str) -> str:
    """Return a unit as a person writes it."""
    return {"[arb'U]": "arbitrary unit", "[ppm]": "ppm", "1": "no unit", "[pH]": "pH"}.get(
        unit, unit
    )


def uncertainty(fitted: FittedMap, found: FitSurvey) -> Chart | None:
    """Return the histogram of the standard errors of the main map, with what noise allows."""
    name, main = next(iter(fitted.result.maps.items()))
    if main.error is None or not np.isfinite(main.error).any():
        return None
    relative = fitted.command != "cest"
    scale = np.ones(len(main.values))
    if relative:
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = 100 / np.abs(main.values.astype(np.float64))
    values = (main.error * scale)[np.isfinite(main.error * scale)]
    if not values.size:
        return None
    unit = "% of the value" if relative else unit_words(main.unit)
    top = float(np.percentile(values, 99)) * 1.05
    least = CERTAIN_PERCENT if not relative else 1e-6
    chart = Chart("Uncertainty", f"standard error of {name} ({unit})", "voxels")
    chart.bars(values, 0.0, max(top, least), GREEN)
    middle = float(np.median(values))
    chart.rule(middle, "#445806", f"median {middle:.3g}")
    bound = found.bound * scale[found.voxels]
    if np.isfinite(bound).any():
        lowest = float(np.nanmedian(bound))
        chart.rule(lowest, RED, f"Cramer-Rao {lowest:.3g}")
    return chart


def mean_curve(fitted: FittedMap) -> Chart:
    """Return median and quartiles of the signal of the voxels with a value, by sample."""
    flat = fitted.images.data.reshape(len(fitted.images.data), -1)
    chosen = np.flatnonzero(fitted.valid)
    samples = flat[:, chosen[:: max(1, len(chosen) // 20000)]].astype(np.float64)
    x = fitted.images.values[fitted.variable][0]
    shown = np.isfinite(x) & ((np.abs(x) <= _FAR_PPM) | (fitted.variable != "offset_ppm"))
    order = np.flatnonzero(shown)[np.argsort(x[shown], kind="stable")]
    low, middle, high = np.nanpercentile(samples[order], [25, 50, 75], axis=1)
    words = "median" if fitted.variable == "b_value" else "median and quartiles"
    chart = Chart(f"Signal\n{words} of the mask", AXES[fitted.variable], "signal")
    if fitted.variable != "b_value":  # images of one b differ by their direction
        chart.band(x[order], low, high, BLUE)
        chart.line(x[order], middle, BLUE)
    chart.points(x[order], middle, BLUE)
    return chart


def residuals(fitted: FittedMap, found: FitSurvey) -> Chart | None:
    """Return the mean residual of each sample, in sigma or in percent of the largest signal.

    The band is three standard errors of a mean: a stimulated echo, a drift or a wrong order of
    images lies beyond it.
    """
    residual = fitted.result.residual_mean if found.residual is None else found.residual
    if not np.isfinite(residual).any():
        return None
    sigma = fitted.result.sigma
    unit = sigma if sigma is not None else mean_level(fitted) / 100
    value = residual / (unit or 1.0)
    number = np.arange(1, len(value) + 1) + len(fitted.images.data) - len(value)
    words = "mean residual (sigma)" if sigma is not None else "mean residual (% of signal)"
    chart = Chart("Residuals, mean of the mask", "sample", words)
    chart.level(0.0)
    reach = max(1.15 * float(np.nanmax(np.abs(value))), 0.1 if sigma is not None else 0.5)
    if sigma is not None:
        count = found.voxel_count or int(np.count_nonzero(fitted.valid))
        wide = 3 / np.sqrt(max(count, 1))
        chart.band(number, np.full(len(value), -wide), np.full(len(value), wide), GREY)
        reach = max(reach, 1.3 * wide)
    chart.line(number, value, RED)
    chart.points(number, value, RED)
    chart.ylim = (-reach, reach)
    return chart


def mean_level(fitted: FittedMap) -> float:
    """Return the largest mean signal of a sample over the voxels with a value."""
    return float(np.nanmax(np.abs(mean_signal(fitted))))


def chosen_voxels(fitted: FittedMap) -> list[tuple[str, int]]:
    """Return the best, the median and the three worst fitted voxels by R2fit, with their name."""
    score = np.where(fitted.valid, fitted.result.r2fit, np.nan)
    known = np.flatnonzero(np.isfinite(score))
    if not known.size:  # not a fit: the voxels of extreme and middle values
        score = np.where(fitted.valid, next(iter(fitted.result.maps.values())).values, np.nan)
        known = np.flatnonzero(np.isfinite(score))
        order = known[np.argsort(score[known], kind="stable")]
        picks = [("highest", -1), ("median", len(order) // 2), ("lowest", 0)]
        return [(name, int(order[k])) for name, k in picks] if known.size else []
    order = known[np.argsort(score[known], kind="stable")]
    rows = [("best", order[-1]), ("median", order[len(order) // 2])]
    rows += [(f"worst {k + 1}", index) for k, index in enumerate(order[:3])]
    return [(name, int(index)) for name, index in rows]


def examples(fitted: FittedMap) -> list[Chart]:
    """Return the samples of some voxels with the fit: a curve, or its values at the samples."""
    forward = forward_of(fitted)
    _, height, width = fitted.images.grid
    charts = []
    main = next(iter(fitted.result.maps))
    for name, index in chosen_voxels(fitted):
        x, y = samples_of(fitted, index)
        shown = np.isfinite(x) & ((np.abs(x) <= _FAR_PPM) | (fitted.variable != "offset_ppm"))
        place, inside = divmod(index, height * width)
        value = fitted.result.maps[main].values[index]
        title = (
            f"{name}: {value:.4g} {unit_words(fitted.result.maps[main].unit)}\n"
            f"slice {place + 1}, row {inside // width + 1}, column {inside % width + 1}"
        )
        chart = Chart(title, AXES[fitted.variable], width=215, height=190)
        order = np.flatnonzero(shown)[np.argsort(x[shown], kind="stable")]
        if forward is None and fitted.command == "cest":
            chart.line(x[order], y[order], GREY)
        chart.points(x[order], y[order], BLUE)
        if forward is not None:
            _add_fit(chart, fitted, forward, index, x, order)
        charts.append(chart)
    return charts


def _add_fit(
    chart: Chart,
    fitted: FittedMap,
    forward: Forward,
    index: int,
    x: Doubles,
    order: npt.NDArray[np.intp],
) -> None:
    p = forward.parameters(fitted, index)
    if not np.all(np.isfinite(p)):
        return
    signal = forward.signal(index)
    if not forward.smooth:
        chart.points(x[order], signal(p, x)[order], RED)
        return
    inside = x[order]
    start = 0.0 if fitted.variable in ("echo_time_ms", "b_value") else float(inside.min())
    fine = np.linspace(start, float(inside.max()), _FINE + len(x))  # never as long as the samples
    chart.line(fine, signal(p, fine), RED)


def _spectra(
    fitted: FittedMap,
) -> tuple[Spectra, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return the spectra of voxels with a value, at most 5000 of them, and their shifts in ppm."""
    valid = np.flatnonzero(fitted.valid)
    chosen = valid[:: max(1, -(-len(valid) // _MOST_VOXELS))]
    spectra = spectra_of(fitted.images, fitted.images.signal()[chosen])
    return spectra, fitted.result.maps["B0map"].values[chosen].astype(np.float64)


def cest_charts(fitted: FittedMap) -> list[Chart]:
    """Return the Z-spectrum and its asymmetry over the mask, corrected for B0, and B0 itself.

    Parameters
    ----------
    fitted : FittedMap
        Of the command ``cest`` with MTR asymmetry.
    """
    spectra, shift = _spectra(fitted)
    offsets = spectra.offsets_ppm[np.abs(spectra.offsets_ppm) <= _SHOWN_PPM]
    centred = resample(spectra.z, spectra.offsets_ppm, offsets, shift)
    middle = Chart(
        "Z-spectrum, corrected for B0\nmedian and quartiles", "offset from water (ppm)", "Z"
    )
    _quartiles(middle, offsets, centred)
    positive = offsets[offsets > 1e-6]
    asymmetry = 100 * mtr_asymmetry(spectra.z, spectra.offsets_ppm, positive, shift)
    second = Chart(
        "MTR asymmetry\nmedian and quartiles", "offset from water (ppm)", "MTRasym (% of M0)"
    )
    second.level(0.0)
    _quartiles(second, positive, asymmetry)
    for name in fitted.result.maps:
        if name.startswith("MTRasym_") and name.endswith("ppm") and "-" not in name:
            second.rule(float(name.removeprefix("MTRasym_").removesuffix("ppm")), GREY)
    values = fitted.result.maps["B0map"].values
    known = values[np.isfinite(values)]
    third = Chart("Where water lies", "B0 (ppm)", "voxels")
    reach = max(float(np.percentile(np.abs(known), 99.5)), 0.05)
    third.bars(known, -reach, reach)
    third.rule(float(np.median(known)), RED, f"median {np.median(known):.3g} ppm")
    return [middle, second, third]


def _quartiles(
    chart: Chart,
    x: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rows: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> None:
    """Add median and quartiles of what most voxels have."""
    most = np.mean(np.isfinite(rows), axis=0) > 0.5
    if not most.any():
        return
    low, middle, high = np.nanpercentile(rows[:, most], [25, 50, 75], axis=0)
    chart.band(x[most], low, high, BLUE)
    chart.line(x[most], middle, BLUE)
    chart.points(x[most], middle, BLUE)
