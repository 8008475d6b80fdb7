import numpy as np
import pytest

from pipelines.errors import ModelInputError
from pipelines.models.cest import WINDOWS, fit_cest
from pipelines.models.cest_extras import arex, mtr_rex
from pipelines.models.lorentz import (
    AMIDE,
    MT,
    POOLS,
    WATER,
    fit_pools,
    lorentz_signal,
    lorentzian_difference,
)
from pipelines.models.ph import PhCalibration, ph_from_ratio, transfer_ratio
from pipelines.models.result import FATAL, Flag

OFFSETS = np.round(np.arange(-8, 8.01, 0.25), 4)
CURVE = PhCalibration((5.5, 6.0, 6.5, 7.0, 7.5), (0.5, 0.8, 1.2, 1.7, 2.3), 7.0, 3.0, 37.0, "test")


def line(offset, centre, width):
    return (width / 2) ** 2 / ((width / 2) ** 2 + (offset - centre) ** 2)


def spectrum(b0, amide=0.06, offsets=OFFSETS):
    b0 = np.asarray(b0)[:, None]
    return 1 - 0.85 * line(offsets, b0, 1.4) - amide * line(offsets, 3.5 + b0, 1.0)


def images(z, m0=1000.0, offsets=OFFSETS):
    return np.concatenate([[300.0], offsets]), m0 * np.concatenate([np.ones((len(z), 1)), z], 1)


def expected(ppm, amide=0.06):
    return 100 * amide * (line(ppm, 3.5, 1.0) - line(-ppm, 3.5, 1.0))


def test_asymmetry_is_that_of_the_pool_whatever_the_field():
    b0 = np.random.default_rng(0).uniform(-0.4, 0.4, 300)
    offsets, signal = images(spectrum(b0))
    fit = fit_cest(signal, offsets, windows=[WINDOWS["amide"]])
    assert np.abs(fit.maps["B0map"].values - b0).max() < 0.01
    np.testing.assert_allclose(fit.maps["MTRasym_3.5ppm"].values, expected(3.5), atol=0.35)
    np.testing.assert_allclose(fit.maps["MTRasym_2ppm"].values, expected(2.0), atol=0.4)
    window = expected(np.linspace(3.2, 3.8, 61)).mean()
    np.testing.assert_allclose(fit.maps["MTRasym_amide"].values, window, atol=0.2)
    wrong = fit_cest(signal, offsets, b0_method="none")
    assert np.abs(wrong.maps["MTRasym_3.5ppm"].values - expected(3.5)).max() > 1


def test_given_field_and_division_by_the_negative_side():
    b0 = np.array([0.0, 0.25])
    offsets, signal = images(spectrum(b0))
    plain = fit_cest(signal, offsets, b0_ppm=b0)
    over = fit_cest(signal, offsets, b0_ppm=b0, normalise="negative")
    negative = 1 - 0.85 * line(-3.5, 0, 1.4) - 0.06 * line(-3.5, 3.5, 1.0)
    np.testing.assert_allclose(
        over.maps["MTRasym_3.5ppm"].values,
        plain.maps["MTRasym_3.5ppm"].values / negative,
        rtol=1e-5,
    )
    assert "over" in over.settings["normalisation"]


def test_errors_are_true():
    offsets, signal = images(np.repeat(spectrum([0.0]), 5000, axis=0))
    noisy = signal + np.random.default_rng(1).normal(0, 10, signal.shape) * (offsets != 300)
    fit = fit_cest(noisy, offsets, b0_method="none", sigma=10.0)
    z = (fit.maps["MTRasym_3.5ppm"].values - expected(3.5)) / fit.maps["MTRasym_3.5ppm"].error
    assert z.std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("error", "uncertain"), [(0.95, False), (1.05, True)])
def test_an_asymmetry_near_zero_is_certain_up_to_one_per_cent(error, uncertain):
    offsets, signal = images(spectrum([0.0], amide=0.0))
    known = fit_cest(signal, offsets, b0_method="none", sigma=1.0).maps["MTRasym_3.5ppm"].error[0]
    found = fit_cest(signal, offsets, b0_method="none", sigma=error / known)
    assert bool(found.flags[0] & Flag.UNCERTAIN) == uncertain


def test_what_is_shifted_out_of_the_range_is_not_invented():
    offsets = np.concatenate([[300.0], np.arange(-4, 4.01, 0.25)])
    z = spectrum([0.0, 0.75], offsets=offsets[1:])
    signal = 100 * np.concatenate([np.ones((2, 1)), z], axis=1)
    fit = fit_cest(signal, offsets, at_ppm=[3.5])
    assert np.isfinite(fit.maps["MTRasym_3.5ppm"].values[0])
    assert np.isnan(fit.maps["MTRasym_3.5ppm"].values[1])
    assert fit.flags.tolist() == [0, int(Flag.AT_BOUND)]
    with pytest.raises(ModelInputError, match="both sides of water"):
        fit_cest(signal, offsets, at_ppm=[5.5])


def test_lorentzian_difference_is_the_pool():
    offsets, signal = images(spectrum([0.0, 0.2, -0.3]))
    fit = fit_cest(signal, offsets, at_ppm=[3.5], lorentzian=True)
    np.testing.assert_allclose(fit.maps["LD_3.5ppm"].values, 6.0, atol=0.5)


