"""Weighted linear least squares of the diffusion tensor.

The tensor is held as (xx, yy, zz, xy, xz, yz); the seventh unknown is ln S0. Sixty-four voxels are
solved side by side, as the last axis of every array (a lane each), so that the innermost loops
become vector instructions; what follows of a tensor is computed voxel by voxel.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .kernels import BLOCK, compiled, parallel, prange
from .kernels_elementary import exponentials, logarithms

Doubles = npt.NDArray[np.float64]

UNKNOWNS = 7
_PRODUCTS = 28
_SWEEPS = 12
LANES = 64
DONE, SINGULAR = 0, 2


class Tensors(NamedTuple):
    """What the kernel writes, for V voxels.

    `solution` (V, 7); `values` (V, 3) eigenvalues, falling; `vectors` (V, 3, 3) one eigenvector
    per row; `scalars` (V, 4): FA, MD, AD, RD; `variance` (V, 5): theirs and that of ln S0, for unit
    noise in the signal; `sums` (V, 2): squares of the residuals of the signal, and of the samples
    about their mean; `status` (V,).
    """

    solution: Doubles
    values: Doubles
    vectors: Doubles
    scalars: Doubles
    variance: Doubles
    sums: Doubles
    status: npt.NDArray[np.int8]


class Workspace(NamedTuple):
    """Working memory of one group of L voxels and n samples.

    `y`, `logs`, `weights`, `weighted`, `exponents`, `predicted` (n, L); `bits` int64 and
    `bits_as_float` its memory as float64, (n L,); `a` (28, L), `r` and `z` (7, L), `low` (7, 7, L),
    `fits` (L,) 1 where the samples determine the tensor.
    """

    y: Doubles
    logs: Doubles
    weights: Doubles
    weighted: Doubles
    exponents: Doubles
    predicted: Doubles
    bits: npt.NDArray[np.int64]
    bits_as_float: Doubles
    a: Doubles
    r: Doubles
    z: Doubles
    low: Doubles
    fits: Doubles


@compiled
def normal_equations(design: Any, products: Any, k: Any) -> Any:
    """Write the upper triangle of X'WX, 28 numbers row by row, and X'Wy."""
    k.a[:] = 0.0
    k.r[:] = 0.0
    for i in range(design.shape[0]):
        for j in range(LANES):
            k.weighted[i, j] = k.weights[i, j] * k.logs[i, j]
        for p in range(_PRODUCTS):
            factor = products[i, p]
            for j in range(LANES):
                k.a[p, j] += k.weights[i, j] * factor
        for p in range(UNKNOWNS):
            factor = design[i, p]
            for j in range(LANES):
                k.r[p, j] += k.weighted[i, j] * factor


@compiled
def cholesky(a: Any, low: Any, fits: Any) -> Any:
    """Write the lower factors of the matrices with upper triangles `a`; mark those without one.

    The diagonals hold the reciprocals, which is what the solutions need.
    """
    place = 0
    for c in range(UNKNOWNS):
        for i in range(c, UNKNOWNS):
            for j in range(LANES):
                low[i, c, j] = a[place, j]
            for k in range(c):
                for j in range(LANES):
                    low[i, c, j] -= low[i, k, j] * low[c, k, j]
            if i == c:
                for j in range(LANES):
                    good = 1.0 if low[c, c, j] > 1e-12 * a[place, j] else 0.0
                    fits[j] *= good
                    low[c, c, j] = 1 / np.sqrt(low[c, c, j] if good > 0 else 1.0)
            else:
                for j in range(LANES):
                    low[i, c, j] *= low[c, c, j]
            place += 1


@compiled
def solutions(low: Any, r: Any, z: Any) -> Any:
    """Solve L L' z = r for every lane."""
    for i in range(UNKNOWNS):
        for j in range(LANES):
            z[i, j] = r[i, j]
        for k in range(i):
            for j in range(LANES):
                z[i, j] -= low[i, k, j] * z[k, j]
        for j in range(LANES):
            z[i, j] *= low[i, i, j]
    for i in range(UNKNOWNS - 1, -1, -1):
        for k in range(i + 1, UNKNOWNS):
            for j in range(LANES):
                z[i, j] -= low[k, i, j] * z[k, j]
        for j in range(LANES):
            z[i, j] *= low[i, i, j]


@compiled
def predict(design: Any, k: Any) -> Any:
    """Write the signals that the solutions predict."""
    for i in range(design.shape[0]):
        for j in range(LANES):
            k.exponents[i, j] = k.z[UNKNOWNS - 1, j]
        for p in range(UNKNOWNS - 1):
            factor = design[i, p]
            for j in range(LANES):
                k.exponents[i, j] += k.z[p, j] * factor
        for j in range(LANES):
            k.exponents[i, j] = min(max(k.exponents[i, j], -50.0), 5.0)
    exponentials(k.exponents.reshape(-1), k.predicted.reshape(-1), k.bits, k.bits_as_float)


