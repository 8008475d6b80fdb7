"""Diffusion weighting of each frame in patient axes, from Visu or from the method. s/mm2."""

import numpy as np

from ...series.geometry import PARALLEL_TOLERANCE, Floats
from .frames import FrameGroup, FrameGroups
from .reco import Reco
from .transforms import phase_directions

# Imaging gradients alone weigh up to some 30 s/mm2: such an image has no diffusion direction.
B0_LIMIT = 50.0


def b_value(matrix: Floats) -> Floats:
    """Return b = trace(B), shape (n,), for b-matrices of shape (n, 3, 3) in s/mm2."""
    return np.asarray(np.trace(matrix, axis1=-2, axis2=-1), dtype=np.float64)


def rotate_to_patient(matrix: Floats, axes: Floats) -> Floats:
    """Turn b-matrices from read, phase and slice axes into patient axes.

    Parameters
    ----------
    matrix : ndarray of float, shape (n, 3, 3)
        ``PVM_DwBMat``.
    axes : ndarray of float, shape (3, 3)
        Rows: read, phase and slice direction in the patient frame (`gradient_axes`).

    Returns
    -------
    ndarray of float, shape (n, 3, 3)
        ``B_patient = R^T B R`` with R = `axes`.
    """
    return np.asarray(np.swapaxes(axes, -1, -2) @ matrix @ axes, dtype=np.float64)


def gradient_axes(orientation: Floats, *, transposed: bool = False) -> Floats:
    """Return the read, phase and slice axes in the patient frame as rows, shape (3, 3).

    Parameters
    ----------
    orientation : ndarray of float, shape (3, 3)
        Rows r0, r1, r2: column, row and normal direction.
    transposed : bool
        Phase encoding runs along the rows of the image.

    Notes
    -----
    Image axes run against the read and phase gradients: (-r0, -r1, +r2). In a transposed frame
    read and phase change places, and the slice axis turns to keep a right-handed system:
    (-r1, -r0, -r2), as the slice offsets of such scans show.
    """
    signs = np.array([[-1.0], [-1.0], [-1.0 if transposed else 1.0]])
    rows = orientation[[1, 0, 2]] if transposed else orientation
    return np.asarray(rows * signs, dtype=np.float64)


def principal_direction(matrix: Floats, hint: Floats | None = None) -> Floats:
    """Return the direction of each b-matrix: its principal eigenvector.

    Parameters
    ----------
    matrix : ndarray of float, shape (n, 3, 3)
    hint : ndarray of float, shape (n, 3), optional
        Nominal directions in the same axes. They decide the sign, which a b-matrix has lost.

    Returns
    -------
    ndarray of float, shape (n, 3)
        Unit vectors.
    """
    _, vectors = np.linalg.eigh((matrix + np.swapaxes(matrix, -1, -2)) / 2)
    direction = vectors[..., :, -1]
    if hint is None:
        # Any sign will do; the largest component is made positive so that it is always the same.
        largest = np.argmax(np.abs(direction), axis=-1)
        sign = np.sign(np.take_along_axis(direction, largest[:, None], axis=-1))
    else:
        sign = np.sign(np.sum(direction * hint, axis=-1, keepdims=True))
    sign[sign == 0] = 1.0
    return np.asarray(direction * sign, dtype=np.float64)


def is_trace(matrix: Floats) -> bool:
    """Tell whether one b-matrix weighs all directions alike (an isotropic image)."""
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return bool(values[0] > 0.8 * values[2] > 0)


def diffusion_group(groups: FrameGroups) -> FrameGroup | None:
    """Return the diffusion loop: by its id, or in 5.1 a movie loop commented ``diffusion``.

    A loop of any name that the b-matrix depends on is one as well.
    """
    for group in groups.groups:
        if group.identifier == "FG_DIFFUSION":
            return group
    owner = groups.owner("VisuAcqDiffusionBMatrix")
    if owner is not None:
        return owner[0]
    for group in groups.groups:
        if group.identifier == "FG_MOVIE" and "diffusion" in group.comment.lower():
            return group
    return None


def read_gradient_axes(reco: Reco, orientation: Floats) -> Floats | None:
    """Return read, phase and slice axes as rows in the patient frame, shape (3, 3).

    Parameters
    ----------
    orientation : ndarray of float, shape (n_planes, 3, 3)

    Returns
    -------
    ndarray of float or None
        None where planes differ in orientation: one matrix then means several directions.
    """
    if not np.allclose(orientation, orientation[0], atol=PARALLEL_TOLERANCE, rtol=0):
        return None
    phase = phase_directions(reco) or [""]
    return gradient_axes(orientation[0], transposed=phase[0] == "ROW")


def b_matrices(reco: Reco, group: FrameGroup, axes: Floats | None) -> Floats | None:
    """Return the b-matrix of each step of the loop in patient axes.

    Parameters
    ----------
    axes : ndarray of float, shape (3, 3), or None
        Read, phase and slice axes; without them only Visu's own matrices are of use.

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
    if axes is None:
        reco.warnings.append(
            "The slices differ in orientation: diffusion directions are not written."
        )
        return None
    if gradient.size == 9 * steps:
        return rotate_to_patient(gradient.reshape(steps, 3, 3), axes)
    return _from_vectors(reco, steps, axes)


def _from_vectors(reco: Reco, steps: int, axes: Floats) -> Floats | None:
    """Build b-matrices from b-values and gradient vectors (no imaging gradients in them)."""
    b_values = np.asarray(reco.numbers("method:PVM_DwEffBval"), dtype=np.float64)
    vectors = np.asarray(reco.numbers("method:PVM_DwGradVec"), dtype=np.float64)
    if b_values.size != steps or vectors.size != 3 * steps:
        return None
    vectors = vectors.reshape(steps, 3) @ axes
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    outer = unit[:, :, None] * unit[:, None, :]
    # An image without gradients has its small b from imaging gradients, of unknown direction.
    outer[lengths[:, 0] == 0] = np.eye(3) / 3.0
    return np.asarray(b_values[:, None, None] * outer, dtype=np.float64)


def directions(reco: Reco, matrices: Floats, axes: Floats | None) -> Floats:
    """Return the unit direction of each b-matrix; nominal directions decide the sign.

    Parameters
    ----------
    matrices : ndarray of float, shape (n, 3, 3)
        In patient axes.
    axes : ndarray of float, shape (3, 3), or None
        Read, phase and slice axes.

    Returns
    -------
    ndarray of float, shape (n, 3)
    """
    count = len(matrices)
    if axes is None:
        return principal_direction(matrices)
    hint = None
    vectors = np.asarray(reco.numbers("method:PVM_DwGradVec"), dtype=np.float64)
    if vectors.size == 3 * count:
        hint = vectors.reshape(count, 3) @ axes
    else:
        nominal = np.asarray(reco.numbers("method:PVM_DwDir"), dtype=np.float64)
        plain = int(reco.number("method:PVM_DwAoImages") or 0)
        each = int(reco.number("method:PVM_DwNDiffExpEach") or 1)
        if nominal.size and nominal.size % 3 == 0 and each > 0:
            expanded = np.repeat(nominal.reshape(-1, 3), each, axis=0)
            if len(expanded) + plain == count:
                hint = np.vstack([np.zeros((plain, 3)), expanded @ axes])
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
