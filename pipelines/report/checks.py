"""Checks of a map: pass, warn or fail, each with its threshold."""

from dataclasses import dataclass

import numpy as np

from ..fitted import Fitted
from ..models.result import Flag

_LEAST_VALID = 0.9
_MOST_UNCERTAIN = 0.1
_MOST_MISFIT = 0.1
_MOST_RESIDUAL = 0.05
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
        The threshold, in words.
    """

    name: str
    status: str
    found: str
    limit: str


def run_checks(fitted: Fitted) -> list[Check]:
    """Return the checks of a fit."""
    result = fitted.result
    inside = max(int(fitted.mask.sum()), 1)
    valid = int(fitted.valid.sum())
    checks = [
        _share("voxels of the mask with a value", valid / inside, _LEAST_VALID, 0.5, more=True),
        _flagged(fitted, Flag.UNCERTAIN, "voxels with a large standard error", _MOST_UNCERTAIN),
        _flagged(fitted, Flag.MISFIT, "voxels that the model does not fit", _MOST_MISFIT),
        _residual(fitted),
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


def _share(name: str, found: float, warn: float, fail: float, *, more: bool) -> Check:
    bad = [found < limit if more else found > limit for limit in (fail, warn)]
    status = "fail" if bad[0] else "warn" if bad[1] else "pass"
    word = "at least" if more else "at most"
    return Check(name, status, f"{100 * found:.1f} %", f"{word} {100 * warn:.0f} %")


def _flagged(fitted: Fitted, flag: Flag, name: str, limit: float) -> Check:
    flags = fitted.result.flags[fitted.valid]
    share = np.count_nonzero(flags & np.uint8(flag)) / max(len(flags), 1)
    return _share(name, float(share), limit, 0.5, more=False)


def _residual(fitted: Fitted) -> Check:
    """Look for a sample that lies beside the model in the mean of all voxels."""
    residual = np.abs(fitted.result.residual_mean)
    signal = mean_signal(fitted)
    if not np.isfinite(residual).any():
        return Check("largest mean residual of a sample", "pass", "not fitted", "none to test")
    worst = float(np.nanmax(residual) / max(float(np.nanmax(np.abs(signal))), 1e-30))
    return _share("largest mean residual of a sample", worst, _MOST_RESIDUAL, 0.25, more=False)


def mean_signal(fitted: Fitted) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the mean of each sample over the voxels with a value, shape (n_samples,)."""
    flat = fitted.images.data.reshape(len(fitted.images.data), -1)
    return np.asarray(np.nanmean(flat[:, fitted.valid].astype(np.float64), axis=1))
