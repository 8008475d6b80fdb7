"""The noise found in images or refused, Rician statistics, bounds, intervals, choices, masks."""

import numpy as np
import pytest
from relaxation import TE, decays, rician
from scipy.optimize import brentq
from scipy.stats import chi2, rice

from pipelines.errors import ModelInputError
from pipelines.models import rician as statistics
from pipelines.models.cramer_rao import bound, jacobian
from pipelines.models.intervals import confidence_interval
from pipelines.models.masks import automatic_mask, otsu
from pipelines.models.noise import sigma_from_background, sigma_from_residuals
from pipelines.models.noise_fit import sigma_from_fits
from pipelines.models.result import FitResult, Map
from pipelines.models.selection import aicc, offset_correlation, offset_identifiable
from pipelines.models.t2 import fit_t2


def phantom(sigma, channels=1):
    """A disc of decaying signal in air, (4096, 25), and where it is, (64, 64)."""
    x, y = np.mgrid[:64, :64]
    disc = (x - 32) ** 2 + (y - 30) ** 2 < 20**2
    clean = disc[..., None] * np.exp(-TE / (20 + x[..., None]))
    flat = clean.reshape(-1, 25)
    squares = sum(
        rician(flat / np.sqrt(channels), 1 / sigma, seed) ** 2 for seed in range(channels)
    )
    return np.sqrt(squares), disc


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.05])
def test_noise_is_found_in_the_background(sigma):
    found = sigma_from_background(phantom(sigma)[0])
    assert found.source == "background"
    assert found.sigma == pytest.approx(sigma, rel=0.01)
    assert found.voxels > 2500


@pytest.mark.parametrize(
    ("images", "why"),
    [
        (np.where(phantom(0.02)[1].reshape(-1, 1), phantom(0.02)[0], 0), "exactly zero"),
        (phantom(0.02, channels=4)[0], "several coils"),
        (decays(3000, 200, low=100.0)[0], "no background of noise"),
        (np.full((5000, 25), np.nan), "finite"),
    ],
    ids=["masked", "four channels", "no background", "nothing finite"],
)
def test_a_background_that_says_nothing_of_the_noise_is_refused(images, why):
    found = sigma_from_background(images)
    assert found.sigma is None
    assert found.source == "none"
    assert why in found.reason


@pytest.mark.parametrize(
    ("voxels", "zeros", "last", "why"),
    [
        (20_000, 190, 1.0, ""),
        (20_000, 210, 1.0, "exactly zero"),
        (206, 0, 1.0, ""),
        (199, 0, 1.0, "voxels show noise alone"),
        (20_000, 0, 1.095, ""),  # a tenth from image to image
        (20_000, 0, 1.12, "differ from image to image"),
    ],
)
def test_a_background_is_believed_up_to_its_limits(voxels, zeros, last, why):
    images = np.random.default_rng(0).rayleigh(1.0, (voxels, 5))
    images[:zeros] = 0
    images[:, -1] *= last
    found = sigma_from_background(images)
    assert (found.sigma is None, why in found.reason) == (bool(why), True)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        (1.12, ""),
        (1.2, "from a Rayleigh distribution"),  # 0.03 from it
        (1.3, "several coils"),  # 0.02 from its ratio of mean and root mean square
    ],
)
def test_a_background_is_believed_near_a_rayleigh_distribution(shape, why):
    """Nakagami's, of which Rayleigh's is that of shape 1."""
    squares = np.random.default_rng(0).gamma(shape, 1 / shape, (20_000, 5))
    found = sigma_from_background(np.sqrt(squares))
    assert (found.sigma is None, why in found.reason) == (bool(why), True)


@pytest.mark.parametrize(("voxels", "found"), [(199, False), (201, True)])
def test_noise_is_found_in_what_fits_of_200_voxels_leave(voxels, found):
    estimate = sigma_from_fits(as_t2, decays(voxels, 30)[0])
    assert (estimate.sigma is not None) == found


def test_noise_is_found_in_residuals():
    signal, disc = phantom(0.01)
    result = fit_t2(signal, TE, mask=disc.ravel(), skip_echoes=0)
    found = sigma_from_residuals(result, 25, 2)
    assert found.sigma == pytest.approx(0.01, rel=0.03)


