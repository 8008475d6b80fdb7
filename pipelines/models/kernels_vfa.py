"""The search of T1 from variable flip angles, where each voxel has its own angles."""

from typing import Any

import numpy as np

from .kernels import BLOCK, compiled, parallel, prange
from .kernels_varpro import AT_BOUND, CONVERGED, NOT_CONVERGED, WRONG_SIGN

_STARTS = 24
_STEP = 1e-7  # in ln T1
_ITERATIONS = 80


@compiled
def column_products(y: Any, sines: Any, cosines: Any, repetition: float, log_t1: float) -> Any:
    """Return y.b, y.b', b.b, b.b', b'.b' of the column b and its slope b' by ln T1."""
    x = repetition * np.exp(-log_t1)
    e = np.exp(-x)
    rest = -np.expm1(-x)
    yb, yd, bb, bd, dd = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(y.shape[0]):
        under = 1.0 - cosines[i] * e
        b = sines[i] * rest / under
        d = sines[i] * (cosines[i] - 1.0) / (under * under) * e * x
        yb += y[i] * b
        yd += y[i] * d
        bb += b * b
        bd += b * d
        dd += d * d
    return yb, yd, bb, bd, dd


@compiled
def refine_t1(y: Any, sines: Any, cosines: Any, repetition: float, low: float, high: float) -> Any:
    """Return ln T1 of the best fit and status: a bracket from a grid, then secant steps in it."""
    best, most = -1, 0.0
    width = (high - low) / (_STARTS - 1)
    for k in range(_STARTS):
        yb, yd, bb, bd, dd = column_products(y, sines, cosines, repetition, low + k * width)
        if yb > 0.0 and yb * yb / bb > most:
            best, most = k, yb * yb / bb
    if best < 0:
        return low, WRONG_SIGN
    u = low + best * width
    left, right = max(u - width, low), min(u + width, high)
    before, slope_before, moved = 0.0, 0.0, False
    for _ in range(_ITERATIONS):
        yb, yd, bb, bd, dd = column_products(y, sines, cosines, repetition, u)
        slope = yb * (yd - yb * bd / bb) / bb
        if (u <= low and slope <= 0.0) or (u >= high and slope >= 0.0):
            return u, AT_BOUND
        if slope > 0.0:
            left = u
        else:
            right = u
        step = slope / (yb * yb * (dd - bd * bd / bb) / (bb * bb))
        if moved and (slope - slope_before) * (u - before) < 0.0:
            step = -slope * (u - before) / (slope - slope_before)
        if abs(step) < _STEP:
            return u, CONVERGED
        before, slope_before, moved = u, slope, True
        proposed = u + step
        if proposed <= left or proposed >= right:
            edge = (proposed <= left and left == low) or (proposed >= right and right == high)
            proposed = min(max(proposed, left), right) if edge else 0.5 * (left + right)
        u = proposed
    return u, NOT_CONVERGED


@parallel
def fit(
    signal: Any,
    active: Any,
    angles: Any,
    scale: Any,
    repetition: float,
    low: float,
    high: float,
    out: Any,
    status: Any,
) -> None:
    """Fit every active voxel.

    `out` (V, 6) gets ln T1, M0, their unit variances, SSE, and the squares about the mean.
    """
    n = signal.shape[1]
    for block in prange((signal.shape[0] + BLOCK - 1) // BLOCK):
        sines, cosines = np.empty(n), np.empty(n)
        for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
            if not active[v]:
                continue
            total, squares = 0.0, 0.0
            for i in range(n):
                sines[i] = np.sin(angles[i] * scale[v])
                cosines[i] = np.cos(angles[i] * scale[v])
                total += signal[v, i]
                squares += signal[v, i] ** 2
            u, status[v] = refine_t1(signal[v], sines, cosines, repetition, low, high)
            yb, _, bb, bd, dd = column_products(signal[v], sines, cosines, repetition, u)
            m0 = yb / bb
            tangent = dd - bd * bd / bb
            out[v, 0] = u
            out[v, 1] = m0
            out[v, 2] = 1.0 / (m0 * m0 * tangent)
            out[v, 3] = 1.0 / bb + (bd / bb) ** 2 / tangent
            out[v, 4] = max(squares - yb * yb / bb, 0.0)
            out[v, 5] = squares - total * total / n
