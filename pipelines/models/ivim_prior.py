"""IVIM with what is known of tissue before: the most probable f, D and D* of each voxel."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import i0e, i1e

from . import rician
from .levenberg import Function, Optimum, minimise

Doubles = npt.NDArray[np.float64]

_ROUNDS = 2  # of the noise, where it is not known
_MAGNITUDE_ROUNDS = 6  # of the expected real channel
_ITERATIONS = 200
_LEAST_NOISE = 1e-7  # of the largest sample
_FREE = 4  # parameters
_MOST_AGAIN = 2000  # voxels that are searched again, one by one
_EVALUATIONS = 2000


@dataclass(frozen=True)
class Prior:
    """Normal distributions of f, ln D and ln D*; nothing is supposed of S0.

    Attributes
    ----------
    mean, width : tuple of float
        Of f, ln D and ln D*, with D and D* in um2/ms. By default 95 % lie in f below 0.8,
        D 0.25 to 4 and D* 6 to 150 um2/ms: the ranges that are used as bounds of such fits, so
        that the images decide wherever they say something.
    """

    mean: tuple[float, float, float] = (0.2, 0.0, float(np.log(30.0)))
    width: tuple[float, float, float] = (0.3, 0.7, 0.8)

    def as_settings(self) -> dict[str, object]:
        """Return the distributions in units of the maps, for the sidecar."""
        centre, factor = np.exp(self.mean[1:]), np.exp(self.width[1:])
        return {
            "f": {"mean": self.mean[0], "standard_deviation": self.width[0]},
            **{
                name: {"median": round(float(c), 3), "factor_of_one_deviation": round(float(k), 3)}
                for name, c, k in zip(("D", "Dstar"), centre, factor, strict=True)
            },
        }


def most_probable(
    function: Function,
    y: Doubles,
    start: Doubles,
    bounds: tuple[Doubles, Doubles],
    sigma: Doubles | None,
    prior: Prior,
    magnitudes: bool,
) -> Optimum:
    """Maximise likelihood times prior within bounds.

    The prior joins the squares as three more samples, sigma (p - mean) / width, each voxel by
    itself. Where sigma is not known it is that of the residuals, in two rounds. Where it is, and
    the samples are magnitudes, they are replaced by their expected real channel,
    y I1(z) / I0(z) with z = y nu / sigma^2 and nu the fit, in six rounds (expectation-maximisation
    of the Rician likelihood).

    Parameters
    ----------
    function : callable
        `levenberg.Function` of S0, f, ln D, ln D*.
    y : ndarray of float64, shape (n_voxels, n_samples)
        Scaled to order one.
    start : ndarray of float64, shape (n_voxels, 4)
    bounds : tuple of ndarray of float64, shape (4,)
        Lowest and highest.
    sigma : ndarray of float64, shape (n_voxels,), or None
        Noise in the unit of `y`.
    prior : Prior
        What is known before.
    magnitudes : bool
        Whether the noise is Rician.

    Returns
    -------
    Optimum
        `covariance` times the variance of the noise is the inverse curvature of the posterior
        density, also for an f at its bound; `sse` is of the samples alone.

    References
    ----------
    Orton, doi:10.1002/mrm.24649 (the posterior density of IVIM, and shrinkage); Gustafsson,
    doi:10.1002/mrm.26783 (choice of prior and of the central value).
    """
    mean, width = np.array(prior.mean), np.array(prior.width)
    low, high = bounds
    middle = np.clip(start[:, 1:], mean - 2.5 * width, mean + 2.5 * width)
    p = np.clip(np.concatenate([start[:, :1], middle], axis=1), low, high)
    freedom = max(y.shape[1] - _FREE, 1)
    rows = np.arange(len(y))

    weight = np.ones_like(y[:, :3])
    target = y
    found = minimise(function, y, p, low, high, iterations=0)
    rounds = _ROUNDS if sigma is None else _MAGNITUDE_ROUNDS if magnitudes else 1
    for _ in range(rounds):
        model = function(p, rows)[0]
        noise = sigma
        if noise is None:
            noise = np.sqrt(np.square(y - model).sum(axis=1) / freedom)
        elif magnitudes:
            z = y * model / np.square(noise)[:, None]
            target = y * i1e(z) / i0e(z)
        weight = np.maximum(noise, _LEAST_NOISE)[:, None] / width
        joined = np.concatenate([target, weight * mean], axis=1)
        wider = _with_prior(function, weight)
        found = minimise(wider, joined, p, low, high, iterations=_ITERATIONS)
        p = found.parameters
    found = _settled(wider, joined, found, low, high)
    return _concluded(function, y, found, weight, sigma if magnitudes else None)


def _settled(
    function: Function, joined: Doubles, found: Optimum, low: Doubles, high: Doubles
) -> Optimum:
    """Bring the few searches to an end that crept along a flat, bent valley.

    They are one voxel in some thousands, and are searched again one by one by a trust-region
    method (Branch, doi:10.1137/S1064827595289108); voxels beyond 2000 stay unsolved.
    """
    from scipy.optimize import least_squares

    left = np.flatnonzero(~found.converged)[:_MOST_AGAIN]
    if not left.size:
        return found
    p, bound, converged = found.parameters.copy(), found.at_bound.copy(), found.converged.copy()
    edge = 1e-9 * (high - low)
    for v in left:
        row = np.array([v])

        def residual(x: Doubles, row: npt.NDArray[np.intp] = row) -> Doubles:
            return np.asarray((function(x[None], row)[0] - joined[row])[0])

        def slopes(x: Doubles, row: npt.NDArray[np.intp] = row) -> Doubles:
            return np.asarray(function(x[None], row)[1][0])

        best = least_squares(
            residual,
            np.clip(p[v], low + edge, high - edge),
            slopes,
            (low, high),
            ftol=1e-15,
            xtol=1e-10,
            gtol=1e-12,
            max_nfev=_EVALUATIONS,
        )
        p[v], converged[v] = best.x, best.status > 0
        bound[v] = (best.x <= low + 2 * edge) | (best.x >= high - 2 * edge)
    return replace(found, parameters=p, at_bound=bound, converged=converged)


def _concluded(
    function: Function, y: Doubles, found: Optimum, weight: Doubles, sigma: Doubles | None
) -> Optimum:
    """Return the optimum with the curvature there, and the squares of the samples alone."""
    model, slopes = _with_prior(function, weight)(found.parameters, np.arange(len(y)))
    curvature = np.matmul(np.swapaxes(slopes, 1, 2), slopes)
    expected = model[:, : y.shape[1]]
    if sigma is not None:
        expected = sigma[:, None] * rician.mean(expected / sigma[:, None])
    held = found.at_bound.copy()
    held[:, 1] = False
    sse = np.square(y - expected).sum(axis=1)
    return replace(found, covariance=_inverse(curvature), sse=sse, at_bound=held)


def _with_prior(function: Function, weight: Doubles) -> Function:
    """Return the function with three more samples, the weighted f, ln D and ln D*."""

    def wider(p: Doubles, rows: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
        model, slopes = function(p, rows)
        own = np.zeros((len(p), 3, p.shape[1]))
        places = np.arange(3)
        own[:, places, places + 1] = weight[rows]
        return (
            np.concatenate([model, weight[rows] * p[:, 1:]], axis=1),
            np.concatenate([slopes, own], axis=1),
        )

    return wider


def _inverse(matrices: Doubles) -> Doubles:
    """Return inverses of positive definite matrices, brought to a unit diagonal first."""
    scale = 1 / np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    unit = matrices * scale[:, :, None] * scale[:, None, :]
    return np.asarray(np.linalg.inv(unit) * scale[:, :, None] * scale[:, None, :])
