"""Sizes of effects with their intervals, exact for small groups of normal values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
LEVEL = 0.95
_FURTHEST = 60.0  # noncentrality beyond t in which its limits are sought, in their own unit
_NAN = float("nan")


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence limits; NaN where the values do not tell."""

    estimate: float
    low: float = _NAN
    high: float = _NAN

    @property
    def known(self) -> bool:
        """Whether there are limits."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def covers(self, value: float) -> bool:
        """Tell whether a value lies inside the limits; False where there are none."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Effect:
    """Difference of means in the unit of the values, and Hedges' g, which has none."""

    difference: Interval
    g: Interval


def clean(values: npt.ArrayLike) -> Values:
    """Return the finite values."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def mean_interval(values: npt.ArrayLike, level: float = LEVEL) -> Interval:
    """Return a mean with Student's interval.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One for each animal; NaN is left out. Fewer than two have no limits.
    level : float
        Confidence, 0 to 1.
    """
    x = clean(values)
    if x.size < 1:
        return Interval(_NAN)
    spread = float(x.std(ddof=1)) if x.size > 1 else 0.0
    return _around(float(x.mean()), spread / math.sqrt(x.size), x.size - 1, level)


def two_groups(treated: npt.ArrayLike, reference: npt.ArrayLike, level: float = LEVEL) -> Effect:
    """Compare two independent groups.

    The difference of means has Welch's interval (Welch 1947, doi:10.1093/biomet/34.1-2.28), which
    allows unequal spreads. Hedges' ``g = J(m) (mean_1 - mean_2) / s`` has the pooled standard
    deviation s of ``m = n_1 + n_2 - 2`` degrees of freedom, the exact factor ``J(m) =
    Gamma(m/2) / (sqrt(m/2) Gamma((m-1)/2))`` against its bias in small groups (Hedges 1981,
    doi:10.3102/10769986006002107), and the interval of the noncentral t distribution (Cumming and
    Finch 2001, doi:10.1177/0013164401614002).

    Parameters
    ----------
    treated, reference : array_like of float, shape (n,)
        One value for each animal; NaN is left out. A group of fewer than two has no limits.
    level : float
        Confidence, 0 to 1.
    """
    a, b = clean(treated), clean(reference)
    if not a.size or not b.size:
        return Effect(Interval(_NAN), Interval(_NAN))
    difference = float(a.mean() - b.mean())
    if min(a.size, b.size) < 2:
        return Effect(Interval(difference), Interval(_NAN))
    parts = np.array([a.var(ddof=1) / a.size, b.var(ddof=1) / b.size])
    error = math.sqrt(parts.sum())
    freedom = _NAN
    if error > 0:
        freedom = parts.sum() ** 2 / (parts**2 / [a.size - 1, b.size - 1]).sum()
    m = a.size + b.size - 2
    pooled = math.sqrt(((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / m)
    scale = math.sqrt(1 / a.size + 1 / b.size)
    return Effect(
        _around(difference, error, freedom, level),
        _standardised(difference, pooled, scale, m, level),
    )


def one_group(changes: npt.ArrayLike, level: float = LEVEL) -> Effect:
    """Compare paired values by their differences.

    Student's interval of the mean change; g is the mean change in units of the standard deviation
    of the changes, with the factor and the interval of `two_groups` for ``n - 1`` degrees of
    freedom.

    Parameters
    ----------
    changes : array_like of float, shape (n,)
        Later value less earlier value of each animal; NaN is left out.
    level : float
        Confidence, 0 to 1.
    """
    x = clean(changes)
    difference = mean_interval(x, level)
    if x.size < 2:
        return Effect(difference, Interval(_NAN))
    spread, scale = float(x.std(ddof=1)), math.sqrt(1 / x.size)
    return Effect(difference, _standardised(float(x.mean()), spread, scale, x.size - 1, level))


def bias_factor(freedom: float) -> float:
    """Return J, the exact factor of Hedges (1981); NaN below 2 degrees of freedom."""
    if freedom < 2:
        return _NAN
    half = freedom / 2
    return math.exp(math.lgamma(half) - math.lgamma(half - 0.5)) / math.sqrt(half)


def noncentrality(t: float, freedom: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the limits of the noncentrality of which `t` was drawn.

    Those for which the noncentral t distribution has `t` as its upper and lower quantile.

    Parameters
    ----------
    t : float
        The statistic.
    freedom : float
        Degrees of freedom.
    level : float
        Confidence, 0 to 1.
    """
    from scipy.optimize import brentq

    x, weight = _chi_rule(freedom)
    reach = abs(t) + 10.0 + _FURTHEST * abs(t) / math.sqrt(freedom)

    def excess(centre: float, probability: float) -> float:
        from scipy.special import ndtr

        return float(weight @ ndtr(t * x - centre)) - probability

    tail = (1 - level) / 2
    ends = [brentq(excess, -reach, reach, args=(p,), xtol=1e-10) for p in (1 - tail, tail)]
    return ends[0], ends[1]


@cache
def _chi_rule(freedom: float) -> tuple[Values, Values]:
    """Return nodes and weights to average over s/sigma, a chi variable over sqrt(freedom)."""
    from scipy.stats import chi

    low, high = chi.ppf([1e-13, 1 - 1e-13], freedom)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    density = chi.pdf(x, freedom) * weights
    return x / math.sqrt(freedom), density / density.sum()


def _around(estimate: float, error: float, freedom: float, level: float) -> Interval:
    if not (error > 0 and freedom >= 1):
        return Interval(estimate)
    from scipy.stats import t

    half = float(t.ppf(0.5 + level / 2, freedom)) * error
    return Interval(estimate, estimate - half, estimate + half)


def _standardised(
    difference: float, spread: float, scale: float, freedom: int, level: float
) -> Interval:
    """Return g and its limits; values that are all equal have no scale to measure in."""
    factor = bias_factor(freedom)
    if not spread > 0 or not math.isfinite(factor):
        return Interval(_NAN)
    low, high = noncentrality(difference / (spread * scale), freedom, level)
    return Interval(factor * difference / spread, factor * low * scale, factor * high * scale)
