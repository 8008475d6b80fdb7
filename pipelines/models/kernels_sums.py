"""Sums over voxels of samples and of what `kernels_varpro` fitted to them."""

from typing import Any

import numpy as np

from .kernels import compiled, parallel, prange
from .kernels_varpro import CELLS, TERMS, Estimates

PARTS = 32  # of all voxels, whose sums are kept apart


@compiled
def gather(
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
        gather(signal, valid, switch, position, linear, begin, end, sums[part], terms[part])
    return sums, terms
