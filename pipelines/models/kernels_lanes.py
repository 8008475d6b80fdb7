"""The search of `kernels_varpro` for models with one linear coefficient, many voxels side by side.

Samples of some voxels are laid out so that one instruction serves several of them. A voxel whose
search is not over after a few Newton steps in its cell is left to the search of one voxel.
"""

from typing import Any

import numpy as np

from .kernels import BLOCK, compiled, parallel, prange
from .kernels_varpro import (
    ATOMS,
    CELLS,
    CONVERGED,
    RANK,
    SPACING,
    TERMS,
    WRONG_SIGN,
    Estimates,
    Table,
    best_atom,
    newton_refine,
    parabola_peak,
    store_amplitudes,
    store_coefficients,
)

LANES = 32  # voxels side by side
_GROUP = 4  # rows that are added at a time
_STEPS = 3
_SETTLED = 1e-3  # cells; the square of what a Newton step of that length leaves is nothing


@compiled
def gather_lanes(signal: Any, active: Any, begin: int, end: int, lanes: Any) -> None:
    """Write the samples of active voxels as columns, zeros elsewhere."""
    for i in range(signal.shape[1]):
        for v in range(LANES):
            lanes[i, v] = 0.0
    for v in range(begin, end):
        if active[v]:
            for i in range(signal.shape[1]):
                lanes[i, v - begin] = signal[v, i]


@compiled
def multiply(matrix: Any, lanes: Any, product: Any) -> None:
    """Write matrix (m, k) times lanes (k, LANES); k is a multiple of four."""
    for j in range(matrix.shape[0]):
        for v in range(LANES):
            product[j, v] = 0.0
        for k in range(0, matrix.shape[1], _GROUP):
            a, b, c, d = matrix[j, k], matrix[j, k + 1], matrix[j, k + 2], matrix[j, k + 3]
            for v in range(LANES):
                product[j, v] += (a * lanes[k, v] + b * lanes[k + 1, v]) + (
                    c * lanes[k + 2, v] + d * lanes[k + 3, v]
                )


@compiled
def sum_lanes(lanes: Any, total: Any, squares: Any) -> None:
    """Write sums and sums of squares of each voxel."""
    for v in range(LANES):
        total[v] = 0.0
        squares[v] = 0.0
    for i in range(lanes.shape[0]):
        for v in range(LANES):
            y = lanes[i, v]
            total[v] += y
            squares[v] += y * y


@compiled
def best_atoms(atom_projections: Any, sign: float, atom: Any, most: Any) -> None:
    """Write the atom that explains most with the sign wanted, or -1."""
    for v in range(LANES):
        atom[v] = -1
        most[v] = -1.0
    for a in range(ATOMS):
        for v in range(LANES):
            c = atom_projections[a, v]
            energy = c * c if c * sign >= 0.0 else -1.0
            atom[v] = a if energy > most[v] else atom[v]
            most[v] = energy if energy > most[v] else most[v]


@compiled
def parabola_peak_of_lane(atom_projections: Any, atom: int, v: int) -> float:
    """Return the place of the maximum of a parabola through an atom and its neighbours."""
    if atom <= 0 or atom == ATOMS - 1:
        return float(max(atom, 0) * SPACING)
    left, middle, right = (
        atom_projections[atom - 1, v],
        atom_projections[atom, v],
        atom_projections[atom + 1, v],
    )
    left, middle, right = left * left, middle * middle, right * right
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return SPACING * (atom + min(max(shift, -0.5), 0.5))


@compiled
def load_polynomial(
    transposed: Any, coordinates: Any, v: int, cell: int, terms: Any, local: Any
) -> None:
    """Write the polynomial of a voxel in its cell into its column of `local` (TERMS, LANES)."""
    for d in range(TERMS):
        terms[d] = 0.0
    for k in range(0, RANK, _GROUP):
        e, f, g, h = (
            coordinates[k, v],
            coordinates[k + 1, v],
            coordinates[k + 2, v],
            coordinates[k + 3, v],
        )
        for d in range(TERMS):
            terms[d] += (e * transposed[cell, 0, k, d] + f * transposed[cell, 0, k + 1, d]) + (
                g * transposed[cell, 0, k + 2, d] + h * transposed[cell, 0, k + 3, d]
            )
    for d in range(TERMS):
        local[d, v] = terms[d]


@compiled
def newton_step(local: Any, t: Any, moved: Any, bend: Any) -> None:
    """Make one Newton step towards the extremum of each polynomial (of eight terms).

    Written out, because a loop over the terms would keep the compiler from taking several voxels
    at a time.
    """
    for v in range(LANES):
        x = t[v]
        first = 7.0 * local[7, v]
        second = 6.0 * first
        first = first * x + 6.0 * local[6, v]
        second = second * x + 5.0 * 6.0 * local[6, v]
        first = first * x + 5.0 * local[5, v]
        second = second * x + 4.0 * 5.0 * local[5, v]
        first = first * x + 4.0 * local[4, v]
        second = second * x + 3.0 * 4.0 * local[4, v]
        first = first * x + 3.0 * local[3, v]
        second = second * x + 2.0 * 3.0 * local[3, v]
        first = first * x + 2.0 * local[2, v]
        second = second * x + 2.0 * local[2, v]
        first = first * x + local[1, v]
        step = first / second
        x = x - step
        x = -1.0 if x < -1.0 else x
        x = 1.0 if x > 1.0 else x
        moved[v] = t[v] - x
        bend[v] = second
        t[v] = x


@compiled
def evaluate_polynomials(local: Any, t: Any, value: Any) -> None:
    """Write the value of each polynomial."""
    for v in range(LANES):
        value[v] = local[TERMS - 1, v]
    for d in range(TERMS - 2, -1, -1):
        for v in range(LANES):
            value[v] = value[v] * t[v] + local[d, v]