@compiled
def solve(design: Any, products: Any, passes: Any, k: Any) -> Any:
    """Leave ln S0 and the tensors in `z`, from `y`, whose samples without weight are 0."""
    flat, weights, positive = k.y.reshape(-1), k.weights.reshape(-1), k.exponents.reshape(-1)
    for i in range(len(flat)):
        weights[i] = flat[i] * flat[i]
        positive[i] = flat[i] if flat[i] > 0 else 1.0
    logarithms(positive.view(np.int64), k.logs.reshape(-1), k.bits, k.bits_as_float)
    k.fits[:] = 1.0
    for left in range(passes + 1):
        normal_equations(design, products, k)
        cholesky(k.a, k.low, k.fits)
        solutions(k.low, k.r, k.z)
        predict(design, k)
        predicted = k.predicted.reshape(-1)
        if left < passes:
            for i in range(len(flat)):
                weights[i] = predicted[i] * predicted[i] if flat[i] > 0 else 0.0


@compiled
def forward_substitution(low: Any, r: Any, out: Any) -> Any:
    """Solve L out = r of one voxel and return the squared length of out."""
    length = 0.0
    for i in range(UNKNOWNS):
        total = r[i]
        for k in range(i):
            total -= low[i, k] * out[k]
        out[i] = total * low[i, i]
        length += out[i] * out[i]
    return length


@compiled
def rotate(m: Any, vectors: Any, p: Any, q: Any) -> Any:
    """Turn the plane of axes p and q so that the matrix has a zero there (Jacobi)."""
    if abs(m[p, q]) < 1e-300:
        return
    theta = (m[q, q] - m[p, p]) / (2 * m[p, q])
    t = 1 / (abs(theta) + np.sqrt(theta * theta + 1))
    if theta < 0:
        t = -t
    c = 1 / np.sqrt(t * t + 1)
    s = t * c
    for k in range(3):
        x, y = m[k, p], m[k, q]
        m[k, p], m[k, q] = c * x - s * y, s * x + c * y
    for k in range(3):
        x, y = m[p, k], m[q, k]
        m[p, k], m[q, k] = c * x - s * y, s * x + c * y
        x, y = vectors[p, k], vectors[q, k]
        vectors[p, k], vectors[q, k] = c * x - s * y, s * x + c * y


@compiled
def eigen(d: Any, m: Any, vectors: Any, values: Any) -> Any:
    """Write eigenvalues in falling order, and eigenvectors as rows."""
    m[0, 0], m[1, 1], m[2, 2] = d[0], d[1], d[2]
    m[0, 1] = m[1, 0] = d[3]
    m[0, 2] = m[2, 0] = d[4]
    m[1, 2] = m[2, 1] = d[5]
    for i in range(3):
        for j in range(3):
            vectors[i, j] = 1.0 if i == j else 0.0
    for _ in range(_SWEEPS):
        off = m[0, 1] ** 2 + m[0, 2] ** 2 + m[1, 2] ** 2
        if off <= 1e-18 * (m[0, 0] ** 2 + m[1, 1] ** 2 + m[2, 2] ** 2):
            break
        rotate(m, vectors, 0, 1)
        rotate(m, vectors, 0, 2)
        rotate(m, vectors, 1, 2)
    for i in range(3):
        values[i] = m[i, i]
    for a, b in ((0, 1), (1, 2), (0, 1)):
        if values[a] < values[b]:
            values[a], values[b] = values[b], values[a]
            for k in range(3):
                vectors[a, k], vectors[b, k] = vectors[b, k], vectors[a, k]


@compiled
def add_quadratic_slope(vector: Any, factor: Any, g: Any) -> Any:
    """Add the slope of factor times v'Dv by the six elements of the tensor."""
    for k in range(3):
        g[k] += factor * vector[k] * vector[k]
    g[3] += 2 * factor * vector[0] * vector[1]
    g[4] += 2 * factor * vector[0] * vector[2]
    g[5] += 2 * factor * vector[1] * vector[2]


@compiled
def scalars(d: Any, values: Any, vectors: Any, low: Any, g: Any, z: Any, out: Any, var: Any) -> Any:
    """Write FA, MD, AD, RD, and their variances and that of ln S0 for unit noise."""
    mean = (d[0] + d[1] + d[2]) / 3
    size = d[0] ** 2 + d[1] ** 2 + d[2] ** 2 + 2 * (d[3] ** 2 + d[4] ** 2 + d[5] ** 2)
    around = size - 3 * mean * mean
    fa = np.sqrt(1.5 * max(around, 0.0) / size) if size > 0 else 0.0
    out[0], out[1], out[2], out[3] = fa, mean, values[0], 0.5 * (values[1] + values[2])
    for which in range(5):
        g[:] = 0.0
        if which == 0 and fa > 0:
            for k in range(3):
                g[k] = 1.5 * (d[k] - mean - around / size * d[k]) / (fa * size)
                g[k + 3] = 3.0 * (d[k + 3] - around / size * d[k + 3]) / (fa * size)
        elif which == 1:
            g[0] = g[1] = g[2] = 1 / 3
        elif which == 2:
            add_quadratic_slope(vectors[0], 1.0, g)
        elif which == 3:
            add_quadratic_slope(vectors[1], 0.5, g)
            add_quadratic_slope(vectors[2], 0.5, g)
        else:
            g[6] = 1.0
        var[which] = forward_substitution(low, g, z)


