"""The apparent diffusion coefficient, S = S0 exp(-b D), and its mean over three directions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .diffusion import PER_B, UNIT, as_b_values, as_directions, check_order, prepare
from .outcome import ARBITRARY, Noise, conclude, conclude_search, first_flags, status_flags
from .result import FATAL, FitResult, Flag, Map
from .varpro import Model, Solution, mean_residual, tabulate

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint8]

LOW, HIGH = 0.01, 10.0  # um2/ms
_FASTEST_TISSUE = 3.5  # free water at 40 degrees has 3.3
_FLOOR = 0.1  # of the noise, under which a sample says nothing of its logarithm
_ORTHOGONAL = 0.1  # cosine of two directions that still count as such
_VARPRO = "doi:10.1137/0710036"


def log_linear(
    signal: Doubles, b: Doubles, floor: npt.ArrayLike = 0.0, passes: int = 2
) -> tuple[Doubles, Doubles]:
    """Fit ln S = ln S0 - b D by weighted linear least squares.

    The variance of ln S is about sigma^2 / S^2, so the weights are S^2: first of the measured
    signal, then of the predicted one.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Magnitudes.
    b : ndarray of float64, shape (n_samples,)
        s/mm2.
    floor : float or array_like, shape (n_voxels, 1)
        Samples at or below it, or not finite, get no weight.
    passes : int
        Reweightings by the prediction.

    Returns
    -------
    adc : ndarray of float64, shape (n_voxels,)
        um2/ms; NaN where fewer than two different b-values have weight.
    s0 : ndarray of float64, shape (n_voxels,)
        In the unit of the signal.

    References
    ----------
    Veraart, doi:10.1016/j.neuroimage.2013.05.028.
    """
    x = PER_B * b
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        used = np.isfinite(signal) & (signal > np.maximum(floor, 0.0))
        y = np.where(used, np.log(np.where(used, signal, 1.0)), 0.0)
        scale = np.max(np.where(used, signal, 0.0), axis=1, keepdims=True)
        weight = np.where(used, signal / scale, 0.0) ** 2
        for left in range(passes, -1, -1):
            total = weight.sum(axis=1)
            xm, ym = weight @ x / total, (weight * y).sum(axis=1) / total
            off = x - xm[:, None]
            spread = (weight * off**2).sum(axis=1)
            spread[spread <= 1e-12 * total] = np.nan
            adc = -(weight * off * (y - ym[:, None])).sum(axis=1) / spread
            ln_s0 = ym + adc * xm
            if left:
                # Relative to the prediction at the first image: only ratios of weights count.
                predicted = np.clip(-2 * adc[:, None] * (x - x.min()), -60, 60)
                weight = np.where(used, np.exp(predicted), 0.0)
        return adc, np.exp(ln_s0)


def decay_model(b: Doubles) -> Model:
    """Return the tabulated model exp(-b D) for D from 0.01 to 10 um2/ms."""

    def columns(adc: Doubles) -> Doubles:
        return np.exp(-PER_B * b * adc[:, None])[..., None]

    return tabulate(columns, LOW, HIGH, sign=1.0)


def fit_adc(
    signal: npt.ArrayLike,
    b_values: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    method: Literal["nlls", "wls"] = "nlls",
    rician: bool = True,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S(b) = S0 exp(-b D).

    Non-linear least squares by variable projection over the whole range of D, so no start is
    needed; with a known sigma the greatest likelihood under Rician noise.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_samples)
        Magnitude, arbitrary units, each image scaled by its own slope. NaN is allowed.
    b_values : array_like of float, shape (n_samples,)
        Effective b-values in s/mm2, in any order; at least two different ones.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels to fit; all by default.
    sigma : float, optional
        Standard deviation of the noise of one real channel, in the unit of the signal.
    method : {"nlls", "wls"}
        Non-linear, or weighted log-linear (`log_linear`).
    rician : bool
        False for real (signed) images or noise that is not Rician.
    saturation : float or array_like, shape (n_samples,), optional
        Values from which on a sample is taken for cut off.

    Returns
    -------
    FitResult
        ``ADC`` (um2/ms, which is 10^-3 mm2/s) and ``S0map``, float32, with standard errors. NaN
        outside the mask, for samples that are not finite or saturated, all-zero voxels, signal
        below 5 sigma, and ADC at the bounds 0.01 and 10.

    Raises
    ------
    ModelInputError
        For one b-value, missing ones, another unit, a mean signal that rises with b, 8-bit
        pixels, an empty mask or one of another size.

    References
    ----------
    Golub and Pereyra, doi:10.1137/0710036; Sijbers, doi:10.1109/42.712125.
    """
    b = as_b_values(b_values)
    samples = prepare(signal, b)
    flags = first_flags(samples, mask, sigma, saturation)
    check_order(samples, b, flags == 0)
    noise = Noise(sigma, rician)
    if method == "wls":
        return _fit_log_linear(samples, b, flags, noise)
    model = decay_model(b)
    found = noise.solve(model, samples, flags == 0, False)
    maps = {
        "ADC": Map(found.parameter, UNIT, found.parameter_error),
        "S0map": Map(found.amplitude[:, -1].copy(), ARBITRARY, found.amplitude_error[:, -1].copy()),
    }
    settings = _settings(b, noise, _VARPRO)
    return conclude_search(
        "ADC", model, samples, found, maps, flags, noise, _notes(found.parameter), settings
    )


