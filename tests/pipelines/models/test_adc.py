import numpy as np
import pytest
from scipy.optimize import least_squares

from pipelines.errors import ModelInputError
from pipelines.models.adc import fit_adc, fit_trace_adc
from pipelines.models.diffusion import as_b_values, as_directions, shells
from pipelines.models.result import FATAL, Flag

B = np.array([0, 200, 400, 600, 800, 1000.0])


def simulate(n, snr, seed=1, rician=False, b=B):
    rng = np.random.default_rng(seed)
    adc = rng.uniform(0.4, 2.5, n)
    clean = 1000 * np.exp(-1e-3 * b * adc[:, None])
    noise = rng.normal(0, 1000 / snr, (2, *clean.shape))
    if rician:
        return adc, np.hypot(clean + noise[0], noise[1])
    return adc, clean + noise[0]


def test_equal_to_an_independent_solver_on_5000_voxels():
    _, signal = simulate(5000, 50)
    fit = fit_adc(signal, B, rician=False)
    valid = (fit.flags & FATAL) == 0
    assert valid.mean() > 0.99
    scaled = signal / 1000
    expected = np.full(len(signal), np.nan)
    for v in range(len(signal)):

        def residual(p, y=scaled[v]):
            return p[0] * np.exp(-1e-3 * B * p[1]) - y

        def slopes(p):
            e = np.exp(-1e-3 * B * p[1])
            return np.stack([e, -1e-3 * B * p[0] * e], axis=1)

        expected[v] = least_squares(
            residual, (1.0, 1.0), jac=slopes, method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-12
        ).x[1]
    off = np.abs(fit.maps["ADC"].values / expected - 1)
    assert np.all(off[valid] < 1e-4)


@pytest.mark.parametrize("snr", [20, 50, 100])
def test_at_the_cramer_rao_bound_and_errors_are_true(snr):
    adc, signal = simulate(30_000, snr, seed=snr, rician=True)
    fit = fit_adc(signal, B, sigma=1000 / snr)
    valid = (fit.flags & FATAL) == 0
    assert valid.mean() > 0.99
    found = fit.maps["ADC"].values
    # The bound, for Gaussian noise, from the slopes of the model at the truth.
    e = np.exp(-1e-3 * B * adc[:, None])
    tangent = 1e-3 * B * e * 1000
    inside = (tangent * e).sum(1) / (e * e).sum(1)
    outside = tangent - inside[:, None] * e
    bound = (1000 / snr) / np.linalg.norm(outside, axis=1)
    relative = np.where(valid, found / adc - 1, 1.0)
    ratio = np.sqrt(np.mean(relative**2) / np.mean((bound / adc) ** 2))
    assert ratio < 1.05
    covered = np.abs(found - adc) < 1.96 * fit.maps["ADC"].error
    assert 0.93 < covered[valid].mean() < 0.97


def test_errors_from_residuals_are_true():
    from scipy.stats import t

    adc, signal = simulate(20_000, 50, seed=9)
    fit = fit_adc(signal, B, rician=False)
    covered = np.abs(fit.maps["ADC"].values - adc) < t.ppf(0.975, 4) * fit.maps["ADC"].error
    assert 0.93 < covered.mean() < 0.97


def test_weighted_logarithm_is_near_and_better_than_unweighted():
    adc, signal = simulate(20_000, 20, seed=3)
    fit = fit_adc(signal, B, method="wls", sigma=50.0)
    relative = fit.maps["ADC"].values / adc - 1
    slope = np.polyfit(-1e-3 * B, np.log(np.maximum(signal, 1)).T, 1)[0] / adc - 1
    assert np.nanstd(relative) < 0.85 * slope.std()
    assert abs(np.nanmean(relative)) < 0.02


def test_effective_b_values_count_and_any_order_is_one():
    adc, _ = simulate(100, 50)
    b = B + np.array([12.0, 15, 9, 20, 11, 13])
    signal = 500 * np.exp(-1e-3 * b * adc[:, None])
    fit = fit_adc(signal, b)
    np.testing.assert_allclose(fit.maps["ADC"].values, adc, rtol=1e-5)
    np.testing.assert_allclose(fit.maps["S0map"].values, 500, rtol=1e-5)
    order = [3, 0, 5, 1, 4, 2]
    again = fit_adc(signal[:, order], b[order])
    np.testing.assert_allclose(again.maps["ADC"].values, fit.maps["ADC"].values, rtol=1e-6)


def test_trace_is_the_mean_of_three_directions_with_a_true_error():
    rng = np.random.default_rng(4)
    truth = np.array([0.5, 0.9, 1.6])
    b = np.array([0, 500, 1000, 500, 1000, 500, 1000.0])
    g = np.concatenate([np.zeros((1, 3)), np.repeat(np.eye(3), 2, axis=0)])
    clean = 100 * np.exp(-1e-3 * b * (g**2 @ truth))
    signal = clean + rng.normal(0, 2, (20_000, 7))
    fit = fit_trace_adc(signal, b, g, sigma=2.0, rician=False)
    assert fit.maps["ADC"].values.mean() == pytest.approx(1.0, abs=0.003)
    for name, value in zip(["ADC1", "ADC2", "ADC3"], truth, strict=True):
        assert np.median(fit.maps[name].values) == pytest.approx(value, abs=0.005)
    z = (fit.maps["ADC"].values - 1.0) / fit.maps["ADC"].error
    assert z.std() == pytest.approx(1.0, abs=0.03)


