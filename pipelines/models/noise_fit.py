"""The noise of one real channel, found in what Rician fits leave, or why it cannot be.

It serves images whose background was blanked or holds no noise. Unlike the squares that a fit
without a known noise leaves, it takes into account that the samples near the noise scatter less and
lie higher, so that the fits that use it are not biased by the noise floor.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .noise import NoiseEstimate
from .result import FATAL, FitResult

Doubles = npt.NDArray[np.float64]
Fit = Callable[[Doubles, float | None], FitResult]

_SOME = 4000  # voxels that are fitted, evenly over those there are
_LEAST_VOXELS = 200
_ROUNDS = 20
_SETTLED = 1e-3  # relative change of sigma
_DISTANCE = 0.08  # of the distributions; 200 voxels of true noise alone have up to 0.1
_CHANCE = 1.4  # what chance adds to it, over the root of the number of voxels
_COMMON = 0.3  # of sigma, by which an image may lie below the fits in the mean; noise lifts only
_LOW = 5.0  # of the largest sample over sigma: below it a voxel says little


def sigma_from_fits(fit: Fit, signal: npt.ArrayLike) -> NoiseEstimate:
    """Find the sigma with which the fits leave just the scatter that it makes.

    The squares of what a fit leaves, each over the variance of a Rician sample of that signal, have
    a chi-square distribution of n - p degrees of freedom where sigma is right (Koay,
    doi:10.1016/j.jmr.2006.01.016, has the moments). Sigma is turned until the median over the
    voxels is that of the distribution; then the distribution itself is compared. It is refused
    where the two differ by more than 0.08 (Kolmogorov) beyond chance, and where an image of much
    signal lies 0.3 sigma below the fits in the mean of all voxels: then it is not noise of one
    strength that was left, but what the model does not explain.

    Parameters
    ----------
    fit : callable
        From samples (n_voxels, n_samples) and sigma, or None, to a result with `chi2_red` where
        sigma is given.
    signal : array_like of float, shape (n_voxels, n_samples)
        Magnitudes of the voxels that will be fitted, finite, in the order of the fit.

    Returns
    -------
    NoiseEstimate
        With the source ``residuals``, or ``none`` and the reason.
    """
    array = np.asarray(signal, dtype=np.float64)
    array = np.ascontiguousarray(array[:: max(1, -(-len(array) // _SOME))])
    if len(array) < _LEAST_VOXELS:
        return _refused(f"only {len(array)} voxels are in the mask")
    try:
        plain = fit(array, None)
        if plain.freedom < 1:
            return _refused("the fit has as many parameters as images and leaves no residuals")
        sigma = _start(plain)
        for _ in range(_ROUNDS):
            if not sigma > 0:
                return _refused("the fits leave nothing, as if there were no noise")
            result = fit(array, sigma)
            squares = _squares(result, array, sigma)
            if len(squares) < _LEAST_VOXELS:
                return _refused(f"only {len(squares)} voxels have a signal high enough")
            before, sigma = sigma, sigma * _excess(squares, result.freedom)
            if abs(sigma / before - 1) < _SETTLED:
                return _judged(sigma, squares, result, array)
    except ModelInputError as error:
        return _refused(f"the images cannot be fitted: {error.message}")
    return _refused("no value of the noise agrees with what the fits leave")


def _start(plain: FitResult) -> float:
    """Return the median width of the residuals of a fit without a known noise, 0 without any."""
    good = (plain.flags & np.uint8(FATAL)) == 0
    if plain.residual_width is None or not good.any():
        return 0.0
    return float(np.median(plain.residual_width[good]))


def _squares(result: FitResult, signal: Doubles, sigma: float) -> Doubles:
    """Return chi-square of every voxel with a value and enough signal."""
    if result.chi2_red is None:
        return np.empty(0)
    chosen = (signal.max(axis=1) > _LOW * sigma) & np.isfinite(result.chi2_red)
    return np.asarray(result.chi2_red[chosen], dtype=np.float64) * result.freedom


def _excess(squares: Doubles, freedom: int) -> float:
    """Return the factor by which sigma is too small by the median of chi-square."""
    from scipy.special import gammaincinv

    return float(np.sqrt(np.median(squares) / (2 * gammaincinv(freedom / 2, 0.5))))


def _judged(sigma: float, squares: Doubles, result: FitResult, signal: Doubles) -> NoiseEstimate:
    """Accept sigma where what is left looks like noise, or say that it does not."""
    from scipy.special import gammainc

    count = len(squares)
    expected = gammainc(result.freedom / 2, np.sort(squares) / 2)
    apart = float(np.max(np.abs(expected - (np.arange(count) + 0.5) / count)))
    if apart > _DISTANCE + _CHANCE / np.sqrt(count):
        return _refused(
            "what the fits leave differs from voxel to voxel by more than noise does, so that the "
            "model does not explain these images to within their noise"
        )
    left = result.residual_mean
    high = signal.mean(axis=0)[-len(left) :] > _LOW * sigma
    if np.any(left[high] < -_COMMON * sigma):
        return _refused(
            "the fits leave the same in all voxels, so that the model does not explain these "
            "images to within their noise"
        )
    return NoiseEstimate(
        sigma, "residuals", count, f"From what Rician fits leave in {count} voxels of the mask."
    )


def _refused(reason: str) -> NoiseEstimate:
    return NoiseEstimate(None, "none", 0, f"Nor do the residuals tell: {reason}.")