def _settings(b: Doubles, noise: Noise, reference: str) -> dict[str, object]:
    return {
        "b_values_s_per_mm2": b.tolist(),
        "bounds_um2_per_ms": [LOW, HIGH],
        "noise_model": "Rician" if noise.rician and noise.sigma is not None else "Gaussian",
        "estimation_reference": reference,
    }


def _notes(adc: npt.NDArray[np.float32]) -> list[str]:
    fast = int(np.count_nonzero(adc > _FASTEST_TISSUE))
    if not fast:
        return []
    return [f"{fast} voxels have an ADC above {_FASTEST_TISSUE} um2/ms, faster than free water."]


def _fit_log_linear(samples: Doubles, b: Doubles, flags: Flags, noise: Noise) -> FitResult:
    active = flags == 0
    used = np.where(active[:, None], samples, 0.0)
    floor = _FLOOR * noise.sigma if noise.sigma is not None else 0.0
    adc, s0 = log_linear(used, b, floor)
    flags = flags | np.where(active & ~np.isfinite(adc), Flag.TOO_FEW_SAMPLES, 0).astype(np.uint8)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        outside = active & ((adc <= LOW) | (adc >= HIGH))
        flags[outside] |= np.uint8(Flag.AT_BOUND)
        slope = np.exp(-PER_B * b * adc[:, None])
        residual = samples - s0[:, None] * slope
        sse = np.square(residual).sum(axis=1)
        freedom = len(b) - 2
        width = noise.sigma if noise.sigma else np.sqrt(sse / freedom) if freedom else np.nan
        error = width * np.linalg.norm(_gradient(b, adc, s0), axis=1)
        sst = np.square(samples - samples.mean(axis=1, keepdims=True)).sum(axis=1)
    valid = (flags & FATAL) == 0
    maps = {
        "ADC": Map(adc.astype(np.float32), UNIT, error.astype(np.float32)),
        "S0map": Map(s0.astype(np.float32), ARBITRARY, None),
    }
    return conclude(
        name="ADC wls",
        maps=maps,
        flags=flags,
        sse=sse.astype(np.float32),
        sst=sst.astype(np.float32),
        freedom=freedom,
        noise=Noise(noise.sigma, False),
        chi2=None,
        residual_mean=residual[valid].mean(axis=0) if valid.any() else np.full(len(b), np.nan),
        notes=_notes(adc.astype(np.float32)),
        settings=_settings(b, noise, "doi:10.1016/j.neuroimage.2013.05.028"),
    )


def _gradient(b: Doubles, adc: Doubles, s0: Doubles) -> Doubles:
    """Return how the fitted D moves with each sample, shape (n_voxels, n_samples)."""
    x = PER_B * b
    basis = np.exp(-x * adc[:, None])
    tangent = -s0[:, None] * x * basis
    inside = (basis * tangent).sum(axis=1) / np.square(basis).sum(axis=1)
    outside = tangent - inside[:, None] * basis
    return np.asarray(outside / np.square(outside).sum(axis=1)[:, None])


@dataclass(frozen=True)
class _Direction:
    """The images of one direction with those of low b, and their fit."""

    samples: npt.NDArray[np.intp]
    model: Model
    found: Solution


