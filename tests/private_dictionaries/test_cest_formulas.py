"""Timing, offsets, pairs and M0, with the values published scans give."""

import inspect
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_dictionaries import cest_formulas, cest_offsets
from private_dictionaries.cest_formulas import (
    b1_cw_equivalent_ut,
    b1_rms_ut,
    duty_cycle_percent,
    readout_time_ms,
    recovery_time_ms,
    saturation_length_ms,
)
from private_dictionaries.cest_offsets import (
    find_m0_images,
    hz_from_ppm,
    mirror_tolerance_ppm,
    mirrored_pairs,
    ppm_from_hz,
)

F0 = 400.38072396468129
F0_7T = 300.319057478109


def test_offsets_of_published_scans():
    assert hz_from_ppm(offset_ppm=3.5, working_frequency_mhz=F0) == pytest.approx(
        1401.332534, abs=1e-6
    )
    assert ppm_from_hz(offset_hz=-1681.6, working_frequency_mhz=F0) == pytest.approx(
        -4.200002396, abs=1e-9
    )
    assert ppm_from_hz(offset_hz=-30032, working_frequency_mhz=F0_7T) == pytest.approx(
        -100.0003138, abs=1e-7
    )


@given(st.floats(-1e5, 1e5), st.floats(1, 1000))
def test_hz_and_ppm_are_inverse(hz, f0):
    ppm = ppm_from_hz(offset_hz=hz, working_frequency_mhz=f0)
    assert hz_from_ppm(offset_ppm=ppm, working_frequency_mhz=f0) == pytest.approx(
        hz, rel=1e-14, abs=1e-300
    )
    assert math.copysign(1, ppm) == math.copysign(1, hz)


@pytest.mark.parametrize("f0", [0.0, -400.0, math.nan, math.inf, None])
def test_offset_without_frequency_is_undefined(f0):
    assert ppm_from_hz(offset_hz=1.0, working_frequency_mhz=f0) is None
    assert hz_from_ppm(offset_ppm=1.0, working_frequency_mhz=f0) is None


def test_train_of_pulses():
    train = {"pulse_length_ms": 50.0, "pulse_number": 36, "interpulse_delay_ms": 5.0}
    assert saturation_length_ms(**train) == 1975.0
    assert duty_cycle_percent(**train) == pytest.approx(90.90909, abs=1e-5)


def test_single_pulse_ignores_the_delay():
    single = {"pulse_length_ms": 5000.0, "pulse_number": 1, "interpulse_delay_ms": 5.0}
    assert saturation_length_ms(**single) == 5000.0
    assert duty_cycle_percent(**single) == 100.0


def test_train_without_gap():
    assert saturation_length_ms(pulse_length_ms=50.0, pulse_number=4) == 200.0
    assert duty_cycle_percent(pulse_length_ms=50.0, pulse_number=4) == 100.0


@pytest.mark.parametrize("pulses", [0, -1, None, math.nan])
def test_no_pulse_no_saturation(pulses):
    assert saturation_length_ms(pulse_length_ms=50.0, pulse_number=pulses) is None
    assert duty_cycle_percent(pulse_length_ms=50.0, pulse_number=pulses) is None


def test_duty_cycle_needs_a_pulse_and_a_gap_that_is_not_negative():
    assert duty_cycle_percent(pulse_length_ms=0.0, pulse_number=2) is None
    negative = {"pulse_length_ms": 50.0, "pulse_number": 2, "interpulse_delay_ms": -60.0}
    assert duty_cycle_percent(**negative) is None


def test_residual_readout_has_no_recovery():
    readout = readout_time_ms(repetition_time_ms=6000.0, saturation_length_ms=5000.0)
    assert readout == 1000.0
    times = {"repetition_time_ms": 6000.0, "saturation_length_ms": 5000.0}
    assert recovery_time_ms(**times, readout_time_ms=readout, timing_source="DERIVED") is None
    assert recovery_time_ms(**times, readout_time_ms=400.0, timing_source="MEASURED") == 600.0


def test_uneven_scheme():
    times = {
        "repetition_time_ms": 6000.0,
        "saturation_length_ms": 3000.0,
        "second_pulse_length_ms": 20.0,
        "readouts": 5,
    }
    assert readout_time_ms(**times) == 584.0
    assert recovery_time_ms(**times, readout_time_ms=500.0, timing_source="MEASURED") == 420.0


def test_module_time_replaces_the_saturation_length():
    recovery = recovery_time_ms(
        repetition_time_ms=8000.0,
        saturation_length_ms=6000.0,
        module_time_ms=6002.415,
        readout_time_ms=195.97,
        timing_source="MEASURED",
    )
    assert recovery == pytest.approx(1801.615)


