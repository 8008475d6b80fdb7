"""B0 and B1 from one short strong pulse (WASABI)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from .levenberg import Optimum, minimise
from .outcome import Noise, conclude
from .result import FATAL, FitResult, Flag, Map

Doubles = npt.NDArray[np.float64]

GAMMA_HZ_PER_UT = 42.577478  # proton, CODATA 2018 (shielding left out)
_LOW = np.array([0.0, 0.0, 0.1, -2.0])  # c, d, B1 over nominal, B0 in ppm
_HIGH = np.array([2.0, 3.0, 2.5, 2.0])


def wasabi_signal(
    parameters: Doubles, offsets_ppm: Doubles, pulse_ms: float, b1_ut: float, mhz: float
) -> tuple[Doubles, Doubles]:
    """Return Z = |c - d sin^2(atan(w1 / dw)) sin^2(tp/2 sqrt(w1^2 + dw^2))| and its slopes.

    Parameters
    ----------
    parameters : ndarray of float64, shape (n_voxels, 4)
        c, d, B1 over the nominal one, B0 in ppm.
    offsets_ppm : ndarray of float64, shape (n_offsets,)
        ppm from the working frequency.
    pulse_ms, b1_ut, mhz : float
        Length of the pulse, nominal amplitude, working frequency.

    Returns
    -------
    z : ndarray of float64, shape (n_voxels, n_offsets)
    slopes : ndarray of float64, shape (n_voxels, n_offsets, 4)

    References
    ----------
    Schuenke, doi:10.1002/mrm.26133.
    """
    c, d, ratio, b0 = (parameters[:, k, None] for k in range(4))
    nominal = 2 * np.pi * GAMMA_HZ_PER_UT * b1_ut
    per_ppm = 2 * np.pi * mhz
    w1 = nominal * ratio
    dw = per_ppm * (offsets_ppm - b0)
    half = 0.5e-3 * pulse_ms
    square = w1**2 + dw**2
    root = np.sqrt(square)
    tilt = w1**2 / square
    s, co = np.sin(half * root), np.cos(half * root)
    g = tilt * s**2
    phase_slope = tilt * 2 * s * co * half / root  # by w1^2 or dw^2, over two, through the angle
    g_w1 = 2 * w1 * dw**2 / square**2 * s**2 + phase_slope * w1
    g_dw = -2 * dw * w1**2 / square**2 * s**2 + phase_slope * dw
    inner = c - d * g
    sign = np.where(inner < 0, -1.0, 1.0)
    slopes = np.stack([np.ones_like(g), -g, -d * g_w1 * nominal, d * g_dw * per_ppm], axis=2)
    return np.abs(inner), sign[:, :, None] * slopes


def fit_wasabi(
    z: npt.ArrayLike,
    offsets_ppm: npt.ArrayLike,
    *,
    pulse_ms: float,
    b1_ut: float,
    working_frequency_mhz: float,
    flags: npt.NDArray[np.uint8] | None = None,
    sigma: float | None = None,
) -> FitResult:
    """Fit B0 and B1 to WASABI spectra.

    Least squares of four parameters, because of its several minima from the best of a grid of c,
    B0 and B1 for each of three values of d; the smallest sum of squares counts.

    Parameters
    ----------
    z : array_like of float, shape (n_voxels, n_offsets)
        Z-spectra, S / M0 (`cest_spectra.z_spectra`); NaN is allowed.
    offsets_ppm : array_like of float, shape (n_offsets,)
        ppm from the working frequency; at least eight.
    pulse_ms, b1_ut, working_frequency_mhz : float
        Length and nominal amplitude of the pulse, and f0.
    flags : ndarray of uint8, shape (n_voxels,), optional
        What is known of the voxels already.
    sigma : float, optional
        Noise of Z.

    Returns
    -------
    FitResult
        ``B0map`` (ppm, positive where water lies above the working frequency), ``B1map`` (% of the
        nominal), ``WASABIc`` and ``WASABId``, with standard errors. NaN where the spectrum is not
        finite or B0 or B1 are at their bounds (2 ppm, 10 to 250 %).

    Raises
    ------
    ModelInputError
        For fewer than eight offsets, or a pulse, amplitude or frequency not above 0.

    References
    ----------
    Schuenke, doi:10.1002/mrm.26133.
    """
    offsets = np.asarray(offsets_ppm, dtype=np.float64)
    y = np.asarray(z, dtype=np.float64)
    if len(offsets) < 8 or y.ndim != 2 or y.shape[1] != len(offsets):
        raise ModelInputError(
            f"WASABI needs eight offsets or more, one per image; here are {len(offsets)}.",
            hint="Give all images of the series.",
        )
    if not (pulse_ms > 0 and b1_ut > 0 and working_frequency_mhz > 0):
        raise ModelInputError(
            "Pulse length, amplitude and working frequency must be above 0.",
            hint="Look them up in the protocol: ms, uT and MHz.",
        )
    flags = np.zeros(len(y), np.uint8) if flags is None else flags.copy()
    flags[~np.isfinite(y).all(axis=1) & ((flags & FATAL) == 0)] |= np.uint8(Flag.NOT_FINITE)
    rows = np.flatnonzero((flags & FATAL) == 0)
    protocol = (offsets, pulse_ms, b1_ut, working_frequency_mhz)

    def function(p: Doubles, _: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
        return wasabi_signal(p, *protocol)

    found = _best(
        [minimise(function, y[rows], start, _LOW, _HIGH) for start in _starts(y[rows], *protocol)]
    )
    flags[rows[found.at_bound[:, 2:].any(axis=1)]] |= np.uint8(Flag.AT_BOUND)
    flags[rows[~found.converged]] |= np.uint8(Flag.NOT_CONVERGED)
    return _conclude(y, rows, found.parameters, found.covariance, flags, sigma, protocol)


def _starts(
    y: Doubles, offsets: Doubles, pulse_ms: float, b1_ut: float, mhz: float
) -> list[Doubles]:
    """Return for each of three d the best of a grid, each of shape (n_voxels, 4)."""
    ratio = np.linspace(0.3, 2.0, 35)
    b0 = np.linspace(-1.5, 1.5, 61)
    starts = []
    for d in (1.0, 1.4, 1.8):
        axes = np.meshgrid([0.7, 0.85, 1.0], [d], ratio, b0, indexing="ij")
        grid = np.stack(axes, axis=-1).reshape(-1, 4)
        atoms, _ = wasabi_signal(grid, offsets, pulse_ms, b1_ut, mhz)
        half = 0.5 * np.square(atoms).sum(axis=1)
        best = [
            np.argmax(part @ atoms.T - half, axis=1)
            for part in np.array_split(y, max(1, len(y) // 1024))
        ]
        starts.append(np.asarray(grid[np.concatenate(best)]))
    return starts


def _best(found: list[Optimum]) -> Optimum:
    """Return for each voxel the converged optimum with the smallest sum of squares."""
    cost = np.stack([np.where(one.converged, one.sse, np.inf) for one in found])
    which = np.argmin(cost, axis=0)
    rows = np.arange(cost.shape[1])

    def pick(name: str) -> Any:
        return np.stack([getattr(one, name) for one in found])[which, rows]

    return Optimum(
        parameters=pick("parameters"),
        covariance=pick("covariance"),
        sse=pick("sse"),
        at_bound=pick("at_bound"),
        converged=pick("converged"),
    )


def _conclude(
    y: Doubles,
    rows: npt.NDArray[np.intp],
    parameters: Doubles,
    covariance: Doubles,
    flags: npt.NDArray[np.uint8],
    sigma: float | None,
    protocol: tuple[Doubles, float, float, float],
) -> FitResult:
    voxels, n = y.shape
    model, _ = wasabi_signal(parameters, *protocol)
    residual = y[rows] - model
    sse = np.full(voxels, np.nan, np.float32)
    sst = np.full(voxels, np.nan, np.float32)
    sse[rows] = np.square(residual).sum(axis=1)
    sst[rows] = np.square(y[rows] - y[rows].mean(axis=1, keepdims=True)).sum(axis=1)
    width = np.full(len(rows), sigma) if sigma else np.sqrt(sse[rows] / (n - 4))
    maps = {}
    named = [("B0map", 3, "[ppm]", 1.0), ("B1map", 2, "%", 100.0)]
    for name, k, unit, factor in [*named, ("WASABIc", 0, "1", 1.0), ("WASABId", 1, "1", 1.0)]:
        values, error = (np.full(voxels, np.nan, np.float32) for _ in range(2))
        values[rows] = factor * parameters[:, k]
        error[rows] = factor * width * np.sqrt(covariance[:, k, k])
        maps[name] = Map(values, unit, error)
    good = (flags[rows] & FATAL) == 0
    # An offset of the field may be 0, so that a relative error says nothing: B1 decides.
    order = ["B1map", "B0map", "WASABIc", "WASABId"]
    return conclude(
        name="WASABI",
        maps={name: maps[name] for name in order},
        flags=flags,
        sse=sse,
        sst=sst,
        freedom=n - 4,
        noise=Noise(sigma, rician=False),
        chi2=None,
        residual_mean=residual[good].mean(axis=0) if good.any() else np.full(n, np.nan),
        notes=[],
        settings={
            "offsets_ppm": protocol[0].tolist(),
            "pulse_ms": protocol[1],
            "b1_ut": protocol[2],
            "working_frequency_mhz": protocol[3],
            "estimation_reference": "doi:10.1002/mrm.26133",
        },
    )