def test_residuals_of_too_few_voxels_are_refused():
    signal, _ = decays(50, 100)
    assert sigma_from_residuals(fit_t2(signal, TE), 25, 2).sigma is None


@pytest.mark.parametrize("snr", [10.0, 20.0, 200.0])
def test_noise_is_found_in_what_rician_fits_leave(snr):
    """Without any background, and down to decays that end in noise."""
    signal, _ = decays(5000, snr)
    found = sigma_from_fits(as_t2, signal)
    assert found.source == "residuals"
    assert found.sigma == pytest.approx(1 / snr, rel=0.015)
    assert found.voxels > 2400


def as_t2(signal, sigma):
    return fit_t2(signal, TE, skip_echoes=0, sigma=sigma)


def two_decays(snr):
    """Two parts that decay, whose sum no single decay explains."""
    t2 = np.random.default_rng(0).uniform(60, 120, (3000, 1))
    return rician(0.6 * np.exp(-TE / 15) + 0.4 * np.exp(-TE / t2), snr)


@pytest.mark.parametrize(
    ("signal", "fit", "why"),
    [
        (two_decays(100), as_t2, "does not explain"),
        (0.6 * np.exp(-TE / 12) + 0.4 * decays(3000, 100, low=60.0)[0], as_t2, "not explain"),
        (decays(3000, 30)[0] * np.repeat([1, 3], 1500)[:, None], as_t2, "differs from voxel"),
        (decays(100, 30)[0], as_t2, "only 100 voxels"),
        (np.exp(-TE / np.linspace(20, 90, 500)[:, None]), as_t2, "does not explain"),
        (decays(500, 30)[0][:, ::-1], as_t2, "cannot be fitted"),
        (np.random.default_rng(0).rayleigh(1.0, (3000, 25)), as_t2, "signal high enough"),
    ],
    ids=[
        "two decays",
        "one that is common",
        "two noises",
        "few",
        "no noise",
        "wrong order",
        "noise alone",
    ],
)
def test_what_is_no_noise_of_one_strength_is_refused(signal, fit, why):
    found = sigma_from_fits(fit, signal)
    assert found.sigma is None
    assert found.source == "none"
    assert why in found.reason


def left_over(voxels, apart=0.0, common=0.0):
    """A fit that leaves chi-square whose distribution is so far from that of noise of one."""
    chances = 0.5 + ((np.arange(voxels) + 0.5) / voxels - 0.5) * (1 - 2 * apart)
    squares = chi2.ppf(chances, 8)

    def fit(signal, sigma):
        ones = np.ones(len(signal), np.float32)
        return FitResult(
            maps={},
            flags=np.zeros(len(signal), np.uint8),
            r2fit=ones,
            chi2_red=None if sigma is None else squares / 8 / sigma**2,
            residual_mean=np.full(10, common),
            model="T2 2p",
            residual_width=ones,
            freedom=8,
        )

    return fit


@pytest.mark.parametrize(
    ("voxels", "apart", "common", "found"),
    [
        (4000, 0.099, 0.0, True),  # 0.08, and 1.4 over the root of the voxels
        (4000, 0.105, 0.0, False),
        (200, 0.174, 0.0, True),
        (200, 0.184, 0.0, False),
        (4000, 0.0, -0.29, True),
        (4000, 0.0, -0.31, False),
        (4000, 0.0, 0.9, True),  # noise lifts
    ],
)
def test_what_fits_leave_is_noise_up_to_its_limits(voxels, apart, common, found):
    estimate = sigma_from_fits(left_over(voxels, apart, common), np.full((voxels, 10), 100.0))
    assert (estimate.sigma is not None) == found
    if found:
        assert estimate.sigma == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("high", "found"), [(4.95, False), (5.05, True)])
def test_what_fits_leave_counts_in_voxels_of_five_times_the_noise(high, found):
    estimate = sigma_from_fits(left_over(400), np.full((400, 10), high))
    assert (estimate.sigma is not None, "signal high enough" in estimate.reason) == (
        found,
        not found,
    )


