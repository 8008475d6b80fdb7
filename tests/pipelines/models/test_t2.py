"""T2 and T2*: equal to an independent solver, order of images, flags, choices, refusals."""

import numpy as np
import pytest
from relaxation import TE, decays, main, rician, solve_each
from scipy.optimize import minimize
from scipy.special import ive

from pipelines.errors import ModelInputError
from pipelines.models.result import FATAL, Flag, count_flags
from pipelines.models.t2 import fit_t2


def test_uneven_echo_times_are_fitted_alike():
    te = np.array([3.0, 7.0, 12.0, 30.0, 55.0, 90.0])
    t2 = np.random.default_rng(2).uniform(15, 80, 500)
    signal = rician(np.exp(-te / t2[:, None]), 60)
    truth = solve_each(
        signal, lambda p: p[0] * np.exp(-te / p[1]), np.stack([np.ones(500), t2], axis=1)
    )
    ours = fit_t2(signal, te, skip_echoes=0).maps["T2map"].values
    np.testing.assert_allclose(ours, truth[:, 1], rtol=1e-4)


@pytest.mark.parametrize(("part", "told"), [(0.47, False), (0.53, True)])
def test_echoes_that_differ_by_half_the_noise_in_turn_are_told(part, told):
    """What is left is noise and, in turn, `part` of the width of both together."""
    clean, _ = decays(4000, low=60.0)
    turns = np.where(np.arange(len(TE)) % 2 == 0, 1.0, -1.0)
    noise = np.random.default_rng(0).normal(0, 0.01, clean.shape)
    high = part * 0.01 / np.sqrt(1 - part**2 * len(TE) / (len(TE) - 2))
    result = fit_t2(clean + noise + high * turns, TE, skip_echoes=0, model="2p", rician=False)
    assert any("Odd and even echoes differ" in note for note in result.notes) == told


def test_the_likelihood_is_the_greatest_that_a_general_optimiser_finds():
    signal, t2 = decays(60, 15, seed=5)
    sigma = 1 / 15

    def cost(p, y):
        nu = p[0] * np.exp(-TE / np.exp(p[1]))
        z = y * nu / sigma**2
        return np.sum((y - nu) ** 2) / (2 * sigma**2) - np.sum(np.log(ive(0, z)))

    result = fit_t2(signal, TE, sigma=sigma, skip_echoes=0)
    for v, y in enumerate(signal):
        best = minimize(
            cost,
            (1.0, np.log(t2[v])),
            args=(y,),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000},
        )
        assert result.maps["T2map"].values[v] == pytest.approx(np.exp(best.x[1]), rel=1e-4)
        assert result.maps["S0map"].values[v] == pytest.approx(best.x[0], rel=1e-4)


@pytest.mark.parametrize(
    ("longest", "unit"), [(0.99, "seconds"), (1.01, ""), (9999, ""), (10_001, "microseconds")]
)
def test_echo_times_are_in_milliseconds(longest, unit):
    signal, _ = decays(20)
    times = TE * longest / TE.max()
    if unit:
        with pytest.raises(ModelInputError, match="no number of milliseconds") as refused:
            fit_t2(signal, times, skip_echoes=0)
        assert f"look like {unit}" in refused.value.hint
    else:
        assert np.isfinite(fit_t2(signal, times, skip_echoes=0).maps["T2map"].values).all()


@pytest.mark.parametrize("order", [slice(None, None, -1), np.random.default_rng(0).permutation(25)])
def test_images_may_come_in_any_order_if_each_has_its_time(order):
    signal, _ = decays(300, 50)
    expected = fit_t2(signal, TE)
    given = fit_t2(signal[:, order], TE[order])
    np.testing.assert_array_equal(given.maps["T2map"].values, expected.maps["T2map"].values)


def test_images_in_another_order_than_their_times_are_refused():
    signal, _ = decays(300, 50)
    with pytest.raises(ModelInputError, match="falls with the echo times") as refused:
        fit_t2(signal[:, ::-1], TE)
    assert "rescale slope" in refused.value.hint


