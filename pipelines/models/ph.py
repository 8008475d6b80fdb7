"""pH from two pools of iopamidol, by a calibration that the caller states."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError

Doubles = npt.NDArray[np.float64]

IOPAMIDOL_PPM = (4.2, 5.5)
_LEAST_TRANSFER = 0.01  # below it a ratio is one of noise


@dataclass(frozen=True)
class PhCalibration:
    """Which ratio belongs to which pH; it holds for one field, B1 and temperature.

    Attributes
    ----------
    ph, ratio : tuple of float
        pH ascending, and the ratio RST of `transfer_ratio` measured there, rising or falling
        throughout; at least two.
    field_t, b1_ut, temperature_c : float
        Where it was measured.
    source : str
        Publication or measurement.
    offsets_ppm : tuple of float
        The two pools, ppm from water; those of iopamidol by default.
    """

    ph: tuple[float, ...]
    ratio: tuple[float, ...]
    field_t: float
    b1_ut: float
    temperature_c: float
    source: str
    offsets_ppm: tuple[float, float] = IOPAMIDOL_PPM

    def __post_init__(self) -> None:
        steps = np.diff(self.ratio)
        monotone = len(steps) > 0 and (np.all(steps > 0) or np.all(steps < 0))
        if len(self.ph) != len(self.ratio) or not monotone or np.any(np.diff(self.ph) <= 0):
            raise ModelInputError(
                "The pH calibration is not a rising or falling curve.",
                hint="Give as many ratios as pH values, both in order of pH.",
            )


def transfer_ratio(first: npt.ArrayLike, second: npt.ArrayLike) -> Doubles:
    """Return RST = [ST1 / (1 - ST1)] / [ST2 / (1 - ST2)].

    With 1 - Z in place of ST this is [(1 - Z1) / Z1] / [(1 - Z2) / Z2]; ST = MTRasym is that
    corrected for asymmetry.

    Parameters
    ----------
    first, second : array_like of float, any shape
        Saturation transfer as a fraction, at 4.2 and at 5.5 ppm for iopamidol.

    Returns
    -------
    ndarray of float64, same shape
        NaN where either is below 0.01 or not below 1.

    References
    ----------
    Longo, doi:10.1002/mrm.22608; Chen, doi:10.1002/mrm.24979.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        good = (a >= _LEAST_TRANSFER) & (b >= _LEAST_TRANSFER) & (a < 1) & (b < 1)
        ratio = (a / (1 - a)) / (b / (1 - b))
    return np.where(good, ratio, np.nan)


def ph_from_ratio(ratio: npt.ArrayLike, calibration: PhCalibration) -> Doubles:
    """Return the pH of ratios by monotone interpolation of a calibration.

    Parameters
    ----------
    ratio : array_like of float, any shape
        RST of `transfer_ratio`.
    calibration : PhCalibration
        Of the same field, B1 and temperature.

    Returns
    -------
    ndarray of float64, same shape
        NaN outside the calibrated ratios: nothing is extrapolated.
    """
    from scipy.interpolate import PchipInterpolator

    order = np.argsort(calibration.ratio)
    x, y = np.asarray(calibration.ratio)[order], np.asarray(calibration.ph)[order]
    return np.asarray(PchipInterpolator(x, y, extrapolate=False)(ratio), dtype=np.float64)
