"""Checks of a map: pass, warn or fail, each with its threshold."""

from dataclasses import dataclass

import numpy as np

from ..fitting.data import FittedMap
from ..models.cest import CERTAIN_PERCENT
from ..models.outcome import MOST_ERROR
from ..models.result import Flag
from .expected import FitSurvey, snr_of

_LEAST_VALID = 0.9
_MOST_UNCERTAIN = 0.1
_MOST_MISFIT = 0.1
_MOST_RESIDUAL = 0.05
_LEAST_SNR = 20.0
_RATIO = (0.67, 1.5)  # standard error found over the Cramer-Rao bound
_MOST_ALIKE = 0.3  # correlation of residuals one sample apart
_FEWEST_ALIKE = 6  # samples from which on that means something
_MOST_SHIFT = 0.5  # ppm, median of the distance of water from the working frequency
# Usual values of rodent tissue in vivo, beyond which the median is pointed out.
_USUAL = {"T2map": (10.0, 250.0), "T1map": (200.0, 4000.0), "ADC": (0.2, 2.6), "MD": (0.2, 2.6)}


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    name : str
        What was looked at.
    status : str
        ``pass``, ``warn`` or ``fail``.
    found : str
        The number found.
    limit : str
        The threshold, as text.
    """

    name: str
    status: str
    found: str
    limit: str


def run_checks(fitted: FittedMap, found: FitSurvey) -> list[Check]:
    """Return the checks of a fit and of what a sample of its voxels showed."""
    result = fitted.result
    inside = max(int(fitted.mask.sum()), 1)
    valid = int(fitted.valid.sum())
    checks = [
        _share("voxels of the mask with a value", valid / inside, _LEAST_VALID, 0.5, more=True),
        _uncertain(fitted),
        _flagged(fitted, Flag.MISFIT, "voxels that the model does not fit", _MOST_MISFIT),
        *_residual(fitted, found),
        *_noise(fitted),
        *_expectation(fitted, found),
        *_spectra(fitted),
        Check(
            "noise",
            "pass" if result.sigma is not None else "warn",
            f"{result.sigma:.4g}" if result.sigma is not None else "not known",
            "known, so that the fit is free of the bias of magnitudes",
        ),
        Check(
            "protocol values",
            "warn" if fitted.images.rebuilt else "pass",
            ", ".join(fitted.images.rebuilt) + " rebuilt" if fitted.images.rebuilt else "as read",
            "none rebuilt",
        ),
    ]
    name, main = next(iter(result.maps.items()))
    if name in _USUAL and np.isfinite(main.values).any():
        low, high = _USUAL[name]
        median = float(np.nanmedian(main.values))
        inside_range = low <= median <= high
        checks.append(
            Check(
                f"median of {name}",
                "pass" if inside_range else "warn",
                f"{median:.4g} {main.unit}",
                f"{low:g} to {high:g} {main.unit}, usual for rodent tissue",
            )
        )
    return checks


def _uncertain(fitted: FittedMap) -> Check:
    """Check how many voxels are uncertain, or say that nobody knows."""
    name, main = next(iter(fitted.result.maps.items()))
    if main.error is None or not np.isfinite(main.error).any():
        limit = "known: as many samples as parameters say nothing of it, and the noise is not known"
        return Check(f"standard error of {name}", "warn", "not known", limit)
    limit = f"above {100 * MOST_ERROR:.0f} % of the value"
    if name.startswith("MTRasym"):
        limit += f" and above {CERTAIN_PERCENT:g} % of M0"
    words = f"voxels with a standard error {limit}"
    return _flagged(fitted, Flag.UNCERTAIN, words, _MOST_UNCERTAIN)


def _noise(fitted: FittedMap) -> list[Check]:
    """Check the signal-to-noise ratio."""
    snr = snr_of(fitted)
    snr = snr[np.isfinite(snr)]
    if not snr.size:
        return []
    middle = float(np.median(snr))
    status = "pass" if middle >= _LEAST_SNR else "warn"
    limit = f"at least {_LEAST_SNR:g}, of the largest sample"
    return [Check("median signal-to-noise ratio", status, f"{middle:.0f}", limit)]


def _expectation(fitted: FittedMap, found: FitSurvey) -> list[Check]:
    """Check standard errors against the Cramer-Rao bound, and residuals for what is left over."""
    checks = []
    if np.isfinite(found.ratio):
        good = _RATIO[0] <= found.ratio <= _RATIO[1]
        checks.append(
            Check(
                "standard error over its Cramer-Rao bound",
                "pass" if good else "warn",
                f"{found.ratio:.2f}",
                f"{_RATIO[0]:g} to {_RATIO[1]:g}: errors are what the noise makes them",
            )
        )
    if np.isfinite(found.neighbours) and len(fitted.images.data) >= _FEWEST_ALIKE:
        checks.append(
            Check(
                "correlation of residuals one sample apart",
                "pass" if found.neighbours <= _MOST_ALIKE else "warn",
                f"{found.neighbours:.2f}",
                f"at most {_MOST_ALIKE:g}: above, the model leaves something over",
            )
        )
    return checks


def _spectra(fitted: FittedMap) -> list[Check]:
    """Check what is particular to Z-spectra."""
    unpaired = fitted.result.settings.get("unpaired_ppm")
    checks = []
    if isinstance(unpaired, list):
        words = ", ".join(f"{value:g}" for value in unpaired[:12]) or "none"
        status = "warn" if unpaired else "pass"
        checks.append(Check("offsets without a mirror image (ppm)", status, words, "none"))
    shift = fitted.result.maps.get("B0map")
    if shift is not None and np.isfinite(shift.values).any():
        middle = float(np.nanmedian(np.abs(shift.values)))
        status = "pass" if middle <= _MOST_SHIFT else "warn"
        limit = f"at most {_MOST_SHIFT:g} ppm"
        checks.append(Check("median distance of water", status, f"{middle:.3g} ppm", limit))
    return checks


def _share(name: str, found: float, warn: float, fail: float, *, more: bool) -> Check:
    bad = [found < limit if more else found > limit for limit in (fail, warn)]
    status = "fail" if bad[0] else "warn" if bad[1] else "pass"
    word = "at least" if more else "at most"
    return Check(name, status, f"{100 * found:.1f} %", f"{word} {100 * warn:.0f} %")


def _flagged(fitted: FittedMap, flag: Flag, name: str, limit: float) -> Check:
    flags = fitted.result.flags[fitted.valid]
    share = np.count_nonzero(flags & np.uint8(flag)) / max(len(flags), 1)
    return _share(name, float(share), limit, 0.5, more=False)


def _residual(fitted: FittedMap, found: FitSurvey) -> list[Check]:
    """Look for a sample that lies beside the model in the mean of all voxels."""
    residual = np.abs(fitted.result.residual_mean if found.residual is None else found.residual)
    if not np.isfinite(residual).any():
        return []
    whole = float(np.nanmax(np.abs(mean_signal(fitted))))
    worst = float(np.nanmax(residual) / max(whole, 1e-30))
    name = "largest mean residual of a sample"
    return [_share(name, worst, _MOST_RESIDUAL, 0.25, more=False)]


def mean_signal(fitted: FittedMap) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the mean of each sample over the voxels with a value, shape (n_samples,)."""
    flat = fitted.images.data.reshape(len(fitted.images.data), -1)
    return np.asarray(np.nanmean(flat[:, fitted.valid].astype(np.float64), axis=1))
