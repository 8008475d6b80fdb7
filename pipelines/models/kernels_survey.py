"""One look at every sample: which voxels can be fitted, and how the mean goes on."""

from typing import Any

import numpy as np

from .kernels import BLOCK, compiled, parallel, prange

GOOD, LOW, BROKEN = 0, 1, 2


@compiled
def classify_voxel(signal: Any, v: int, least: float, saturation: Any) -> int:
    """Return whether a voxel has finite, unsaturated samples, and one above the least."""
    largest, total = -np.inf, 0.0
    for i in range(signal.shape[1]):
        y = signal[v, i]
        # A sum is finite only if all samples are.
        total += y
        largest = y if y > largest else largest
        if y >= saturation[i]:
            return BROKEN
    if not np.isfinite(total):
        return BROKEN
    return LOW if largest <= 0.0 or largest < least else GOOD


@parallel
def classify_voxels(signal: Any, chosen: Any, least: float, saturation: Any, state: Any) -> None:
    """Write the state of every chosen voxel."""
    for block in prange((signal.shape[0] + BLOCK - 1) // BLOCK):
        for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
            if chosen[v]:
                state[v] = classify_voxel(signal, v, least, saturation)


@compiled
def changes_block(signal: Any, chosen: Any, block: int, sums: Any) -> None:
    """Add up one block: samples, changes to the next sample, and squares of these."""
    n = signal.shape[1]
    for v in range(block * BLOCK, min((block + 1) * BLOCK, signal.shape[0])):
        if not chosen[v]:
            continue
        for i in range(n):
            sums[0, i] += signal[v, i]
        for i in range(n - 1):
            change = signal[v, i + 1] - signal[v, i]
            sums[1, i] += change
            sums[2, i] += change * change


@parallel
def changes(signal: Any, chosen: Any) -> Any:
    """Return sums (blocks, 3, n) of samples, of changes, and of their squares."""
    blocks = (signal.shape[0] + BLOCK - 1) // BLOCK
    sums = np.zeros((blocks, 3, signal.shape[1]))
    for block in prange(blocks):
        changes_block(signal, chosen, block, sums[block])
    return sums
