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
PARTS = 32  # of all voxels, whose sums are kept apart
_STEP = 1e-3  # cells; what a Newton step of that length leaves is of the order of its square
_ITERATIONS = 60
_PASSED = 9.0  # times the squares of an optimum beyond the limit that one inside it may have


class Table(NamedTuple):
    """A model on a grid of its non-linear parameter; made by `varpro.tabulate`.

    In each cell everything is a polynomial with `TERMS` terms of t, which goes from -1 to 1.

    `basis` (n, RANK): the samples' subspace, with columns of zeros where it needs fewer. `design`
    (RANK + m * ATOMS, n): it again, then the m orthonormal columns at the atoms. `columns` (CELLS,
    m, TERMS, RANK): the orthonormal columns in the subspace; `transposed` (CELLS, m, RANK, TERMS)
    the same, transposed. `tangent_tables` (CELLS, 3, m, m, TERMS): the tangent's squared length,
    its part inside the linear basis, and what leads to the model's own coefficients. `sign`: what
    the last coefficient must have (0: any). `limit`: with two columns, -last / first coefficient
    must lie between 0 and this (0: anywhere).
    """

    basis: Doubles
    design: Doubles
    columns: Doubles
    transposed: Doubles
    tangent_tables: Doubles
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
def project_signal(design: Any, signal: Any, v: int, projections: Any) -> Any:
    """Write the products of a voxel's samples with the design; return their sum and square sum."""
    width, n = design.shape
    total, squares = 0.0, 0.0
    for k in range(0, width, 4):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            y = signal[v, i]
            a += y * design[k, i]
            b += y * design[k + 1, i]
            c += y * design[k + 2, i]
            d += y * design[k + 3, i]
        projections[k], projections[k + 1], projections[k + 2], projections[k + 3] = a, b, c, d
    for i in range(n):
        y = signal[v, i]
        total += y
        squares += y * y
    return total, squares


@compiled
def explained_energy(projections: Any, m: int, atom: int) -> float:
    """Return the energy that an atom explains."""
    energy: float = projections[RANK + (m - 1) * ATOMS + atom] ** 2
    if m == 2:
        energy += projections[RANK + atom] ** 2
    return energy


@compiled
def best_atom(projections: Any, m: int, sign: float) -> int:
    """Return the atom that explains most with the sign wanted (0: any), or -1."""
    best, most = -1, -1.0
    for a in range(ATOMS):
        allowed = projections[RANK + (m - 1) * ATOMS + a] * sign >= 0.0
        energy = explained_energy(projections, m, a) if allowed else -1.0
        best = a if energy > most else best
        most = energy if energy > most else most
    return best


@compiled
def is_local_maximum(projections: Any, m: int, atom: int) -> bool:
    """Tell whether an atom explains more than its neighbours."""
    middle = explained_energy(projections, m, atom)
    return (atom == 0 or middle > explained_energy(projections, m, atom - 1)) and (
        atom == ATOMS - 1 or middle > explained_energy(projections, m, atom + 1)
    )


@compiled
def parabola_peak(projections: Any, m: int, atom: int) -> float:
    """Return the place of the maximum of a parabola through an atom and its neighbours."""
    if atom == 0 or atom == ATOMS - 1:
        return float(atom * SPACING)
    left, middle, right = (
        explained_energy(projections, m, atom - 1),
        explained_energy(projections, m, atom),
        explained_energy(projections, m, atom + 1),
    )
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return SPACING * (atom + min(max(shift, -0.5), 0.5))


@compiled
def load_polynomials(transposed: Any, projections: Any, cell: int, local: Any) -> None:
    """Write the polynomials of the linear coefficients in a cell."""
    for j in range(local.shape[0]):
        for d in range(TERMS):
            local[j, d] = 0.0
        for k in range(0, RANK, 4):
            e, f, g, h = projections[k], projections[k + 1], projections[k + 2], projections[k + 3]
            for d in range(TERMS):
                local[j, d] += (
                    e * transposed[cell, j, k, d] + f * transposed[cell, j, k + 1, d]
                ) + (g * transposed[cell, j, k + 2, d] + h * transposed[cell, j, k + 3, d])


