"""Z-spectra: saturated images over the unsaturated, sorted by offset, and moved by the field."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from private_dictionaries.cest_offsets import find_m0_images, mirrored_pairs

from ..errors import ModelInputError
from . import kernels_cest as kernels
from .checks import as_signal
from .outcome import first_flags
from .result import Flag

Doubles = npt.NDArray[np.float64]

MOST_Z = 1.2
_MOST_PPM = 2000.0
_FEWEST = 5


@dataclass(frozen=True)
class Spectra:
    """Z-spectra of all voxels.

    Attributes
    ----------
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        Ascending, each once.
    z : ndarray of float64, shape (n_voxels, n_offsets)
        S / M0; repeated offsets are averaged; NaN where `flags` is not 0.
    m0 : ndarray of float64, shape (n_voxels,)
        Mean of the unsaturated images, in the unit of the signal.
    flags : ndarray of uint8, shape (n_voxels,)
        Bits of `Flag`, `Flag.MISFIT` where a Z is above 1.2.
    unpaired_ppm : tuple of float
        Offsets without a mirror image at minus the same offset.
    m0_images : tuple of int
        The images that served as M0, in acquisition order.
    notes : tuple of str
        Messages for a person.
    """

    offsets_ppm: Doubles
    z: Doubles
    m0: Doubles
    flags: npt.NDArray[np.uint8]
    unpaired_ppm: tuple[float, ...]
    m0_images: tuple[int, ...]
    notes: tuple[str, ...] = ()


def as_offsets(offsets_ppm: npt.ArrayLike) -> Doubles:
    """Return saturation offsets, shape (n_images,), in ppm.

    Raises
    ------
    ModelInputError
        For missing values, or numbers that are Hz.
    """
    offsets = np.asarray(offsets_ppm, dtype=np.float64)
    if offsets.ndim != 1 or not offsets.size or not np.all(np.isfinite(offsets)):
        raise ModelInputError(
            "The saturation offsets are not a list of numbers.",
            hint="Give one offset in ppm for each image; a reference image has one above 100 ppm.",
        )
    if np.count_nonzero(np.abs(offsets) > _MOST_PPM) > 2:
        raise ModelInputError(
            f"The largest saturation offset is {np.abs(offsets).max():g}, which is no ppm.",
            hint="Give offsets in ppm: Hz divided by the working frequency in MHz.",
        )
    return offsets


def z_spectra(
    signal: npt.ArrayLike,
    offsets_ppm: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    is_reference: Sequence[bool | None] | None = None,
    working_frequency_mhz: float | None = None,
) -> Spectra:
    """Divide saturated images by the unsaturated, Z = S / M0.

    Several M0 images are interpolated linearly in acquisition order, which removes drift; before
    the first and after the last one its value holds.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_images)
        Magnitude, arbitrary units, images in acquisition order.
    offsets_ppm : array_like of float, shape (n_images,)
        Saturation offsets from the working frequency, ppm.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels wanted.
    sigma : float, optional
        Noise; voxels without any sample above 5 sigma have no value.
    is_reference : sequence of bool, optional
        Which images were played without saturation; else those of 100 ppm or more, or a single far
        one (`private_dictionaries.cest_offsets.find_m0_images`).
    working_frequency_mhz : float, optional
        For the tolerance of mirrored offsets.

    Returns
    -------
    Spectra
        NaN outside the mask, for samples that are not finite, and M0 of 0 or less.

    Raises
    ------
    ModelInputError
        Without an M0 image or with fewer than five offsets, for another unit or shape.

    References
    ----------
    Zaiss, doi:10.1002/nbm.3237 (normalisation).
    """
    offsets = as_offsets(offsets_ppm)
    samples = as_signal(signal, len(offsets))
    m0_images = find_m0_images(
        offsets_ppm=offsets.tolist(),
        is_reference=is_reference,
        working_frequency_mhz=working_frequency_mhz,
    )
    if not m0_images:
        raise ModelInputError(
            "No image without saturation (M0) is among these.",
            hint="Add the reference image, or say which it is.",
        )
    saturated = np.setdiff1d(np.arange(len(offsets)), m0_images)
    ordered, place = np.unique(np.round(offsets[saturated], 6), return_inverse=True)
    if len(ordered) < _FEWEST:
        raise ModelInputError(
            f"There are {len(ordered)} different saturation offsets, and a spectrum needs five.",
            hint="Give all images of the series.",
        )
    flags = first_flags(samples, mask, sigma, None)
    base = _interpolated(samples, m0_images, saturated)
    z = np.full((len(samples), len(ordered)), np.nan)
    with np.errstate(invalid="ignore"):
        weak = (flags == 0) & ~(base > 0).all(axis=1)
    flags[weak] |= np.uint8(Flag.LOW_SIGNAL)
    good = flags == 0
    ratio = samples[good][:, saturated] / base[good]
    count = np.bincount(place, minlength=len(ordered))
    z[good] = np.stack([ratio[:, place == k].sum(axis=1) for k in range(len(ordered))], 1) / count
    high = np.zeros(len(samples), np.bool_)
    high[good] = (z[good] > MOST_Z).any(axis=1)
    flags[high] |= np.uint8(Flag.MISFIT)
    unpaired = _unpaired(ordered, working_frequency_mhz)
    notes = _notes(unpaired, int(high.sum()), len(m0_images))
    return Spectra(
        ordered, z, samples[:, list(m0_images)].mean(axis=1), flags, unpaired, m0_images, notes
    )


def _interpolated(
    samples: Doubles, m0_images: tuple[int, ...], wanted: npt.NDArray[np.intp]
) -> Doubles:
    """Return M0 at the time of the images wanted, shape (n_voxels, n_wanted)."""
    known = np.asarray(m0_images)
    right = np.clip(np.searchsorted(known, wanted), 1, max(len(known) - 1, 1))
    if len(known) == 1:
        return np.repeat(samples[:, known], len(wanted), axis=1)
    left = known[right - 1]
    part = np.clip((wanted - left) / (known[right] - left), 0.0, 1.0)
    return np.asarray((1 - part) * samples[:, left] + part * samples[:, known[right]])


def _unpaired(offsets: Doubles, frequency: float | None) -> tuple[float, ...]:
    pairs = mirrored_pairs(offsets_ppm=offsets.tolist(), working_frequency_mhz=frequency)
    paired = {index for pair in pairs for index in pair}
    return tuple(
        float(ppm) for i, ppm in enumerate(offsets) if i not in paired and abs(ppm) > 0.002
    )


def _notes(unpaired: tuple[float, ...], high: int, references: int) -> tuple[str, ...]:
    notes = []
    if unpaired:
        listed = ", ".join(f"{ppm:g}" for ppm in unpaired)
        notes.append(f"These offsets (ppm) have no mirror image: {listed}.")
    if high:
        notes.append(f"{high} voxels have a Z above {MOST_Z}: movement, or a wrong M0.")
    if references > 1:
        notes.append(f"{references} M0 images were interpolated in the order of acquisition.")
    return tuple(notes)


def resample(
    z: Doubles, offsets_ppm: Doubles, at_ppm: npt.ArrayLike, b0_ppm: npt.ArrayLike = 0.0
) -> Doubles:
    """Return spectra at offsets counted from the water of each voxel, by monotone cubics.

    Parameters
    ----------
    z : ndarray of float64, shape (n_voxels, n_offsets)
        Spectra; NaN in a row gives NaN near it.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        Ascending, ppm from the working frequency.
    at_ppm : array_like of float, shape (m,)
        Offsets wanted, ppm from water.
    b0_ppm : float or array_like, shape (n_voxels,)
        Where water lies, ppm from the working frequency: Z is read at ``at_ppm + b0_ppm``.

    Returns
    -------
    ndarray of float64, shape (n_voxels, m)
        NaN outside the offsets measured: nothing is extrapolated.

    References
    ----------
    Fritsch and Butland, doi:10.1137/0905021.
    """
    at = np.ascontiguousarray(at_ppm, dtype=np.float64)
    shift = np.ascontiguousarray(np.broadcast_to(b0_ppm, len(z)), dtype=np.float64)
    out = np.empty((len(z), len(at)))
    kernels.sample(
        np.ascontiguousarray(offsets_ppm, dtype=np.float64),
        np.ascontiguousarray(z, dtype=np.float64),
        at,
        shift,
        out,
    )
    return out
