"""Diffusion weighting from the b-matrix, in patient axes. Pure functions, s/mm2."""

import numpy as np

from .model import Floats

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