@compiled
def energy_derivatives(local: Any, t: float) -> Any:
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
def bracketed_step(proposed: float, low: float, high: float, end: float) -> float:
    """Keep a step inside its bracket; an end of the table that it reaches is evaluated itself."""
    if low < proposed < high:
        return proposed
    if proposed <= low and low == 0.0:
        return 0.0
    if high <= proposed < np.inf and high == end:
        return end
    return 0.5 * (low + high)


@compiled
def newton_refine(transposed: Any, projections: Any, atom: int, x: float, local: Any) -> Any:
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
            load_polynomials(transposed, projections, cell, local)
            current = cell
        half, bend, energy = energy_derivatives(local, 2.0 * (x - cell) - 1.0)
        if (x <= 0.0 and half <= 0.0) or (x >= end and half >= 0.0):
            return x, energy, AT_BOUND, current
        if half > 0.0:
            low = x
        else:
            high = x
        following = bracketed_step(x - 0.5 * half / bend if bend < 0.0 else np.inf, low, high, end)
        moved = abs(following - x)
        x = following
        if moved < _STEP:
            # What is explained changes by the square of so small a step.
            return x, energy, CONVERGED, current
    return x, energy, NOT_CONVERGED, current


@compiled
def store_coefficients(local: Any, cell: int, position: float, linear: Any, v: int) -> None:
    """Write the linear coefficients at a position in, or next to, the cell that `local` holds."""
    t = 2.0 * (position - cell) - 1.0
    for j in range(local.shape[0]):
        c = 0.0
        for d in range(TERMS - 1, -1, -1):
            c = c * t + local[j, d]
        linear[v, j] = c


@compiled
def store_amplitudes(
    tangent_tables: Any, position: float, linear: Any, amplitude: Any, variance: Any, v: int
) -> float:
    """Write the model's own coefficients with their unit variances; return the curvature.

    A change of position moves the tangent's part outside the linear basis, on which its variance
    rests, and drags the coefficients along.
    """
    cell = min(int(position), CELLS - 1)
    t = 2.0 * (position - cell) - 1.0
    m = tangent_tables.shape[2]
    if m == 1:
        w, x, dx = 0.0, 0.0, 0.0
        for d in range(TERMS - 1, -1, -1):
            w = w * t + tangent_tables[cell, 0, 0, 0, d]
            dx = dx * t + x
            x = x * t + tangent_tables[cell, 2, 0, 0, d]
        amplitude[v, 0] = x * linear[v, 0]
        variance[v, 0] = x * x + 4.0 * dx * dx / w
        return float(w * linear[v, 0] ** 2)
    curvature = 0.0
    for i in range(m):
        for j in range(m):
            w = 0.0
            for d in range(TERMS - 1, -1, -1):
                w = w * t + tangent_tables[cell, 0, i, j, d]
            curvature += linear[v, i] * w * linear[v, j]
    cross, previous_sensitivity = 0.0, 0.0
    for i in range(m):
        x, own, sensitivity = 0.0, 0.0, 0.0
        cross = 0.0
        for j in range(m):
            q, dq, p, q0 = 0.0, 0.0, 0.0, 0.0
            for d in range(TERMS - 1, -1, -1):
                dq = dq * t + q
                q = q * t + tangent_tables[cell, 2, i, j, d]
                q0 = q0 * t + tangent_tables[cell, 2, 0, j, d]
                p = p * t + tangent_tables[cell, 1, i, j, d]
            x += q * linear[v, j]
            own += q * q
            cross += q0 * q
            sensitivity += (2.0 * dq - p) * linear[v, j]
        amplitude[v, i] = x
        variance[v, i] = own + sensitivity * sensitivity / curvature
        if i == 1:
            variance[v, 2] = cross + previous_sensitivity * sensitivity / curvature
        previous_sensitivity = sensitivity
    return curvature


@compiled
def is_plausible(tangent_tables: Any, position: float, linear: Any, limit: float) -> bool:
    """Tell whether -last / first coefficient of a model with two lies between 0 and the limit."""
    cell = min(int(position), CELLS - 1)
    t = 2.0 * (position - cell) - 1.0
    first, last = 0.0, 0.0
    for j in range(2):
        a, b = 0.0, 0.0
        for d in range(TERMS - 1, -1, -1):
            a = a * t + tangent_tables[cell, 2, 0, j, d]
            b = b * t + tangent_tables[cell, 2, 1, j, d]
        first += a * linear[0, j]
        last += b * linear[0, j]
    return bool(0.0 < -last / first <= limit)