@compiled
def squares(samples: Any, top: Any, predicted: Any, out: Any, total: Any) -> Any:
    """Write the squares of the residuals and of the samples about their mean; add residuals up."""
    n = len(samples)
    residual, mean, about = 0.0, 0.0, 0.0
    for i in range(n):
        mean += samples[i]
    mean /= n
    for i in range(n):
        off = samples[i] - top * predicted[i]
        total[i] += off
        residual += off * off
        about += (samples[i] - mean) ** 2
    out[0], out[1] = residual, about


@compiled
def load_lanes(signal: Any, voxels: Any, count: Any, floor: Any, tops: Any, y: Any) -> Any:
    """Write the samples of voxels over their largest, 0 where they get no weight; 1 in free lanes.

    Free lanes hold no voxel, and their result is not looked at.
    """
    n = signal.shape[1]
    y[:] = 1.0
    for j in range(count):
        v = voxels[j]
        top = 0.0
        for i in range(n):
            top = max(top, signal[v, i])
        tops[j] = top
        for i in range(n):
            y[i, j] = signal[v, i] / top if signal[v, i] > floor else 0.0


@compiled
def store_voxel(
    v: Any, j: Any, top: Any, signal: Any, k: Any, out: Any, space: Any, total: Any
) -> Any:
    """Write everything of one voxel, which was solved in lane j."""
    g, z, m, low, predicted = space
    if k.fits[j] < 1:
        out.status[v] = SINGULAR
        return
    for i in range(UNKNOWNS):
        out.solution[v, i] = k.z[i, j]
        for c in range(i + 1):
            low[i, c] = k.low[i, c, j]
    out.solution[v, 6] += np.log(top)
    for i in range(len(predicted)):
        predicted[i] = k.predicted[i, j]
    squares(signal[v], top, predicted, out.sums[v], total)
    d, values, vectors = out.solution[v], out.values[v], out.vectors[v]
    eigen(d, m, vectors, values)
    scalars(d, values, vectors, low, g, z, out.scalars[v], out.variance[v])
    for i in range(5):
        out.variance[v, i] /= top * top
    out.status[v] = DONE


@compiled
def fit_block(
    first: Any, last: Any, matrices: Any, signal: Any, active: Any, rule: Any, out: Any, total: Any
) -> Any:
    """Fit the active voxels from `first` to before `last`; `rule` is floor and passes."""
    design, products = matrices
    floor, passes = rule
    n = signal.shape[1]
    size = (n, LANES)
    bits = np.empty(n * LANES, np.int64)
    k = Workspace(
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        np.empty(size),
        bits,
        bits.view(np.float64),
        np.empty((_PRODUCTS, LANES)),
        np.empty((UNKNOWNS, LANES)),
        np.empty((UNKNOWNS, LANES)),
        np.zeros((UNKNOWNS, UNKNOWNS, LANES)),
        np.empty(LANES),
    )
    low = np.zeros((UNKNOWNS, UNKNOWNS))
    space = (np.empty(UNKNOWNS), np.empty(UNKNOWNS), np.empty((3, 3)), low, np.empty(n))
    voxels, tops = np.empty(LANES, np.int64), np.empty(LANES)
    count = 0
    for v in range(first, last):
        if active[v]:
            voxels[count] = v
            count += 1
        if count == LANES or (v == last - 1 and count > 0):
            load_lanes(signal, voxels, count, floor, tops, k.y)
            solve(design, products, passes, k)
            for j in range(count):
                store_voxel(voxels[j], j, tops[j], signal, k, out, space, total)
            count = 0


@parallel
def fit(
    design: Any, products: Any, signal: Any, active: Any, floor: Any, passes: Any, out: Any
) -> Any:
    """Fit every active voxel, and return the sum of the residuals of each sample, (n,).

    `design` (n, 7), `products` (n, 28) the upper triangle of each row's outer product, `signal`
    (V, n) finite where active, `floor`: at or below it a sample has no weight, `passes`:
    reweightings by the prediction.
    """
    voxels, n = signal.shape
    blocks = (voxels + BLOCK - 1) // BLOCK
    totals = np.zeros((blocks, n))
    for block in prange(blocks):
        first = block * BLOCK
        last = min(voxels, first + BLOCK)
        rule = (floor, passes)
        fit_block(first, last, (design, products), signal, active, rule, out, totals[block])
    return totals.sum(axis=0)
