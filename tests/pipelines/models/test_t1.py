"""T1 by saturation recovery, inversion recovery and variable flip angle."""

import numpy as np
import pytest
from relaxation import TI, TR, inversions, main, saturations, solve_each

from pipelines.errors import ModelInputError
from pipelines.models.inversion import fit_t1_ir
from pipelines.models.result import FATAL, Flag
from pipelines.models.t1 import fit_t1_sr
from pipelines.models.vfa import fit_t1_vfa, spoiled_echo

VOXELS = 500
ANGLES = np.array([3.0, 8.0, 15.0, 25.0])


def close(ours, truth, inside=None):
    """Every voxel inside the bounds is there and equal to the reference."""
    inside = np.ones(len(truth), bool) if inside is None else inside
    assert np.isfinite(ours[inside]).mean() >= 0.99
    assert np.nanmax(np.abs(ours[inside] / truth[inside] - 1)) < 1e-4


@pytest.mark.parametrize("method", ["saturation", "inversion"])
@pytest.mark.parametrize(
    ("largest", "unit"), [(19.9, "seconds"), (20.1, ""), (0.99, ""), (1.01, "microseconds")]
)
def test_times_of_recovery_are_in_milliseconds(method, largest, unit):
    """At most 1e6 ms of TR, and 1e5 ms of TI."""
    times, fit, most = (TR, fit_t1_sr, 1e6) if method == "saturation" else (TI, fit_t1_ir, 1e5)
    scale = (largest if largest > 2 else largest * most) / times.max()
    signal = (saturations if method == "saturation" else inversions)(20)[0]
    if unit:
        with pytest.raises(ModelInputError, match="no number of milliseconds") as refused:
            fit(signal, times * scale)
        assert f"look like {unit}" in refused.value.hint
    else:
        assert np.isfinite(main(fit(signal, times * scale)).values).any()


def test_a_spin_echo_recovers_from_its_refocusing_pulse():
    t1 = np.linspace(800, 2000, 50)
    signal = 1 - np.exp(-(TR - 20.0) / t1[:, None])
    close(fit_t1_sr(signal, TR, echo_time_ms=40.0).maps["T1map"].values, t1)


@pytest.mark.parametrize("order", [slice(None, None, -1), [3, 1, 7, 0, 5, 2, 6, 4]])
def test_repetition_times_may_come_in_any_order(order):
    """The predecessor took them for descending: ascending ones gave wrong maps."""
    signal, _ = saturations(200, 60)
    expected = fit_t1_sr(signal, TR).maps["T1map"].values
    given = fit_t1_sr(signal[:, order], TR[order]).maps["T1map"].values
    np.testing.assert_array_equal(given, expected)


def test_images_in_another_order_than_their_repetition_times_are_refused():
    signal, _ = saturations(200, 60)
    with pytest.raises(ModelInputError, match="rises with the repetition times"):
        fit_t1_sr(signal[:, ::-1], TR)


def test_impossible_saturation_is_at_a_bound():
    signal, _ = saturations(100, k=0.2)
    flags = fit_t1_sr(signal, TR, model="3p").flags
    assert (flags & Flag.AT_BOUND).all()


def test_repetition_times_go_with_their_images():
    repetition = TI + 2500.0
    signal, _ = inversions(1000, 80, repetition=repetition)
    result = fit_t1_ir(signal, TI, repetition_times_ms=repetition)
    order = np.random.default_rng(0).permutation(len(TI))
    again = fit_t1_ir(signal[:, order], TI[order], repetition_times_ms=repetition[order])
    np.testing.assert_array_equal(again.maps["T1map"].values, result.maps["T1map"].values)


def test_of_several_optima_the_best_with_a_possible_efficiency_is_found():
    """With uneven repetition times one pattern of signs may have two: the first is impossible."""
    times = np.array([50.0, 100.0, 200.0, 400.0, 600.0, 800.0])
    repetition = np.array([1000.0, 1000.0, 1000.0, 1260.0, 1860.0, 2460.0])
    t1 = np.linspace(1500, 2400, 40)
    clean = 1 - 1.99 * np.exp(-times / t1[:, None]) + np.exp(-repetition / t1[:, None])
    result = fit_t1_ir(np.abs(clean), times, repetition_times_ms=repetition)
    np.testing.assert_allclose(result.maps["T1map"].values, t1, rtol=1e-4)
    np.testing.assert_allclose(result.maps["kmap"].values, 1.99, rtol=1e-4)


def test_one_repetition_time_changes_m0_and_not_t1():
    signal, _ = inversions(300, 80, repetition=np.full(10, 7000.0))
    plain = fit_t1_ir(signal, TI).maps["T1map"].values
    given = fit_t1_ir(signal, TI, repetition_times_ms=7000.0).maps["T1map"].values
    np.testing.assert_allclose(given, plain, rtol=1e-4)