def test_one_image_scaled_apart_is_refused():
    signal, _ = decays(300, 50)
    signal[:, 6] *= 1.9
    with pytest.raises(ModelInputError, match="not from 48 to 56"):
        fit_t2(signal, TE)


def test_images_of_several_slices_keep_their_voxels():
    """What a step that takes echoes fastest would mix up: each voxel has its own T2."""
    t2 = np.arange(20.0, 80.0).reshape(3, 4, 5)
    images = np.exp(-TE / t2[..., None])
    values = fit_t2(images.reshape(-1, 25), TE).maps["T2map"].values.reshape(t2.shape)
    np.testing.assert_allclose(values, t2, rtol=1e-5)


def spoiled():
    """Good voxels, then one of each kind that cannot be fitted."""
    signal, _ = decays(300, 50)
    signal[290] = 0.0
    signal[291, 3] = np.nan
    signal[292, 4] = np.inf
    signal[293] = -1.0
    signal[294] = 5.0  # saturated
    signal[295] = 1.0  # does not decay
    signal[296] = np.exp(-TE / 0.5) + 1e-9  # gone before the second echo
    return signal


def test_every_voxel_without_a_value_says_why_and_no_flag_stands_in_a_map():
    signal = spoiled()
    mask = np.ones(300, bool)
    mask[:10] = False
    result = fit_t2(signal, TE, mask=mask, saturation=4.0, skip_echoes=0)
    flags = result.flags
    for image in [result.r2fit, *(q.values for q in result.maps.values())]:
        assert np.array_equal(np.isnan(image), (flags & np.uint8(FATAL)) != 0)
    for quantity in result.maps.values():
        assert np.array_equal(np.isnan(quantity.error), np.isnan(quantity.values))
        assert np.nanmin(quantity.values) > 0
    assert (flags[:10] == Flag.OUTSIDE_MASK).all()
    assert flags[290] == Flag.LOW_SIGNAL
    assert flags[291] == flags[292] == flags[294] == Flag.NOT_FINITE
    assert flags[293] == Flag.LOW_SIGNAL
    assert flags[295] & Flag.AT_BOUND
    assert flags[296] & Flag.AT_BOUND
    assert count_flags(flags)["OUTSIDE_MASK"] == 10


def test_a_voxel_below_five_sigma_has_too_little_signal():
    signal, _ = decays(300, 50)
    signal[7] *= 0.05
    flags = fit_t2(signal, TE, sigma=0.02).flags
    assert flags[7] == Flag.LOW_SIGNAL
    assert not (np.delete(flags, 7) & np.uint8(FATAL)).any()


def test_what_does_not_follow_the_model_is_called_a_misfit():
    signal, _ = decays(400, 200)
    mixed = 0.5 * np.exp(-TE / 12) + 0.5 * np.exp(-TE / 150)
    signal[:5] = rician(np.tile(mixed, (5, 1)), 200)
    flags = fit_t2(signal, TE, sigma=1 / 200, skip_echoes=0).flags
    assert (flags[:5] & Flag.MISFIT).all()
    assert np.mean((flags[5:] & Flag.MISFIT) != 0) < 0.01


def test_an_uncertain_voxel_keeps_its_value_and_is_flagged():
    signal, _ = decays(200, 50)
    signal[:3] = 0.3 * np.exp(-TE / 300) + np.random.default_rng(3).normal(0, 0.15, (3, 25))
    result = fit_t2(signal, TE, skip_echoes=0)
    unsure = (result.flags[:3] & Flag.UNCERTAIN) != 0
    assert unsure.any()
    error = result.maps["T2map"].error[:3] / result.maps["T2map"].values[:3]
    assert (error[unsure & np.isfinite(error)] > 0.3).all()


