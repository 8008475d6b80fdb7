"""Weighted linear least squares of the diffusion tensor, voxel by voxel.

The tensor is held as (xx, yy, zz, xy, xz, yz); the seventh unknown is ln S0.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .kernels import BLOCK, compiled, parallel, prange

Doubles = npt.NDArray[np.float64]

UNKNOWNS = 7
_PRODUCTS = 28
_SWEEPS = 12
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


@compiled
def normal_equations(design: Any, products: Any, logs: Any, weights: Any, a: Any, r: Any) -> Any:
    """Write the upper triangle of X'WX, 28 numbers row by row, and X'Wy."""
    a[:] = 0.0
    r[:] = 0.0
    for i in range(design.shape[0]):
        w = weights[i]
        wy = w * logs[i]
        for k in range(_PRODUCTS):
            a[k] += w * products[i, k]
        for k in range(UNKNOWNS):
            r[k] += wy * design[i, k]


@compiled
def cholesky(a: Any, low: Any) -> Any:
    """Write the lower factor of the matrix with the upper triangle `a`; tell whether it exists.

    Its diagonal holds the reciprocals, which is what the solutions need.
    """
    place = 0
    for j in range(UNKNOWNS):
        for i in range(j, UNKNOWNS):
            total = a[place]
            place += 1
            for k in range(j):
                total -= low[i, k] * low[j, k]
            if i == j:
                if not total > 1e-12 * a[place - 1]:
                    return False
                low[j, j] = 1 / np.sqrt(total)
            else:
                low[i, j] = total * low[j, j]
    return True


@compiled
def forward(low: Any, r: Any, out: Any) -> Any:
    """Solve L out = r and return the squared length of out."""
    length = 0.0
    for i in range(UNKNOWNS):
        total = r[i]
        for k in range(i):
            total -= low[i, k] * out[k]
        out[i] = total * low[i, i]
        length += out[i] * out[i]
    return length


@compiled
def backward(low: Any, out: Any) -> Any:
    """Solve L' x = out in place."""
    for i in range(UNKNOWNS - 1, -1, -1):
        total = out[i]
        for k in range(i + 1, UNKNOWNS):
            total -= low[k, i] * out[k]
        out[i] = total * low[i, i]


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
        if off <= 1e-26 * (m[0, 0] ** 2 + m[1, 1] ** 2 + m[2, 2] ** 2):
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
def along(vector: Any, factor: Any, g: Any) -> Any:
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
            along(vectors[0], 1.0, g)
        elif which == 3:
            along(vectors[1], 0.5, g)
            along(vectors[2], 0.5, g)
        else:
            g[6] = 1.0
        var[which] = forward(low, g, z)


@compiled
def solve(
    design: Any, products: Any, y: Any, floor: Any, passes: Any, space: Any, predicted: Any
) -> Any:
    """Leave ln S0 and the tensor of one voxel in `z`; return whether the samples determine it.

    `y` is divided by its largest sample, and `floor` likewise; `space` is working memory.
    """
    a, r, z, low, logs, weights = space
    for i in range(len(y)):
        used = y[i] > floor
        logs[i] = np.log(y[i]) if used else 0.0
        weights[i] = y[i] ** 2 if used else 0.0
    for left in range(passes + 1):
        normal_equations(design, products, logs, weights, a, r)
        if not cholesky(a, low):
            return False
        forward(low, r, z)
        backward(low, z)
        for i in range(len(y)):
            total = 0.0
            for k in range(UNKNOWNS):
                total += design[i, k] * z[k]
            predicted[i] = np.exp(min(max(total, -50.0), 5.0))
            if left < passes and weights[i] > 0:
                weights[i] = predicted[i] ** 2
    return True


@compiled
def squares(samples: Any, top: Any, predicted: Any, out: Any) -> Any:
    """Write the squares of the residuals and those of the samples about their mean."""
    n = len(samples)
    residual, mean, about = 0.0, 0.0, 0.0
    for i in range(n):
        mean += samples[i] / n
    for i in range(n):
        residual += (samples[i] - top * predicted[i]) ** 2
        about += (samples[i] - mean) ** 2
    out[0], out[1] = residual, about


@compiled
def fit_block(
    first: Any, last: Any, design: Any, products: Any, signal: Any, active: Any, rule: Any, out: Any
) -> Any:
    """Fit the active voxels from `first` to before `last`; `rule` is floor and passes."""
    floor, passes = rule
    n = signal.shape[1]
    a, r, z = np.empty(_PRODUCTS), np.empty(UNKNOWNS), np.empty(UNKNOWNS)
    g, low, m = np.empty(UNKNOWNS), np.zeros((UNKNOWNS, UNKNOWNS)), np.empty((3, 3))
    y, predicted = np.empty(n), np.empty(n)
    space = (a, r, z, low, np.empty(n), np.empty(n))
    for v in range(first, last):
        if not active[v]:
            continue
        top = 0.0
        for i in range(n):
            top = max(top, signal[v, i])
        for i in range(n):
            y[i] = signal[v, i] / top
        if not solve(design, products, y, floor / top, passes, space, predicted):
            out.status[v] = SINGULAR
            continue
        for k in range(UNKNOWNS):
            out.solution[v, k] = z[k]
        out.solution[v, 6] += np.log(top)
        squares(signal[v], top, predicted, out.sums[v])
        d, values, vectors = out.solution[v], out.values[v], out.vectors[v]
        eigen(d, m, vectors, values)
        scalars(d, values, vectors, low, g, z, out.scalars[v], out.variance[v])
        for k in range(5):
            out.variance[v, k] /= top * top
        out.status[v] = DONE


@parallel
def fit(
    design: Any, products: Any, signal: Any, active: Any, floor: Any, passes: Any, out: Any
) -> Any:
    """Fit every active voxel.

    `design` (n, 7), `products` (n, 28) the upper triangle of each row's outer product, `signal`
    (V, n) finite where active, `floor`: at or below it a sample has no weight, `passes`:
    reweightings by the prediction.
    """
    voxels = signal.shape[0]
    for block in prange((voxels + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        last = min(voxels, first + BLOCK)
        fit_block(first, last, design, products, signal, active, (floor, passes), out)
