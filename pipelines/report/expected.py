"""Standard errors beside the ones that the noise allows, and what the residuals look like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..fitting.data import FittedMap
from ..models import rician
from ..models.cramer_rao import jacobian
from .forward import Forward, forward_of, samples_of

Doubles = npt.NDArray[np.float64]

_VOXELS = 200  # of which bounds are computed, evenly over the map
_MOST = 2000  # of which residuals are
_USUAL = 99.0  # per cent of the voxels that enter the ratio
_STRAY = 1e6  # relative error beyond which a protocol says nothing of a parameter


@dataclass(frozen=True)
class FitSurvey:
    """What a sample of voxels shows.

    Attributes
    ----------
    voxels : ndarray of int, shape (k,)
        The voxels looked at; the rest is of them, in their order.
    found, bound : ndarray of float64, shape (k,)
        Standard error of the main map as fitted, and the Cramer-Rao bound at the voxel's own
        parameters and noise; NaN where not known.
    neighbours : float
        Correlation of residuals one sample apart, mean over more voxels; NaN where not known.
    residual : ndarray of float64, shape (n_samples,), or None
        Mean residual of each sample that was fitted, in the unit of the signal. Of magnitudes it is
        counted from the expectation of a Rician sample, which noise lifts above the signal.
    voxel_count : int
        Voxels that `residual` is the mean of.
    """

    voxels: npt.NDArray[np.intp]
    found: Doubles
    bound: Doubles
    neighbours: float
    residual: Doubles | None
    voxel_count: int

    @property
    def ratio(self) -> float:
        """Found over bound, root mean square of all but the largest hundredth; NaN where not known.

        The square, because the width of few residuals is most often too small and right in its
        square.
        """
        both = np.isfinite(self.found) & np.isfinite(self.bound) & (self.bound > 0)
        if not both.any():
            return float("nan")
        ratio = self.found[both] / self.bound[both]
        usual = ratio[ratio <= np.percentile(ratio, _USUAL)]
        return float(np.sqrt(np.mean(np.square(usual))))


def survey(fitted: FittedMap) -> FitSurvey:
    """Compare the standard errors of a fit with the Cramer-Rao bound, and look at residuals."""
    forward = forward_of(fitted)
    valid = np.flatnonzero(fitted.valid)
    step = max(1, -(-len(valid) // _VOXELS))
    voxels = valid[::step]
    main = next(iter(fitted.result.maps.values()))
    found = np.full(len(voxels), np.nan)
    if main.error is not None:
        found[:] = main.error[voxels]
    bound = np.full(len(voxels), np.nan)
    if forward is None:
        return FitSurvey(voxels, found, bound, float("nan"), None, 0)
    for k, index in enumerate(voxels):
        bound[k] = _bound(fitted, forward, int(index))
    chosen = valid[:: max(1, -(-len(valid) // _MOST))]
    rows = [_residual(fitted, forward, int(index)) for index in chosen]
    residuals = np.array([row for row in rows if row is not None])
    if not len(residuals):
        return FitSurvey(voxels, found, bound, float("nan"), None, 0)
    squares = np.square(residuals).sum(axis=1)
    products = (residuals[:, 1:] * residuals[:, :-1]).sum(axis=1)
    good = squares > 0
    alike = float(np.mean(products[good] / squares[good])) if good.any() else float("nan")
    return FitSurvey(voxels, found, bound, alike, residuals.mean(axis=0), len(residuals))


def _residual(fitted: FittedMap, forward: Forward, index: int) -> Doubles | None:
    """Return what the samples of a voxel have over their expectation; None where not known."""
    x, y = samples_of(fitted, index)
    p = forward.parameters(fitted, index)
    if not np.all(np.isfinite(p)) or not np.all(np.isfinite(y)):
        return None
    expected = forward.signal(index)(p, x)
    if _rician(fitted):
        sigma = noise_of(fitted, index)
        expected = sigma * rician.mean(np.abs(expected) / sigma)
    return np.asarray((y - expected)[forward.first :])


def _rician(fitted: FittedMap) -> bool:
    magnitude = fitted.images.component == "M"
    return magnitude and fitted.result.settings.get("noise_model") == "Rician"


def noise_of(fitted: FittedMap, index: int) -> float:
    """Return the noise of a voxel: sigma, else the width of its residuals; NaN where neither is."""
    if fitted.result.sigma is not None:
        return float(fitted.result.sigma)
    width = fitted.result.residual_width
    return float("nan") if width is None else float(width[index])


def _bound(fitted: FittedMap, forward: Forward, index: int) -> float:
    """Return the smallest standard error of the main map that the noise of a voxel allows."""
    sigma = noise_of(fitted, index)
    x, _ = samples_of(fitted, index)
    p = forward.parameters(fitted, index)
    if not sigma > 0 or not np.all(np.isfinite(p)):
        return float("nan")
    signal = forward.signal(index)
    with np.errstate(all="ignore"):
        slopes = jacobian(lambda at: signal(at, x)[forward.first :], p)
        samples = signal(p, x)[forward.first :]
    if not np.all(np.isfinite(slopes)):
        return float("nan")
    kept = np.any(slopes != 0, axis=0)  # an angle of 180 degrees does not change its signal
    weights = np.ones(len(samples))
    if _rician(fitted):
        weights = rician.information_near(np.abs(samples) / sigma)
    scale = np.where(p == 0, 1.0, np.abs(p))[kept]
    scaled = slopes[:, kept] * scale
    information = (scaled * weights[:, None]).T @ scaled / sigma**2
    try:
        covariance = np.linalg.inv(information)
    except np.linalg.LinAlgError:
        return float("nan")
    lead = forward.lead()[kept] * scale
    variance = float(lead @ covariance @ lead)
    value = abs(float(forward.lead() @ p))
    good = 0 < variance < (_STRAY * max(value, 1e-30)) ** 2
    return float(np.sqrt(variance)) if good else float("nan")


def snr_of(fitted: FittedMap) -> Doubles:
    """Return the largest sample over the noise of each voxel with a value, shape (n,)."""
    flat = fitted.images.data.reshape(len(fitted.images.data), -1)
    top = np.nanmax(np.abs(flat[:, fitted.valid]), axis=0).astype(np.float64)
    if fitted.result.sigma is not None:
        return np.asarray(top / fitted.result.sigma)
    width = fitted.result.residual_width
    if width is None or fitted.result.model == "WASABI":
        return np.full(top.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = top / width[fitted.valid]
    return np.where(np.isfinite(found), found, np.nan)
