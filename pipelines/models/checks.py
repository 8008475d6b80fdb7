"""Whether what a model is given can be right: shapes, times and their units, order of the images.

What cannot be right is refused with a `ModelInputError`, because a wrong order or a wrong unit
gives a map that looks well and is wrong.
"""

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from . import kernels_survey as kernels

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_ERRORS = 3.0  # standard errors of a mean that are taken for noise
_SMALL = 0.01  # and changes below this part of the largest mean are let pass
_FEW = 20  # voxels, below which the scatter among them says little about their mean's
_SMALL_OF_FEW = 0.1


def as_signal(signal: npt.ArrayLike, samples: int) -> Doubles:
    """Return the images as float64, shape (n_voxels, n_samples).

    Parameters
    ----------
    signal : array_like, shape (n_voxels, n_samples)
        One row per voxel, one column per image; NaN is allowed.
    samples : int
        How many images the protocol has.

    Raises
    ------
    ModelInputError
        For another shape, for 8-bit pixels, for complex numbers, and without any voxel.
    """
    array = np.asarray(signal)
    if array.ndim != 2:
        raise ModelInputError(
            f"The images have {array.ndim} axes and not two (voxels, images).",
            hint="Give one row per voxel and one column per image.",
        )
    if array.shape[1] != samples:
        raise ModelInputError(
            f"There are {array.shape[1]} images and {samples} protocol values.",
            hint="Give one value per image: look for missing images or for a shortened list.",
        )
    if array.dtype in (np.uint8, np.int8):
        raise ModelInputError(
            "The pixels have 8 bits, so these are pictures made for viewing.",
            hint="Use the images as the scanner reconstructed them.",
        )
    if array.dtype.kind not in "fiub":
        raise ModelInputError(
            f"The pixels are of type {array.dtype}, not real numbers.",
            hint="Use magnitude or real images.",
        )
    if not array.shape[0]:
        raise ModelInputError("The images have no voxels.", hint="Choose other images.")
    return np.ascontiguousarray(array, dtype=np.float64)


def as_mask(mask: npt.ArrayLike | None, voxels: int) -> Bools:
    """Return the mask as bool, shape (n_voxels,); all of them where there is none.

    Raises
    ------
    ModelInputError
        For a mask of another size, and for an empty one.
    """
    if mask is None:
        return np.ones(voxels, dtype=np.bool_)
    chosen = np.asarray(mask).astype(np.bool_)
    if chosen.shape != (voxels,):
        raise ModelInputError(
            f"The mask has shape {chosen.shape} and the images have {voxels} voxels.",
            hint="Draw the mask on these images, or bring it to their grid first.",
        )
    if not chosen.any():
        raise ModelInputError(
            "The mask is empty.", hint="Give a mask that covers tissue, or none for the automatic."
        )
    return chosen


def as_times(
    values: npt.ArrayLike, name: str, *, least: float, most: float, needed: int, distinct: bool
) -> Doubles:
    """Return protocol times in milliseconds, shape (n_samples,).

    Parameters
    ----------
    values : array_like, shape (n_samples,)
        Milliseconds, finite, greater than 0, in any order.
    name : str
        What they are, for messages: ``echo times``.
    least, most : float
        Range in which the largest must lie; outside it is another unit.
    needed : int
        How many different values the model needs.
    distinct : bool
        Whether no value may occur twice.

    Raises
    ------
    ModelInputError
        Where they are not so.
    """
    times = np.asarray(values, dtype=np.float64)
    if times.ndim != 1 or not np.all(np.isfinite(times)) or np.any(times <= 0):
        raise ModelInputError(
            f"The {name} are not a list of numbers above 0.",
            hint="Look them up in the protocol and give one for each image, in milliseconds.",
        )
    different = len(np.unique(np.round(times, 6)))
    if different < needed:
        raise ModelInputError(
            f"There are {different} different {name}, and this model needs {needed}.",
            hint="Give all images of the series, each with its own value.",
        )
    if distinct and different < len(times):
        raise ModelInputError(
            f"Of {len(times)} {name} only {different} differ.",
            hint="Each image needs its own value: look whether the list was copied from one image.",
        )
    if not least <= times.max() <= most:
        unit = "seconds" if times.max() < least else "microseconds"
        raise ModelInputError(
            f"The largest of the {name} is {times.max():g}, which is no number of milliseconds.",
            hint=f"They look like {unit}: give milliseconds.",
        )
    return times