def test_directions_not_at_right_angles_are_refused():
    g = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.6, 0.8, 0]]
    with pytest.raises(ModelInputError, match="three at right angles"):
        fit_trace_adc(np.ones((5, 4)), [0, 1000, 1000, 1000], g)


@pytest.mark.parametrize(("cosine", "refused"), [(0.099, False), (0.101, True)])
def test_right_angles_are_so_within_a_cosine_of_a_tenth(cosine, refused):
    g = [[0, 0, 0], [1, 0, 0], [cosine, np.sqrt(1 - cosine**2), 0], [0, 0, 1]]
    signal = np.tile([100.0, 50, 50, 50], (5, 1))
    if refused:
        with pytest.raises(ModelInputError, match="three at right angles"):
            fit_trace_adc(signal, [0, 1000, 1000, 1000], g)
    else:
        fit = fit_trace_adc(signal, [0, 1000, 1000, 1000], g)
        np.testing.assert_allclose(fit.maps["ADC"].values, np.log(2), rtol=1e-5)


@pytest.mark.parametrize("method", ["nlls", "wls"])
def test_an_adc_beyond_0_01_or_10_is_at_its_bound(method):
    adc = np.array([0.0095, 0.0105, 9.5, 10.5])
    signal = 1000 * np.exp(-np.array([0, 100, 200, 500.0]) * adc[:, None] / 1000)
    flags = fit_adc(signal, [0, 100, 200, 500], method=method).flags & Flag.AT_BOUND
    assert (flags > 0).tolist() == [True, False, False, True]


@pytest.mark.parametrize(("last", "counts"), [(0.99, False), (1.01, True)])
def test_a_sample_below_a_tenth_of_the_noise_says_nothing_of_its_logarithm(last, counts):
    signal = 1000 * np.exp(-B * 1.5 / 1000)
    signal[-1] = last
    fit = fit_adc(signal[None], B, method="wls", sigma=10.0)
    assert (fit.maps["ADC"].values[0] != pytest.approx(1.5, rel=1e-5)) == counts


@pytest.mark.parametrize(("adc", "told"), [(3.49, False), (3.51, True)])
def test_faster_than_free_water_is_told(adc, told):
    notes = fit_adc(1000 * np.exp(-B * adc / 1000)[None], B).notes
    assert [note for note in notes if "1 voxels have an ADC above 3.5 um2/ms" in note] == [*notes]
    assert bool(notes) == told


@pytest.mark.parametrize(
    ("largest", "refused"), [(49.9, True), (50.1, False), (99_999, False), (100_001, True)]
)
def test_b_values_are_in_seconds_per_square_millimetre(largest, refused):
    b = [0, largest / 2, largest]
    if refused:
        with pytest.raises(ModelInputError, match="no number of s/mm2"):
            as_b_values(b)
    else:
        assert as_b_values(b).tolist() == b


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [(0, 19.9, True), (0, 20.1, False), (1000, 1111, True), (1000, 1112, False)],
)
def test_b_values_within_a_tenth_or_20_are_one_shell(one, other, together):
    first, second = shells(np.array([one, other], float))
    assert (first == second) == together


@pytest.mark.parametrize(
    ("b", "largest", "refused"),
    [(19.9, 150, False), (20.1, 150, True), (99.9, 1000, False), (100.1, 1000, True)],
)
def test_an_image_of_low_b_needs_no_direction(b, largest, refused):
    given, values = [[0, 0, 0], [1, 0, 0]], np.array([b, largest])
    if refused:
        with pytest.raises(ModelInputError, match="1 weighted images have no direction"):
            as_directions(given, values)
    else:
        assert as_directions(given, values).tolist() == given


def test_bad_voxels_are_nan_with_a_flag_and_never_a_number():
    _, signal = simulate(6, 100)
    signal[0] = 0
    signal[1, 2] = np.nan
    signal[2] = 65535
    signal[3] = np.linspace(100, 900, 6)
    fit = fit_adc(signal, B, saturation=65535)
    assert np.isnan(fit.maps["ADC"].values[:4]).all()
    assert np.isnan(fit.r2fit[:4]).all()
    assert np.isfinite(fit.maps["ADC"].values[4:]).all()
    assert fit.flags[0] & Flag.LOW_SIGNAL
    assert fit.flags[1] & Flag.NOT_FINITE
    assert fit.flags[2] & Flag.NOT_FINITE
    assert fit.flags[3] & FATAL


@pytest.mark.parametrize(
    ("b", "words"),
    [
        ([0, 0, 0, 0, 0, 0], "1 different"),
        ([0, 200, np.nan, 600, 800, 1000], "list of numbers"),
        ([0, 0.2, 0.4, 0.6, 0.8, 1.0], "no number of s/mm2"),
        ([0, 200, 400], "6 images and 3"),
        ([1000, 800, 600, 400, 200, 0], "rises from"),
        ([0, -200, 400, 600, 800, 1000], "list of numbers"),
    ],
)
def test_impossible_protocols_are_refused_with_a_sentence(b, words):
    _, signal = simulate(200, 50)
    with pytest.raises(ModelInputError, match=words) as caught:
        fit_adc(signal, b)
    assert caught.value.hint.endswith(".")


def test_eight_bits_and_wrong_masks_are_refused():
    _, signal = simulate(50, 50)
    with pytest.raises(ModelInputError, match="8 bits"):
        fit_adc((signal / 8).clip(0, 255).astype(np.uint8), B)
    with pytest.raises(ModelInputError, match="mask is empty"):
        fit_adc(signal, B, mask=np.zeros(50, bool))
    with pytest.raises(ModelInputError, match="mask has shape"):
        fit_adc(signal, B, mask=np.ones(49, bool))