@compiled
def search_voxel(
    design: Any,
    transposed: Any,
    tangent_tables: Any,
    sign: float,
    limit: float,
    samples: Any,
    v: int,
    patterns: int,
    projections: Any,
    local: Any,
    trial: Any,
    linear: Any,
) -> Any:
    """Find one voxel's position: return it with status, turned samples, and the two sums."""
    m = local.shape[0]
    total, squares = project_signal(design, samples, v, projections)
    most, position, status, switch = -1.0, 0.0, WRONG_SIGN, 0
    greatest = -1.0
    for pattern in range(patterns):
        if pattern > 0:
            for k in range(design.shape[0]):
                projections[k] -= 2.0 * samples[v, pattern - 1] * design[k, pattern - 1]
        best = best_atom(projections, m, sign)
        # With a limit the best of several optima may lie beyond it, and another one inside.
        first, last = (0, ATOMS) if limit > 0.0 else (best, best + 1)
        for atom in range(first, last):
            if atom < 0 or not (atom == best or is_local_maximum(projections, m, atom)):
                continue
            x, energy, state, cell = newton_refine(
                transposed, projections, atom, parabola_peak(projections, m, atom), local
            )
            greatest = max(greatest, energy)
            if energy > most:
                store_coefficients(local, cell, x, trial, 0)
                if limit > 0.0 and not is_plausible(tangent_tables, x, trial, limit):
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
    design, transposed, tangent_tables, sign = (
        table.design,
        table.transposed,
        table.tangent_tables,
        table.sign,
    )
    positions, curvatures, linear = out.position, out.curvature, out.linear
    amplitude, variance, sse, sst = out.amplitude, out.variance, out.sse, out.sst
    states, switches = out.status, out.switch
    n, m = signal.shape[1], transposed.shape[1]
    projections, local = np.empty(design.shape[0]), np.empty((m, TERMS))
    trial = np.empty((1, m))
    limit = table.limit
    patterns = n if polarity else 1
    for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
        if not active[v]:
            continue
        position, status, switch, total, squares = search_voxel(
            design,
            transposed,
            tangent_tables,
            sign,
            limit,
            signal,
            v,
            patterns,
            projections,
            local,
            trial,
            linear,
        )
        states[v], switches[v], positions[v] = status, switch, position
        sst[v] = squares - total * total / n
        if status == WRONG_SIGN:
            continue
        curvatures[v] = store_amplitudes(tangent_tables, position, linear, amplitude, variance, v)
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


@compiled
def accumulate(
    signal: Any,
    valid: Any,
    switch: Any,
    position: Any,
    linear: Any,
    begin: int,
    end: int,
    sums: Any,
    terms: Any,
) -> None:
    """Add up samples, and by cell the coefficients times the powers of t, of some valid voxels."""
    for v in range(begin, end):
        if not valid[v]:
            continue
        for i in range(sums.shape[0]):
            sums[i] += signal[v, i]
        for i in range(switch[v]):
            sums[i] -= 2.0 * signal[v, i]
        cell = min(int(position[v]), CELLS - 1)
        t = 2.0 * (position[v] - cell) - 1.0
        for j in range(terms.shape[1]):
            power = linear[v, j]
            for d in range(TERMS):
                terms[cell, j, d] += power
                power *= t


@parallel
def fitted_sums(signal: Any, valid: Any, out: Estimates) -> Any:
    """Return sums (parts, n) of samples, and (parts, CELLS, m, TERMS) of what was fitted."""
    voxels, n = signal.shape
    switch, position, linear = out.switch, out.position, out.linear
    sums = np.zeros((PARTS, n))
    terms = np.zeros((PARTS, CELLS, linear.shape[1], TERMS))
    for part in prange(PARTS):
        begin, end = part * voxels // PARTS, (part + 1) * voxels // PARTS
        accumulate(signal, valid, switch, position, linear, begin, end, sums[part], terms[part])
    return sums, terms
