"""Which diffusion model the directions and b-values of the images allow, and its fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError

from ..inputs.frames import Floats, Images
from ..models.adc import fit_adc, fit_trace_adc
from ..models.dti import fit_dti
from ..models.ivim import fit_ivim
from ..models.result import FitResult
from .data import FitInputs

Bools = npt.NDArray[np.bool_]

_LOW_B = 50.0  # s/mm2: below it, or below a tenth of the largest b, the direction does not matter
_SAME_AXIS = 0.985
_RIGHT_ANGLE = 0.3  # cosine of two axes that count as nominally at right angles


def fit_diffusion_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit a tensor where the directions allow it, the mean of three, or one ADC; or what is asked.

    Raises
    ------
    NothingUsableError
        Where a tensor is asked for and there are too few directions.
    """
    b = inputs.protocol_values("b_value")
    axes, directions = weighting(inputs.images, b)
    if inputs.options.model == "adc":
        return fit_adc(signal, b, mask=inputs.mask, sigma=inputs.sigma)
    if axes is not None:
        return fit_dti(signal, b, b_matrix=axes, mask=inputs.mask, sigma=inputs.sigma)
    if directions is None and inputs.options.model != "dti":
        return fit_adc(signal, b, mask=inputs.mask, sigma=inputs.sigma)
    given = np.zeros((len(b), 3)) if directions is None else np.nan_to_num(directions)
    weighted = b > max(_LOW_B, 0.1 * b.max())
    count = _spread(given, weighted)
    if count >= 6:
        return fit_dti(signal, b, given, mask=inputs.mask, sigma=inputs.sigma)
    if inputs.options.model == "dti":
        raise NothingUsableError(
            f"A tensor needs six directions, and these images have {count}.",
            hint="Choose another model, or give the series that was measured for a tensor.",
        )
    upright = _upright(given, weighted) if count == 3 else None
    if upright is not None:
        return fit_trace_adc(signal, b, upright, mask=inputs.mask, sigma=inputs.sigma)
    return fit_adc(signal, b, mask=inputs.mask, sigma=inputs.sigma)


def weighting(
    images: Images, b: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.float64] | None]:
    """Return b-matrices (n, 3, 3) in s/mm2 where they serve a tensor, and directions (n, 3).

    Parameters
    ----------
    images : Images
        Its directions and b-matrices.
    b : ndarray of float64, shape (n_samples,)
        s/mm2.
    """
    directions, matrices = images.directions, images.b_matrices
    if matrices is None:
        return None, directions
    # An image of low b without a matrix still has the weight of the imaging gradients.
    even = b[:, None] / 3 * np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    filled = np.where(np.isfinite(matrices), matrices, even)
    axes = filled[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    directions = _main_axes(axes, directions)
    low = b <= max(_LOW_B, 0.1 * b.max())
    full = bool(np.all(np.isfinite(matrices[~low])))
    return (axes if full and _spread(directions, ~low) >= 6 else None), directions


def _main_axes(
    matrices: npt.NDArray[np.float64], directions: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64]:
    """Return the direction of each image: its own, else the main axis of its b-matrix, (n, 3)."""
    _, vectors = np.linalg.eigh(matrices)
    axes = vectors[:, :, -1]
    if directions is None:
        return np.asarray(axes)
    return np.where(np.isfinite(directions), directions, axes)


def _upright(
    directions: npt.NDArray[np.float64], weighted: Bools
) -> npt.NDArray[np.float64] | None:
    """Return the nearest of three axes at right angles for each image, (n, 3); 0 for low b.

    Effective directions contain the imaging gradients and lie some degrees beside the nominal
    ones. None where three images are no such axes.
    """
    found: list[npt.NDArray[np.float64]] = []
    for vector in directions[weighted][::-1]:
        unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
        if all(abs(float(unit @ axis)) < _SAME_AXIS for axis in found):
            found.append(unit)
    axes = np.array(found)
    if axes.shape != (3, 3) or np.abs(axes @ axes.T - np.eye(3)).max() > _RIGHT_ANGLE:
        return None
    left, _, right = np.linalg.svd(axes)
    square = left @ right
    nearest = square[np.argmax(np.abs(directions @ square.T), axis=1)]
    return np.where(weighted[:, None], nearest, 0.0)


def _spread(directions: npt.NDArray[np.float64], weighted: Bools) -> int:
    """Return how many different axes the weighted images have."""
    axes: list[npt.NDArray[np.float64]] = []
    for vector in directions[weighted]:
        length = np.linalg.norm(vector)
        if length < 1e-6:
            continue
        unit = vector / length
        if all(abs(float(unit @ axis)) < _SAME_AXIS for axis in axes):
            axes.append(unit)
    return len(axes)


def fit_ivim_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit IVIM."""
    b = inputs.protocol_values("b_value")
    return fit_ivim(signal, b, mask=inputs.mask, sigma=inputs.sigma)