def test_a_low_first_echo_is_left_out_and_told():
    signal, t2 = decays(2000, 100)
    signal[:, 0] *= 0.8
    result = fit_t2(signal, TE)
    assert result.settings["skipped_samples"] == 1
    assert "first echo is off by" in result.notes[0]
    assert any("EPG" in note for note in result.notes)
    off = main(result).values / t2 - 1
    assert abs(off.mean()) < 0.01


def test_a_good_first_echo_is_kept():
    signal, _ = decays(2000, 100)
    result = fit_t2(signal, TE)
    assert result.settings["skipped_samples"] == 0
    assert result.notes == ()


@pytest.mark.parametrize(("low", "skipped"), [(0.009, 0), (0.011, 1)])
def test_the_first_echo_is_left_out_from_one_per_cent_on(low, skipped):
    signal = 100 * np.exp(-TE / np.linspace(20, 50, 200)[:, None])
    signal[:, 0] *= 1 - low
    assert fit_t2(signal, TE).settings["skipped_samples"] == skipped


@pytest.mark.parametrize(("widths", "told"), [(2.8, False), (3.2, True)])
def test_a_first_echo_off_by_more_than_three_times_the_noise_is_told(widths, told):
    rng = np.random.default_rng(0)
    signal = 200 * np.exp(-TE / 40) + rng.normal(0, 2.0, (2000, len(TE)))
    signal[:, 0] -= 2.0 * widths
    notes = fit_t2(signal, TE, rician=False).notes
    assert any("was left out" in note for note in notes)
    assert any("more than three times the noise" in note for note in notes) == told


@pytest.mark.parametrize(("scatter", "skipped"), [(16.0, 1), (17.0, 0)])
def test_the_first_echo_is_left_out_beyond_three_standard_errors(scatter, skipped):
    signal = 100 * np.exp(-TE / 40) * np.ones((100, 1))
    signal[:, 0] -= 5 + scatter * np.tile([1, -1], 50)  # in the mean of 100 voxels
    assert fit_t2(signal, TE).settings["skipped_samples"] == skipped


def test_an_offset_above_half_the_first_sample_is_at_its_bound():
    offsets = np.array([0.49, 0.51])
    falling = np.exp(-(TE - TE[0]) / 30)
    signal = 100 * (offsets[:, None] + (1 - offsets[:, None]) * falling)
    result = fit_t2(signal, TE, model="3p", skip_echoes=0)
    np.testing.assert_allclose(result.maps["Cmap"].values[0], 49, rtol=1e-3)
    assert ((result.flags & Flag.AT_BOUND) > 0).tolist() == [False, True]


def test_an_offset_is_chosen_only_where_it_is_there():
    t2 = np.random.default_rng(0).uniform(20, 50, 500)
    clean = np.exp(-TE / t2[:, None])
    bare = fit_t2(rician(clean, 50), TE, sigma=0.02, model="auto")
    raised = fit_t2(rician(clean + 0.2, 50), TE, sigma=0.02, model="auto")
    assert bare.model == "T2 2p"
    assert raised.model == "T2 3p"
    assert np.nanmedian(raised.maps["Cmap"].values) == pytest.approx(0.2, abs=0.01)


def test_an_offset_that_cannot_be_told_from_the_decay_is_not_fitted():
    te = np.arange(1, 11) * 5.0
    t2 = np.random.default_rng(0).uniform(80, 120, 400)
    result = fit_t2(rician(np.exp(-te / t2[:, None]), 80), te, model="auto")
    assert result.model == "T2 2p"
    assert any("not identifiable" in note for note in result.notes)


def test_a_negative_offset_becomes_zero_and_leaves_the_fit_without_one():
    signal, _ = decays(400, 50)
    free = fit_t2(signal, TE, model="3p", skip_echoes=0)
    plain = fit_t2(signal, TE, skip_echoes=0)
    zero = free.maps["Cmap"].values == 0
    assert 20 < zero.sum() < 380
    np.testing.assert_array_equal(free.maps["T2map"].values[zero], plain.maps["T2map"].values[zero])


