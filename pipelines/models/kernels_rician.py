"""Maximum likelihood of Rician magnitudes around the search of `kernels_varpro`.

Expectation-maximisation: what the real channel would have shown is expected to be y I1(z)/I0(z)
with z = y nu / sigma^2, and is fitted by least squares, again and again.
"""

from typing import Any, NamedTuple

import numpy as np

from .kernels import BLOCK, compiled, parallel, prange
from .kernels_varpro import (
    AT_BOUND,
    CELLS,
    CONVERGED,
    NOT_CONVERGED,
    RANK,
    TERMS,
    WRONG_SIGN,
    Doubles,
    Estimates,
    Table,
)

Z_END, Z_STEP = 50.0, 0.05
SNR_END, SNR_STEP = 12.0, 0.01
_PASSES = 400
_MOVED = 5e-5  # cells that would still be gone if one waited
_LEAP = 2.0  # cells in one pass, at most


class RicianTables(NamedTuple):
    """Functions of the Rician distribution on grids; made by `rician.tables`.

    `bessel` (Z, 4): I1/I0 and its slope, ln(I0 exp(-z)) and its slope, by `Z_STEP`. `moments`
    (N, 3): mean, variance and Fisher information of a sample with sigma 1, by `SNR_STEP`.
    """

    bessel: Doubles
    moments: Doubles


@compiled
def bessel_ratio(bessel: Any, z: float) -> float:
    """Return I1(z) / I0(z), an odd function."""
    size = abs(z)
    if size >= Z_END:
        w = 1.0 / size
        value = 1.0 - w * (0.5 + w * (0.125 + w * (0.125 + w * 0.1953125)))
    else:
        knot = int(size / Z_STEP)
        t = size / Z_STEP - knot
        s = 1.0 - t
        value = ((1.0 + 2.0 * t) * bessel[knot, 0] + t * Z_STEP * bessel[knot, 1]) * s * s + (
            (1.0 + 2.0 * s) * bessel[knot + 1, 0] - s * Z_STEP * bessel[knot + 1, 1]
        ) * t * t
    return value if z >= 0.0 else -value


@compiled
def log_bessel(bessel: Any, z: float) -> float:
    """Return ln(I0(z) exp(-z)) for z >= 0."""
    if z >= Z_END:
        w = 1.0 / z
        return float(-0.5 * np.log(2.0 * np.pi * z) + w * (0.125 + w * (0.0625 + w * 25.0 / 384.0)))
    knot = int(z / Z_STEP)
    t = z / Z_STEP - knot
    s = 1.0 - t
    return float(
        ((1.0 + 2.0 * t) * bessel[knot, 2] + t * Z_STEP * bessel[knot, 3]) * s * s
        + ((1.0 + 2.0 * s) * bessel[knot + 1, 2] - s * Z_STEP * bessel[knot + 1, 3]) * t * t
    )


@compiled
def moment(moments: Any, snr: float, which: int) -> float:
    """Return mean (0), variance (1) or Fisher information (2) of a sample with sigma 1."""
    if snr >= SNR_END:
        w = 1.0 / (snr * snr)
        if which == 0:
            return snr * (1.0 + w * (0.5 + 0.125 * w))
        return 1.0 - 0.5 * w
    knot = int(snr / SNR_STEP)
    t = snr / SNR_STEP - knot
    return float((1.0 - t) * moments[knot, which] + t * moments[knot + 1, which])


@compiled
def bases(columns: Any, x: float, value: Any, slope: Any) -> None:
    """Write the orthonormal columns at a position, and their slopes per cell."""
    cell = min(int(x), CELLS - 1)
    t = 2.0 * (x - cell) - 1.0
    for j in range(columns.shape[1]):
        for k in range(RANK):
            value[j, k] = 0.0
            slope[j, k] = 0.0
        for d in range(TERMS - 1, -1, -1):
            for k in range(RANK):
                slope[j, k] = slope[j, k] * t + value[j, k]
                value[j, k] = value[j, k] * t + columns[cell, j, d, k]
        for k in range(RANK):
            slope[j, k] *= 2.0


