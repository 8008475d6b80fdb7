"""Statistics against numbers that others published, against numpy, and by hand."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pipelines.regions.statistics import (
    Voxels,
    describe,
    histogram,
    measure,
    weigh,
)
from pipelines.regions.voxelwise import reciprocal


@pytest.fixture(scope="module")
def phantom(shared_data):
    folder = shared_data / "roi" / "ibsi" / "ibsi_1_digital_phantom" / "nifti"
    values = np.asarray(nib.load(folder / "image" / "phantom.nii.gz").dataobj, np.float32)
    mask = np.asarray(nib.load(folder / "mask" / "mask.nii.gz").dataobj) > 0
    return values.T, mask.T


def test_digital_phantom_has_the_published_statistics(phantom):
    """Reference values of the IBSI for its digital phantom, doi:10.1148/radiol.2020191145."""
    values, mask = phantom
    found = describe(values[mask], None, 8.0)
    assert (found.voxels, found.valid, found.nan, found.flagged) == (74, 74, 0, 0)
    assert found.volume_mm3 == 592
    assert round(found.mean, 2) == 2.15
    assert round(found.sd**2 * 73 / 74, 2) == 3.05
    assert round(found.skewness, 2) == 1.08
    assert round(found.kurtosis, 3) == -0.355
    assert (found.median, found.minimum, found.maximum, found.iqr) == (1, 1, 6, 3)
    assert (found.percentiles[10], found.percentiles[90]) == (1, 4)


def test_digital_phantom_counted_by_hand(phantom):
    """The phantom holds 50 ones, a three, 16 fours and 7 sixes: all follows from them."""
    values, mask = phantom
    counts = {1: 50, 3: 1, 4: 16, 6: 7}
    assert dict(zip(*np.unique(values[mask], return_counts=True), strict=True)) == counts
    found = describe(values[mask], None, 8.0)
    mean = (50 * 1 + 1 * 3 + 16 * 4 + 7 * 6) / 74
    squares = 50 * (1 - mean) ** 2 + (3 - mean) ** 2 + 16 * (4 - mean) ** 2 + 7 * (6 - mean) ** 2
    assert found.mean == pytest.approx(mean, rel=1e-14)
    assert found.sd == pytest.approx((squares / 73) ** 0.5, rel=1e-14)
    assert (found.q1, found.q3, found.mad) == (1, 4, 0)
    assert (found.percentiles[5], found.percentiles[95]) == (1, 6)


@settings(max_examples=80, deadline=None)
@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e4, 1e4, width=32)))
def test_equal_to_numpy_and_scipy(values):
    found = describe(values, None, 1.0)
    wide = values.astype(np.float64)
    scale = max(float(np.abs(wide).max()), 1e-30)
    assert found.mean == pytest.approx(wide.mean(), abs=1e-12 * scale)
    for key, value in found.percentiles.items():
        assert value == pytest.approx(np.percentile(wide, key), abs=1e-12 * scale)
    assert found.mad == pytest.approx(stats.median_abs_deviation(wide), abs=1e-12 * scale)
    if len(values) > 1:
        assert found.sd == pytest.approx(wide.std(ddof=1), abs=1e-11 * scale)
    else:
        assert np.isnan(found.sd)
    if np.ptp(wide) > 1e-3 * scale:
        assert found.skewness == pytest.approx(stats.skew(wide), rel=1e-6, abs=1e-6)
        assert found.kurtosis == pytest.approx(stats.kurtosis(wide), rel=1e-6, abs=1e-6)


def test_what_has_no_value_and_what_is_flagged_is_counted_and_left_out():
    values = np.array([1, 2, np.nan, 3, np.inf, 100], np.float32)
    flagged = np.array([False, False, True, False, False, True])
    found = describe(values, flagged, 0.5)
    assert (found.voxels, found.valid, found.nan, found.flagged) == (6, 3, 2, 1)
    assert (found.mean, found.sd, found.median, found.maximum) == (2, 1, 2, 3)
    assert found.volume_mm3 == 3


def test_nothing_is_never_zero():
    for values in (np.empty(0, np.float32), np.full(3, np.nan, np.float32)):
        found = describe(values, None, 1.0)
        assert found.valid == 0
        row = found.as_json()
        assert row["voxels"] == len(values)
        assert all(row[name] is None for name in ("mean", "sd", "median", "min", "max", "p05"))
    one = describe(np.array([7], np.float32), None, 1.0).as_json()
    assert (one["mean"], one["median"], one["sd"], one["skewness"]) == (7, 7, None, None)


def test_large_offsets_do_not_spoil_the_spread():
    values = (1e6 + np.array([0, 1, 2, 3])).astype(np.float32)
    assert describe(values, None, 1.0).sd == pytest.approx(np.std([0, 1, 2, 3], ddof=1), rel=1e-9)


def test_histogram_counts_every_value_once():
    values = np.array([-1, 0, 0.5, 1, 9.99, 10, 11, 12])
    found = histogram(values, 0, 10, 10)
    assert found.counts == (2, 1, 0, 0, 0, 0, 0, 0, 0, 2)
    assert (found.under, found.over) == (1, 2)
    assert sum(found.counts) + found.under + found.over == len(values)


def test_weights_by_hand():
    values = np.array([10, 20, np.nan, 40], np.float32)
    weights = np.array([1, 0.5, 1, 0.25], np.float32)
    found = weigh(values, np.array([False, False, False, True]), weights, 2.0)
    assert found.mean == pytest.approx((10 + 0.5 * 20) / 1.5)
    assert found.volume_mm3 == pytest.approx(5.5)
    assert found.effective_voxels == pytest.approx(1.5**2 / 1.25)


def test_equal_weights_give_the_plain_statistics():
    values = np.random.default_rng(1).normal(50, 5, 40).astype(np.float32)
    found = weigh(values, None, np.full(40, 0.3, np.float32), 1.0)
    plain = describe(values, None, 1.0)
    assert found.mean == pytest.approx(plain.mean)
    assert found.sd == pytest.approx(plain.sd, rel=1e-6)


def test_whole_core_and_slices_take_their_own_voxels():
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    part = np.zeros_like(values)
    part[0, 1, 1:3] = [0.96, 0.5]
    part[1, 2, 0:3] = [1.0, 0.94, 0.49]
    found = measure("T2map", "ms", values, Voxels.of(part), None, (4.0, 2.0), (0, 24))
    assert (found.whole.voxels, found.core.voxels) == (4, 2)
    assert found.whole.mean == np.mean([5, 6, 20, 21])
    assert found.core.mean == np.mean([5, 20])
    assert [(one.index, one.area_mm2, one.whole.mean) for one in found.slices] == [
        (0, 4.0, 5.5),
        (1, 4.0, 20.5),
    ]
    weights = np.array([0.96, 0.5, 1, 0.94, 0.49])
    expected = weights @ np.array([5, 6, 20, 21, 22]) / weights.sum()
    assert found.weighted.mean == pytest.approx(expected, rel=1e-6)


def test_a_rate_is_one_over_each_voxel():
    times = np.array([50, 0, -3, np.nan, 1e-42, 200], np.float32)
    rates = reciprocal(times, 1000.0)
    np.testing.assert_allclose(rates[[0, 5]], [20, 5])
    assert not np.isfinite(rates[1:5]).any()
    # The mean of the rates is not the rate of the mean.
    assert describe(rates, None, 1.0).mean == pytest.approx(12.5)


def test_voxels_give_their_mask_back():
    part = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    part[part < 0.4] = 0
    kept = Voxels.of(part)
    np.testing.assert_array_equal(kept.at_least(0.5), part >= 0.5)
    assert kept.count(0.95) == np.count_nonzero(part >= 0.95)
