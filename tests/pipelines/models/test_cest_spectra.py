from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from pipelines.errors import ModelInputError
from pipelines.models.cest_b0 import b0_by_minimum, b0_by_symmetry
from pipelines.models.cest_spectra import resample, z_spectra
from pipelines.models.result import FATAL, Flag
from pipelines.models.wasabi import fit_wasabi, wasabi_signal

OFFSETS = np.round(np.arange(-5, 5.01, 0.25), 4)


def water(offsets, b0, width=1.4, depth=0.9):
    b0 = np.asarray(b0)[:, None]
    return 1 - depth * (width / 2) ** 2 / ((width / 2) ** 2 + (offsets - b0) ** 2)


def test_m0_is_interpolated_in_the_order_of_acquisition():
    drift = np.linspace(1.0, 1.3, len(OFFSETS) + 2)
    offsets = np.concatenate([[300], OFFSETS[::-1], [300]])
    z = np.concatenate([[1], water(OFFSETS, [0.1])[0][::-1], [1]])
    spectra = z_spectra((500 * drift * z)[None], offsets)
    np.testing.assert_allclose(spectra.offsets_ppm, OFFSETS)
    np.testing.assert_allclose(spectra.z[0], water(OFFSETS, [0.1])[0], rtol=1e-12)
    assert spectra.m0_images == (0, len(OFFSETS) + 1)
    one = z_spectra(500 * z[None, :-1], offsets[:-1])
    np.testing.assert_allclose(one.z, spectra.z, rtol=1e-12)


def test_unpaired_offsets_and_high_z_are_told():
    offsets = np.array([300, -3, -2, -1, 0, 1, 2, 3, 4.5])
    signal = np.full((2, 9), 100.0)
    signal[1, 3] = 130
    spectra = z_spectra(signal, offsets)
    assert spectra.unpaired_ppm == (4.5,)
    assert any("4.5" in note for note in spectra.notes)
    assert spectra.flags.tolist() == [0, int(Flag.MISFIT)]


@pytest.mark.parametrize(("value", "flagged"), [(119, False), (121, True)])
def test_a_z_above_1_2_is_flagged(value, flagged):
    spectra = z_spectra([[100, 90, 80, 20, 80, value]], [300, -2, -1, 0, 1, 2])
    assert (spectra.flags[0] == Flag.MISFIT) == flagged
    assert any("Z above 1.2" in note for note in spectra.notes) == flagged


@pytest.mark.parametrize(("offsets", "refused"), [(5, False), (4, True)])
def test_a_spectrum_has_five_offsets(offsets, refused):
    if refused:
        with pytest.raises(ModelInputError, match="a spectrum needs five"):
            z_spectra(np.ones((1, offsets + 1)), [300, *range(offsets)])
    else:
        assert z_spectra(np.ones((1, offsets + 1)), [300, *range(offsets)]).z.shape == (1, 5)


@pytest.mark.parametrize(
    ("far", "refused"),
    [([2001, 2001], False), ([2000] * 3, False), ([2001] * 3, True), ([-2001] * 3, True)],
)
def test_more_than_two_offsets_above_2000_are_hertz(far, refused):
    offsets = [*far, -2, -1, 0, 1, 2]
    if refused:
        with pytest.raises(ModelInputError, match="is no ppm"):
            z_spectra(np.ones((1, len(offsets))), offsets)
    else:
        assert len(z_spectra(np.ones((1, len(offsets))), offsets).m0_images) == len(far)


