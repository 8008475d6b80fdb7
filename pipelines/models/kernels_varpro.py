"""The search of one non-linear parameter per voxel, on tables of orthonormal bases.

Positions are counted in cells of the table. Arrays of a table have the shapes given in `Table`.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .kernels import BLOCK, compiled, parallel, prange

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

CONVERGED, AT_BOUND, NOT_CONVERGED, WRONG_SIGN = 0, 1, 2, 3
# Sizes known to the compiler, so that the innermost loops need no bookkeeping.
RANK = 12  # dimensions of the samples' subspace
ATOMS = 12  # places where the search may start
SPACING = 4  # cells between two atoms
CELLS = SPACING * (ATOMS - 1)
TERMS = 8  # coefficients of the polynomial in a cell
_STEP = 1e-3  # cells; what a Newton step of that length leaves is of the order of its square
_ITERATIONS = 60
_PASSED = 9.0  # times the squares of an optimum beyond the limit that one inside it may have


class Table(NamedTuple):
    """A model on a grid of its non-linear parameter; made by `varpro.tabulate`.

    In each cell everything is a polynomial with `TERMS` terms of t, which goes from -1 to 1.

    `basis` (n, RANK): the samples' subspace, with columns of zeros where it needs fewer. `front`
    (RANK + m * ATOMS, n): it again, then the m orthonormal columns at the atoms. `columns` (CELLS,
    m, TERMS, RANK): the orthonormal columns in the subspace; `turned` (CELLS, m, RANK, TERMS) the
    same, transposed. `facts` (CELLS, 3, m, m, TERMS): from what the tangent's squared length, its
    part inside the linear basis, and the model's own coefficients are computed. `sign`: what the
    last coefficient must have (0: any). `limit`: with two columns, -last / first coefficient must
    lie between 0 and this (0: anywhere).
    """

    basis: Doubles
    front: Doubles
    columns: Doubles
    turned: Doubles
    facts: Doubles
    sign: float
    limit: float


class Estimates(NamedTuple):
    """What the kernels write, for V voxels and m linear coefficients.

    `position` (V,) in cells; `curvature` (V,) squared length of the tangent per cell; `linear`,
    `amplitude` (V, m): coefficients in the orthonormal basis, and those of the model; `variance`
    (V, 2 m - 1): the variances of the latter for unit noise, and with two their covariance;
    `sse`, `sst` (V,); `status`, `switch` (V,): how it ended, and how many leading samples have
    their sign turned.
    """

    position: Doubles
    curvature: Floats
    linear: Doubles
    amplitude: Floats
    variance: Floats
    sse: Floats
    sst: Floats
    status: npt.NDArray[np.int8]
    switch: npt.NDArray[np.int8]


@compiled
def project(front: Any, signal: Any, v: int, seen: Any) -> Any:
    """Write the products of a voxel's samples with the front; return their sum and square sum."""
    width, n = front.shape
    total, squares = 0.0, 0.0
    for k in range(0, width, 4):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            y = signal[v, i]
            a += y * front[k, i]
            b += y * front[k + 1, i]
            c += y * front[k + 2, i]
            d += y * front[k + 3, i]
        seen[k], seen[k + 1], seen[k + 2], seen[k + 3] = a, b, c, d
    for i in range(n):
        y = signal[v, i]
        total += y
        squares += y * y
    return total, squares


@compiled
def likeness(seen: Any, m: int, atom: int) -> float:
    """Return the energy that an atom explains."""
    energy: float = seen[RANK + (m - 1) * ATOMS + atom] ** 2
    if m == 2:
        energy += seen[RANK + atom] ** 2
    return energy


@compiled
def start(seen: Any, m: int, sign: float) -> int:
    """Return the atom that explains most with the sign wanted (0: any), or -1."""
    best, most = -1, -1.0
    for a in range(ATOMS):
        allowed = seen[RANK + (m - 1) * ATOMS + a] * sign >= 0.0
        energy = likeness(seen, m, a) if allowed else -1.0
        best = a if energy > most else best
        most = energy if energy > most else most
    return best


@compiled
def peak(seen: Any, m: int, atom: int) -> bool:
    """Tell whether an atom explains more than its neighbours."""
    middle = likeness(seen, m, atom)
    return (atom == 0 or middle > likeness(seen, m, atom - 1)) and (
        atom == ATOMS - 1 or middle > likeness(seen, m, atom + 1)
    )


@compiled
def crest(seen: Any, m: int, atom: int) -> float:
    """Return the place of the maximum of a parabola through an atom and its neighbours."""
    if atom == 0 or atom == ATOMS - 1:
        return float(atom * SPACING)
    left, middle, right = (
        likeness(seen, m, atom - 1),
        likeness(seen, m, atom),
        likeness(seen, m, atom + 1),
    )
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return SPACING * (atom + min(max(shift, -0.5), 0.5))


