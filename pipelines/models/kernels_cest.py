"""Monotone cubic interpolation of one spectrum per voxel (PCHIP), and its mirror symmetry."""

from typing import Any

import numpy as np

from .kernels import BLOCK, compiled, parallel, prange


@compiled
def slopes(x: Any, y: Any, d: Any) -> Any:
    """Write the slopes of the monotone cubic at its knots (Fritsch and Butland)."""
    n = len(x)
    if n == 2:
        d[0] = d[1] = (y[1] - y[0]) / (x[1] - x[0])
        return
    for k in range(1, n - 1):
        h0, h1 = x[k] - x[k - 1], x[k + 1] - x[k]
        s0, s1 = (y[k] - y[k - 1]) / h0, (y[k + 1] - y[k]) / h1
        if s0 * s1 <= 0:
            d[k] = 0.0
        else:
            w0, w1 = 2 * h1 + h0, h1 + 2 * h0
            d[k] = (w0 + w1) / (w0 / s0 + w1 / s1)
    for end in range(2):
        a, b, c = (0, 1, 2) if end == 0 else (n - 1, n - 2, n - 3)
        h0, h1 = x[b] - x[a], x[c] - x[b]
        s0, s1 = (y[b] - y[a]) / h0, (y[c] - y[b]) / h1
        value = ((2 * h0 + h1) * s0 - h0 * s1) / (h0 + h1)
        if value * s0 <= 0:
            value = 0.0
        elif s0 * s1 <= 0 and abs(value) > 3 * abs(s0):
            value = 3 * s0
        d[a] = value


@compiled
def value(x: Any, y: Any, d: Any, at: Any) -> Any:
    """Return the cubic at one place; NaN outside the knots."""
    n = len(x)
    if not (at >= x[0] and at <= x[n - 1]):
        return np.nan
    low, high = 0, n - 1
    while high - low > 1:
        middle = (low + high) // 2
        if x[middle] <= at:
            low = middle
        else:
            high = middle
    h = x[low + 1] - x[low]
    t = (at - x[low]) / h
    u = 1 - t
    return u * u * ((1 + 2 * t) * y[low] + t * h * d[low]) + t * t * (
        (1 + 2 * u) * y[low + 1] - u * h * d[low + 1]
    )


@compiled
def sample_row(x: Any, y: Any, d: Any, at: Any, shift: Any, out: Any) -> Any:
    """Write one spectrum at all places."""
    slopes(x, y, d)
    for k in range(len(at)):
        out[k] = value(x, y, d, at[k] + shift)


@parallel
def sample(x: Any, spectra: Any, at: Any, shift: Any, out: Any) -> Any:
    """Write spectra (V, n) at places `at` (m,) + `shift` (V,) to `out` (V, m)."""
    voxels = spectra.shape[0]
    for block in prange((voxels + BLOCK - 1) // BLOCK):
        d = np.empty(len(x))
        for v in range(block * BLOCK, min(voxels, (block + 1) * BLOCK)):
            sample_row(x, spectra[v], d, at, shift[v], out[v])


@compiled
def asymmetry(x: Any, y: Any, d: Any, centre: Any, reach: Any, least: Any) -> Any:
    """Return the mean squared difference of a spectrum and its mirror about a centre.

    Over the samples nearer than `reach` whose mirror lies inside; infinite with less than `least`.
    """
    total, count = 0.0, 0
    for k in range(len(x)):
        if abs(x[k] - centre) <= reach:
            other = value(x, y, d, 2 * centre - x[k])
            if other == other:
                total += (other - y[k]) ** 2
                count += 1
    return total / count if count >= least else np.inf


@compiled
def find_symmetry_centre(x: Any, y: Any, d: Any, trials: Any, reach: Any, least: Any) -> Any:
    """Return the centre of greatest symmetry near the trials; NaN where it is at their ends.

    Trials far from the lowest sample are left out: flat flanks are symmetric too.
    """
    slopes(x, y, d)
    lowest = 0
    for k in range(len(x)):
        if y[k] < y[lowest]:
            lowest = k
    best, place = np.inf, -1
    for k in range(len(trials)):
        if abs(trials[k] - x[lowest]) > 0.4 * reach:
            continue
        cost = asymmetry(x, y, d, trials[k], reach, least)
        if cost < best:
            best, place = cost, k
    if place <= 0 or place >= len(trials) - 1:
        return np.nan
    low, high = trials[place - 1], trials[place + 1]
    golden = 0.6180339887498949
    for _ in range(30):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if asymmetry(x, y, d, a, reach, least) < asymmetry(x, y, d, b, reach, least):
            high = b
        else:
            low = a
    return 0.5 * (low + high)


@parallel
def centres(x: Any, spectra: Any, trials: Any, reach: Any, least: Any, out: Any) -> Any:
    """Write the centre of greatest symmetry of each spectrum (V, n) to `out` (V,)."""
    voxels = spectra.shape[0]
    for block in prange((voxels + BLOCK - 1) // BLOCK):
        d = np.empty(len(x))
        for v in range(block * BLOCK, min(voxels, (block + 1) * BLOCK)):
            out[v] = find_symmetry_centre(x, spectra[v], d, trials, reach, least)