@compiled
def expectation(basis: Any, bessel: Any, signal: Any, v: int, sigma: float, f: Any, z: Any) -> None:
    """Write the coordinates `z` of what the real channel is expected to have shown."""
    for k in range(RANK):
        z[k] = 0.0
    for i in range(signal.shape[1]):
        nu = 0.0
        for k in range(RANK):
            nu += basis[i, k] * f[k]
        y = signal[v, i]
        y *= bessel_ratio(bessel, y * nu / (sigma * sigma))
        for k in range(RANK):
            z[k] += y * basis[i, k]


@compiled
def gauss_newton_step(value: Any, slope: Any, z: Any, linear: Any, along: Any) -> float:
    """Write the linear coefficients; return the Gauss-Newton step of the position."""
    half, curvature = 0.0, 0.0
    for k in range(RANK):
        along[k] = 0.0
    for j in range(value.shape[0]):
        c, g = 0.0, 0.0
        for k in range(RANK):
            c += z[k] * value[j, k]
            g += z[k] * slope[j, k]
        linear[j] = c
        half += c * g
        for k in range(RANK):
            along[k] += c * slope[j, k]
    for j in range(value.shape[0]):
        p = 0.0
        for k in range(RANK):
            p += along[k] * value[j, k]
        for k in range(RANK):
            along[k] -= p * value[j, k]
    for k in range(RANK):
        curvature += along[k] * along[k]
    return half / curvature


@compiled
def weighted_sum(value: Any, linear: Any, f: Any) -> None:
    """Write the sum of the columns, weighted by their coefficients."""
    for k in range(RANK):
        f[k] = 0.0
        for j in range(value.shape[0]):
            f[k] += linear[j] * value[j, k]


@compiled
def maximise_likelihood(
    columns: Any,
    basis: Any,
    bessel: Any,
    signal: Any,
    v: int,
    sigma: float,
    x: float,
    linear: Any,
    value: Any,
    slope: Any,
    lines: Any,
) -> Any:
    """Return the position of the greatest likelihood near `x`, and how the search ended."""
    z, f, along = lines[0], lines[1], lines[2]
    end = float(CELLS)
    before = 0.0
    for iteration in range(_PASSES):
        bases(columns, x, value, slope)
        if iteration > 0:
            gauss_newton_step(value, slope, z, linear, along)
        weighted_sum(value, linear, f)
        expectation(basis, bessel, signal, v, sigma, f, z)
        move = gauss_newton_step(value, slope, z, linear, along)
        if not np.isfinite(move):
            return x, NOT_CONVERGED
        # Each step is a constant fraction of the one before: every third leaps to their sum, and
        # steps that go back and forth are cut at once.
        shrink = move / before if before != 0.0 else 0.0
        before = move
        if abs(move) < _MOVED * (1.0 - min(max(shrink, 0.0), 0.95)):
            return x, CONVERGED
        if shrink < 0.0 or (iteration % 3 == 2 and shrink < 0.95):
            move /= 1.0 - shrink
        x += min(max(move, -_LEAP), _LEAP)
        if x <= 0.0 or x >= end:
            return min(max(x, 0.0), end), AT_BOUND
    return x, NOT_CONVERGED


@compiled
def invert(matrix: Any) -> None:
    """Invert a small positive matrix in place (Gauss-Jordan)."""
    size = matrix.shape[0]
    for i in range(size):
        pivot = matrix[i, i]
        matrix[i, i] = 1.0
        for j in range(size):
            matrix[i, j] /= pivot
        for other in range(size):
            if other != i:
                factor = matrix[other, i]
                matrix[other, i] = 0.0
                for j in range(size):
                    matrix[other, j] -= factor * matrix[i, j]