def test_residuals_have_the_mean_of_what_is_left_over():
    signal, _ = decays(1000, 60)
    result = fit_t2(signal, TE, skip_echoes=0)
    t2, s0 = result.maps["T2map"].values, result.maps["S0map"].values
    left = signal - s0[:, None] * np.exp(-TE / t2[:, None])
    np.testing.assert_allclose(result.residual_mean, left.mean(axis=0), atol=1e-7)
    squares = np.square(left).sum(axis=1)
    about = np.square(signal - signal.mean(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(result.r2fit, 1 - squares / about, atol=1e-5)
    np.testing.assert_allclose(result.residual_width, np.sqrt(squares / 23), rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 3e4])
def test_the_scale_of_the_signal_changes_nothing_but_s0(scale):
    signal, _ = decays(200, 50)
    plain, scaled = fit_t2(signal, TE), fit_t2(signal * scale, TE)
    np.testing.assert_allclose(scaled.maps["T2map"].values, plain.maps["T2map"].values, rtol=1e-5)
    np.testing.assert_allclose(
        scaled.maps["S0map"].values, scale * plain.maps["S0map"].values, rtol=1e-5
    )


GOOD = decays(50, 50)[0]
BAD = {
    "one image": (GOOD[:, :1], TE[:1], {}, "1 different echo times"),
    "equal times": (GOOD, np.full(25, 8.0), {}, "1 different echo times"),
    "one time twice": (GOOD, np.append(TE[:-1], 8.0), {}, "only 24 differ"),
    "a time missing": (GOOD, TE[:-1], {}, "25 images and 24 protocol values"),
    "seconds": (GOOD, TE / 1e3, {}, "no number of milliseconds"),
    "microseconds": (GOOD, TE * 1e3, {}, "no number of milliseconds"),
    "a time of nothing": (GOOD, TE * np.nan, {}, "not a list of numbers"),
    "8 bits": ((GOOD * 200).astype(np.uint8), TE, {}, "8 bits"),
    "complex": (GOOD + 0j, TE, {}, "not real numbers"),
    "one axis": (GOOD[0], TE, {}, "1 axes"),
    "no voxel": (GOOD[:0], TE, {}, "no voxels"),
    "empty mask": (GOOD, TE, {"mask": np.zeros(50)}, "mask is empty"),
    "mask of another grid": (GOOD, TE, {"mask": np.ones(49)}, r"shape \(49,\)"),
    "too few for three": (GOOD[:, :5], TE[:5], {"model": "3p"}, "Three parameters"),
    "all skipped": (GOOD, TE, {"skip_echoes": 23}, "2 different echo times"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_input_is_refused_with_a_sentence_and_a_remedy(case):
    signal, times, options, told = BAD[case]
    with pytest.raises(ModelInputError, match=told) as refused:
        fit_t2(signal, times, **options)
    assert refused.value.message.endswith(".")
    assert refused.value.hint.endswith(".")


def test_nothing_that_can_be_fitted_gives_maps_of_nan_and_no_warning():
    result = fit_t2(np.zeros((30, 25)), TE)
    assert np.isnan(result.maps["T2map"].values).all()
    assert (result.flags == Flag.LOW_SIGNAL).all()
    assert np.isnan(result.residual_mean).all()


def test_a_perfect_train_keeps_its_first_echo_when_the_late_ones_are_noise():
    te = np.arange(10.0, 210.0, 10.0)
    rng = np.random.default_rng(3)
    t2 = rng.choice([28.0, 50.0], 4000)
    signal = rician(np.exp(-te / t2[:, None]), 60)
    assert fit_t2(signal, te, sigma=1 / 60).settings["skipped_samples"] == 0
    low = signal.copy()
    low[:, 0] *= 0.9
    assert fit_t2(low, te, sigma=1 / 60).settings["skipped_samples"] == 1