@compiled
def has_converged(
    sign: float, atom: int, x: float, t: float, moved: float, bend: float, c: float
) -> bool:
    """Tell whether a search has ended in a maximum inside its cell, next to its atom.

    Squares of the coefficient have it where the coefficient and its second derivative differ in
    sign.
    """
    return (
        abs(moved) < 2.0 * _SETTLED
        and abs(t) < 1.0
        and c * bend < 0.0
        and c * sign >= 0.0
        and abs(x - SPACING * atom) < SPACING
    )


@compiled
def search_single(
    transposed: Any,
    coordinates: Any,
    atom_projections: Any,
    sign: float,
    v: int,
    projections: Any,
    local: Any,
    linear: Any,
) -> Any:
    """Search for one voxel; write its coefficient, and return position and status."""
    for k in range(RANK):
        projections[k] = coordinates[k, v]
    for a in range(ATOMS):
        projections[RANK + a] = atom_projections[a, v]
    atom = best_atom(projections, 1, sign)
    if atom < 0:
        return 0.0, WRONG_SIGN
    x, _, state, cell = newton_refine(
        transposed, projections, atom, parabola_peak(projections, 1, atom), local
    )
    store_coefficients(local, cell, x, linear, 0)
    return x, state


@compiled
def search_lanes(
    transposed: Any,
    sign: float,
    coordinates: Any,
    atom_projections: Any,
    place: Any,
    coefficient: Any,
    state: Any,
) -> None:
    """Find position, linear coefficient and status of every lane."""
    atom, cells = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    lines = np.empty((5, LANES))
    most, t, moved, bend = lines[0], lines[1], lines[2], lines[3]
    local, terms = np.empty((TERMS, LANES)), np.empty(TERMS)
    projections, alone, found = np.empty(RANK + ATOMS), np.empty((1, TERMS)), np.empty((1, 1))
    best_atoms(atom_projections, sign, atom, most)
    for v in range(LANES):
        x = parabola_peak_of_lane(atom_projections, atom[v], v)
        cells[v] = min(int(x), CELLS - 1)
        t[v] = 2.0 * (x - cells[v]) - 1.0
        load_polynomial(transposed, coordinates, v, cells[v], terms, local)
    for _ in range(_STEPS):
        newton_step(local, t, moved, bend)
    # Most searches end in the cell where they began; those held at its edge go on beyond it.
    for v in range(LANES):
        aside = cells[v] + (1 if t[v] > 0.0 else -1)
        if abs(t[v]) >= 1.0 and 0 <= aside < CELLS:
            cells[v], t[v] = aside, -t[v]
            load_polynomial(transposed, coordinates, v, aside, terms, local)
    for _ in range(_STEPS):
        newton_step(local, t, moved, bend)
    evaluate_polynomials(local, t, coefficient)
    for v in range(LANES):
        c, place[v] = coefficient[v], cells[v] + 0.5 * (t[v] + 1.0)
        state[v] = CONVERGED
        if not has_converged(sign, atom[v], place[v], t[v], moved[v], bend[v], c):
            place[v], state[v] = search_single(
                transposed, coordinates, atom_projections, sign, v, projections, alone, found
            )
            coefficient[v] = found[0, 0]


@compiled
def fit_block(
    transposed: Any,
    tangent_tables: Any,
    rows: Any,
    atoms: Any,
    sign: float,
    signal: Any,
    active: Any,
    out: Estimates,
    block: int,
) -> None:
    """Fit the active voxels of one block."""
    positions, curvatures, linear = out.position, out.curvature, out.linear
    amplitude, variance, sse, sst = out.amplitude, out.variance, out.sse, out.sst
    states, switches = out.status, out.switch
    n = signal.shape[1]
    lanes = np.zeros((rows.shape[1], LANES))
    coordinates, atom_projections = np.empty((RANK, LANES)), np.empty((ATOMS, LANES))
    lines = np.empty((4, LANES))
    total, squares, place, coefficient = lines[0], lines[1], lines[2], lines[3]
    state = np.empty(LANES, np.int64)
    last = min((block + 1) * BLOCK, signal.shape[0])
    for begin in range(block * BLOCK, last, LANES):
        end = min(begin + LANES, last)
        gather_lanes(signal, active, begin, end, lanes)
        sum_lanes(lanes, total, squares)
        multiply(rows, lanes, coordinates)
        multiply(atoms, coordinates, atom_projections)
        search_lanes(transposed, sign, coordinates, atom_projections, place, coefficient, state)
        for v in range(begin, end):
            if not active[v]:
                continue
            k = v - begin
            states[v], switches[v], positions[v] = state[k], 0, place[k]
            sst[v] = squares[k] - total[k] * total[k] / n
            if state[k] == WRONG_SIGN:
                continue
            linear[v, 0] = coefficient[k]
            curvatures[v] = store_amplitudes(
                tangent_tables, place[k], linear, amplitude, variance, v
            )
            sse[v] = max(squares[k] - coefficient[k] * coefficient[k], 0.0)
            if sign * amplitude[v, 0] < 0.0:
                states[v] = WRONG_SIGN


@parallel
def fit(table: Table, rows: Any, atoms: Any, signal: Any, active: Any, out: Estimates) -> None:
    """Fit every active voxel.

    `rows` (RANK, n filled up with zeros to a multiple of four): the transposed basis. `atoms`
    (ATOMS, RANK): the columns at the atoms in the subspace.
    """
    transposed, tangent_tables, sign = table.transposed, table.tangent_tables, table.sign
    for block in prange((signal.shape[0] + BLOCK - 1) // BLOCK):
        fit_block(transposed, tangent_tables, rows, atoms, sign, signal, active, out, block)
