"""What all diffusion models ask of their b-values, directions and images."""

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .checks import as_signal, steps

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNIT = "um2/ms"
PER_B = 1e-3  # b in s/mm2 times D in um2/ms times this is a number
_LEAST_B, _MOST_B = 50.0, 100_000.0  # of the largest
_SHELL = 0.1  # b-values nearer than this part belong together
_SHELL_LEAST = 20.0


def as_b_values(b_values: npt.ArrayLike, needed: int = 2) -> Doubles:
    """Return b-values, shape (n_samples,), in s/mm2.

    Parameters
    ----------
    b_values : array_like, shape (n_samples,)
        s/mm2, effective values, finite, not negative, in any order; they may repeat.
    needed : int
        How many different ones the model needs.

    Raises
    ------
    ModelInputError
        For missing or negative values, too few different ones, or another unit.
    """
    b = np.asarray(b_values, dtype=np.float64)
    if b.ndim != 1 or not b.size or not np.all(np.isfinite(b)) or np.any(b < 0):
        raise ModelInputError(
            "The b-values are not a list of numbers from 0 on.",
            hint="Look for images without a b-value, and give one for each in s/mm2.",
        )
    different = len(np.unique(np.round(b, 3)))
    if different < needed:
        raise ModelInputError(
            f"There are {different} different b-values, and this model needs {needed}.",
            hint="Give all images of the series, those of b = 0 too.",
        )
    if not _LEAST_B <= b.max() <= _MOST_B:
        raise ModelInputError(
            f"The largest b-value is {b.max():g}, which is no number of s/mm2.",
            hint="Give b-values in s/mm2 (1 ms/um2 is 1000 s/mm2).",
        )
    return b


def as_directions(directions: npt.ArrayLike, b: Doubles) -> Doubles:
    """Return gradient directions of unit length, shape (n_samples, 3); zeros where b is 0.

    Raises
    ------
    ModelInputError
        For another shape, and where a weighted image has none.
    """
    g = np.asarray(directions, dtype=np.float64)
    if g.shape != (len(b), 3):
        raise ModelInputError(
            f"The directions have shape {g.shape} and there are {len(b)} b-values.",
            hint="Give one direction of three numbers for each image.",
        )
    g = np.where(np.isfinite(g), g, 0.0)
    length = np.linalg.norm(g, axis=1)
    missing = (length < 1e-6) & (b > max(_SHELL_LEAST, _SHELL * b.max()))
    if missing.any():
        raise ModelInputError(
            f"{int(missing.sum())} weighted images have no direction.",
            hint="Leave images of the mean (trace) out, or look the directions up.",
        )
    return np.asarray(g / np.where(length < 1e-6, 1.0, length)[:, None])


def shells(b: Doubles) -> npt.NDArray[np.intp]:
    """Return to which group of nearly equal b-values each image belongs, 0 the lowest."""
    order = np.argsort(b, kind="stable")
    gaps = np.diff(b[order]) > np.maximum(_SHELL_LEAST, _SHELL * b[order][1:])
    label = np.empty(len(b), np.intp)
    label[order] = np.concatenate([[0], np.cumsum(gaps)])
    return label


def prepare(signal: npt.ArrayLike, b: Doubles) -> Doubles:
    """Return the images as float64, shape (n_voxels, n_samples); see `checks.as_signal`."""
    return as_signal(signal, len(b))


def check_order(signal: Doubles, b: Doubles, chosen: Bools) -> None:
    """Refuse images whose mean rises with b beyond noise.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Finite where `chosen`.
    b : ndarray of float64, shape (n_samples,)
        s/mm2.
    chosen : ndarray of bool, shape (n_voxels,)

    Raises
    ------
    ModelInputError
        Where it rises.
    """
    label = shells(b)
    count = int(label.max()) + 1
    if count < 2 or not chosen.any():
        return
    share = (label[:, None] == np.arange(count)).astype(np.float64)
    groups = signal @ (share / share.sum(axis=0))
    values = [float(b[label == k].mean()) for k in range(count)]
    means, allowed = steps(groups, chosen)
    # Samples that are all noise neither fall nor rise.
    rises = np.flatnonzero(np.diff(means) > np.maximum(allowed, 0.03 * means.max()))
    if rises.size:
        k = rises[0]
        raise ModelInputError(
            f"The mean signal falls with b in this model, but rises from b = {values[k]:.0f} "
            f"to {values[k + 1]:.0f} s/mm2.",
            hint="The images are probably in another order than their b-values, or scaled apart: "
            "compare the list with the images, and apply each image's own rescale slope.",
        )
