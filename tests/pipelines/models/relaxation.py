"""Signals with known parameters, and an independent solver, for the tests of relaxation times."""

import numpy as np
from scipy.optimize import least_squares

TE = 8.0 * np.arange(1, 26)
TR = np.array([5000.0, 3000.0, 1500.0, 1000.0, 800.0, 500.0, 300.0, 200.0])
TI = np.array([50.0, 85.0, 145.0, 250.0, 420.0, 715.0, 1220.0, 2070.0, 3530.0, 6000.0])
K = 1.9


def rician(clean, snr, seed=0):
    """Magnitudes with noise 1 / snr in both channels."""
    rng = np.random.default_rng(seed)
    return np.hypot(
        clean + rng.normal(0, 1 / snr, clean.shape), rng.normal(0, 1 / snr, clean.shape)
    )


def decays(voxels, snr=None, seed=0, low=20.0, high=120.0):
    """Echo trains (voxels, 25) and their T2."""
    t2 = np.random.default_rng(seed + 1).uniform(low, high, voxels)
    clean = np.exp(-TE / t2[:, None])
    return (clean if snr is None else rician(clean, snr, seed)), t2


def saturations(voxels, snr=None, k=1.0, seed=0):
    """Saturation recoveries (voxels, 8), TR descending, and their T1."""
    t1 = np.random.default_rng(seed + 1).uniform(800, 2000, voxels)
    clean = 1 - k * np.exp(-TR / t1[:, None])
    return (clean if snr is None else rician(clean, snr, seed)), t1


def inversions(voxels, snr=None, seed=0, repetition=None):
    """Magnitudes of inversion recoveries (voxels, 10) and their T1."""
    t1 = np.random.default_rng(seed + 1).uniform(800, 2000, voxels)
    late = 0.0 if repetition is None else np.exp(-np.asarray(repetition) / t1[:, None])
    clean = 1 - K * np.exp(-TI / t1[:, None]) + late
    return (np.abs(clean) if snr is None else rician(np.abs(clean), snr, seed)), t1


def solve_each(signal, model, starts):
    """Fit every voxel by `scipy.optimize.least_squares` to the last digit; return (voxels, p)."""
    found = np.empty((len(signal), starts.shape[1]))
    for v, y in enumerate(signal):
        answer = least_squares(
            lambda p, y=y: model(p) - y,
            starts[v],
            method="lm",
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            x_scale=np.abs(starts[v]) + 1e-3,
        )
        found[v] = answer.x
    return found


def main(result):
    """The main map."""
    return next(iter(result.maps.values()))