@pytest.mark.parametrize(
    ("at", "counts"), [(0.99, True), (1.01, False), (6.49, False), (6.51, True), (-6.51, True)]
)
def test_the_line_of_water_rests_on_samples_within_1_and_beyond_6_5_ppm(at, counts):
    offsets = np.sort([-9, -8, 8, 9, -0.9, -0.4, 0, 0.4, 0.9, 3.5, at])
    truth = np.array([[0.0, 0.8, 1.4, 0.05, 25.0]])
    z, _ = lorentz_signal(truth, offsets, (WATER, MT))
    z[0, offsets == at] -= 0.02
    difference, _ = lorentzian_difference(z, offsets, 3.5)
    assert (abs(difference[0, 0]) > 1e-5) == counts


def test_four_pools_are_found_again():
    rng = np.random.default_rng(2)
    truth = np.stack(
        [
            rng.uniform(-0.3, 0.3, 200),
            *(
                rng.uniform(0.7, 1.3, 200) * v
                for p in POOLS
                for v in (0.7 * p.amplitude, p.width_ppm)
            ),
        ],
        axis=1,
    )
    offsets = np.concatenate([[-80, -40, -20], np.arange(-10, 10.01, 0.2), [20, 40, 80]])
    z, _ = lorentz_signal(truth, offsets, POOLS)
    fit = fit_pools(z, offsets)
    np.testing.assert_allclose(fit.parameters, truth, rtol=0.01, atol=1e-3)
    with pytest.raises(ModelInputError, match="cannot be fitted"):
        fit_pools(z[:, :5], offsets[:5])


def test_slopes_of_the_lines():
    p = np.array([[0.1, 0.8, 1.4, 0.05, 0.7]])
    pools = (WATER, AMIDE)
    _, slopes = lorentz_signal(p, OFFSETS, pools)
    for k in range(5):
        step = np.eye(5)[k] * 1e-6
        up, down = (lorentz_signal(p + s * step, OFFSETS, pools)[0] for s in (1, -1))
        np.testing.assert_allclose(slopes[0, :, k], (up - down)[0] / 2e-6, atol=1e-6)


def test_ph_by_a_stated_calibration():
    first, second = 0.12, 0.10
    ratio = (0.12 / 0.88) / (0.10 / 0.90)
    assert transfer_ratio(first, second) == pytest.approx(ratio)
    assert np.isnan(transfer_ratio([0.005, 0.2], [0.1, -0.1])).all()
    np.testing.assert_allclose(ph_from_ratio([0.8, 1.7], CURVE), [6.0, 7.0])
    assert np.isnan(ph_from_ratio([0.4, 2.5], CURVE)).all()
    fine = np.round(np.arange(-8, 8.01, 0.1), 4)
    pools = 0.12 * line(fine, 4.2, 0.6) + 0.10 * line(fine, 5.5, 0.6)
    offsets, signal = images((1 - 0.8 * line(fine, 0, 1.4) - pools)[None], offsets=fine)
    fit = fit_cest(signal, offsets, ph_calibration=CURVE)
    # Each pool's wing under the other is part of the ratio.
    a = 0.12 + 0.10 * line(4.2, 5.5, 0.6)
    b = 0.10 + 0.12 * line(5.5, 4.2, 0.6)
    rst = (a / (1 - a)) / (b / (1 - b))
    assert fit.maps["RST"].values[0] == pytest.approx(rst, rel=0.03)
    assert fit.maps["pH"].values[0] == pytest.approx(float(ph_from_ratio(rst, CURVE)), abs=0.05)
    assert fit.settings["ph_calibration"]["field_t"] == 7.0
    with pytest.raises(ModelInputError, match="calibration"):
        PhCalibration((6.0, 7.0, 8.0), (1.0, 2.0, 1.5), 7, 3, 37, "x")


def test_a_transfer_below_one_per_cent_has_no_ratio():
    small, large = np.array([0.0099, 0.0101, 0.2, 0.2]), np.array([0.2, 0.2, 0.0099, 0.0101])
    assert np.isfinite(transfer_ratio(small, large)).tolist() == [False, True, False, True]


def test_an_inverse_of_less_than_two_per_cent_has_no_value():
    small, large = np.array([0.0199, 0.0201, 0.5, 0.5]), np.array([0.5, 0.5, 0.0199, 0.0201])
    assert np.isfinite(mtr_rex(small, large)).tolist() == [False, True, False, True]


def test_arex_has_a_value_from_50_to_20000_ms():
    rates = arex(np.ones((4, 1)), [49.9, 50.0, 20_000.0, 20_001.0])
    assert np.isfinite(rates[:, 0]).tolist() == [False, True, True, False]


def test_bad_voxels_and_bad_wishes():
    offsets, signal = images(spectrum(np.zeros(4)))
    signal[0] = 0
    signal[1, 4] = np.nan
    mask = np.array([1, 1, 0, 1], bool)
    fit = fit_cest(signal, offsets, mask=mask, ph_calibration=CURVE, lorentzian=True)
    for name, quantity in fit.maps.items():
        assert np.isnan(quantity.values[:3]).all(), name
    assert np.all(fit.flags[:3] & FATAL)
    assert np.isfinite(fit.maps["MTRasym_3.5ppm"].values[3])
    with pytest.raises(ModelInputError, match="not above 0"):
        fit_cest(signal, offsets, at_ppm=[-3.5])
    with pytest.raises(ModelInputError, match="B0 map has shape"):
        fit_cest(signal, offsets, b0_ppm=np.zeros(3))
    with pytest.raises(ModelInputError, match="mask is empty"):
        fit_cest(signal, offsets, mask=np.zeros(4, bool))
