"""Errors reach their bound, and intervals hold the truth as often as they say."""

import numpy as np
import pytest
from relaxation import TE, TI, TR, K, decays, inversions, main, rician, saturations

from pipelines.models.cramer_rao import bound
from pipelines.models.epg import echo_train, fit_t2_epg
from pipelines.models.intervals import confidence_interval
from pipelines.models.inversion import fit_t1_ir
from pipelines.models.noise_fit import sigma_from_fits
from pipelines.models.t1 import fit_t1_sr
from pipelines.models.t2 import fit_t2, fit_t2star
from pipelines.models.vfa import fit_t1_vfa, spoiled_echo

VOXELS = 20_000


def t2_case(snr, **options):
    signal, truth = decays(VOXELS, snr)
    return main(fit_t2(signal, TE, skip_echoes=0, **options)), truth, 23


def sr_case(snr, **options):
    signal, truth = saturations(VOXELS, snr)
    return main(fit_t1_sr(signal, TR, **options)), truth, 6


def ir_case(snr, **options):
    signal, truth = inversions(VOXELS, snr)
    return main(fit_t1_ir(signal, TI, **options)), truth, 7


CASES = {
    "T2": (t2_case, lambda p: p[1] * np.exp(-TE / p[0]), (20.0, 120.0), (1.0,)),
    "T1 SR": (sr_case, lambda p: p[1] * (1 - np.exp(-TR / p[0])), (800.0, 2000.0), (1.0,)),
    "T1 IR": (ir_case, lambda p: p[1] * (1 - p[2] * np.exp(-TI / p[0])), (800.0, 2000.0), (1.0, K)),
}


@pytest.mark.parametrize("snr", [20.0, 50.0, 100.0])
@pytest.mark.parametrize("case", CASES)
def test_with_a_known_noise_the_error_is_the_smallest_possible(case, snr):
    fit, signal, reach, others = CASES[case]
    quantity, truth, _ = fit(snr, sigma=1 / snr)
    least = [bound(signal, (t, *others), 1 / snr)[0] / t for t in np.linspace(*reach, 101)]
    off = quantity.values / truth - 1
    assert np.isfinite(off).mean() > 0.995
    off[~np.isfinite(off)] = 1.0
    assert np.sqrt(np.mean(off**2)) <= 1.05 * np.sqrt(np.mean(np.square(least)))
    assert abs(np.mean(off)) < 0.01


def coverage(quantity, truth, freedom):
    low, high = confidence_interval(quantity.values, quantity.error, freedom)
    there = np.isfinite(quantity.values)
    return np.mean(((truth >= low) & (truth <= high))[there])


@pytest.mark.parametrize("snr", [20.0, 50.0, 100.0])
@pytest.mark.parametrize("case", CASES)
def test_with_a_known_noise_the_interval_holds_the_truth_as_often_as_it_says(case, snr):
    quantity, truth, _ = CASES[case][0](snr, sigma=1 / snr)
    assert 0.93 <= coverage(quantity, truth, None) <= 0.97


@pytest.mark.parametrize(
    ("case", "snr"), [("T2", 150.0), ("T1 SR", 50.0), ("T1 SR", 100.0), ("T1 IR", 100.0)]
)
def test_with_noise_from_the_residuals_the_interval_does_so_too(case, snr):
    quantity, truth, freedom = CASES[case][0](snr)
    assert 0.93 <= coverage(quantity, truth, freedom) <= 0.97


def t2star_case(snr, **options):
    signal, truth = decays(VOXELS, snr)
    return main(fit_t2star(signal, TE, **options)), truth, 23


FOUND = {
    "T2": (t2_case, lambda y, s: fit_t2(y, TE, skip_echoes=0, sigma=s), decays),
    "T2*": (t2star_case, lambda y, s: fit_t2star(y, TE, sigma=s), decays),
    "T1 SR": (sr_case, lambda y, s: fit_t1_sr(y, TR, sigma=s), saturations),
    "T1 IR": (ir_case, lambda y, s: fit_t1_ir(y, TI, sigma=s), inversions),
}