@pytest.mark.parametrize(("high", "found"), [(4.95, True), (5.05, False)])
def test_an_image_below_the_fits_counts_from_five_times_the_noise_on(high, found):
    signal = np.full((400, 10), 100.0)
    signal[:, -1] = high
    common = np.where(np.arange(10) == 9, -0.4, 0.0)
    assert (sigma_from_fits(left_over(400, common=common), signal).sigma is not None) == found


@pytest.mark.parametrize(("certain", "found"), [(200, True), (199, False)])
def test_residuals_tell_of_voxels_with_an_error_below_a_twentieth(certain, found):
    errors = np.full(400, 1 / 19.9, np.float32)
    errors[:certain] = 1 / 20.1
    ones = np.ones(400, np.float32)
    maps = {"T2map": Map(ones, "ms", errors)}
    flags = np.zeros(400, np.uint8)
    fit = FitResult(maps, flags, ones, None, np.zeros(8), "T2 2p", residual_width=ones)
    assert (sigma_from_residuals(fit, 10, 2).sigma is not None) == found


def test_an_offset_is_identifiable_up_to_a_correlation_of_0_95():
    for correlation, told in ((0.945, True), (0.955, False)):
        decay = brentq(lambda t, at=correlation: offset_correlation(TE, t) - at, 20, 1000)
        assert offset_identifiable(TE, decay) == told


@pytest.mark.parametrize(
    ("zeros", "ratio", "whole"),
    [(0.06, 2.0, True), (0.04, 2.0, False), (0.5, 2.4, True), (0.5, 2.6, False)],
)
def test_a_background_of_zeros_is_the_border_unless_two_groups_are_left(zeros, ratio, whole):
    image = np.ones((100, 100))
    image[:, 50:] = ratio
    image[: round(100 * zeros)] = 0
    mask = automatic_mask(image)
    assert mask.sum() == np.count_nonzero(image if whole else image > 1)


@pytest.mark.parametrize("snr", [0.0, 0.5, 2.0, 7.0, 20.0])
def test_moments_are_those_of_the_rice_distribution(snr):
    assert statistics.mean(snr) == pytest.approx(rice.mean(snr) if snr else np.sqrt(np.pi / 2))
    assert statistics.variance(snr) == pytest.approx(
        rice.var(snr) if snr else 2 - np.pi / 2, rel=1e-6
    )


@pytest.mark.parametrize("snr", [0.3, 1.0, 3.0, 10.0])
def test_information_is_the_variance_of_the_score(snr):
    step = 1e-4
    y = np.random.default_rng(0).normal(snr, 1, 200_000)
    y = np.hypot(y, np.random.default_rng(1).normal(0, 1, y.size))
    score = (rice.logpdf(y, snr + step) - rice.logpdf(y, snr - step)) / (2 * step)
    assert statistics.information(snr) == pytest.approx(score.var(), rel=0.02)


def test_the_bound_of_a_straight_line_is_that_of_regression():
    t = np.arange(10.0)
    line = bound(lambda p: p[0] + p[1] * t, (3.0, 2.0), 0.5, magnitude=False)
    slope = 0.5 / np.sqrt(np.sum((t - t.mean()) ** 2))
    assert line[1] == pytest.approx(slope, rel=1e-6)


def test_slopes_are_those_of_the_equation():
    slopes = jacobian(lambda p: p[0] * np.exp(-TE / p[1]), (2.0, 40.0))
    np.testing.assert_allclose(slopes[:, 0], np.exp(-TE / 40), rtol=1e-8)
    np.testing.assert_allclose(slopes[:, 1], 2 * np.exp(-TE / 40) * TE / 1600, rtol=1e-6)


def test_magnitudes_bound_worse_than_real_images():
    signal = (lambda p: p[0] * np.exp(-TE / p[1]), (1.0, 30.0), 0.05)
    assert bound(*signal)[1] > bound(*signal, magnitude=False)[1]


