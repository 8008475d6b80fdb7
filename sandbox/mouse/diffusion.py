"""Diffusion directions and b-matrices, in gradient axes and in the patient frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Imaging gradients: a vector that interferes with the diffusion gradient and a remainder that does
# not, in (s/mm2)^(1/2) and s/mm2. They give an image without diffusion gradient b = 25 s/mm2.
_CROSS = np.array([0.8, 0.4, 0.6])
_REMAINDER = np.diag([12.0, 7.0, 5.0])


@dataclass(frozen=True)
class DiffusionTable:
    """All diffusion experiments of a scan, in the order played.

    The images without diffusion gradient come first; then, direction by direction, all b-values.

    Attributes
    ----------
    directions : ndarray of float, shape (directions, 3)
        Unit vectors in read, phase, slice axes.
    b_each : tuple of float
        Nominal b-values of one direction, s/mm2.
    a0_images : int
        Images without diffusion gradient.
    gradient_vectors : ndarray of float, shape (experiments, 3)
        Directions scaled by relative amplitude (1 at the largest b).
    b_gradient, b_image, b_patient : ndarray of float, shape (experiments, 3, 3)
        s/mm2; axes read/phase/slice, image, and patient LPS.
    """

    directions: Floats
    b_each: tuple[float, ...]
    a0_images: int
    gradient_vectors: Floats
    b_gradient: Floats
    b_image: Floats
    b_patient: Floats

    def effective_b(self) -> Floats:
        """Give the trace of each b-matrix, shape (experiments,), s/mm2."""
        trace: Floats = np.trace(self.b_gradient, axis1=1, axis2=2)
        return trace

    def nominal_b(self) -> list[float]:
        """List the nominal b-value of each experiment, s/mm2."""
        return [0.0] * self.a0_images + list(self.b_each) * len(self.directions)


def spread_directions(count: int) -> Floats:
    """Spread unit vectors over the half sphere, shape (count, 3).

    Three are the axes themselves; more follow a golden spiral.
    """
    if count <= 3:
        return np.eye(3)[:count]
    index = np.arange(count)
    z = 1 - (index + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * index
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def make_table(
    count: int, b_each: tuple[float, ...], a0_images: int, gradient_rows: Floats, matrix: Floats
) -> DiffusionTable:
    """Build the table of experiments of one scan.

    Parameters
    ----------
    count : int
        Directions.
    b_each : tuple of float
        Nominal b-values of each direction, s/mm2.
    a0_images : int
        Images without diffusion gradient.
    gradient_rows : ndarray of float, shape (3, 3)
        Read, phase and slice directions in patient LPS, as rows.
    matrix : ndarray of float, shape (3, 3)
        Image axes in patient LPS, as rows.

    Returns
    -------
    DiffusionTable
        With patient B = R^T B R and image B = M B_patient M^T.
    """
    directions = spread_directions(count)
    largest = max(b_each)
    vectors = np.concatenate(
        [
            np.zeros((a0_images, 3)),
            np.einsum("b,di->dbi", np.sqrt(np.array(b_each) / largest), directions).reshape(-1, 3),
        ]
    )
    total = np.sqrt(largest) * vectors + _CROSS
    b_gradient = np.einsum("ei,ej->eij", total, total) + _REMAINDER
    b_patient = np.einsum("ia,eij,jb->eab", gradient_rows, b_gradient, gradient_rows)
    b_image = np.einsum("ai,eij,bj->eab", matrix, b_patient, matrix)
    return DiffusionTable(
        directions, b_each, a0_images, vectors, b_gradient, b_image + 0.0, b_patient + 0.0
    )