def steps(signal: Doubles, chosen: Bools) -> tuple[Doubles, Doubles]:
    """Return means over the voxels, and of each change to the next image what noise allows.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Sorted by time.
    chosen : ndarray of bool, shape (n_voxels,)
        Voxels with finite samples.

    Returns
    -------
    means : ndarray of float64, shape (n_samples,)
    allowed : ndarray of float64, shape (n_samples - 1,)
        Three standard errors of the mean change, but at least 1 % of the largest mean (10 % where
        there are fewer than 20 voxels).
    """
    count = int(np.count_nonzero(chosen))
    total, moved, squared = kernels.changes(signal, chosen).sum(axis=0) / count
    means, moved, squared = total, moved[:-1], squared[:-1]
    small = _SMALL if count >= _FEW else _SMALL_OF_FEW
    scatter = np.sqrt(np.maximum(squared - moved**2, 0) / count)
    return means, np.maximum(_ERRORS * scatter, small * np.abs(means).max())


def check_falling(signal: Doubles, times: Doubles, chosen: Bools, name: str) -> tuple[str, ...]:
    """Refuse images whose mean rises with time where it must fall; tell of alternating ones.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Sorted by `times`, without samples that may be off (a first echo).
    times : ndarray of float64, shape (n_samples,)
        Milliseconds (or s/mm2 for diffusion).
    chosen : ndarray of bool, shape (n_voxels,)
        Voxels to look at, all finite.
    name : str
        What `times` are: ``echo times``.

    Returns
    -------
    tuple of str
        A note, where odd and even samples each fall but alternate: stimulated echoes.

    Raises
    ------
    ModelInputError
        Where the mean rises beyond noise.
    """
    if not chosen.any():
        return ()
    means, allowed = steps(signal, chosen)
    rises = np.flatnonzero(np.diff(means) > allowed)
    if not rises.size:
        return ()
    if all(np.all(np.diff(means[k::2]) <= allowed.max()) for k in (0, 1)) and rises.size > 1:
        return (
            "Odd and even echoes alternate, which is the mark of stimulated echoes: "
            "use the EPG model.",
        )
    raise _order(name, "falls", times[rises[0]], times[rises[0] + 1])


def check_rising(signal: Doubles, times: Doubles, chosen: Bools, name: str) -> None:
    """Refuse images whose mean falls with time where it must rise; arguments as `check_falling`.

    Raises
    ------
    ModelInputError
        Where the mean falls beyond noise.
    """
    if not chosen.any():
        return
    means, allowed = steps(signal, chosen)
    falls = np.flatnonzero(np.diff(means) < -allowed)
    if falls.size:
        raise _order(name, "rises", times[falls[0]], times[falls[0] + 1])


def check_single_dip(signal: Doubles, times: Doubles, chosen: Bools, name: str) -> None:
    """Refuse magnitudes of which most have a hump: inversion recovery falls once and rises once.

    A voxel has a hump where a sample exceeds, by a fifth of the voxel's largest, both one before
    it and one after it. Arguments as `check_falling`.

    Raises
    ------
    ModelInputError
        Where more than half of the voxels have one.
    """
    samples = signal[chosen]
    if samples.shape[1] < 3 or not len(samples):
        return
    before = np.minimum.accumulate(samples, axis=1)[:, :-2]
    after = np.minimum.accumulate(samples[:, ::-1], axis=1)[:, ::-1][:, 2:]
    hump = samples[:, 1:-1] - np.maximum(before, after)
    has = (hump > 0.2 * samples.max(axis=1, keepdims=True)).any(axis=1)
    if np.mean(has) > 0.5:
        worst = 1 + int(np.argmax(hump[has].mean(axis=0)))
        raise ModelInputError(
            f"The signal has a hump at the {name} value {times[worst]:g} ms in "
            f"{100 * np.mean(has):.0f} % of the voxels, and inversion recovery has none.",
            hint="The images are probably in another order than their times, or scaled apart.",
        )


def _order(name: str, way: str, first: float, second: float) -> ModelInputError:
    return ModelInputError(
        f"The mean signal {way} with the {name} in this model, but not from {first:g} "
        f"to {second:g}.",
        hint="The images are probably in another order than their values, or scaled apart: "
        "compare the list with the images, and apply each image's own rescale slope.",
    )
