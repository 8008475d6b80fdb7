"""Bounded least squares of many small problems at once, by Levenberg-Marquardt."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Of parameters (k, p) and the rows they belong to (k,): the signal (k, n) and its slopes (k, n, p).
Function = Callable[[Doubles, npt.NDArray[np.intp]], tuple[Doubles, Doubles]]

_CHUNK = 4096  # voxels at a time, so that the slopes stay in the cache
_START, _UP, _DOWN = 1e-3, 10.0, 0.3
_LARGEST = 1e8
_CHANGE = 1e-12  # of the cost
_STEP = 1e-7  # relative to max(|p|, 1)


@dataclass(frozen=True)
class Optimum:
    """Where the searches ended.

    Attributes
    ----------
    parameters : ndarray of float64, shape (n_voxels, p)
        Inside the bounds.
    covariance : ndarray of float64, shape (n_voxels, p, p)
        Inverse of J'J over the parameters off their bounds; NaN rows for the others, and
        everywhere where it is singular. Times the variance of the noise it is the covariance.
    sse : ndarray of float64, shape (n_voxels,)
        Sum of the squared residuals.
    at_bound : ndarray of bool, shape (n_voxels, p)
        The parameters held by a bound.
    converged : ndarray of bool, shape (n_voxels,)
    """

    parameters: Doubles
    covariance: Doubles
    sse: Doubles
    at_bound: Bools
    converged: Bools


def minimise(
    function: Function,
    signal: Doubles,
    start: Doubles,
    low: Doubles,
    high: Doubles,
    iterations: int = 100,
) -> Optimum:
    """Minimise the squared residuals of every voxel within bounds.

    Damping on the diagonal (Marquardt, doi:10.1137/0111030), the step projected on the bounds;
    parameters at a bound whose gradient points outwards stay there.

    Parameters
    ----------
    function : callable
        From parameters (k, p) and voxel numbers (k,) to the model (k, n) and slopes (k, n, p).
    signal : ndarray of float64, shape (n_voxels, n)
        Finite; best scaled to order one.
    start : ndarray of float64, shape (n_voxels, p)
        Inside the bounds.
    low, high : ndarray of float64, shape (p,) or (n_voxels, p)
        Bounds; `low` < `high`.
    iterations : int
        At most.

    Returns
    -------
    Optimum
    """
    low = np.broadcast_to(low, start.shape)
    high = np.broadcast_to(high, start.shape)
    parts = []
    for first in range(0, max(len(signal), 1), _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(signal)))
        parts.append(_chunk(function, signal, start, (low, high), rows, iterations))
    return Optimum(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _held(gradient: Doubles, p: Doubles, low: Doubles, high: Doubles) -> Bools:
    """Tell which parameters a bound holds; `gradient` points where the cost falls."""
    return np.asarray(((p <= low) & (gradient <= 0)) | ((p >= high) & (gradient >= 0)))


def _chunk(
    function: Function,
    signal: Doubles,
    start: Doubles,
    bounds: tuple[Doubles, Doubles],
    rows: npt.NDArray[np.intp],
    iterations: int,
) -> tuple[Doubles, Doubles, Doubles, Bools, Bools]:
    low, high = bounds[0][rows], bounds[1][rows]
    p = np.clip(start[rows], low, high)
    model, slopes = function(p, rows)
    residual = signal[rows] - model
    cost = np.einsum("kn,kn->k", residual, residual)
    damping = np.full(len(rows), _START)
    converged = np.zeros(len(rows), np.bool_)
    live = np.arange(len(rows))
    for _ in range(iterations):
        if not live.size:
            break
        step = _step(slopes[live], residual[live], p[live], (low[live], high[live]), damping[live])
        trial = np.clip(p[live] + step, low[live], high[live])
        model, new = function(trial, rows[live])
        off = signal[rows[live]] - model
        changed = np.einsum("kn,kn->k", off, off)
        small = np.abs(trial - p[live]) <= _STEP * np.maximum(np.abs(p[live]), 1.0)
        better = changed <= cost[live]
        # Along a direction that says nothing the cost no longer changes.
        still = better & (cost[live] - changed <= _CHANGE * cost[live])
        taken = live[better]
        p[taken], residual[taken], slopes[taken] = trial[better], off[better], new[better]
        cost[taken] = changed[better]
        damping[live] = np.clip(damping[live] * np.where(better, _DOWN, _UP), 1e-9, 2 * _LARGEST)
        # A short step counts only where damping did not shorten it.
        done = small.all(axis=1) & (better | (damping[live] > 1.0)) & (damping[live] < _LARGEST)
        done |= still & (damping[live] <= 1.0)
        converged[live[done]] = True
        live = live[~done & (damping[live] < _LARGEST)]
    gradient = np.einsum("knp,kn->kp", slopes, residual)
    held = _held(gradient, p, low, high)
    return p, _covariance(slopes, held), cost, held, converged


def _step(
    slopes: Doubles,
    residual: Doubles,
    p: Doubles,
    bounds: tuple[Doubles, Doubles],
    damping: Doubles,
) -> Doubles:
    gradient = np.einsum("knp,kn->kp", slopes, residual)
    held = _held(gradient, p, *bounds)
    normal, diagonal = _normal(slopes, held)
    places = np.arange(p.shape[1])
    normal[:, places, places] += damping[:, None] * diagonal
    gradient[held] = 0.0
    return np.asarray(np.linalg.solve(normal, gradient[:, :, None])[:, :, 0])


def _normal(slopes: Doubles, held: Bools) -> tuple[Doubles, Doubles]:
    """Return J'J with the rows and columns of held parameters from the unit matrix."""
    normal = np.matmul(np.swapaxes(slopes, 1, 2), slopes)
    free = ~held
    normal *= free[:, :, None] & free[:, None, :]
    places = np.arange(held.shape[1])
    diagonal = normal[:, places, places]
    tiny = 1e-12 * np.maximum(diagonal.max(axis=1, keepdims=True), 1e-12)
    diagonal = np.where(held, 1.0, np.maximum(diagonal, tiny))
    normal[:, places, places] = diagonal
    return normal, diagonal


def _covariance(slopes: Doubles, held: Bools) -> Doubles:
    normal, diagonal = _normal(slopes, held)
    # Brought to a unit diagonal, so that the condition says something of the problem.
    scale = 1 / np.sqrt(diagonal)
    normal = normal * scale[:, :, None] * scale[:, None, :]
    good = np.linalg.eigvalsh(normal)[:, 0] > 1e-11
    normal[~good] = np.eye(held.shape[1])
    inverse = np.linalg.inv(normal) * scale[:, :, None] * scale[:, None, :]
    inverse[~good] = np.nan
    inverse[np.broadcast_to(held[:, :, None], inverse.shape)] = np.nan
    return np.asarray(inverse)
