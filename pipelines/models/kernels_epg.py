"""Echo trains by extended phase graphs, with their slopes, and the search of T2 and angle.

States are real in the phase of a CPMG train: F+ and F- of each order, and the part of Z that the
refocusing pulses store (Weigel, doi:10.1002/jmri.24619). The search is in w = cos(angle / 2)^2, on
which echoes near 180 degrees depend linearly.
"""

from typing import Any

import numpy as np

from .kernels import BLOCK, compiled, parallel, prange
from .kernels_varpro import AT_BOUND, CONVERGED, NOT_CONVERGED, WRONG_SIGN

_DAMPING = 1e-3
_UP, _DOWN = 10.0, 0.3
_ITERATIONS = 200
_STEP = 1e-6  # of ln T2 and of w
LOWEST_ANGLE = np.pi / 3
# Close enough to 180 degrees that the echoes differ by less than 1e-5, and the slope still exists.
HIGHEST_ANGLE = np.pi - 0.005


@compiled
def rotate(f: Any, c: float, s: float, orders: int) -> None:
    """Apply a refocusing pulse, and its slope by the angle, to all orders.

    `f` (3, 3, K): value, slope by ln T2, slope by the angle; of F+, F-, Z.
    """
    up, down = 0.5 * (1.0 + c), 0.5 * (1.0 - c)
    for k in range(orders):
        p, q, z = f[0, 0, k], f[0, 1, k], f[0, 2, k]
        for d in range(3):
            a, b, e = f[d, 0, k], f[d, 1, k], f[d, 2, k]
            f[d, 0, k] = up * a + down * b + s * e
            f[d, 1, k] = down * a + up * b - s * e
            f[d, 2, k] = 0.5 * s * (b - a) + c * e
        f[2, 0, k] += 0.5 * s * (q - p) + c * z
        f[2, 1, k] += 0.5 * s * (p - q) - c * z
        f[2, 2, k] += 0.5 * c * (q - p) - s * z


@compiled
def evolve(f: Any, e1: float, e2: float, slope: float, orders: int) -> None:
    """Relax for half an echo spacing and shift the orders by one."""
    for k in range(orders):
        for j in range(2):
            f[1, j, k] = e2 * f[1, j, k] + slope * f[0, j, k]
            f[0, j, k] *= e2
            f[2, j, k] *= e2
        for d in range(3):
            f[d, 2, k] *= e1
    for d in range(3):
        for k in range(orders - 1, 0, -1):
            f[d, 0, k] = f[d, 0, k - 1]
        for k in range(orders - 1):
            f[d, 1, k] = f[d, 1, k + 1]
        f[d, 1, orders - 1] = 0.0
        f[d, 0, 0] = f[d, 1, 0]


@compiled
def train(half: float, t1: float, u: float, angle: float, profile: Any, f: Any, out: Any) -> None:
    """Write the echoes (3, n) with their slopes by u = ln T2 and by w, for an angle in radians.

    `half` is half the echo spacing; `profile` holds the relative angles across the slice, over
    which the mean is taken.
    """
    n = out.shape[1]
    e1 = np.exp(-half / t1)
    x = half * np.exp(-u)
    e2 = np.exp(-x)
    out[:] = 0.0
    for point in range(profile.shape[0]):
        part = profile[point]
        c, s = np.cos(part * angle), np.sin(part * angle)
        f[:] = 0.0
        f[0, 0, 0] = 1.0
        f[0, 1, 0] = 1.0
        for i in range(n):
            # Orders that exist so far, and can still come back before the train ends.
            orders = min(2 * i + 3, f.shape[2])
            evolve(f, e1, e2, e2 * x, orders)
            rotate(f, c, s, orders)
            evolve(f, e1, e2, e2 * x, orders)
            out[0, i] += f[0, 0, 0]
            out[1, i] += f[1, 0, 0]
            out[2, i] += part * f[2, 0, 0]
    out /= profile.shape[0]
    out[2] /= -0.5 * np.sin(angle)


