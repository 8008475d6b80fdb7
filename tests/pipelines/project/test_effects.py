"""Effect sizes against published numbers, simulation and other implementations."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from pipelines.project.effects import (
    bias_factor,
    mean_interval,
    noncentrality,
    one_group,
    two_groups,
)


def test_the_interval_of_a_difference_is_welchs():
    rng = np.random.default_rng(1)
    a, b = rng.normal(3, 1, 6), rng.normal(2, 4, 9)
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = two_groups(a, b).difference
    assert found.estimate == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_interval_of_a_mean_change_is_students():
    changes = [1.2, 0.4, 2.2, 1.9]
    expected = stats.ttest_1samp(changes, 0).confidence_interval(0.95)
    found = one_group(changes).difference
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert mean_interval(changes) == found


@pytest.mark.parametrize(
    ("freedom", "factor"),
    # Hedges (1981), table 1 of c(m), printed to four digits.
    [(2, 0.5642), (3, 0.7236), (4, 0.7979), (5, 0.8408), (10, 0.9228), (20, 0.9619), (50, 0.9849)],
)
def test_the_bias_factor_is_that_of_hedges(freedom, factor):
    assert bias_factor(freedom) == pytest.approx(factor, abs=6e-5)


@pytest.mark.parametrize(("t", "freedom"), [(0.0, 4), (2.5, 4), (-1.2, 10), (6.0, 3), (3.0, 40)])
def test_the_limits_of_the_noncentrality_are_those_of_scipys_distribution(t, freedom):
    low, high = noncentrality(t, freedom)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert stats.nct.cdf(t, freedom, low) == pytest.approx(0.975, abs=1e-6)
        assert stats.nct.cdf(t, freedom, high) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize("t", [80.0, 3000.0, -80.0])
def test_a_very_clear_effect_has_limits_too(t):
    low, high = noncentrality(t, 4)
    # The noncentrality is t times a chi variable over its degrees of freedom, nearly.
    ends = t * np.sqrt(stats.chi2.ppf([0.025, 0.975], 4) / 4)
    assert (low, high) == pytest.approx(tuple(sorted(ends)), rel=0.05)


def test_g_has_no_bias_in_groups_of_three_and_its_interval_covers_the_truth():
    rng = np.random.default_rng(2)
    truth, covered, found = 1.0, 0, []
    for _ in range(400):
        g = two_groups(rng.normal(truth, 1, 3), rng.normal(0, 1, 3)).g
        # The limits are those of delta times J.
        covered += g.low <= truth * bias_factor(4) <= g.high
        found.append(g.estimate)
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 3 * error
    assert abs(covered / 400 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 400)


def test_too_few_or_equal_values_have_no_interval():
    assert not two_groups([1.0], [2.0, 3.0]).difference.known
    assert two_groups([1.0], [2.0, 3.0]).difference.estimate == -1.5
    assert math.isnan(two_groups([], [1.0]).difference.estimate)
    same = two_groups([2.0, 2.0], [1.0, 1.0])
    assert same.difference.estimate == 1.0
    assert not same.difference.known
    assert math.isnan(same.g.estimate)
    assert not one_group([1.0]).g.known
    assert two_groups([1.0, math.nan, 2.0], [0.0, 1.0]).difference.estimate == 1.0
