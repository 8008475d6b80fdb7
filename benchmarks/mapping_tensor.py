"""Tensors beside dipy's weighted least squares: signals, loops, and how far the two are apart."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pipelines.models.dti import fit_dti

Doubles = npt.NDArray[np.float64]

VOLUMES, LOW, SNR = 35, 5, 50.0


def signals(voxels: int) -> tuple[Doubles, Doubles, Doubles]:
    """Return noisy signals (voxels, 35) of random tensors, b-values in s/mm2 and directions."""
    rng = np.random.default_rng(0)
    g = rng.normal(size=(VOLUMES, 3))
    g /= np.linalg.norm(g, axis=1)[:, None]
    g[:LOW] = 0
    b = np.where(np.arange(VOLUMES) < LOW, 0.0, 1000.0)
    turn, _ = np.linalg.qr(rng.normal(size=(voxels, 3, 3)))
    d = turn @ (rng.uniform(0.3, 1.8, (voxels, 3, 1)) * np.swapaxes(turn, 1, 2))
    clean = 200 * np.exp(-1e-3 * b * np.einsum("ni,vij,nj->vn", g, d, g, optimize=True))
    return clean + rng.normal(0, 200 / SNR, clean.shape), b, g


def by_dipy(b: Doubles, g: Doubles) -> Callable[[Doubles], Doubles]:
    """Return a fit by dipy's weighted least squares to FA and MD, shape (voxels, 2)."""
    from dipy.core.gradients import gradient_table
    from dipy.reconst.dti import TensorModel

    model = TensorModel(gradient_table(b, bvecs=g), fit_method="WLS")

    def fit(signal: Doubles) -> Doubles:
        found = model.fit(signal)
        return np.stack([found.fa, 1e3 * found.md], axis=1)

    return fit


def by_us(b: Doubles, g: Doubles) -> Callable[[Doubles], Doubles]:
    """Return our fit, of everything; FA and MD are returned, shape (voxels, 2)."""

    def fit(signal: Doubles) -> Doubles:
        maps = fit_dti(signal, b, g).maps
        return np.stack([maps["FA"].values, maps["MD"].values], axis=1).astype(np.float64)

    return fit
