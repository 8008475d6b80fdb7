"""The noise of one real channel, found in the images, or a reason why it cannot be.

A wrong sigma biases every fit that uses it, so an estimate is refused where the images do not bear
it: a background set to zero, or one without Rayleigh statistics (several channels, filters).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .result import FATAL, FitResult

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_LEAST_VOXELS = 200
_MOST_ZEROS = 0.01
_RAYLEIGH = float(np.sqrt(np.pi) / 2)  # mean over root mean square of a Rayleigh distribution
_TOLERANCE = 0.02  # of that ratio: two channels have 0.940, so 0.886 is told from it easily
_TREND = 0.1  # range of the images' means over their mean
_DISTANCE = 0.03  # of the distributions; 200 voxels of true noise in 5 images have less
_MOST_VOXELS = 60_000  # that are looked at: they tell sigma to a thousandth
_SOME = 100_000  # samples whose distribution is looked at
_TAIL = 0.001  # of noise voxels, left out on either side
_ROUNDS = 60
_HIGH_SNR = 20.0


@dataclass(frozen=True)
class NoiseEstimate:
    """An estimate of the noise.

    Attributes
    ----------
    sigma : float or None
        Standard deviation of one real channel, in the unit of the signal; None where it was
        refused.
    source : str
        ``background``, ``residuals`` or ``none``.
    voxels : int
        Voxels that it rests on.
    reason : str
        How it was found, or why not.
    """

    sigma: float | None
    source: str
    voxels: int
    reason: str


def sigma_from_background(signal: npt.ArrayLike) -> NoiseEstimate:
    """Find sigma in voxels that show noise in all images.

    In a voxel of pure noise sum(S^2) / (2 sigma^2) over n images has a gamma distribution of shape
    n. Starting from the darkest tenth of the voxels, those within the central 99.8 % of that
    distribution are chosen and sigma computed from them, sqrt(mean(S^2) / 2), until it stays
    (Koay, doi:10.1016/j.jmr.2009.03.005). It is refused where zeros are more than 1 % of the
    voxels, where fewer than 200 voxels are left, where mean / root-mean-square of these differs
    from a Rayleigh distribution's 0.886 by more than 0.02, and where their means differ by more
    than a tenth from image to image or their distribution by more than 0.03 from Rayleigh's.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_images)
        Magnitudes of the whole field of view, not of a mask, in one scale. Voxels with NaN are
        left out. Of more than 60 000 voxels so many, drawn at random, are looked at.

    Returns
    -------
    NoiseEstimate
    """
    from scipy.special import gammaincinv

    array = _some(np.asarray(signal)).astype(np.float64)
    array = array[np.isfinite(array).all(axis=1)]
    if not len(array):
        return _refused("No voxel is finite in all images.")
    zeros = float(np.mean((array == 0).any(axis=1)))
    if zeros > _MOST_ZEROS:
        return _refused(
            f"{100 * zeros:.0f} % of the voxels are exactly zero: the background was masked or "
            "filtered, and says nothing of the noise."
        )
    power = np.square(array).mean(axis=1)
    low, high = gammaincinv(array.shape[1], [_TAIL, 1 - _TAIL]) / array.shape[1]
    squared = float(np.quantile(power, 0.05)) / 2
    chosen = np.zeros(len(array), np.bool_)
    for _ in range(_ROUNDS):
        inside = (power >= low * 2 * squared) & (power <= high * 2 * squared)
        if np.array_equal(inside, chosen) or not inside.any():
            break
        chosen = inside
        squared = float(power[chosen].mean()) / 2
    return _judged(array[chosen], squared)


def _some(signal: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return voxels drawn evenly where there are very many; the same ones each time."""
    if len(signal) <= _MOST_VOXELS:
        return signal
    drawn = np.random.default_rng(0).random(len(signal)) < _MOST_VOXELS / len(signal)
    return signal[drawn]


def _judged(noise: Doubles, squared: float) -> NoiseEstimate:
    """Accept an estimate from voxels of noise, or say why not."""
    if len(noise) < _LEAST_VOXELS:
        return _refused(
            f"Only {len(noise)} voxels show noise alone; the field of view may be filled by tissue."
        )
    ratio = float(noise.mean() / np.sqrt(np.square(noise).mean()))
    if abs(ratio - _RAYLEIGH) > _TOLERANCE:
        return _refused(
            f"The background's mean is {ratio:.3f} of its root mean square and not "
            f"{_RAYLEIGH:.3f}: it is not the noise of one channel (several coils, or a filter)."
        )
    trend = float(np.ptp(noise.mean(axis=0)) / noise.mean())
    apart = _distance(noise, np.sqrt(squared))
    if trend > _TREND or apart > _DISTANCE:
        return _refused(
            "The darkest voxels differ from image to image or from a Rayleigh distribution: "
            "there is no background of noise in the field of view."
        )
    return NoiseEstimate(
        float(np.sqrt(squared)),
        "background",
        len(noise),
        f"From {len(noise)} voxels that show noise alone in all images.",
    )


def _distance(noise: Doubles, sigma: float) -> float:
    """Return the largest distance of the samples' distribution from Rayleigh's (Kolmogorov)."""
    samples = np.sort(noise.ravel()[:: 1 + noise.size // _SOME])
    expected = -np.expm1(-np.square(samples / sigma) / 2)
    reached = np.arange(1, len(samples) + 1) / len(samples)
    return float(np.max(np.abs(expected - reached)))


def sigma_from_residuals(result: FitResult, samples: int, parameters: int) -> NoiseEstimate:
    """Find sigma in what a fit without a known sigma left over, in voxels of high signal.

    The median over voxels of main value / standard error above 20 of sqrt(SSE / (n - p)), corrected
    for the median of the chi distribution. It holds what the model leaves unexplained, too, and is
    then too large.

    Parameters
    ----------
    result : FitResult
        Of a fit of the same images; its first linear map must have errors.
    samples, parameters : int
        n and p of that fit.

    Returns
    -------
    NoiseEstimate
    """
    from scipy.special import gammaincinv

    freedom = samples - parameters
    main = next(iter(result.maps.values()))
    widths = result.residual_width
    if freedom < 1 or main.error is None or widths is None:
        return _refused("The fit has as many parameters as images and leaves no residuals.")
    with np.errstate(invalid="ignore", divide="ignore"):
        good = ((result.flags & np.uint8(FATAL)) == 0) & (main.values / main.error > _HIGH_SNR)
    if np.count_nonzero(good) < _LEAST_VOXELS:
        return _refused(f"Only {np.count_nonzero(good)} voxels have a signal high enough.")
    middle = 2 * float(gammaincinv(freedom / 2, 0.5))  # median of chi-square
    squared = float(np.median(np.square(widths[good]))) * freedom / middle
    count = int(np.count_nonzero(good))
    return NoiseEstimate(
        float(np.sqrt(squared)), "residuals", count, f"From the residuals of {count} voxels."
    )


def _refused(reason: str) -> NoiseEstimate:
    return NoiseEstimate(None, "none", 0, reason)
