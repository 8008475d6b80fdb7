"""T2 from spin echoes, first echo left out where it does not fit, and T2* from gradient echoes."""

from dataclasses import replace
from typing import Literal

import numpy.typing as npt

from ..errors import ModelInputError
from . import decay, selection
from .outcome import Noise, first_flags
from .result import FitResult

_ALTERNATION = 0.5  # noise widths by which odd and even echoes may differ in the mean


def fit_t2(
    signal: npt.ArrayLike,
    echo_times_ms: npt.ArrayLike,
    *,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    model: decay.Choice = "2p",
    skip_echoes: int | Literal["auto"] = "auto",
    rician: bool = True,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit S(TE) = S0 exp(-TE / T2), or with an offset + C.

    Non-linear least squares by variable projection; with a known sigma the greatest likelihood
    under Rician noise. For imperfect refocusing see `epg.fit_t2_epg`.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_echoes)
        Magnitude, arbitrary units, each image scaled by its own slope. NaN is allowed.
    echo_times_ms : array_like of float, shape (n_echoes,)
        Milliseconds, one per column, all different, in any order.
    mask : array_like of bool, shape (n_voxels,), optional
        Voxels to fit; all by default.
    sigma : float, optional
        Standard deviation of the noise of one real channel, in the unit of the signal.
    model : {"2p", "3p", "auto"}
        Without or with an offset; ``auto`` takes the one that AICc prefers over all voxels, if
        the offset can be told from the decay.
    skip_echoes : int or "auto"
        Echoes to leave out at the start; ``auto`` leaves out the first where it does not fit to
        the others (Milford, doi:10.1371/journal.pone.0145255).
    rician : bool
        False for real (signed) images or noise that is not Rician.
    saturation : float or array_like, shape (n_echoes,), optional
        Values from which on a sample is taken for cut off.

    Returns
    -------
    FitResult
        ``T2map`` (ms), ``S0map`` and with an offset ``Cmap`` (arbitrary units), float32, with
        standard errors. NaN outside the mask, for samples that are not finite or saturated, for
        all-zero voxels, signal below 5 sigma, and T2 at its bounds (a quarter of the echo spacing,
        ten times the last echo time). A negative offset is 0, without error. Equal to the least
        squares of `scipy.optimize.least_squares` within 1e-5.

    Raises
    ------
    ModelInputError
        For fewer than three echoes, equal times, another unit, a signal that rises with the echo
        time, an empty mask or one of another size, and three parameters on fewer than six echoes.

    References
    ----------
    Golub and Pereyra, doi:10.1137/0710036 (variable projection); Sijbers, doi:10.1109/42.712125
    (Rician likelihood); Raya, doi:10.1002/mrm.22178 (offset).
    """
    train = decay.as_train(signal, echo_times_ms)
    return fit_train("T2", train, mask, Noise(sigma, rician), model, skip_echoes, saturation)


def fit_train(
    name: str,
    train: decay.Train,
    mask: npt.ArrayLike | None,
    noise: Noise,
    model: decay.Choice,
    skip_echoes: int | Literal["auto"],
    saturation: npt.ArrayLike | None,
) -> FitResult:
    """Fit a checked train of echoes; `name` is ``T2`` or ``T2star``."""
    flags = first_flags(train.signal, mask, noise.sigma, saturation)
    train = decay.prepare(train, skip_echoes, flags, noise, refocused=name == "T2")
    if model == "3p" and len(train.times) < selection.FEWEST_FOR_THREE:
        raise ModelInputError(
            f"Three parameters cannot be fitted to {len(train.times)} echoes.",
            hint="Use the model with two parameters, or measure at least six echoes.",
        )
    fitted, notes = decay.choose(train, flags == 0, noise, model)
    result = decay.finish(name, train, fitted, flags, noise, notes)
    if name == "T2" and decay.alternation(result) > _ALTERNATION:
        note = (
            "Odd and even echoes differ by more than the noise: the refocusing is imperfect and "
            "T2 is too long; the EPG model takes this into account."
        )
        result = replace(result, notes=(*result.notes, note))
    return result


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

    As `fit_t2`, but no echo is left out, because gradient echoes have no stimulated ones.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_echoes)
        Magnitude, arbitrary units. NaN is allowed.
    echo_times_ms : array_like of float, shape (n_echoes,)
        Milliseconds, all different, in any order.
    mask, sigma, model, rician, saturation
        As in `fit_t2`.

    Returns
    -------
    FitResult
        ``T2starmap`` (ms), ``S0map``, with an offset ``Cmap``; NaN as in `fit_t2`.

    Raises
    ------
    ModelInputError
        As in `fit_t2`.

    References
    ----------
    Golub and Pereyra, doi:10.1137/0710036; Sijbers, doi:10.1109/42.712125.
    """
    train = decay.as_train(signal, echo_times_ms)
    return fit_train("T2star", train, mask, Noise(sigma, rician), model, 0, saturation)
