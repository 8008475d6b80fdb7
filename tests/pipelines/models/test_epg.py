"""Phase graphs: equal to turning spins one by one; T2 and angle equal to an independent solver."""

import numpy as np
import pytest
from relaxation import TE

from pipelines.errors import ModelInputError
from pipelines.models.epg import echo_train, fit_t2_epg
from pipelines.models.result import FATAL
from pipelines.models.t2 import fit_t2


def spins(t2, t1, spacing, angle_deg, echoes, count=400):
    """CPMG echoes of spins at evenly spread phases per half spacing, by rotation matrices."""
    phase = 2 * np.pi * (np.arange(count) + 0.5) / count
    x, y, z = np.ones(count), np.zeros(count), np.zeros(count)
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    e1, e2 = np.exp(-spacing / 2 / t1), np.exp(-spacing / 2 / t2)
    signal = []
    for _ in range(echoes):
        for half in range(2):
            x, y = np.cos(phase) * x - np.sin(phase) * y, np.sin(phase) * x + np.cos(phase) * y
            x, y, z = e2 * x, e2 * y, e1 * z
            if half == 0:
                y, z = c * y - s * z, s * y + c * z
        signal.append(x.mean())
    return np.array(signal)


@pytest.mark.parametrize("angle", [180.0, 165.0, 140.0, 110.0, 70.0])
@pytest.mark.parametrize("t1", [400.0, 1500.0])
def test_a_train_is_that_of_spins_turned_one_by_one(angle, t1):
    ours = echo_train([50.0], [angle], echo_spacing_ms=10.0, echoes=32, t1_ms=t1)[0]
    np.testing.assert_allclose(ours, spins(50.0, t1, 10.0, angle, 32), atol=1e-12)


@pytest.mark.parametrize(("echoes", "refused"), [(4, True), (5, False)])
def test_five_echoes_are_needed(echoes, refused):
    signal = echo_train([50.0], [150.0], echo_spacing_ms=8.0, echoes=echoes)
    if refused:
        with pytest.raises(ModelInputError, match="echoes"):
            fit_t2_epg(signal, TE[:echoes])
    else:
        values = fit_t2_epg(signal, TE[:echoes]).maps["T2map"].values
        assert values[0] == pytest.approx(50, rel=1e-3)


@pytest.mark.parametrize(("part", "refused"), [(1.49, False), (1.51, True)])
def test_a_slice_profile_has_parts_up_to_one_and_a_half(part, refused):
    if refused:
        with pytest.raises(ModelInputError, match="profile"):
            echo_train([50.0], [90.0], echo_spacing_ms=8.0, echoes=9, profile=[1.0, part])
    else:
        train = echo_train([50.0], [90.0], echo_spacing_ms=8.0, echoes=9, profile=[1.0, part])
        assert train.shape == (1, 9)


def test_a_slice_profile_takes_the_mean_over_its_angles():
    profile = [1.0, 0.9, 0.5]
    mean = np.mean([spins(60.0, 1500.0, 8.0, 170.0 * part, 20) for part in profile], axis=0)
    ours = echo_train([60.0], [170.0], echo_spacing_ms=8.0, echoes=20, profile=profile)[0]
    np.testing.assert_allclose(ours, mean, atol=1e-12)


def trains(voxels, noise):
    rng = np.random.default_rng(0)
    t2, angle = rng.uniform(20, 120, voxels), rng.uniform(110, 170, voxels)
    clean = echo_train(t2, angle, echo_spacing_ms=8.0, echoes=25)
    return clean + rng.normal(0, noise, clean.shape), t2, angle


@pytest.mark.parametrize(("angle", "there"), [(61.0, True), (59.0, False)])
def test_an_angle_below_60_degrees_has_no_value(angle, there):
    result = fit_t2_epg(echo_train([50.0], [angle], echo_spacing_ms=8.0, echoes=25), TE)
    assert np.isfinite(result.maps["T2map"].values[0]) == there


def test_stimulated_echoes_bias_the_plain_fit_and_not_this_one():
    signal, t2, _ = trains(1500, 0.005)
    plain = fit_t2(signal, TE)
    graph = fit_t2_epg(signal, TE)
    assert any("EPG" in note for note in plain.notes)
    assert np.mean(plain.maps["T2map"].values / t2 - 1) > 0.02
    assert abs(np.nanmean(graph.maps["T2map"].values / t2 - 1)) < 0.003
    assert np.isfinite(graph.maps["T2map"].values).mean() > 0.99


def test_perfect_refocusing_gives_the_plain_decay():
    t2 = np.linspace(20, 120, 200)
    result = fit_t2_epg(np.exp(-TE / t2[:, None]), TE)
    np.testing.assert_allclose(result.maps["T2map"].values, t2, rtol=1e-4)
    assert (result.maps["refocusingmap"].values > 178).all()


def test_voxels_without_a_value_say_so():
    signal, _, _ = trains(60, 0.01)
    signal[0], signal[1, 2] = 0.0, np.nan
    result = fit_t2_epg(signal, TE)
    for quantity in result.maps.values():
        lost = (result.flags & np.uint8(FATAL)) != 0
        assert np.array_equal(np.isnan(quantity.values), lost)
    assert np.isnan(result.maps["T2map"].values[:2]).all()
    assert np.isfinite(result.maps["T2map"].values[2:]).mean() > 0.95


@pytest.mark.parametrize(("off", "refused"), [(1.009, False), (1.011, True)])
def test_an_echo_may_lie_one_per_cent_beside_its_place(off, refused):
    times = 10.0 * np.arange(1, 9)
    signal = 100 * np.exp(-times / 40)[None]
    times[4] *= off
    if refused:
        with pytest.raises(ModelInputError, match="times one echo spacing"):
            fit_t2_epg(signal, times)
    else:
        assert np.isfinite(fit_t2_epg(signal, times).maps["T2map"].values[0])


@pytest.mark.parametrize(
    ("times", "options", "told"),
    [
        (np.append(TE[:-1], 400.0), {}, "times one echo spacing"),
        (TE + 5.0, {}, "times one echo spacing"),
        (TE, {"profile": [1.0, 9.0]}, "slice profile"),
    ],
)
def test_trains_that_are_none_are_refused(times, options, told):
    signal, _, _ = trains(30, 0.01)
    with pytest.raises(ModelInputError, match=told) as refused:
        fit_t2_epg(signal, times, **options)
    assert refused.value.hint.endswith(".")
