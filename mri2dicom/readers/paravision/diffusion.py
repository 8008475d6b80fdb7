"""Diffusion weighting of each frame, from Visu or from the method."""

import numpy as np

from ...diffusion import b_value, gradient_axes, principal_direction, rotate_to_patient
from ...model import Floats
from .frames import FrameGroup, FrameGroups
from .reco import Reco


def diffusion_group(groups: FrameGroups) -> FrameGroup | None:
    """Return the diffusion loop: by its id, or in 5.1 a movie loop commented ``diffusion``."""
    for group in groups.groups:
        if group.identifier == "FG_DIFFUSION":
            return group
    for group in groups.groups:
        if group.identifier == "FG_MOVIE" and "diffusion" in group.comment.lower():
            return group
    return None


def b_matrices(reco: Reco, group: FrameGroup, orientation: Floats) -> Floats | None:
    """Return the b-matrix of each step of the loop in patient axes.

    Parameters
    ----------
    orientation : ndarray of float, shape (3, 3)
        Axes of the first frame.

    Returns
    -------
    ndarray of float, shape (group.length, 3, 3) or None
        s/mm2. None where neither Visu nor the method gives as many as the loop has steps.
    """
    steps = group.length
    visu = np.asarray(reco.numbers("VisuAcqDiffusionBMatrix"), dtype=np.float64)
    if visu.size == 9 * steps:
        return visu.reshape(steps, 3, 3)
    gradient = np.asarray(reco.numbers("method:PVM_DwBMat"), dtype=np.float64)
    if gradient.size == 9 * steps:
        return rotate_to_patient(gradient.reshape(steps, 3, 3), orientation)
    return _from_vectors(reco, steps, orientation)


def _from_vectors(reco: Reco, steps: int, orientation: Floats) -> Floats | None:
    """Build b-matrices from b-values and gradient vectors (no imaging gradients in them)."""
    b_values = np.asarray(reco.numbers("method:PVM_DwEffBval"), dtype=np.float64)
    vectors = np.asarray(reco.numbers("method:PVM_DwGradVec"), dtype=np.float64)
    if b_values.size != steps or vectors.size != 3 * steps:
        return None
    vectors = vectors.reshape(steps, 3) @ gradient_axes(orientation)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    outer = unit[:, :, None] * unit[:, None, :]
    # An image without gradients has its small b from imaging gradients, of unknown direction.
    outer[lengths[:, 0] == 0] = np.eye(3) / 3.0
    return np.asarray(b_values[:, None, None] * outer, dtype=np.float64)


def directions(reco: Reco, matrices: Floats, orientation: Floats) -> Floats:
    """Return the unit direction of each b-matrix; nominal directions decide the sign.

    Parameters
    ----------
    matrices : ndarray of float, shape (n, 3, 3)
        In patient axes.
    orientation : ndarray of float, shape (3, 3)

    Returns
    -------
    ndarray of float, shape (n, 3)
    """
    count = len(matrices)
    hint = None
    vectors = np.asarray(reco.numbers("method:PVM_DwGradVec"), dtype=np.float64)
    if vectors.size == 3 * count:
        hint = vectors.reshape(count, 3) @ gradient_axes(orientation)
    else:
        nominal = np.asarray(reco.numbers("method:PVM_DwDir"), dtype=np.float64)
        plain = int(reco.number("method:PVM_DwAoImages") or 0)
        each = int(reco.number("method:PVM_DwNDiffExpEach") or 1)
        if nominal.size and nominal.size % 3 == 0 and each > 0:
            expanded = np.repeat(nominal.reshape(-1, 3), each, axis=0)
            if len(expanded) + plain == count:
                hint = np.vstack([np.zeros((plain, 3)), expanded @ gradient_axes(orientation)])
    return principal_direction(matrices, hint)


def frame_b_values(reco: Reco, group: FrameGroup, matrices: Floats | None) -> list[float] | None:
    """Return the b-value of each step: trace of its matrix, else the method's list."""
    if matrices is not None:
        return [float(value) for value in b_value(matrices)]
    for name in ("method:PVM_DwEffBval", "method:PVM_DwBvalEach"):
        values = reco.numbers(name)
        if len(values) == group.length:
            return values
    reco.warnings.append(
        f"No b-values for the {group.length} steps of the diffusion loop: none are written."
    )
    return None
