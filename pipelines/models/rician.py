"""Rician noise: its moments, its information, and fits of greatest likelihood under it.

The magnitude y of a signal nu with noise sigma in both channels has the density
p(y) = y / sigma^2 exp(-(y^2 + nu^2) / (2 sigma^2)) I0(y nu / sigma^2)
(Gudbjartsson, doi:10.1002/mrm.1910340618).
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import i0e, i1e

from . import kernels_rician as kernels
from .kernels_varpro import Estimates
from .varpro import Model, Solution, finish

Doubles = npt.NDArray[np.float64]


def mean(snr: npt.ArrayLike) -> Doubles:
    """Return the mean magnitude for signal-to-noise ratios, in units of sigma.

    sqrt(pi/2) L_{1/2}(-snr^2 / 2): 1.2533 without signal. Any shape; NaN gives NaN.
    """
    s = np.square(np.asarray(snr, dtype=np.float64)) / 2
    value = np.sqrt(np.pi / 2) * ((1 + s) * i0e(s / 2) + s * i1e(s / 2))
    return np.asarray(value, dtype=np.float64)


def variance(snr: npt.ArrayLike) -> Doubles:
    """Return the variance of the magnitude, in units of sigma^2: 2 + snr^2 - mean^2."""
    return 2 + np.square(np.asarray(snr, dtype=np.float64)) - np.square(mean(snr))


def information(snr: npt.ArrayLike) -> Doubles:
    """Return the Fisher information of one magnitude about its signal, in units of 1/sigma^2.

    E[(y I1(y snr)/I0(y snr))^2] - snr^2 with sigma 1: 0 without signal, 1 - 1/(2 snr^2) for much.
    """
    x = np.asarray(snr, dtype=np.float64)
    flat = np.maximum(x.reshape(-1, 1), 0.0)
    y = np.maximum(flat - 8, 0.0) + np.linspace(0, 1, 401) * (flat + 8 - np.maximum(flat - 8, 0.0))
    z = y * flat
    density = y * np.exp(-((y - flat) ** 2) / 2) * i0e(z)
    squares = (y * i1e(z) / i0e(z)) ** 2
    value = np.trapezoid(density * squares, y, axis=1) - flat[:, 0] ** 2
    return np.asarray(value.reshape(x.shape), dtype=np.float64)


def information_near(snr: npt.ArrayLike) -> Doubles:
    """Return `information`, interpolated in a table: within 1e-4, and fast for many."""
    x = np.asarray(snr, dtype=np.float64)
    column = tables().moments[:, 2]
    knots = kernels.SNR_STEP * np.arange(len(column))
    beyond = 1 - 0.5 / np.square(np.maximum(x, kernels.SNR_END))
    return np.where(x >= kernels.SNR_END, beyond, np.interp(x, knots, column))


@cache
def tables() -> kernels.RicianTables:
    """Return the functions of the Rician distribution that the kernels interpolate."""
    z = np.arange(0.0, kernels.Z_END + 1.5 * kernels.Z_STEP, kernels.Z_STEP)
    ratio = i1e(z) / i0e(z)
    slope = np.empty_like(z)
    slope[0] = 0.5
    slope[1:] = 1 - ratio[1:] / z[1:] - ratio[1:] ** 2
    bessel = np.stack([ratio, slope, np.log(i0e(z)), ratio - 1], axis=1)
    snr = np.arange(0.0, kernels.SNR_END + 1.5 * kernels.SNR_STEP, kernels.SNR_STEP)
    moments = np.stack([mean(snr), variance(snr), information(snr)], axis=1)
    return kernels.RicianTables(np.ascontiguousarray(bessel), np.ascontiguousarray(moments))


def solve_rician(model: Model, signal: Doubles, first: Solution, sigma: float) -> Solution:
    """Refine a least-squares solution to the greatest likelihood under Rician noise.

    Expectation-maximisation; the standard errors are those of the Fisher information at the
    estimate (Sijbers, doi:10.1109/42.712125).

    Parameters
    ----------
    model : Model
        From `varpro.tabulate`.
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Magnitudes, as they were given to `varpro.solve`.
    first : Solution
        What that returned; left as it is. Signs that it found (inversion recovery) are found anew,
        because the expected real channel has the sign of the fitted signal.
    sigma : float
        Standard deviation of the noise of one channel, in the unit of the signal.

    Returns
    -------
    Solution
        With `chi2_red` (standardised by the Rician mean and variance) and `log_likelihood`; `sse`
        is taken about the Rician mean.
    """
    out = Estimates(*(part.copy() for part in first.estimates))  # type: ignore[arg-type]
    chi2 = np.full(len(signal), np.nan, np.float32)
    log_likelihood = np.full(len(signal), np.nan, np.float32)
    kernels.refine(model.table, tables(), signal, float(sigma), out, chi2, log_likelihood)
    turned = first.switch > 0  # whose squares are about the mean of signed samples
    if turned.any():
        about_mean = signal[turned] - signal[turned].mean(axis=1, keepdims=True)
        out.sst[turned] = np.square(about_mean).sum(axis=1)
    return finish(model, out, float(sigma), chi2_red=chi2, log_likelihood=log_likelihood)
