"""From estimates to a result: which voxels are fitted, what flags they get, which values stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import kernels_survey
from . import kernels_varpro as kernels
from .checks import as_mask
from .result import FATAL, FitResult, Flag, Map
from .rician import solve_rician
from .varpro import Model, Solution, finish, mean_residual, solve

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint8]

LEAST_SNR = 5.0  # of the largest sample, where sigma is known
MOST_ERROR = 0.3  # relative standard error above which a voxel is called uncertain
ARBITRARY = "[arb'U]"
_MISFIT_WIDTHS = 4.0
_FATAL = np.uint8(FATAL)


@dataclass(frozen=True)
class Noise:
    """What is known of the noise.

    Attributes
    ----------
    sigma : float or None
        Standard deviation of one real channel, in the unit of the signal.
    rician : bool
        Whether the samples are magnitudes, so that with a known sigma the fit is one of greatest
        likelihood.
    """

    sigma: float | None
    rician: bool = True

    def solve(self, model: Model, signal: Doubles, active: Bools, polarity: bool) -> Solution:
        """Fit by least squares, and go on to the Rician likelihood where that is possible.

        Errors rest on sigma wherever it is known.
        """
        found = solve(model, signal, active, polarity)
        if self.sigma is None:
            return found
        if not self.rician:
            return finish(model, found.estimates, self.sigma)
        return solve_rician(model, signal, found, self.sigma)


def first_flags(
    signal: Doubles,
    mask: npt.ArrayLike | None,
    sigma: float | None,
    saturation: npt.ArrayLike | None,
) -> Flags:
    """Return the flags that a voxel has before any fit.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        The samples that will be fitted.
    mask : array_like of bool, shape (n_voxels,), or None
        The voxels wanted.
    sigma : float or None
        Noise; voxels whose largest sample is below 5 sigma have too little signal. Without it only
        those without any signal above 0.
    saturation : float or array_like, shape (n_samples,), or None
        Values from which on a sample is taken for cut off.

    Returns
    -------
    ndarray of uint8, shape (n_voxels,)
    """
    chosen = as_mask(mask, len(signal))
    flags = np.where(chosen, 0, Flag.OUTSIDE_MASK).astype(np.uint8)
    least = LEAST_SNR * sigma if sigma is not None else 0.0
    cut = np.full(signal.shape[1], np.inf)
    if saturation is not None:
        cut[:] = np.asarray(saturation, dtype=np.float64)
    state = np.zeros(len(signal), np.uint8)
    kernels_survey.classify_voxels(signal, chosen, float(least), cut, state)
    flags[state == kernels_survey.BROKEN] |= np.uint8(Flag.NOT_FINITE)
    flags[state == kernels_survey.LOW] |= np.uint8(Flag.LOW_SIGNAL)
    return flags


def status_flags(status: npt.NDArray[np.int8]) -> Flags:
    """Return the flag of each way in which a search can end, shape (n_voxels,)."""
    flags = np.zeros(status.shape, np.uint8)
    flags[status == kernels.AT_BOUND] = Flag.AT_BOUND
    flags[(status == kernels.NOT_CONVERGED) | (status == kernels.WRONG_SIGN)] = Flag.NOT_CONVERGED
    return flags


def conclude(
    *,
    name: str,
    maps: dict[str, Map],
    flags: Flags,
    sse: Floats,
    sst: Floats,
    freedom: int,
    noise: Noise,
    chi2: Floats | None,
    residual_mean: Doubles,
    notes: Sequence[str],
    settings: dict[str, object],
    certain: float = 0.0,
) -> FitResult:
    """Blank what does not stand, add the flags of doubt, and make the result.

    Parameters
    ----------
    name : str
        Model, such as ``T2 2p``.
    maps : dict
        The main map first: its error decides about `Flag.UNCERTAIN`.
    flags : ndarray of uint8, shape (n_voxels,)
        So far; a voxel with a fatal one loses its values in every map.
    sse, sst : ndarray of float32, shape (n_voxels,)
        Squares of the residuals, and of the samples about their mean.
    freedom : int
        Degrees of freedom n - p.
    noise : Noise
        What was known.
    chi2 : ndarray of float32 or None
        Reduced chi-square where the fit gave it; else it is SSE / ((n - p) sigma^2).
    residual_mean : ndarray of float64, shape (n_samples,)
        Mean residuals.
    notes : sequence of str
        Messages for a person.
    settings : dict
        What was used.
    certain : float
        Standard error of the main map that is no `Flag.UNCERTAIN` even where the value is near 0.

    Returns
    -------
    FitResult
    """
    main = next(iter(maps.values()))
    flags = flags.copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = ~np.all([np.isfinite(quantity.values) for quantity in maps.values()], axis=0)
        flags[lost & ((flags & _FATAL) == 0)] |= np.uint8(Flag.NOT_CONVERGED)
        valid = (flags & _FATAL) == 0
        if chi2 is None and noise.sigma is not None and freedom > 0:
            chi2 = (sse / np.float32(freedom * noise.sigma**2)).astype(np.float32)
        if main.error is not None:
            most = np.maximum(MOST_ERROR * np.abs(main.values), np.float32(certain))
            flags[valid & ~(main.error <= most)] |= np.uint8(Flag.UNCERTAIN)
        if chi2 is not None and freedom > 0:
            flags[valid & (chi2 > 1 + _MISFIT_WIDTHS * np.sqrt(2 / freedom))] |= np.uint8(
                Flag.MISFIT
            )
        r2fit = (1 - sse / sst).astype(np.float32)
    width = np.sqrt(sse / np.float32(freedom)).astype(np.float32) if freedom > 0 else None
    of_maps = [part for quantity in maps.values() for part in (quantity.values, quantity.error)]
    for blank in (r2fit, chi2, width, *of_maps):
        if blank is not None:
            blank[~valid] = np.nan
    return FitResult(
        maps=maps,
        flags=flags,
        r2fit=r2fit,
        chi2_red=chi2,
        residual_mean=residual_mean,
        model=name,
        sigma=noise.sigma,
        notes=tuple(notes),
        settings=settings,
        residual_width=width,
        freedom=freedom,
    )


def conclude_search(
    name: str,
    model: Model,
    signal: Doubles,
    found: Solution,
    maps: dict[str, Map],
    flags: Flags,
    noise: Noise,
    notes: Sequence[str],
    settings: dict[str, object],
) -> FitResult:
    """Make the result of a `varpro` search; `flags` holds all but those of the search."""
    flags = flags | np.where((flags & _FATAL) == 0, status_flags(found.status), 0).astype(np.uint8)
    valid = (flags & _FATAL) == 0
    return conclude(
        name=name,
        maps=maps,
        flags=flags,
        sse=found.sse,
        sst=found.sst,
        freedom=model.n_samples - model.n_parameters,
        noise=noise,
        chi2=found.chi2_red,
        residual_mean=mean_residual(model, signal, valid, found),
        notes=notes,
        settings=settings,
    )
