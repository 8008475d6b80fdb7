"""What every fit gives: maps with their standard errors, goodness of fit, and flags."""

from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.uint8]


class Flag(IntFlag):
    """Why a voxel has no value, or one to be careful with. Every NaN has at least one bit."""

    OUTSIDE_MASK = 1
    LOW_SIGNAL = 2
    NOT_CONVERGED = 4
    AT_BOUND = 8
    UNCERTAIN = 16
    MISFIT = 32
    NOT_FINITE = 64
    TOO_FEW_SAMPLES = 128


# Bits that leave a voxel without a value; the others are warnings beside it.
FATAL = (
    Flag.OUTSIDE_MASK
    | Flag.LOW_SIGNAL
    | Flag.NOT_CONVERGED
    | Flag.AT_BOUND
    | Flag.NOT_FINITE
    | Flag.TOO_FEW_SAMPLES
)


@dataclass(frozen=True)
class Map:
    """One quantity of a fit.

    Attributes
    ----------
    values : ndarray of float32, shape (n_voxels,) or (n_voxels, k)
        NaN where there is no valid estimate.
    unit : str
        UCUM: ``ms``, ``um2/ms``, ``1``, ``%``, ``[ppm]`` ...
    error : ndarray of float32 or None
        Standard error, same shape and unit.
    """

    values: Floats
    unit: str
    error: Floats | None = None

    def __repr__(self) -> str:
        """Show median, unit and how many voxels have a value."""
        known = self.values[np.isfinite(self.values)]
        median = f"median {np.median(known):.4g} {self.unit}" if known.size else "no value"
        return f"<Map {median} in {len(self.values)} voxels>"


@dataclass(frozen=True)
class FitResult:
    """The result of fitting every voxel.

    Attributes
    ----------
    maps : dict
        Name (``T2map``, ``S0map``, ``ADC`` ...) to `Map`, the main one first.
    flags : ndarray of uint8, shape (n_voxels,)
        Bits of `Flag`.
    r2fit : ndarray of float32, shape (n_voxels,)
        Coefficient of determination of the fit (never called R2, which is a rate).
    chi2_red : ndarray of float32 or None
        Reduced chi-square, where sigma is known.
    residual_mean : ndarray of float64, shape (n_samples,)
        Mean residual of each sample over the valid voxels, in units of the signal.
    model : str
        Name of the model that was fitted, such as ``T2 2p``.
    sigma : float or None
        Noise standard deviation of one real channel that was used.
    residual_width : ndarray of float32, shape (n_voxels,), or None
        sqrt(SSE / (n - p)), in the unit of the signal; None where n = p.
    freedom : int
        Samples less parameters, n - p.
    notes : tuple of str
        What a person should know of this fit, as sentences.
    """

    maps: dict[str, Map]
    flags: Flags
    r2fit: Floats
    chi2_red: Floats | None
    residual_mean: npt.NDArray[np.float64]
    model: str
    sigma: float | None = None
    notes: tuple[str, ...] = ()
    settings: dict[str, object] = field(default_factory=dict)
    residual_width: Floats | None = None
    freedom: int = 0

    def __repr__(self) -> str:
        """Show the model, its maps, and how many voxels have a value."""
        valid = int(np.count_nonzero((self.flags & np.uint8(FATAL)) == 0))
        return (
            f"<FitResult {self.model}: {', '.join(self.maps)}; {valid} of {self.flags.size} voxels>"
        )


def count_flags(flags: Flags) -> dict[str, int]:
    """Return how many voxels have each bit."""
    return {flag.name or str(int(flag)): int(np.count_nonzero(flags & flag)) for flag in Flag}