def test_intervals_widen_with_few_degrees_of_freedom_and_stay_positive():
    low, high = confidence_interval([50.0], [5.0], None)
    assert low[0] == pytest.approx(50 * np.exp(-1.959964 * 0.1))
    assert high[0] == pytest.approx(50 * np.exp(1.959964 * 0.1))
    wide = confidence_interval([50.0], [5.0], 3)
    assert wide[0][0] < low[0]
    assert wide[0][0] > 0
    plain = confidence_interval([1.0, np.nan], [0.5, 0.5], None, positive=False)
    assert plain[0][0] == pytest.approx(1 - 0.979982)
    assert np.isnan(plain[0][1])


def test_aicc_is_its_formula():
    assert aicc(2.0, 10, 3) == pytest.approx(10 * np.log(0.2) + 6 + 24 / 6)
    assert np.isnan(aicc(np.nan, 10, 3))


def test_an_offset_is_identifiable_on_long_trains_only():
    assert offset_identifiable(TE, 30.0)
    assert not offset_identifiable(TE, 400.0)
    assert not offset_identifiable(TE[:5], 5.0)
    assert offset_correlation(TE, 30.0) < offset_correlation(TE, 100.0) <= 1.0
    assert offset_correlation(TE, np.inf) == 1.0


@pytest.mark.parametrize("sigma", [None, 0.02])
def test_the_automatic_mask_is_the_object(sigma):
    signal, disc = phantom(0.02)
    mask = automatic_mask(signal[:, 0].reshape(64, 64, 1), sigma)
    overlap = 2 * np.sum(mask[..., 0] & disc) / (mask.sum() + disc.sum())
    assert overlap > 0.99


def test_holes_are_filled_and_specks_dropped_but_a_second_animal_kept():
    image = np.random.default_rng(0).rayleigh(1.0, (60, 60, 5))
    image[5:30, 5:30] += 100
    image[15:18, 15:18] = 1.0
    image[35:50, 35:50] += 100
    image[55, 5] = 200
    mask = automatic_mask(image)
    assert mask[16, 16].all()
    assert mask[40, 40].all()
    assert not mask[55, 5].any()


def test_the_automatic_mask_is_above_five_sigma_and_a_twentieth_of_the_largest_part():
    image = np.zeros((60, 60, 1))
    image[:20, :20] = 5.01 * 2.0
    image[30:34, 30:35] = 10.1  # 20 of 400 voxels
    image[40:59, 40] = 10.1  # 19
    image[:20, 25:45] = 4.99 * 2.0
    mask = automatic_mask(image, 2.0)
    assert (mask[:20, :20].all(), mask[30:34, 30:35].all(), mask.sum()) == (True, True, 420)


def test_one_threshold_holds_for_the_whole_volume():
    """A slice of air alone stays empty, which a threshold per slice would fill."""
    image = np.random.default_rng(0).rayleigh(1.0, (40, 40, 4))
    image[10:30, 10:30, :3] += 50
    assert not automatic_mask(image)[..., 3].any()


@pytest.mark.parametrize("residue", [False, True])
def test_a_blanked_background_does_not_part_the_subject(residue):
    """Bright and dark tissue alike are the subject; noise that was left beside it is not."""
    rng = np.random.default_rng(0)
    signal, disc = phantom(0.05)
    image = signal[:, 0].reshape(64, 64)
    cover = disc.copy()
    if residue:
        cover[:4] = True
        image[:4] = rng.rayleigh(0.02, (4, 64))
    mask = automatic_mask(np.where(cover, image, 0.0))
    assert np.mean(mask[disc]) > 0.99
    assert not mask[~disc].any()


def test_no_signal_has_no_mask():
    for image in (np.zeros((8, 8, 2)), np.full((8, 8), np.nan)):
        with pytest.raises(ModelInputError, match="No voxel"):
            automatic_mask(image)
    with pytest.raises(ModelInputError, match="4 axes"):
        automatic_mask(np.ones((2, 2, 2, 2)))


def test_otsu_parts_two_groups():
    rng = np.random.default_rng(0)
    threshold = otsu(np.concatenate([rng.rayleigh(1, 5000), rng.normal(80, 5, 2000)]))
    assert 3 < threshold < 60
    assert otsu(np.full(5, 2.0)) == 0.0