def fit_trace_adc(
    signal: npt.ArrayLike,
    b_values: npt.ArrayLike,
    directions: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    rician: bool = True,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit the ADC along three orthogonal directions and average: a third of the tensor's trace.

    Each direction is fitted with the images of low b, which all share; the standard error of the
    mean takes into account that they do.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_samples)
        Magnitude, arbitrary units.
    b_values : array_like of float, shape (n_samples,)
        Effective b-values in s/mm2.
    directions : array_like of float, shape (n_samples, 3)
        Gradient directions, any common axes, any length and sign; zeros or NaN at b = 0.
    mask, sigma, rician, saturation
        As `fit_adc`.

    Returns
    -------
    FitResult
        ``ADC`` (um2/ms) the mean; ``ADC1``, ``ADC2``, ``ADC3`` those of the directions in the order
        in which they occur; ``S0map``. NaN as `fit_adc`, where any of the three is.

    Raises
    ------
    ModelInputError
        As `fit_adc`, and where there are not exactly three directions at right angles.
    """
    b = as_b_values(b_values)
    g = as_directions(directions, b)
    samples = prepare(signal, b)
    groups = _three_directions(g, b)
    flags = first_flags(samples, mask, sigma, saturation)
    check_order(samples, b, flags == 0)
    noise = Noise(sigma, rician)
    active = flags == 0
    fits = []
    for group in groups:
        model = decay_model(b[group])
        part = np.ascontiguousarray(samples[:, group])
        found = noise.solve(model, part, active, False)
        fits.append(_Direction(group, model, found))
        flags = flags | np.where(active, status_flags(found.status), 0).astype(np.uint8)
    return _average(samples, b, fits, flags, noise)


def _three_directions(g: Doubles, b: Doubles) -> list[npt.NDArray[np.intp]]:
    """Return for each of three orthogonal directions its images and those of low b."""
    low = b <= max(20.0, 0.1 * b.max())
    if not low.any():
        raise ModelInputError(
            "There is no image of low b beside the three directions.",
            hint="Give the image of b = 0 of the same scan too.",
        )
    axes: list[Doubles] = []
    members: list[list[int]] = []
    for k in np.flatnonzero(~low):
        near = [i for i, axis in enumerate(axes) if abs(float(axis @ g[k])) > 1 - _ORTHOGONAL**2]
        if near:
            members[near[0]].append(int(k))
        else:
            axes.append(g[k])
            members.append([int(k)])
    cosines = np.abs(np.array(axes) @ np.array(axes).T) - np.eye(len(axes))
    if len(axes) != 3 or cosines.max() > _ORTHOGONAL:
        raise ModelInputError(
            f"There are {len(axes)} directions, and the mean needs three at right angles.",
            hint="Fit a tensor for six or more directions, or one ADC for a single one.",
        )
    shared = np.flatnonzero(low)
    return [np.sort(np.concatenate([shared, np.array(m, np.intp)])) for m in members]


def _average(
    samples: Doubles, b: Doubles, fits: list[_Direction], flags: Flags, noise: Noise
) -> FitResult:
    n = len(b)
    found = [fit.found for fit in fits]
    adc = np.mean([one.parameter for one in found], axis=0).astype(np.float32)
    freedom = sum(fit.model.n_samples - 2 for fit in fits)
    sse = np.sum([one.sse for one in found], axis=0)
    sst = np.sum([one.sst for one in found], axis=0)
    sensitivity = np.zeros((len(samples), n))
    total, count = np.zeros(n), np.zeros(n)
    valid = (flags & FATAL) == 0
    for fit, one in zip(fits, found, strict=True):
        with np.errstate(invalid="ignore", divide="ignore"):
            s0 = one.amplitude[:, 0].astype(np.float64)
            sensitivity[:, fit.samples] += (
                _gradient(b[fit.samples], one.parameter.astype(float), s0) / 3
            )
        part = np.ascontiguousarray(samples[:, fit.samples])
        total[fit.samples] += mean_residual(fit.model, part, valid, one)
        count[fit.samples] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        width = np.full(len(samples), noise.sigma or np.nan)
        if noise.sigma is None and freedom:
            width = np.sqrt(sse / freedom)
        error = (width * np.linalg.norm(sensitivity, axis=1)).astype(np.float32)
    maps = {"ADC": Map(adc, UNIT, error)}
    for k, one in enumerate(found):
        maps[f"ADC{k + 1}"] = Map(one.parameter.copy(), UNIT, one.parameter_error.copy())
    s0_mean = np.mean([one.amplitude[:, 0] for one in found], axis=0).astype(np.float32)
    maps["S0map"] = Map(s0_mean, ARBITRARY)
    known = [one.chi2_red for one in found if one.chi2_red is not None]
    return conclude(
        name="ADC of three directions",
        maps=maps,
        flags=flags,
        sse=sse.astype(np.float32),
        sst=sst.astype(np.float32),
        freedom=freedom,
        noise=noise,
        chi2=np.mean(known, axis=0).astype(np.float32) if known else None,
        residual_mean=total / count,
        notes=_notes(adc),
        settings=_settings(b, noise, _VARPRO),
    )