@compiled
def enter(turned: Any, seen: Any, cell: int, local: Any) -> None:
    """Write the polynomials of the linear coefficients in a cell."""
    for j in range(local.shape[0]):
        for d in range(TERMS):
            local[j, d] = 0.0
        for k in range(0, RANK, 4):
            e, f, g, h = seen[k], seen[k + 1], seen[k + 2], seen[k + 3]
            for d in range(TERMS):
                local[j, d] += (e * turned[cell, j, k, d] + f * turned[cell, j, k + 1, d]) + (
                    g * turned[cell, j, k + 2, d] + h * turned[cell, j, k + 3, d]
                )


@compiled
def slopes(local: Any, t: float) -> Any:
    """Return half the first and second derivative by t of the explained energy, and the energy."""
    half, bend, energy = 0.0, 0.0, 0.0
    for j in range(local.shape[0]):
        c, first, second = 0.0, 0.0, 0.0
        for d in range(TERMS - 1, -1, -1):
            second = second * t + first
            first = first * t + c
            c = c * t + local[j, d]
        half += c * first
        bend += first * first + 2.0 * c * second
        energy += c * c
    return half, bend, energy


@compiled
def inside(wanted: float, low: float, high: float, end: float) -> float:
    """Keep a step inside its bracket; an end of the table that it reaches is looked at itself."""
    if low < wanted < high:
        return wanted
    if wanted <= low and low == 0.0:
        return 0.0
    if high <= wanted < np.inf and high == end:
        return end
    return 0.5 * (low + high)


@compiled
def climb(turned: Any, seen: Any, atom: int, x: float, local: Any) -> Any:
    """Find the maximum of the explained energy next to an atom, from a place near it.

    Newton steps, kept inside a bracket on which the slope changes sign. Returns position,
    explained energy, status, and the cell whose polynomials `local` holds.
    """
    end = float(CELLS)
    low, high = max(atom - 1.0, 0.0) * SPACING, min(atom + 1.0, ATOMS - 1.0) * SPACING
    current = -1
    energy = 0.0
    for _ in range(_ITERATIONS):
        cell = min(int(x), CELLS - 1)
        if cell != current:
            enter(turned, seen, cell, local)
            current = cell
        half, bend, energy = slopes(local, 2.0 * (x - cell) - 1.0)
        if (x <= 0.0 and half <= 0.0) or (x >= end and half >= 0.0):
            return x, energy, AT_BOUND, current
        if half > 0.0:
            low = x
        else:
            high = x
        following = inside(x - 0.5 * half / bend if bend < 0.0 else np.inf, low, high, end)
        moved = abs(following - x)
        x = following
        if moved < _STEP:
            # What is explained changes by the square of so small a step.
            return x, energy, CONVERGED, current
    return x, energy, NOT_CONVERGED, current


@compiled
def keep(local: Any, cell: int, position: float, linear: Any, v: int) -> None:
    """Write the linear coefficients at a position in, or next to, the cell that `local` holds."""
    t = 2.0 * (position - cell) - 1.0
    for j in range(local.shape[0]):
        c = 0.0
        for d in range(TERMS - 1, -1, -1):
            c = c * t + local[j, d]
        linear[v, j] = c


@compiled
def describe(
    facts: Any, position: float, linear: Any, amplitude: Any, variance: Any, v: int
) -> float:
    """Write the model's own coefficients with their unit variances; return the curvature.

    A change of position moves the tangent's part outside the linear basis, on which its variance
    rests, and drags the coefficients along.
    """
    cell = min(int(position), CELLS - 1)
    t = 2.0 * (position - cell) - 1.0
    m = facts.shape[2]
    if m == 1:
        w, x, dx = 0.0, 0.0, 0.0
        for d in range(TERMS - 1, -1, -1):
            w = w * t + facts[cell, 0, 0, 0, d]
            dx = dx * t + x
            x = x * t + facts[cell, 2, 0, 0, d]
        amplitude[v, 0] = x * linear[v, 0]
        variance[v, 0] = x * x + 4.0 * dx * dx / w
        return float(w * linear[v, 0] ** 2)
    curvature = 0.0
    for i in range(m):
        for j in range(m):
            w = 0.0
            for d in range(TERMS - 1, -1, -1):
                w = w * t + facts[cell, 0, i, j, d]
            curvature += linear[v, i] * w * linear[v, j]
    cross, lean_before = 0.0, 0.0
    for i in range(m):
        x, own, lean = 0.0, 0.0, 0.0
        cross = 0.0
        for j in range(m):
            q, dq, p, q0 = 0.0, 0.0, 0.0, 0.0
            for d in range(TERMS - 1, -1, -1):
                dq = dq * t + q
                q = q * t + facts[cell, 2, i, j, d]
                q0 = q0 * t + facts[cell, 2, 0, j, d]
                p = p * t + facts[cell, 1, i, j, d]
            x += q * linear[v, j]
            own += q * q
            cross += q0 * q
            lean += (2.0 * dq - p) * linear[v, j]
        amplitude[v, i] = x
        variance[v, i] = own + lean * lean / curvature
        if i == 1:
            variance[v, 2] = cross + lean_before * lean / curvature
        lean_before = lean
    return curvature