@parallel
def trains(half: float, t1: float, logs: Any, angles: Any, profile: Any, out: Any) -> None:
    """Write the echoes (A, n) of pairs of ln T2 and angle."""
    n = out.shape[1]
    for a in prange(logs.shape[0]):
        f, echoes = np.empty((3, 3, n + 2)), np.empty((3, n))
        train(half, t1, logs[a], angles[a], profile, f, echoes)
        out[a] = echoes[0]


@compiled
def normal_equations(y: Any, b: Any, skip: int, m: Any) -> Any:
    """Write the normal equations of the two parameters; return S0 and the squared residuals.

    `m` (2, 3): the tangents' products outside the direction of the echoes, and the gradient.
    """
    bb, yb, yy = 0.0, 0.0, 0.0
    for i in range(skip, y.shape[0]):
        bb += b[0, i] * b[0, i]
        yb += y[i] * b[0, i]
        yy += y[i] * y[i]
    s0 = yb / bb
    for j in range(2):
        along, of_y = 0.0, 0.0
        for i in range(skip, y.shape[0]):
            along += b[0, i] * b[j + 1, i]
            of_y += (y[i] - s0 * b[0, i]) * b[j + 1, i]
        m[j, 2] = s0 * of_y
        for other in range(2):
            across, along_other = 0.0, 0.0
            for i in range(skip, y.shape[0]):
                across += b[j + 1, i] * b[other + 1, i]
                along_other += b[0, i] * b[other + 1, i]
            m[j, other] = s0 * s0 * (across - along * along_other / bb)
    return s0, max(yy - yb * s0, 0.0)


@compiled
def to_angle(w: float) -> float:
    """Return the angle of w = cos(angle / 2)^2, kept in its bounds."""
    angle: float = 2.0 * np.arccos(np.sqrt(min(max(w, 0.0), 1.0)))
    return min(max(angle, LOWEST_ANGLE), HIGHEST_ANGLE)


@compiled
def levenberg_marquardt(
    y: Any, skip: int, settings: Any, start: Any, profile: Any, f: Any, work: Any
) -> Any:
    """Search T2 and angle from a start by damped Gauss-Newton steps (Levenberg, Marquardt).

    `settings`: half spacing, T1, bounds of ln T2. Returns ln T2, angle, S0, SSE and status; `work`
    (2, 3, n) then holds the echoes.
    """
    half, t1, low, high = settings
    u, angle = start[0], min(start[1], HIGHEST_ANGLE)
    b, trial = work[0], work[1]
    m, trial_equations = np.empty((2, 3)), np.empty((2, 3))
    train(half, t1, u, angle, profile, f, b)
    s0, sse = normal_equations(y, b, skip, m)
    damping = _DAMPING
    for _ in range(_ITERATIONS):
        a, d = m[0, 0] * (1.0 + damping), m[1, 1] * (1.0 + damping)
        # At the greatest angle, and pushed beyond: only T2 moves.
        across = 0.0 if angle >= HIGHEST_ANGLE and m[1, 2] < 0.0 else m[0, 1]
        det = a * d - across * across
        if not det > 0.0:
            return u, angle, s0, sse, NOT_CONVERGED
        du = min(max((d * m[0, 2] - across * m[1, 2]) / det, -0.5), 0.5)
        dw = min(max((a * m[1, 2] - across * m[0, 2]) / det, -0.2), 0.2)
        next_u = min(max(u + du, low), high)
        next_angle = to_angle(np.cos(0.5 * angle) ** 2 + dw)
        train(half, t1, next_u, next_angle, profile, f, trial)
        height, cost = normal_equations(y, trial, skip, trial_equations)
        moved = abs(np.cos(0.5 * next_angle) ** 2 - np.cos(0.5 * angle) ** 2)
        small = abs(next_u - u) < _STEP and moved < _STEP
        if cost <= sse:
            u, angle, s0, sse = next_u, next_angle, height, cost
            b[:] = trial
            m[:] = trial_equations
            damping *= _DOWN
        else:
            damping *= _UP
        if small or damping > 1e12:
            edge = u <= low or u >= high or angle <= LOWEST_ANGLE
            return u, angle, s0, sse, AT_BOUND if edge else CONVERGED
    return u, angle, s0, sse, NOT_CONVERGED


