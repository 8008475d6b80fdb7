"""Stored pixels for a DICOM object: the scanner's own bytes wherever they fit.

An MR Image holds 16 bits. A 32-bit or float intensity is requantised plane by plane with a slope
of its own; the error is at most half a step of (range / 65535).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..series.model import RawSeries

Stored = npt.NDArray[np.int16] | npt.NDArray[np.uint16]


@dataclass(frozen=True)
class PixelFormat:
    """How the planes of a series are stored in 16 bits.

    Attributes
    ----------
    dtype : dtype
        ``<i2`` or ``<u2``.
    requantised : bool
        The stored values are not the scanner's.
    """

    dtype: np.dtype[Any]
    requantised: bool

    @property
    def signed(self) -> bool:
        """Tell whether Pixel Representation is 1."""
        return self.dtype.kind == "i"


@dataclass(frozen=True)
class StoredPlane:
    """One plane as it goes into a file; value = stored * slope + offset."""

    pixels: Stored
    slope: float
    offset: float
    not_finite: int = 0


def pixel_format(series: RawSeries) -> PixelFormat:
    """Choose the format of a series.

    16-bit planes keep their bytes and 8-bit ones their values. Magnitudes, which are never
    negative, are requantised without a sign, so that zero stays zero; other parts with one.
    """
    kind = series.pixels.dtype.str[1:]
    if kind == "i2":
        return PixelFormat(np.dtype("<i2"), False)
    if kind in ("u1", "i1"):
        return PixelFormat(np.dtype("<u2" if kind == "u1" else "<i2"), False)
    magnitude = series.attributes.get("ComplexImageComponent") == "MAGNITUDE"
    return PixelFormat(np.dtype("<u2" if magnitude else "<i2"), True)


def stored_plane(
    plane: npt.NDArray[Any], slope: float, offset: float, target: PixelFormat
) -> StoredPlane:
    """Return one plane in its 16-bit format.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns)
        The scanner's stored values.
    """
    if not target.requantised:
        return StoredPlane(np.ascontiguousarray(plane, dtype=target.dtype), slope, offset)
    limits = np.iinfo(target.dtype)
    if plane.dtype.kind == "i" and limits.min <= plane.min() and plane.max() <= limits.max:
        return StoredPlane(np.ascontiguousarray(plane, dtype=target.dtype), slope, offset)
    return _requantise(plane.astype(np.float64), slope, offset, target)


def _requantise(
    values: npt.NDArray[np.float64], slope: float, offset: float, target: PixelFormat
) -> StoredPlane:
    """Spread the values of one plane over 65 535 steps.

    Values that are no number become the lowest stored value that is zero, infinite ones the
    nearest finite end.
    """
    finite = np.isfinite(values)
    bad = int(values.size - np.count_nonzero(finite))
    low = float(values.min(where=finite, initial=np.inf)) if bad < values.size else 0.0
    high = float(values.max(where=finite, initial=-np.inf)) if bad < values.size else 0.0
    if bad:
        values = np.nan_to_num(values, nan=min(max(0.0, low), high), posinf=high, neginf=low)
    limits = np.iinfo(target.dtype)
    if not target.signed:
        low = min(low, 0.0)
        high = max(high, 0.0)
    step = (high - low) / 65535.0
    if step == 0.0:
        # One value everywhere: stored as zero, with the value in the intercept.
        flat = np.zeros(values.shape, dtype=target.dtype)
        return StoredPlane(flat, slope, offset + slope * low, bad)
    stored = np.rint((values - low) / step) + limits.min
    pixels = np.clip(stored, limits.min, limits.max).astype(target.dtype)
    return StoredPlane(pixels, slope * step, offset + slope * (low - limits.min * step), bad)


def requantisation_warning(series: RawSeries, target: PixelFormat) -> str | None:
    """Return what a person should know of the format, None where nothing is lost."""
    if not target.requantised:
        return None
    kind = "32-bit whole numbers" if series.pixels.dtype.kind == "i" else "32-bit floats"
    holder = f"{series.attributes.get('Modality') or 'MR'} images"
    return (
        f"The scanner stored {kind}; {holder} hold 16 bits. Each plane is requantised with a "
        "slope of its own: the error is at most half of its range / 65535, and none where its "
        "whole numbers fit 16 bits."
    )
