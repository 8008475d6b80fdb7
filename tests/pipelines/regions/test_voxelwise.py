"""What noise shifts the mean of a region by: the rule, the fit, and the columns of the tables."""

import numpy as np
import pytest

from pipelines.models.t2 import fit_t2
from pipelines.project.table import summary_rows
from pipelines.regions.statistics import Voxels, measure
from pipelines.regions.voxelwise import mean_of, second_order

TE = np.arange(10.0, 90.0, 10.0)


def _box_1971(s0, t2, sigma):
    """Bias of least squares in T2: -1/2 (J'J)^-1 sum_i J_i tr((J'J)^-1 H_i) sigma^2."""
    e = np.exp(-TE / t2)
    slopes = np.stack([e, s0 * e * TE / t2**2], axis=1)
    second = np.zeros((len(TE), 2, 2))
    second[:, 0, 1] = second[:, 1, 0] = e * TE / t2**2
    second[:, 1, 1] = s0 * e * (TE**2 / t2**4 - 2 * TE / t2**3)
    inverse = np.linalg.inv(slopes.T @ slopes)
    curved = np.einsum("pq,ipq->i", inverse, second)
    return float((-0.5 * sigma**2 * inverse @ slopes.T @ curved)[1])


@pytest.mark.parametrize(("t2", "snr"), [(28.0, 60.0), (48.0, 60.0), (62.0, 25.0)])
def test_the_shift_of_a_fit_is_that_of_box_and_below_what_is_stated(t2, snr):
    n, rng = 200_000, np.random.default_rng(17)
    signal = np.exp(-TE / t2) + rng.standard_normal((n, len(TE))) / snr
    found = fit_t2(signal, TE, sigma=1 / snr, rician=False, skip_echoes=0).maps["T2map"]
    values, errors = found.values.astype(float), found.error.astype(float)
    shift = values.mean() - t2
    scatter = values.std() / np.sqrt(n)
    # Terms of fourth order: the square of the relative error, on top of the shift itself.
    room = 4 * scatter + 5 * abs(shift) * (values.std() / t2) ** 2
    assert shift == pytest.approx(_box_1971(1.0, t2, 1 / snr), abs=room)
    assert shift > 10 * scatter  # many voxels see it
    stated = mean_of(second_order(values, errors))
    assert 0.4 * stated < shift < stated


def test_what_counts_is_averaged():
    values = np.array([10.0, 20.0, np.nan, 40.0, -5.0, 50.0])
    errors = np.array([1.0, 2.0, 1.0, np.nan, 1.0, 5.0])
    marked = np.array([False, False, False, False, False, True])
    shift = second_order(values, errors, marked)
    np.testing.assert_array_equal(np.isfinite(shift), [True, True, False, False, False, False])
    assert mean_of(shift) == pytest.approx((0.1 + 0.2) / 2)
    assert np.isnan(mean_of(shift[2:]))


def test_whole_and_core_have_a_bias_where_there_are_errors():
    values = np.array([[[10.0, 20.0, 40.0]]], np.float32)
    errors = np.array([[[1.0, 2.0, 4.0]]], np.float32)
    inside = Voxels.of(np.array([[[1.0, 0.6, 0.2]]]))
    size, window = (1.0, 1.0), (0.0, 50.0)
    found = measure("T2map", "ms", values, inside, None, size, window, errors)
    assert found.whole.bias == pytest.approx(0.15)
    assert found.core.bias == pytest.approx(0.1)
    without = measure("T2map", "ms", values, inside, None, size, window)
    assert np.isnan(without.whole.bias)
    assert without.whole.as_json()["bias"] is None


@pytest.mark.parametrize(("bias", "se"), [("0.4", 0.5), ("", 0.3)])
def test_the_error_of_a_mean_in_the_project_table_holds_both(bias, se):
    row = {"set": "whole", "mean": "50", "sd": "3", "valid": "100", "voxels": "100", "bias": bias}
    (found,) = summary_rows([], [row], {})
    assert found["se"] == pytest.approx(se)
