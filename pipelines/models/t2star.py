"""T2* from gradient echoes."""

import numpy.typing as npt

from . import decay
from .outcome import Noise
from .result import FitResult
from .t2 import fit_train


def fit_t2star(
    signal: npt.ArrayLike,
    echo_times_ms: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    model: decay.Choice = "2p",
    rician: bool = True,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S(TE) = S0 exp(-TE / T2*), or with an offset + C, to gradient echoes.

    As `t2.fit_t2`, but no echo is left out, because gradient echoes have no stimulated ones.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_echoes)
        Magnitude, arbitrary units. NaN is allowed.
    echo_times_ms : array_like of float, shape (n_echoes,)
        Milliseconds, all different, in any order.
    mask, sigma, model, rician, saturation
        As in `t2.fit_t2`.

    Returns
    -------
    FitResult
        ``T2starmap`` (ms), ``S0map``, with an offset ``Cmap``; NaN as in `t2.fit_t2`.

    Raises
    ------
    ModelInputError
        As in `t2.fit_t2`.

    References
    ----------
    Golub and Pereyra, doi:10.1137/0710036; Sijbers, doi:10.1109/42.712125.
    """
    train = decay.as_train(signal, echo_times_ms)
    return fit_train("T2star", train, mask, Noise(sigma, rician), model, 0, saturation)