@compiled
def fisher_information(
    basis: Any,
    bessel: Any,
    moments: Any,
    signal: Any,
    v: int,
    sigma: float,
    value: Any,
    slope: Any,
    linear: Any,
    information: Any,
    row: Any,
    sums: Any,
) -> None:
    """Write the Fisher information, and chi-square, squared residuals and log-likelihood."""
    m = value.shape[0]
    information[:] = 0.0
    sums[:] = 0.0
    for i in range(signal.shape[1]):
        nu = 0.0
        row[m] = 0.0
        for j in range(m):
            row[j] = 0.0
            for k in range(RANK):
                row[j] += basis[i, k] * value[j, k]
                row[m] += basis[i, k] * slope[j, k] * linear[j]
            nu += row[j] * linear[j]
        snr = abs(nu) / sigma
        weight = moment(moments, snr, 2)
        for j in range(m + 1):
            for other in range(m + 1):
                information[j, other] += weight * row[j] * row[other]
        y = signal[v, i] / sigma
        off = y - moment(moments, snr, 0)
        sums[0] += off * off / moment(moments, snr, 1)
        sums[1] += off * off * sigma * sigma
        if y > 0.0:
            sums[2] += np.log(y / sigma) - 0.5 * (y - snr) ** 2 + log_bessel(bessel, y * snr)


@compiled
def store_amplitudes(
    tangent_tables: Any,
    x: float,
    linear: Any,
    covariance: Any,
    amplitude: Any,
    variance: Any,
    v: int,
) -> None:
    """Write the model's own coefficients with their variances for unit noise."""
    cell = min(int(x), CELLS - 1)
    t = 2.0 * (x - cell) - 1.0
    m = linear.shape[0]
    jacobian = np.zeros((m, m + 1))
    for i in range(m):
        amplitude[v, i] = 0.0
        for j in range(m):
            q, dq = 0.0, 0.0
            for d in range(TERMS - 1, -1, -1):
                dq = dq * t + q
                q = q * t + tangent_tables[cell, 2, i, j, d]
            amplitude[v, i] += q * linear[j]
            jacobian[i, j] = q
            jacobian[i, m] += 2.0 * dq * linear[j]
    for i in range(m):
        for other in range(i, m):
            total = 0.0
            for j in range(m + 1):
                for k in range(m + 1):
                    total += jacobian[i, j] * covariance[j, k] * jacobian[other, k]
            variance[v, i if i == other else 2] = total


@compiled
def refine_block(
    table: Table,
    rice: RicianTables,
    signal: Any,
    sigma: float,
    out: Estimates,
    chi2: Any,
    log_l: Any,
    block: int,
) -> None:
    """Refine the converged voxels of one block."""
    basis, columns, tangent_tables, sign = (
        table.basis,
        table.columns,
        table.tangent_tables,
        table.sign,
    )
    bessel, moments = rice.bessel, rice.moments
    status, position, coefficients, bend = out.status, out.position, out.linear, out.curvature
    amplitude, variance, sse = out.amplitude, out.variance, out.sse
    m = columns.shape[1]
    value, slope = np.empty((m, RANK)), np.empty((m, RANK))
    lines, linear, row = np.zeros((3, RANK)), np.empty(m), np.empty(m + 1)
    information, sums = np.empty((m + 1, m + 1)), np.empty(3)
    freedom = signal.shape[1] - m - 1
    for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
        if status[v] != CONVERGED:
            continue
        for j in range(m):
            linear[j] = coefficients[v, j]
        x, status[v] = maximise_likelihood(
            columns, basis, bessel, signal, v, sigma, position[v], linear, value, slope, lines
        )
        position[v] = x
        for j in range(m):
            coefficients[v, j] = linear[j]
        if status[v] != CONVERGED:
            continue
        fisher_information(
            basis, bessel, moments, signal, v, sigma, value, slope, linear, information, row, sums
        )
        invert(information)
        bend[v] = 1.0 / information[m, m]
        store_amplitudes(tangent_tables, x, linear, information, amplitude, variance, v)
        chi2[v] = sums[0] / freedom if freedom > 0 else np.nan
        sse[v], log_l[v] = sums[1], sums[2]
        if sign * amplitude[v, m - 1] < 0.0:
            status[v] = WRONG_SIGN


@parallel
def refine(
    table: Table,
    rice: RicianTables,
    signal: Any,
    sigma: float,
    out: Estimates,
    chi2: Any,
    log_l: Any,
) -> None:
    """Refine every converged voxel; `chi2` and `log_l`, both (V,), are written too."""
    for block in prange((signal.shape[0] + BLOCK - 1) // BLOCK):
        refine_block(table, rice, signal, sigma, out, chi2, log_l, block)