def test_repetition_time_of_the_excitation_only():
    times = {"repetition_time_ms": 2.67, "saturation_length_ms": 6000.0}
    readout = readout_time_ms(**times, scan_time_ms=34489.84, frames=176)
    assert readout == pytest.approx(195.965, abs=1e-3)
    assert recovery_time_ms(**times, readout_time_ms=readout, timing_source="MEASURED") is None
    assert readout_time_ms(**times) is None
    assert readout_time_ms(**times, scan_time_ms=34489.84, frames=0) is None
    assert readout_time_ms(**times, scan_time_ms=34489.84, frames=5) is None  # above 6000 ms


def test_readout_that_does_not_fit_is_undefined():
    full = {"repetition_time_ms": 3000.0, "saturation_length_ms": 3000.0}
    assert readout_time_ms(**full) is None
    pulses = {"second_pulse_length_ms": 1000.0, "readouts": 5}
    assert readout_time_ms(repetition_time_ms=6000.0, saturation_length_ms=3000.0, **pulses) is None


def test_b1_of_a_pulsed_scheme():
    # A half-sine shape: mean 2 / pi, mean square 1 / 2.
    common = {"b1_ut": 2.0, "duty_cycle_percent": 50.0}
    assert b1_cw_equivalent_ut(**common, shape_mean=2 / math.pi) == pytest.approx(0.636619772)
    assert b1_rms_ut(**common, shape_mean_square=0.5) == 1.0
    assert b1_rms_ut(**common, shape_mean_square=-0.5) is None


def test_none_everywhere_gives_none():
    for module in (cest_formulas, cest_offsets):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("_") or function.__module__ != module.__name__:
                continue
            parameters = inspect.signature(function).parameters
            assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values()), name
            result = function(**dict.fromkeys(parameters))
            expected = {"mirror_tolerance_ppm": 0.002, "mirrored_pairs": (), "find_m0_images": ()}
            assert result == expected.get(name), name


def test_tolerance_follows_the_step_of_whole_hz():
    assert mirror_tolerance_ppm() == 0.002
    assert mirror_tolerance_ppm(working_frequency_mhz=400.0) == 0.002
    assert mirror_tolerance_ppm(working_frequency_mhz=128.0) == pytest.approx(0.0046875)


def test_pairs_by_value_within_the_tolerance():
    offsets = [-100.0, 0.0, 1.0, -1.0009, 3.5, -3.5, 5.0, -5.003, None, math.nan]
    assert mirrored_pairs(offsets_ppm=offsets) == ((2, 3), (4, 5))
    wide = mirrored_pairs(offsets_ppm=offsets, working_frequency_mhz=128.0)
    assert wide == ((2, 3), (4, 5), (6, 7))


def test_every_pass_pairs_once():
    assert mirrored_pairs(offsets_ppm=[1.0, -1.0, 1.0, -1.0, 1.0]) == ((0, 1), (2, 3))


@given(st.lists(st.floats(-10, 10), max_size=30))
def test_pairs_use_no_image_twice(offsets):
    pairs = mirrored_pairs(offsets_ppm=offsets)
    used = [index for pair in pairs for index in pair]
    assert len(used) == len(set(used))
    for positive, negative in pairs:
        assert offsets[positive] > 0 > offsets[negative]
        assert abs(offsets[positive] + offsets[negative]) <= 0.002


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([-100.0003138, -3.5, 0.0, 3.5], (0,)),
        ([99.9994, -3.5, 3.5], (0,)),  # a list in whole Hz
        ([99.9, 40.0, -40.0], ()),  # not 100, not three times the next
        ([-3.5, 300.0, 3.5, -100.0, 0.0], (1, 3)),  # several, in the middle
        ([40.0, -5.0, 5.0], (0,)),
        ([40.0, -5.0, 5.0] * 3, (0, 3, 6)),  # one per pass
        ([20.0, 6.0, -6.0], (0,)),
        ([20.0, 7.0, -7.0], ()),
        ([19.0, 1.0, -1.0], ()),
        ([40.0, -40.0, 5.0], ()),  # a mirrored pair is not single
        ([40.0, 40.0], ()),  # nothing to compare with
        ([None, 40.0, 0.0], (1,)),
        ([], ()),
    ],
)
def test_m0_by_offset(offsets, expected):
    assert find_m0_images(offsets_ppm=offsets) == expected


def test_m0_by_reference_scan():
    offsets = [None, 30.0, -3.5, 3.5]
    marks = [True, False, False, False]
    assert find_m0_images(offsets_ppm=offsets, is_reference=marks) == (0,)
    assert find_m0_images(offsets_ppm=[0.0, 120.0, 1.0], is_reference=[True]) == (0, 1)