def test_perfect_inversion_needs_two_parameters():
    t1 = np.linspace(400, 2000, 60)
    late = np.exp(-(TI + 3000.0) / t1[:, None])
    signal = np.abs(1 - 2 * np.exp(-TI / t1[:, None]) + late)
    result = fit_t1_ir(signal, TI, repetition_times_ms=TI + 3000.0, model="2p")
    close(result.maps["T1map"].values, t1)
    assert list(result.maps) == ["T1map", "M0map"]


@pytest.mark.parametrize("t1", [15.0, 60.0, 200.0, 1000.0, 4000.0, 9000.0])
def test_the_sign_is_restored_wherever_the_signal_crosses_zero(t1):
    signal = np.abs(1 - 1.95 * np.exp(-TI / t1))[None]
    result = fit_t1_ir(signal, TI)
    assert result.maps["T1map"].values[0] == pytest.approx(t1, rel=2e-3)
    assert result.maps["M0map"].values[0] == pytest.approx(1.0, rel=2e-3)


def test_a_scrambled_inversion_recovery_is_refused():
    signal, _ = inversions(300, 80)
    order = np.random.default_rng(4).permutation(len(TI))
    with pytest.raises(ModelInputError, match="hump"):
        fit_t1_ir(signal[:, order], TI)


def test_an_efficiency_that_cannot_be_has_no_value():
    signal = 1 - 6.0 * np.exp(-TI / 20.0)[None]
    result = fit_t1_ir(np.abs(signal), TI)
    k = result.maps["kmap"].values
    assert np.isnan(k).all() or (np.abs(k - 1.5) <= 1.5).all()
    assert ((result.flags & np.uint8(FATAL)) != 0).all() == np.isnan(k).all()


def echoes(voxels, b1, noise=0.0, angles=ANGLES):
    t1 = np.random.default_rng(1).uniform(500, 2500, voxels)
    clean = spoiled_echo(np.radians(angles) * b1[:, None], 15.0, t1, np.full(voxels, 1000.0))
    return clean + np.random.default_rng(2).normal(0, 1, clean.shape) * noise, t1


def test_variable_flip_angle_is_that_of_an_independent_solver():
    b1 = np.random.default_rng(0).uniform(0.8, 1.2, VOXELS)
    signal, t1 = echoes(VOXELS, b1, noise=0.5)
    truth = np.empty((VOXELS, 2))
    for v in range(VOXELS):
        angles = np.radians(ANGLES) * b1[v]

        def model(p, angles=angles):
            e = np.exp(-15.0 / p[1])
            return p[0] * np.sin(angles) * (1 - e) / (1 - np.cos(angles) * e)

        truth[v] = solve_each(signal[v : v + 1], model, np.array([[1000.0, t1[v]]]))[0]
    result = fit_t1_vfa(signal, ANGLES, 15.0, b1=b1)
    close(result.maps["T1map"].values, truth[:, 1])
    close(result.maps["M0map"].values, truth[:, 0])


def test_two_angles_give_t1_and_an_error_only_with_a_known_noise():
    signal, t1 = echoes(300, np.ones(300), angles=ANGLES[[0, 2]])
    result = fit_t1_vfa(signal, ANGLES[[0, 2]], 15.0)
    np.testing.assert_allclose(result.maps["T1map"].values, t1, rtol=1e-5)
    assert np.isnan(result.maps["T1map"].error).all()
    assert (result.flags & Flag.UNCERTAIN).all()
    known = fit_t1_vfa(signal, ANGLES[[0, 2]], 15.0, sigma=0.5)
    assert np.isfinite(known.maps["T1map"].error).all()


def test_a_b1_map_that_is_missing_is_told_and_one_that_is_odd_is_flagged():
    signal, _ = echoes(20, np.ones(20))
    assert "No B1 map" in fit_t1_vfa(signal, ANGLES, 15.0).notes[0]
    b1 = np.ones(20)
    b1[:3] = 0.0, np.nan, 5.0
    flags = fit_t1_vfa(signal, ANGLES, 15.0, b1=b1).flags
    assert (flags[:3] == Flag.NOT_FINITE).all()
    assert (flags[3:] & np.uint8(FATAL) == 0).all()


def test_a_transmit_field_beyond_0_3_or_2_is_not_believed():
    b1 = np.array([0.29, 0.31, 1.99, 2.01])
    flags = fit_t1_vfa(echoes(4, b1)[0], ANGLES, 15.0, b1=b1).flags
    assert (flags & Flag.NOT_FINITE > 0).tolist() == [True, False, False, True]


