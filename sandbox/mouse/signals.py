"""Signal equations of the digital mouse. Pure functions: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def spin_echo(m0: Floats, t1_ms: Floats, t2_ms: Floats, tr_ms: float, te_ms: float) -> Floats:
    """S = M0 (1 - exp(-TR / T1)) exp(-TE / T2).

    Also the signal of a multi-echo train with perfect refocusing and, over TR, of a saturation
    recovery series.

    Parameters
    ----------
    m0, t1_ms, t2_ms : ndarray of float, shape (n,)
        Equilibrium signal in arbitrary units; relaxation times in ms, > 0.
    tr_ms, te_ms : float
        Repetition and echo time, ms.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    signal: Floats = m0 * -np.expm1(-tr_ms / t1_ms) * np.exp(-te_ms / t2_ms)
    return signal


def spoiled_gradient_echo(
    m0: Floats, t1_ms: Floats, t2_star_ms: Floats, tr_ms: float, te_ms: float, flip_deg: float
) -> Floats:
    """S = M0 sin a (1 - E1) / (1 - E1 cos a) exp(-TE / T2*), with E1 = exp(-TR / T1).

    Parameters
    ----------
    m0, t1_ms, t2_star_ms : ndarray of float, shape (n,)
        Arbitrary units; ms, > 0.
    tr_ms, te_ms : float
        ms.
    flip_deg : float
        Flip angle a, degrees.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    e1 = np.exp(-tr_ms / t1_ms)
    flip = np.deg2rad(flip_deg)
    signal: Floats = m0 * np.sin(flip) * (1 - e1) / (1 - e1 * np.cos(flip))
    return signal * np.exp(-te_ms / t2_star_ms)


def diffusion_weighting(b_matrix: Floats, tensor: Floats) -> Floats:
    """exp(-sum_ij b_ij D_ij) for every experiment and tissue.

    Parameters
    ----------
    b_matrix : ndarray of float, shape (experiments, 3, 3)
        s/mm2.
    tensor : ndarray of float, shape (n, 3, 3)
        mm2/s, in the axes of `b_matrix`.

    Returns
    -------
    ndarray of float64, shape (experiments, n)
    """
    weight: Floats = np.exp(-np.einsum("eij,nij->en", b_matrix, tensor))
    return weight


def z_spectrum(
    offset_ppm: Floats, amplitude: Floats, centre_ppm: Floats, width_ppm: Floats, shift_ppm: Floats
) -> Floats:
    """Z(w) = 1 - sum_k A_k (G_k/2)^2 / ((G_k/2)^2 + (w - d_k - dB0)^2).

    Parameters
    ----------
    offset_ppm : ndarray of float, shape (n_offsets,)
        Saturation offsets w from the working frequency.
    amplitude, centre_ppm, width_ppm : ndarray of float, shape (n_pools,)
        A_k in 0..1, d_k in ppm from water, G_k full width at half height in ppm, > 0.
    shift_ppm : ndarray of float, shape (n_shifts,)
        Field offsets dB0.

    Returns
    -------
    ndarray of float64, shape (n_offsets, n_shifts)
        1 far from all pools.
    """
    distance = offset_ppm[:, None, None] - centre_ppm - shift_ppm[None, :, None]
    half = (width_ppm / 2) ** 2
    spectrum: Floats = 1 - np.sum(amplitude * half / (half + distance**2), axis=-1)
    return spectrum


def fractional_anisotropy(tensor: Floats) -> Floats:
    """FA = sqrt(3/2) |D - MD I| / |D| of tensors, shape (..., 3, 3); 0 where D is zero."""
    mean = np.trace(tensor, axis1=-2, axis2=-1) / 3
    deviation = tensor - mean[..., None, None] * np.eye(3)
    norm = np.linalg.norm(tensor, axis=(-2, -1))
    safe = np.where(norm > 0, norm, 1)
    anisotropy: Floats = np.sqrt(1.5) * np.linalg.norm(deviation, axis=(-2, -1)) / safe
    return anisotropy


def t2_fit_errors(s0: Floats, t2_ms: Floats, te_ms: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Cramer-Rao standard errors of S0 and T2 of a two-parameter fit S0 exp(-TE / T2).

    Parameters
    ----------
    s0, t2_ms : ndarray of float, shape (n,)
        s0 > 0, t2_ms > 0, ms.
    te_ms : ndarray of float, shape (echoes,)
        At least two different ones, ms.
    sigma : float
        Standard deviation of one sample, units of `s0`.

    Returns
    -------
    s0_error, t2_error_ms : ndarray of float64, shape (n,)
    """
    decay = np.exp(-2 * te_ms[:, None] / t2_ms)
    a, b, c = (np.sum(te_ms[:, None] ** power * decay, axis=0) for power in range(3))
    determinant = a * c - b**2
    s0_error = sigma * np.sqrt(c / determinant)
    t2_error = sigma * t2_ms**2 * np.sqrt(a / determinant) / s0
    return s0_error, t2_error