@compiled
def believable(facts: Any, position: float, linear: Any, limit: float) -> bool:
    """Tell whether -last / first coefficient of a model with two lies between 0 and the limit."""
    cell = min(int(position), CELLS - 1)
    t = 2.0 * (position - cell) - 1.0
    first, last = 0.0, 0.0
    for j in range(2):
        a, b = 0.0, 0.0
        for d in range(TERMS - 1, -1, -1):
            a = a * t + facts[cell, 2, 0, j, d]
            b = b * t + facts[cell, 2, 1, j, d]
        first += a * linear[0, j]
        last += b * linear[0, j]
    return bool(0.0 < -last / first <= limit)


@compiled
def search(
    front: Any,
    turned: Any,
    facts: Any,
    sign: float,
    limit: float,
    samples: Any,
    v: int,
    patterns: int,
    seen: Any,
    local: Any,
    trial: Any,
    linear: Any,
) -> Any:
    """Find one voxel's position: return it with status, turned samples, and the two sums."""
    m = local.shape[0]
    total, squares = project(front, samples, v, seen)
    most, position, status, switch = -1.0, 0.0, WRONG_SIGN, 0
    greatest = -1.0
    for pattern in range(patterns):
        if pattern > 0:
            for k in range(front.shape[0]):
                seen[k] -= 2.0 * samples[v, pattern - 1] * front[k, pattern - 1]
        best = start(seen, m, sign)
        # With a limit the best of several optima may lie beyond it, and another one inside.
        first, last = (0, ATOMS) if limit > 0.0 else (best, best + 1)
        for atom in range(first, last):
            if atom < 0 or not (atom == best or peak(seen, m, atom)):
                continue
            x, energy, state, cell = climb(turned, seen, atom, crest(seen, m, atom), local)
            greatest = max(greatest, energy)
            if energy > most:
                keep(local, cell, x, trial, 0)
                if limit > 0.0 and not believable(facts, x, trial, limit):
                    continue
                most, position, status, switch = energy, x, state, pattern
                for j in range(m):
                    linear[v, j] = trial[0, j]
    if squares - most > _PASSED * max(squares - greatest, 0.0) and greatest > most:
        # What was passed over fits far better: the answer lies beyond the limit.
        status = AT_BOUND
    for i in range(switch):
        total -= 2.0 * samples[v, i]
    return position, status, switch, total, squares


@compiled
def search_block(
    table: Table, signal: Any, active: Any, polarity: bool, out: Estimates, block: int
) -> None:
    """Fit the active voxels of one block."""
    # Taken out of their tuples once: doing so per voxel costs as much as half of the fit.
    front, turned, facts, sign = table.front, table.turned, table.facts, table.sign
    where, bend, linear = out.position, out.curvature, out.linear
    amplitude, variance, sse, sst = out.amplitude, out.variance, out.sse, out.sst
    states, switches = out.status, out.switch
    n, m = signal.shape[1], turned.shape[1]
    seen, local = np.empty(front.shape[0]), np.empty((m, TERMS))
    trial = np.empty((1, m))
    limit = table.limit
    patterns = n if polarity else 1
    for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
        if not active[v]:
            continue
        position, status, switch, total, squares = search(
            front, turned, facts, sign, limit, signal, v, patterns, seen, local, trial, linear
        )
        states[v], switches[v], where[v] = status, switch, position
        sst[v] = squares - total * total / n
        if status == WRONG_SIGN:
            continue
        bend[v] = describe(facts, position, linear, amplitude, variance, v)
        explained = 0.0
        for j in range(m):
            explained += linear[v, j] ** 2
        sse[v] = max(squares - explained, 0.0)
        if sign * amplitude[v, m - 1] < 0.0:
            states[v] = WRONG_SIGN


@parallel
def fit(table: Table, signal: Any, active: Any, polarity: bool, out: Estimates) -> None:
    """Fit every active voxel.

    With `polarity` the samples are magnitudes sorted by time, and every number of leading samples
    is tried with its sign turned: the smallest sum of squares is that of the magnitude itself.
    """
    for block in prange((signal.shape[0] + BLOCK - 1) // BLOCK):
        search_block(table, signal, active, polarity, out, block)
