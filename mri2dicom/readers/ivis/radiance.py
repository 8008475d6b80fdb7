"""From counts to radiance, and what a vendor's corrected image holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...model import PixelSource
from .tiff import read_tiff

Floats = npt.NDArray[np.float64]
# Fewest bright pixels from which the scale of a corrected image is told.
_FEWEST = 12
# A pixel is bright where it lies so many robust standard deviations above the median.
_BRIGHT = 8.0


def radiance_per_count(
    exposure_s: float, binning: float, coefficient: float, multiplier: float = 1.0
) -> float:
    """Return the radiance of one count above bias and dark charge.

    radiance = counts / (t binning^2) C_ccd; the flat field is not part of it.

    Parameters
    ----------
    exposure_s : float
        Exposure, s.
    binning : float
        CCD pixels along one side of an image pixel.
    coefficient : float
        C_ccd at the field of view and f-number, photons cm-2 sr-1 per count.
    multiplier : float
        Counts of the image for one of its stored values.

    Returns
    -------
    float
        photons s-1 cm-2 sr-1 per stored count.

    Raises
    ------
    ValueError
        If exposure, binning or coefficient is not above 0.
    """
    if not (exposure_s > 0 and binning > 0 and coefficient > 0):
        raise ValueError("exposure, binning and coefficient must be above 0")
    return multiplier * coefficient / (exposure_s * binning**2)


@dataclass(frozen=True)
class RadianceSource(PixelSource):
    """Radiance computed from counts when asked for.

    Attributes
    ----------
    factor : float
        Radiance of one count.
    bias : float
        Electronic bias, counts.
    dark : Path or None
        Image of the dark charge of the same exposure.
    dark_scale : float
        Its stored values times this are counts.
    """

    factor: float = 1.0
    bias: float = 0.0
    dark: Path | None = None
    dark_scale: float = 1.0

    @property
    def array(self) -> npt.NDArray[Any]:
        """The plane, shape (1, rows, columns)."""
        return self.planes(0, 1)

    def planes(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Compute the plane, float32, shape (1, rows, columns)."""
        net = net_counts(read_tiff(self.path), self.bias, self.dark, self.dark_scale)
        return (net * self.factor).astype(np.float32)[None][start:stop]


def net_counts(
    counts: npt.NDArray[Any], bias: float, dark: Path | None, dark_scale: float
) -> Floats:
    """Return counts above bias and dark charge, shape (rows, columns); noise may be negative."""
    net = counts.astype(np.float64) - bias
    return net if dark is None else net - dark_scale * read_tiff(dark).astype(np.float64)


Scale = Literal["radiance", "counts", "unknown"]


def scale_of(
    corrected: npt.NDArray[Any], net: Floats, per_count: float
) -> tuple[Scale, float | None]:
    """Tell whether a corrected image holds radiance or counts, from the raw counts of its click.

    The ratio of sums over bright pixels is that of the scales; a shift of half a pixel and the
    flat field change it by tenths, the two answers differ by `per_count`.

    Parameters
    ----------
    corrected, net : ndarray, shape (rows, columns)
        The vendor's image, and the raw counts above bias; of the same shape.
    per_count : float
        Radiance of one count.

    Returns
    -------
    scale : str
        ``unknown`` where too few pixels are bright or both answers are as near.
    ratio : float or None
        Corrected over raw.
    """
    if corrected.shape != net.shape:
        return "unknown", None
    values = np.nan_to_num(corrected.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    middle = float(np.median(net))
    spread = 1.4826 * float(np.median(np.abs(net - middle)))
    bright = net > middle + _BRIGHT * max(spread, 1.0)
    if np.count_nonzero(bright) < _FEWEST:
        return "unknown", None
    background = float(np.median(values[~bright])) if not bright.all() else 0.0
    ratio = float((values[bright] - background).sum() / (net[bright] - middle).sum())
    near = {
        name
        for name, expected in (("radiance", per_count), ("counts", 1.0))
        if 0.5 < ratio / expected < 2.0
    }
    if len(near) != 1:
        return "unknown", ratio
    return ("radiance" if "radiance" in near else "counts"), ratio