@compiled
def parameter_variances(b: Any, skip: int, s0: float, angle: float, variance: Any) -> None:
    """Write the unit variances of ln T2, angle and S0.

    An angle at its upper bound has no variance and costs the others none.
    """
    g = np.zeros((3, 3))
    for i in range(skip, b.shape[1]):
        row = (b[0, i], s0 * b[1, i], s0 * b[2, i])
        for j in range(3):
            for k in range(3):
                g[j, k] += row[j] * row[k]
    free = angle < HIGHEST_ANGLE
    if not free:
        g[2, 0], g[2, 1], g[0, 2], g[1, 2], g[2, 2] = 0.0, 0.0, 0.0, 0.0, 1.0
    a = g[1, 1] * g[2, 2] - g[1, 2] * g[1, 2]
    e = g[0, 0] * g[2, 2] - g[0, 2] * g[0, 2]
    i = g[0, 0] * g[1, 1] - g[0, 1] * g[0, 1]
    det = (
        g[0, 0] * a
        - g[0, 1] * (g[0, 1] * g[2, 2] - g[1, 2] * g[0, 2])
        + g[0, 2] * (g[0, 1] * g[1, 2] - g[1, 1] * g[0, 2])
    )
    variance[0] = e / det
    variance[1] = i / det / (0.5 * np.sin(angle)) ** 2 if free else np.nan
    variance[2] = a / det


@compiled
def fit_block(
    signal: Any,
    active: Any,
    skip: int,
    settings: Any,
    starts: Any,
    profile: Any,
    out: Any,
    status: Any,
    block: int,
) -> None:
    """Fit the active voxels of one block, each from two starts: there may be two optima."""
    n = signal.shape[1]
    f, work = np.empty((3, 3, n + 2)), np.empty((2, 3, n))
    for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
        if not active[v]:
            continue
        first = (starts[v, 0, 0], starts[v, 0, 1])
        other = (starts[v, 1, 0], starts[v, 1, 1])
        u, angle, s0, sse, status[v] = levenberg_marquardt(
            signal[v], skip, settings, first, profile, f, work
        )
        best_echoes = work[0].copy()
        found = levenberg_marquardt(signal[v], skip, settings, other, profile, f, work)
        if found[3] < sse * (1.0 - 1e-9) and found[4] != NOT_CONVERGED:
            u, angle, s0, sse, status[v] = found
            best_echoes = work[0].copy()
        if s0 <= 0.0:
            status[v] = WRONG_SIGN
        out[v, 0], out[v, 1], out[v, 2], out[v, 3] = u, angle, s0, sse
        parameter_variances(best_echoes, skip, s0, angle, out[v, 4:7])
        total, squares = 0.0, 0.0
        for i in range(skip, n):
            total += signal[v, i]
            squares += signal[v, i] ** 2
            out[v, 8 + i] = signal[v, i] - s0 * best_echoes[0, i]
        out[v, 7] = squares - total * total / (n - skip)


@parallel
def fit(
    signal: Any,
    active: Any,
    skip: int,
    settings: Any,
    starts: Any,
    profile: Any,
    out: Any,
    status: Any,
) -> None:
    """Fit every active voxel.

    `out` (V, 8 + n) gets ln T2, angle (radians), S0, SSE, their unit variances, the squares about
    the mean, and the residuals.
    """
    for block in prange((signal.shape[0] + BLOCK - 1) // BLOCK):
        fit_block(signal, active, skip, settings, starts, profile, out, status, block)
