"""Many voxels side by side are fitted as one after another, whatever they hold."""

import numpy as np
import pytest
from relaxation import TE, TR, rician
from scipy.optimize import least_squares

from pipelines.models import decay, kernels_varpro, varpro
from pipelines.models.t1 import fit_t1_sr
from pipelines.models.t2 import fit_t2


def decays_of_all_kinds(times, voxels=5003):
    """Decays far inside, at and beyond the bounds, pure noise, rising ones, zeros, negatives."""
    rng = np.random.default_rng(0)
    t = np.exp(rng.uniform(np.log(0.5), np.log(6000.0), voxels))
    signal = rician(np.exp(-times / t[:, None]), 30.0)
    signal[::7] = rng.rayleigh(1.0, signal[::7].shape)
    signal[1::11] = signal[1::11, ::-1]
    signal[2::13] = rng.normal(0, 1, signal[2::13].shape)
    signal[3::97] = 0.0
    signal[4::101] *= -1
    return signal


@pytest.mark.parametrize("count", [25, 24, 7, 3])
def test_it_is_the_search_of_one_voxel(count):
    times = TE[:count]
    signal = decays_of_all_kinds(times)
    active = np.arange(len(signal)) % 5 != 0
    signal[~active] = np.nan
    model = varpro.tabulate(decay.columns(times, offset=False), *decay.bounds(times), sign=1.0)
    one = varpro.blank(len(signal), 1)
    kernels_varpro.fit(model.table, signal, active, False, one)
    many = varpro.solve(model, signal, active).estimates
    np.testing.assert_array_equal(many.status, one.status)
    assert set(one.status) >= {-1, kernels_varpro.CONVERGED, kernels_varpro.AT_BOUND}
    for name in ("position", "curvature", "linear", "amplitude", "variance", "sse", "sst"):
        mine, its = getattr(many, name), getattr(one, name)
        # What a search at a bound leaves is of no use to anyone.
        good = one.status == kernels_varpro.CONVERGED
        np.testing.assert_allclose(mine[good], its[good], rtol=2e-5, atol=2e-5, err_msg=name)
    assert np.isnan(many.position[~active]).all()


@pytest.mark.parametrize("voxels", [1, 31, 33, 257])
def test_any_number_of_voxels(voxels):
    t2 = np.linspace(15.0, 90.0, voxels)
    found = fit_t2(np.exp(-TE / t2[:, None]), TE, skip_echoes=0).maps["T2map"].values
    np.testing.assert_allclose(found, t2, rtol=1e-6)


def test_low_signal_is_fitted_as_an_independent_solver_does():
    """Where searches leave their cell and begin far from their end."""
    rng = np.random.default_rng(1)
    t1 = rng.uniform(600, 2500, 300)
    signal = rician(1 - np.exp(-TR / t1[:, None]), 8.0)
    ours = fit_t1_sr(signal, TR).maps["T1map"].values
    for y, found in zip(signal, ours, strict=True):
        if np.isfinite(found):
            solved = least_squares(
                lambda p, y=y: p[0] * (1 - np.exp(-TR / p[1])) - y,
                (y[-1], found * 1.2),
                x_scale=(1.0, 1000.0),
                xtol=1e-12,
                ftol=1e-12,
                gtol=1e-12,
            )
            assert found == pytest.approx(solved.x[1], rel=1e-4)
    assert np.isfinite(ours).mean() > 0.99