@pytest.mark.parametrize("snr", [20.0, 50.0])
@pytest.mark.parametrize("case", FOUND)
def test_with_the_noise_that_the_fits_tell_the_interval_does_so_too(case, snr):
    """Near the noise floor, where the residuals of each voxel for itself do not suffice."""
    fit, alone, signal = FOUND[case]
    found = sigma_from_fits(alone, signal(VOXELS, snr)[0])
    quantity, truth, _ = fit(snr, sigma=found.sigma)
    assert 0.93 <= coverage(quantity, truth, None) <= 0.97
    assert abs(np.nanmean(quantity.values / truth) - 1) < 0.01


OFFSET_T2 = np.random.default_rng(5).uniform(15, 60, VOXELS)
T1 = np.random.default_rng(6).uniform(800, 2000, VOXELS)
SIGMA = 0.01


def partial(noise):
    signal = rician(1 - 0.9 * np.exp(-TR / T1[:, None]), 1 / noise)
    truth = {"T1map": T1, "M0map": 1.0, "kmap": 0.9}
    return fit_t1_sr(signal, TR, model="3p", sigma=noise), truth


def raised(fit, noise, **options):
    signal = rician(np.exp(-TE / OFFSET_T2[:, None]) + 0.2, 1 / noise)
    return fit(signal, TE, model="3p", sigma=noise, **options)


def signed(noise):
    clean = 1 - K * np.exp(-TI / T1[:, None])
    signal = clean + np.random.default_rng(7).normal(0, noise, clean.shape)
    truth = {"T1map": T1, "M0map": 1.0, "kmap": K}
    return fit_t1_ir(signal, TI, signed=True, sigma=noise), truth


def perfect(noise):
    late = np.exp(-(TI + 3000.0) / T1[:, None])
    signal = rician(np.abs(1 - 2 * np.exp(-TI / T1[:, None]) + late), 1 / noise)
    options = {"repetition_times_ms": TI + 3000.0, "model": "2p", "sigma": noise}
    return fit_t1_ir(signal, TI, **options), {"T1map": T1, "M0map": 1.0}


def plain(fit, noise, name, **options):
    signal, truth = decays(VOXELS, 1 / noise)
    return fit(signal, TE, sigma=noise, **options), {name: truth, "S0map": 1.0}


OTHERS = {
    "T2": lambda: plain(fit_t2, SIGMA, "T2map", skip_echoes=0),
    "T2*": lambda: plain(fit_t2star, SIGMA, "T2starmap"),
    "T2 with offset": lambda: (
        raised(fit_t2, SIGMA, skip_echoes=0),
        {"T2map": OFFSET_T2, "S0map": 1.0, "Cmap": 0.2},
    ),
    "T2* with offset": lambda: (
        raised(fit_t2star, SIGMA),
        {"T2starmap": OFFSET_T2, "S0map": 1.0, "Cmap": 0.2},
    ),
    "T1 SR, incomplete": lambda: partial(SIGMA),
    "T1 IR, real images": lambda: signed(SIGMA),
    "T1 IR, perfect": lambda: perfect(SIGMA),
}


@pytest.mark.parametrize("case", OTHERS)
def test_the_intervals_of_every_map_of_a_model_hold_the_truth(case):
    result, truths = OTHERS[case]()
    assert list(result.maps) == list(truths)
    for name, truth in truths.items():
        assert np.isfinite(result.maps[name].values).mean() > 0.99
        assert 0.93 <= coverage(result.maps[name], truth, None) <= 0.97, name


def test_intervals_of_variable_flip_angle_hold_the_truth():
    angles = np.array([2.0, 5.0, 9.0, 14.0, 20.0, 27.0])
    t1 = np.random.default_rng(0).uniform(500, 2500, VOXELS)
    clean = spoiled_echo(np.tile(np.radians(angles), (VOXELS, 1)), 15.0, t1, np.full(VOXELS, 1e3))
    signal = clean + np.random.default_rng(1).normal(0, 0.5, clean.shape)
    quantity = main(fit_t1_vfa(signal, angles, 15.0))
    assert 0.93 <= coverage(quantity, t1, 4) <= 0.97


def test_intervals_of_phase_graphs_hold_the_truth():
    rng = np.random.default_rng(0)
    t2, angle = rng.uniform(20, 120, 4000), rng.uniform(110, 165, 4000)
    clean = echo_train(t2, angle, echo_spacing_ms=8.0, echoes=25)
    signal = clean + rng.normal(0, 0.01, clean.shape)
    quantity = main(fit_t2_epg(signal, TE))
    assert 0.93 <= coverage(quantity, t2, 22) <= 0.97