def test_monotone_cubic_is_that_of_scipy_and_nothing_is_extrapolated():
    rng = np.random.default_rng(0)
    z = rng.uniform(0, 1, (50, len(OFFSETS)))
    shift = rng.uniform(-0.6, 0.6, 50)
    at = np.linspace(-5, 5, 81)
    ours = resample(z, OFFSETS, at, shift)
    theirs = np.stack(
        [
            PchipInterpolator(OFFSETS, row, extrapolate=False)(at + s)
            for row, s in zip(z, shift, strict=True)
        ]
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert np.isnan(ours).any()


def test_wassr_finds_the_field_within_a_hundredth_ppm():
    offsets = np.arange(-1.2, 1.21, 0.1)
    b0 = np.random.default_rng(1).uniform(-0.4, 0.4, 2000)
    noise = np.random.default_rng(2).normal(0, 0.005, (2000, len(offsets)))
    found = b0_by_symmetry(water(offsets, b0, width=0.4) + noise, offsets)
    assert np.isfinite(found).all()
    assert np.sqrt(np.mean((found - b0) ** 2)) < 0.01


def test_minimum_of_the_spectrum():
    b0 = np.random.default_rng(1).uniform(-0.5, 0.5, 500)
    z = water(OFFSETS, b0)
    found, wide = b0_by_minimum(z, OFFSETS)
    assert np.abs(found - b0).max() < 0.01
    assert not wide.any()
    _, wide = b0_by_minimum(np.clip(water(OFFSETS, b0[:3], width=4), 0.3, None), OFFSETS)
    assert wide.all()
    lost, _ = b0_by_minimum(water(OFFSETS, [3.5]), OFFSETS)
    assert np.isnan(lost).all()


@pytest.mark.parametrize(("b0", "found"), [(1.45, True), (-1.45, True), (2.2, False)])
def test_water_is_looked_for_within_one_and_a_half_ppm(b0, found):
    fine = np.round(np.arange(-5, 5.01, 0.1), 4)
    dip, _ = b0_by_minimum(water(fine, [b0], width=0.3), fine)
    assert bool(np.abs(dip[0] - b0) < 0.01) == found


@pytest.mark.parametrize(("width", "wide"), [(1.45, False), (1.55, True)])
def test_a_dip_wider_than_one_and_a_half_ppm_is_told(width, wide):
    fine = np.round(np.arange(-5, 5.01, 0.1), 4)
    valley = np.where(np.abs(fine) < 0.05, 0.2, 0.2 + 0.05 * (2 * fine / width) ** 2)
    assert b0_by_minimum(valley[None], fine)[1].tolist() == [wide]


def test_the_middle_of_a_dip_is_taken_0_05_above_its_ground():
    fine = np.round(np.arange(-5, 5.01, 0.02), 4)
    dip = 0.2 + np.where(fine < 0, -fine, fine / 3)
    assert b0_by_minimum(dip[None], fine)[0][0] == pytest.approx((0.15 - 0.05) / 2, abs=0.003)


def test_wassr_looks_for_water_within_one_ppm():
    fine = np.round(np.arange(-2.5, 2.51, 0.1), 4)
    b0 = [0.95, -0.95, 1.06, -1.06]
    found = b0_by_symmetry(water(fine, b0, width=0.5), fine)
    assert np.isfinite(found).tolist() == [True, True, False, False]
    np.testing.assert_allclose(found[:2], b0[:2], atol=0.01)


@pytest.mark.parametrize(
    ("find", "reach", "words"),
    [
        (b0_by_symmetry, 1.0, "Only 4 offsets lie within 1 ppm"),
        (b0_by_minimum, 2.0, "within 2 ppm"),
    ],
)
def test_water_needs_five_offsets_near_it(find, reach, words):
    near = np.array([-1, -0.5, 0, 0.5, 1]) * reach
    outer = np.array([-4.0, -3.0, 3.0, 4.0])
    offsets = np.union1d(near, outer)
    find(water(offsets, [0.1]), offsets)
    offsets = np.union1d(near + np.array([-0.01, 0, 0, 0, 0]), outer)
    with pytest.raises(ModelInputError, match=words):
        find(water(offsets, [0.1]), offsets)


def test_wasabi_of_a_bloch_simulation(shared_data: Path):
    folder = shared_data / "cest" / "wasabi_reference"
    lines = (folder / "WASABI.seq").read_text().splitlines()
    facts = dict(line.split(" ", 1) for line in lines if " " in line)
    offsets = np.array(facts["offsets_ppm"].split(), float)
    signal = np.loadtxt(folder / "bmctool_wasabi_5pool_example_results.txt")
    spectra = z_spectra(signal[None], offsets)
    fit = fit_wasabi(
        spectra.z,
        spectra.offsets_ppm,
        pulse_ms=1e3 * float(facts["tp"]),
        b1_ut=float(facts["B1cwpe"]),
        working_frequency_mhz=267.5154109126009 / (2 * np.pi) * 3,
    )
    assert fit.maps["B0map"].values[0] == pytest.approx(0, abs=0.01)
    assert fit.maps["B1map"].values[0] == pytest.approx(100, abs=2)
    assert fit.r2fit[0] > 0.99


def test_wasabi_recovers_many_fields_and_its_errors_are_true():
    rng = np.random.default_rng(3)
    n = 2000
    truth = np.stack(
        [
            rng.uniform(0.8, 1, n),
            rng.uniform(1.2, 1.8, n),
            rng.uniform(0.6, 1.4, n),
            rng.uniform(-0.8, 0.8, n),
        ],
        axis=1,
    )
    offsets = np.linspace(-2, 2, 31)
    clean, _ = wasabi_signal(truth, offsets, 5.0, 3.7, 127.7)
    z = clean + rng.normal(0, 0.01, clean.shape)
    fit = fit_wasabi(z, offsets, pulse_ms=5, b1_ut=3.7, working_frequency_mhz=127.7, sigma=0.01)
    valid = (fit.flags & FATAL) == 0
    assert valid.mean() > 0.99
    for name, k, factor in [("B0map", 3, 1), ("B1map", 2, 100)]:
        off = (fit.maps[name].values - factor * truth[:, k])[valid]
        covered = np.abs(off) < 1.96 * fit.maps[name].error[valid]
        assert 0.93 < covered.mean() < 0.97, name


@pytest.mark.parametrize(("count", "refused"), [(7, True), (8, False)])
def test_wasabi_needs_eight_offsets(count, refused):
    offsets = np.linspace(-2, 2, count)
    z, _ = wasabi_signal(np.array([[0.9, 1.5, 1.0, 0.1]]), offsets, 5.0, 3.7, 127.7)
    protocol = {"pulse_ms": 5, "b1_ut": 3.7, "working_frequency_mhz": 127.7}
    if refused:
        with pytest.raises(ModelInputError, match="eight offsets or more"):
            fit_wasabi(z, offsets, **protocol)
    else:
        assert fit_wasabi(z, offsets, **protocol).maps["B0map"].values[0] == pytest.approx(0.1)


def test_wasabi_slopes_are_those_of_the_signal():
    p = np.array([[0.9, 1.5, 1.1, 0.3]])
    offsets = np.linspace(-2, 2, 20)
    _, slopes = wasabi_signal(p, offsets, 5, 3.7, 300)
    for k in range(4):
        step = np.eye(4)[k] * 1e-6
        up, down = (wasabi_signal(p + s * step, offsets, 5, 3.7, 300)[0] for s in (1, -1))
        np.testing.assert_allclose(slopes[0, :, k], (up - down)[0] / 2e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ([-3, -2, -1, 0, 1, 2, 3], "No image without saturation"),
        ([300, 300, 300, -1, 0, 1, 1], "3 different saturation offsets"),
        ([60000, -900, -600, 0, 600, 3000, 9000], "which is no ppm"),
        ([300, -2, np.nan, 0, 1, 2, 3], "not a list of numbers"),
        ([300, -1, 0, 1], "7 images and 4"),
    ],
)
def test_impossible_offsets_are_refused(offsets, words):
    with pytest.raises(ModelInputError, match=words) as caught:
        z_spectra(np.ones((3, 7)), offsets)
    assert caught.value.hint.endswith(".")


def test_bad_voxels_have_no_spectrum():
    offsets = np.concatenate([[300], OFFSETS])
    signal = np.tile(np.concatenate([[1], water(OFFSETS, [0])[0]]), (4, 1)) * 100
    signal[0] = 0
    signal[1, 5] = np.nan
    signal[2, 0] = 0
    spectra = z_spectra(signal, offsets)
    assert np.isnan(spectra.z[:3]).all()
    assert np.isfinite(spectra.z[3]).all()
    assert [int(f) for f in spectra.flags[:3]] == [
        Flag.LOW_SIGNAL,
        Flag.NOT_FINITE,
        Flag.LOW_SIGNAL,
    ]
