"""Automatic masks: where there is signal, per volume."""

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

SNR = 5.0
_BINS = 256
_BLANKED = 0.05  # of the voxels that are zero: a background that was set so
_TWO_GROUPS = 2.5  # times as bright as noise signal is in the mean
_SMALL = 0.05  # components below this part of the largest are dropped


def automatic_mask(image: npt.ArrayLike, sigma: float | None = None) -> Bools:
    """Find the voxels with signal in one volume.

    Above 5 sigma where sigma is known, else above Otsu's threshold of the logarithm; where the
    background was set to zero, and what is left does not fall into two groups, above zero. Then
    components of at least 5 % of the largest, with their holes filled. One threshold for the whole
    volume, not one per slice.

    Parameters
    ----------
    image : array_like of float, shape (x, y, z) or (x, y)
        The first usable image of a decay, or the one with the longest TR. NaN is background.
    sigma : float, optional
        Standard deviation of the noise of one real channel, in the unit of the image.

    Returns
    -------
    ndarray of bool, same shape

    Raises
    ------
    ModelInputError
        For another number of axes, and where no voxel is finite or above the threshold.

    References
    ----------
    Otsu, doi:10.1109/TSMC.1979.4310076.
    """
    volume = np.asarray(image, dtype=np.float64)
    if volume.ndim not in (2, 3):
        raise ModelInputError(
            f"An image with {volume.ndim} axes has no automatic mask.",
            hint="Give one volume of two or three axes.",
        )
    finite = np.isfinite(volume)
    if not finite.any():
        raise ModelInputError(
            "No voxel of the image for the mask is a number: all are cut off at the top of their "
            "scale, or missing.",
            hint="Look at the images: measure again with a lower receiver gain, or export again.",
        )
    values = np.where(finite, volume, 0.0)
    threshold = SNR * sigma if sigma is not None else _threshold(values[finite])
    mask = values > threshold
    if not mask.any():
        raise ModelInputError(
            "No voxel has enough signal for an automatic mask.",
            hint="Give a mask, or look whether these are the right images.",
        )
    return _tidied(mask)


def _threshold(values: Doubles) -> float:
    """Return Otsu's threshold, or 0 where zeros are the background and all the rest is one group.

    Otherwise the subject itself would be parted into brighter and darker tissue.
    """
    positive = values[values > 0]
    threshold = otsu(positive)
    above = positive > threshold
    if len(positive) > (1 - _BLANKED) * len(values) or not above.any() or above.all():
        return threshold
    logs = np.log(positive)
    apart = float(logs[above].mean() - logs[~above].mean())
    return threshold if apart > np.log(_TWO_GROUPS) else 0.0


def otsu(values: npt.ArrayLike) -> float:
    """Return the threshold that best parts values into two groups of their logarithms.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Greater than 0.

    Returns
    -------
    float
        In the unit of the values; 0 where all are equal, infinity where there are none.
    """
    positive = np.asarray(values, dtype=np.float64)
    if not positive.size:
        return float("inf")
    logs = np.log(positive)
    if logs.min() == logs.max():
        return 0.0
    counts, edges = np.histogram(logs, _BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    sums = np.cumsum(counts * middles)
    low, high = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * np.square(low - high)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(np.exp(edges[1:-1][best].mean()))


def _tidied(mask: Bools) -> Bools:
    """Drop small components and fill holes, slice by slice where a hole is open along the stack."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = sizes[labels] >= _SMALL * sizes.max()
    if mask.ndim == 2:
        return np.asarray(ndimage.binary_fill_holes(kept & mask), dtype=np.bool_)
    layers = [ndimage.binary_fill_holes(layer) for layer in np.moveaxis(kept & mask, -1, 0)]
    return np.asarray(np.stack(layers, axis=-1), dtype=np.bool_)