def test_t1_by_flip_angles_lies_within_2_and_2000_repetition_times():
    t1 = 15.0 * np.array([1.9, 2.1, 1900, 2100])
    angles = np.array([0.5, 1.0, 3.0, 8.0, 15.0, 40.0])
    signal = spoiled_echo(np.radians(angles) * np.ones((4, 1)), 15.0, t1, np.full(4, 1000.0))
    flags = fit_t1_vfa(signal, angles, 15.0).flags
    assert (flags & Flag.AT_BOUND > 0).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("k", "errors", "beyond"),
    [
        (0.69, 1e9, True),  # no noise
        (0.71, 1e9, False),
        (1.09, 1e9, False),
        (1.11, 1e9, True),
        (0.69, 2.9, False),  # errors that it lies beyond
        (0.69, 3.1, True),
        (1.11, 2.9, False),
        (1.11, 3.1, True),
    ],
)
def test_saturation_is_between_0_7_and_1_1_within_three_errors(k, errors, beyond):
    inside = saturations(5, k=float(np.clip(k, 0.701, 1.099)))[0][:1] * 1000
    known = fit_t1_sr(inside, TR, model="3p", sigma=1.0, rician=False).maps["kmap"].error[0]
    signal = saturations(5, k=k)[0][:1] * 1000
    result = fit_t1_sr(signal, TR, model="3p", sigma=0.01 / errors / known, rician=False)
    assert bool(result.flags[0] & Flag.AT_BOUND) == beyond


@pytest.mark.parametrize(("k", "beyond"), [(2.95, False), (3.05, True)])
def test_an_inversion_of_more_than_three_is_at_its_bound(k, beyond):
    signal = 1000 * (1 - k * np.exp(-TI / 1500.0))[None]
    result = fit_t1_ir(signal, TI, signed=True, model="3p")
    assert bool(result.flags[0] & Flag.AT_BOUND) == beyond


@pytest.mark.parametrize(
    ("angles", "repetition", "b1", "told"),
    [
        ([3, 179.9], 15.0, 1.0, ""),
        ([3, 180], 15.0, 1.0, "between 0 and 180"),
        ([1, 1.99], 15.0, 1.0, "number of degrees"),
        ([1, 2], 15.0, 1.0, ""),
        ([3, 15], 0.49, 1.0, "does not go with"),
        ([3, 15], 0.51, 1.0, ""),
        ([3, 15], 999.0, 1.0, ""),
        ([3, 15], 1001.0, 1.0, "does not go with"),
        ([3, 15], 15.0, 9.9, ""),
        ([3, 15], 15.0, 10.1, "1 would be nominal"),
    ],
)
def test_angles_repetition_and_b1_are_in_their_units(angles, repetition, b1, told):
    signal = np.full((3, 2), 10.0)
    if told:
        with pytest.raises(ModelInputError, match=told):
            fit_t1_vfa(signal, angles, repetition, b1=np.full(3, b1))
    else:
        assert len(main(fit_t1_vfa(signal, angles, repetition, b1=np.full(3, b1))).values) == 3


SR = saturations(50, 60)[0]
IR = inversions(50, 60)[0]
VFA = echoes(50, np.ones(50))[0]
BAD = {
    "SR seconds": (lambda: fit_t1_sr(SR, TR / 1e3), "no number of milliseconds"),
    "SR equal": (lambda: fit_t1_sr(SR, TR * 0 + 1000), "1 different repetition times"),
    "SR echo time": (lambda: fit_t1_sr(SR, TR, echo_time_ms=900), "does not go with"),
    "SR three of five": (lambda: fit_t1_sr(SR[:, :5], TR[:5], model="3p"), "Three parameters"),
    "IR missing": (lambda: fit_t1_ir(IR, TI[:-1]), "10 images and 9"),
    "IR seconds": (lambda: fit_t1_ir(IR, TI / 1e3), "no number of milliseconds"),
    "IR three of five": (lambda: fit_t1_ir(IR[:, :5], TI[:5]), "Three parameters"),
    "IR repetition": (lambda: fit_t1_ir(IR, TI, repetition_times_ms=100.0), "not longer"),
    "IR repetitions": (lambda: fit_t1_ir(IR, TI, repetition_times_ms=[7e3, 8e3]), "2 repetition"),
    "VFA radians": (lambda: fit_t1_vfa(VFA, np.radians(ANGLES), 15.0), "number of degrees"),
    "VFA one angle": (lambda: fit_t1_vfa(VFA, ANGLES * 0 + 5, 15.0), "two different ones"),
    "VFA seconds": (lambda: fit_t1_vfa(VFA, ANGLES, 0.015), "does not go with"),
    "VFA B1 grid": (lambda: fit_t1_vfa(VFA, ANGLES, 15.0, b1=np.ones(9)), "The B1 map has"),
    "VFA B1 per cent": (lambda: fit_t1_vfa(VFA, ANGLES, 15.0, b1=np.full(50, 98.0)), "nominal"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_input_is_refused_with_a_sentence_and_a_remedy(case):
    call, told = BAD[case]
    with pytest.raises(ModelInputError, match=told) as refused:
        call()
    assert refused.value.message.endswith(".")
    assert refused.value.hint.endswith(".")


def test_noise_at_the_null_does_not_lift_t1():
    """Magnitude images have a floor where the signal crosses zero; the likelihood knows it."""
    signal, t1 = inversions(4000, 20)
    result = fit_t1_ir(signal, TI, sigma=1 / 20)
    off = main(result).values / t1 - 1
    assert abs(np.nanmean(off)) < 0.01
    assert np.isfinite(off).mean() > 0.99
