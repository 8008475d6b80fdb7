"""Variable projection: fits of models with one non-linear parameter and one or two linear ones.

For a given non-linear parameter the linear ones are a closed-form regression, so only one unknown
is searched (Golub and Pereyra, doi:10.1137/0710036). What the search needs depends on the protocol
only and is tabulated once: an orthonormal basis of the model's columns as polynomials of the
logarithm of the parameter, cell by cell, written in the few coordinates that hold all of them. A
voxel is then a product with one small matrix, which also gives its correlation with some twenty
atoms for the start, and a few Newton steps on a polynomial.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import kernels_lanes
from . import kernels_varpro as kernels

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Columns = Callable[[Doubles], Doubles]


@dataclass(frozen=True)
class Model:
    """A tabulated model.

    Attributes
    ----------
    table : kernels_varpro.Table
        What the kernels read.
    low, step : float
        Logarithm of the parameter at the lower bound, and width of a cell.
    n_samples, n_parameters : int
        Samples of a voxel, and free parameters with the non-linear one.
    """

    table: kernels.Table
    low: float
    step: float
    n_samples: int
    n_parameters: int


@dataclass(frozen=True)
class Solution:
    """Estimates of every voxel.

    Attributes
    ----------
    parameter : ndarray of float32, shape (n_voxels,)
        The non-linear parameter, in the unit it was tabulated in; NaN where `status` is not 0.
    amplitude : ndarray of float32, shape (n_voxels, m)
        The linear coefficients.
    parameter_error, amplitude_error : ndarray of float32, same shapes
        Standard errors.
    noise : ndarray of float32, shape (n_voxels,)
        The noise that the errors rest on: the one given, or sqrt(SSE / (n - p)).
    sse, sst : ndarray of float32, shape (n_voxels,)
        Sum of squares of the residuals, and of the samples about their mean.
    status : ndarray of int8, shape (n_voxels,)
        0 converged, 1 at a bound, 2 not converged, 3 amplitude of the wrong sign, -1 not fitted.
    switch : ndarray of int8, shape (n_voxels,)
        Number of leading samples that were given a negative sign.
    chi2_red, log_likelihood : ndarray of float32, shape (n_voxels,), or None
        Where the noise is known.
    estimates : kernels_varpro.Estimates
        The same in the coordinates of the table.
    """

    parameter: Floats
    amplitude: Floats
    parameter_error: Floats
    amplitude_error: Floats
    noise: Floats
    sse: Floats
    sst: Floats
    status: npt.NDArray[np.int8]
    switch: npt.NDArray[np.int8]
    estimates: kernels.Estimates
    chi2_red: Floats | None = None
    log_likelihood: Floats | None = None


def tabulate(
    columns: Columns, low: float, high: float, sign: float = 0.0, limit: float = 0.0
) -> Model:
    """Tabulate a model y = sum_j x_j b_j(T) over the logarithm of T.

    Parameters
    ----------
    columns : callable
        From T, shape (k,), to the columns b, shape (k, n_samples, m); smooth, with columns that
        do not depend on each other.
    low, high : float
        Bounds of T, greater than 0.
    sign : float
        1 or -1 where the last linear coefficient must have that sign, 0 where it need not.
    limit : float
        Where there are two linear coefficients and this is not 0, -x_2 / x_1 must lie between 0
        and this; other optima are passed over.

    Returns
    -------
    Model
    """
    step = float(np.log(high) - np.log(low)) / kernels.CELLS
    nodes = np.cos(np.pi * (np.arange(kernels.TERMS) + 0.5) / kernels.TERMS)
    places = (np.arange(kernels.CELLS)[:, None] + (nodes + 1) / 2).ravel()
    atoms = np.arange(kernels.ATOMS) * float(kernels.SPACING)
    q, inverse = _orthonormal(columns(low * np.exp(step * places)))
    at_atoms, _ = _orthonormal(columns(low * np.exp(step * atoms)))
    basis = _subspace(q)
    powers = np.linalg.inv(np.vander(nodes, increasing=True))
    inner = _by_cell(np.swapaxes(q, 1, 2) @ basis)
    terms = np.einsum("ds,Ksmr->Kmdr", powers, inner)
    table = kernels.Table(
        basis,
        _design(basis, at_atoms),
        np.ascontiguousarray(terms),
        np.ascontiguousarray(np.swapaxes(terms, 2, 3)),
        _tangent_tables(powers, inner, _by_cell(inverse)),
        float(sign),
        float(limit),
    )
    return Model(table, float(np.log(low)), step, q.shape[1], q.shape[2] + 1)


def _by_cell(values: Doubles) -> Doubles:
    """Return values at all places, shape (CELLS * TERMS, ...), as (CELLS, TERMS, ...)."""
    return values.reshape(kernels.CELLS, kernels.TERMS, *values.shape[1:])


def _orthonormal(value: Doubles) -> tuple[Doubles, Doubles]:
    """Return Q of value = Q R with a positive diagonal of R, and the inverse of R."""
    q, r = np.linalg.qr(value)
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    return q * signs[:, None, :], np.linalg.inv(r * signs[:, :, None])


def _subspace(q: Doubles) -> Doubles:
    """Return an orthonormal basis, shape (n, RANK), that holds every column at every place."""
    samples = np.swapaxes(q, 1, 2).reshape(-1, q.shape[1])
    _, vectors = np.linalg.eigh(samples.T @ samples)
    basis = np.zeros((q.shape[1], kernels.RANK))
    rank = min(kernels.RANK, q.shape[1])
    basis[:, :rank] = vectors[:, ::-1][:, :rank]
    return basis


def _design(basis: Doubles, atoms: Doubles) -> Doubles:
    """Return the subspace above the atoms (A, n, m), shape (RANK + m * A, n)."""
    below = np.transpose(atoms, (2, 0, 1)).reshape(-1, atoms.shape[1])
    return np.ascontiguousarray(np.concatenate([basis.T, below]))


def _tangent_tables(powers: Doubles, inner: Doubles, inverse: Doubles) -> Doubles:
    """Return polynomials of the facts of `kernels_varpro.Table`, shape (CELLS, 3, m, m, TERMS)."""
    terms = kernels.TERMS
    nodes = np.linalg.inv(powers)[:, 1]
    differentiation = np.zeros((terms, terms))
    differentiation[:, 1:] = np.vander(nodes, terms - 1, increasing=True) * np.arange(1, terms)
    slope = 2.0 * np.einsum("es,Ksmr->Kemr", differentiation @ powers, inner)
    sensitivity = np.einsum("Keir,Kejr->Keij", inner, slope)
    outside = slope - np.einsum("Keij,Keir->Kejr", sensitivity, inner)
    tangent = np.einsum("Keir,Kejr->Keij", outside, outside)
    tangent_tables = np.stack([tangent, inverse @ sensitivity, inverse], axis=2)
    return np.ascontiguousarray(np.einsum("ds,Ksfij->Kfijd", powers, tangent_tables))


def blank(voxels: int, m: int) -> kernels.Estimates:
    """Return estimates that say of every voxel that it was not fitted."""
    line, group = (voxels,), (voxels, m)
    return kernels.Estimates(
        position=np.full(line, np.nan),
        curvature=np.full(line, np.nan, np.float32),
        linear=np.full(group, np.nan),
        amplitude=np.full(group, np.nan, np.float32),
        variance=np.full((voxels, 2 * m - 1), np.nan, np.float32),
        sse=np.full(line, np.nan, np.float32),
        sst=np.full(line, np.nan, np.float32),
        status=np.full(line, -1, np.int8),
        switch=np.zeros(line, np.int8),
    )


def solve(model: Model, signal: Doubles, active: Bools, polarity: bool = False) -> Solution:
    """Fit every active voxel by least squares.

    Parameters
    ----------
    model : Model
        From `tabulate`.
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Finite where `active`.
    active : ndarray of bool, shape (n_voxels,)
        The voxels to fit.
    polarity : bool
        The samples are magnitudes of a signal that rises through zero, sorted by time: find where
        its sign changes.

    Returns
    -------
    Solution
        Standard errors from SSE / (n - p); NaN where n = p.
    """
    out = blank(signal.shape[0], model.n_parameters - 1)
    if model.n_parameters == 2 and not polarity:
        rows, atoms = _in_rows(model.table)
        kernels_lanes.fit(model.table, rows, atoms, signal, active, out)
    else:
        kernels.fit(model.table, signal, active, polarity, out)
    return finish(model, out, None)


def _in_rows(table: kernels.Table) -> tuple[Doubles, Doubles]:
    """Return the basis and the atoms as `kernels_lanes.fit` wants them."""
    n = len(table.basis)
    rows = np.zeros((kernels.RANK, -(-n // 4) * 4))
    rows[:, :n] = table.basis.T
    atoms = table.design[kernels.RANK : kernels.RANK + kernels.ATOMS] @ table.basis
    return rows, np.ascontiguousarray(atoms)


def finish(
    model: Model, out: kernels.Estimates, sigma: float | None, **known: Floats | None
) -> Solution:
    """Turn estimates of a kernel into parameters with standard errors.

    Parameters
    ----------
    model : Model
        From `tabulate`.
    out : kernels_varpro.Estimates
        What the kernel wrote.
    sigma : float or None
        Noise standard deviation where it is known; else it comes from the residuals.
    **known : ndarray
        `chi2_red` and `log_likelihood`.

    Returns
    -------
    Solution
    """
    freedom = model.n_samples - model.n_parameters
    good = out.status == kernels.CONVERGED
    parameter = np.exp(model.low + model.step * out.position).astype(np.float32)
    parameter[~good] = np.nan
    amplitude = np.where(good[:, None], out.amplitude, np.float32(np.nan))
    if sigma is not None:
        noise = np.full(out.sse.shape, sigma, np.float32)
    elif freedom > 0:
        noise = np.sqrt(out.sse / np.float32(freedom))
    else:
        noise = np.full(out.sse.shape, np.nan, np.float32)
    return Solution(
        parameter=parameter,
        amplitude=amplitude,
        parameter_error=(parameter * noise * model.step / np.sqrt(out.curvature)).astype(
            np.float32
        ),
        amplitude_error=np.where(
            good[:, None],
            noise[:, None] * np.sqrt(out.variance[:, : amplitude.shape[1]]),
            np.float32(np.nan),
        ),
        noise=noise,
        sse=out.sse,
        sst=out.sst,
        status=out.status,
        switch=out.switch,
        estimates=out,
        **known,
    )


def mean_residual(model: Model, signal: Doubles, valid: Bools, solution: Solution) -> Doubles:
    """Return the mean residual of each sample over the valid voxels, shape (n_samples,).

    Samples that were given a negative sign count with it. NaN without any valid voxel.
    """
    count = int(np.count_nonzero(valid))
    if not count:
        return np.full(model.n_samples, np.nan)
    sums, terms = kernels.fitted_sums(signal, valid, solution.estimates)
    inside = np.einsum("Kmd,Kmdr->r", terms.sum(axis=0), model.table.columns)
    return np.asarray((sums.sum(axis=0) - model.table.basis @ inside) / count, dtype=np.float64)
