import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from pipelines.errors import ModelInputError
from pipelines.models.adc import log_linear
from pipelines.models.ivim import choose_threshold, fit_ivim, ivim_signal
from pipelines.models.ivim_prior import Prior
from pipelines.models.result import FATAL, Flag

B = np.array([0, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1000.0])


def simulate(n, snr, f=(0.1, 0.3), seed=1):
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.uniform(*f, n), rng.uniform(0.6, 1.5, n), rng.uniform(10, 40, n)])
    slow, fast = (np.exp(-1e-3 * B * d[:, None]) for d in truth[1:])
    clean = truth[0][:, None] * fast + (1 - truth[0][:, None]) * slow
    return truth, 700 * (clean + rng.normal(0, 1 / snr, clean.shape))


@pytest.mark.parametrize("method", ["informed", "refined"])
def test_exact_without_noise(method):
    truth, signal = simulate(300, 1e9)
    fit = fit_ivim(signal, B, method=method)
    for name, values in zip(["f", "D", "Dstar"], truth, strict=True):
        np.testing.assert_allclose(fit.maps[name].values, values, rtol=1e-4)
    np.testing.assert_allclose(fit.maps["S0map"].values, 700, rtol=1e-5)


def test_equal_to_an_independent_solver_where_inside_the_bounds():
    _, signal = simulate(500, 100)
    fit = fit_ivim(signal, B, method="refined")
    inside = ((fit.flags & FATAL) == 0) & (fit.maps["Dstar"].values > 5)
    assert inside.mean() > 0.98
    for v in np.flatnonzero(inside)[:200]:

        def residual(p, y=signal[v] / 700):
            return (
                p[0] * (p[1] * np.exp(-1e-3 * B * p[3]) + (1 - p[1]) * np.exp(-1e-3 * B * p[2])) - y
            )

        best = least_squares(
            residual, (1, 0.2, 1, 20), method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-12
        ).x
        for name, k in [("f", 1), ("D", 2), ("Dstar", 3)]:
            assert fit.maps[name].values[v] == pytest.approx(best[k], rel=1e-3), name


@pytest.mark.parametrize("method", ["informed", "refined"])
def test_errors_are_true(method):
    _, signal = simulate(1, 1e9, seed=7)
    noisy = signal + np.random.default_rng(2).normal(0, 3, (8000, len(B)))
    fit = fit_ivim(noisy, B, sigma=3.0, method=method, rician=False)
    exact = fit_ivim(signal, B)
    for name in ["f", "D", "Dstar"]:
        off = np.abs(fit.maps[name].values - exact.maps[name].values[0])
        covered = off < 1.96 * fit.maps[name].error
        assert 0.93 < covered.mean() < 0.97, name


def test_intervals_of_usual_tissue_are_true():
    rng = np.random.default_rng(4)
    f, d, fast = (rng.uniform(*limits, 6000) for limits in ((0.05, 0.4), (0.6, 2), (8, 80)))
    x = 1e-3 * B
    clean = f[:, None] * np.exp(-x * fast[:, None]) + (1 - f[:, None]) * np.exp(-x * d[:, None])
    real, imaginary = rng.normal(0, 1 / 40, (2, *clean.shape))
    fit = fit_ivim(np.hypot(clean + real, imaginary), B, sigma=1 / 40)
    assert ((fit.flags & FATAL) == 0).mean() > 0.99
    for name, truth in (("f", f), ("D", d), ("Dstar", fast)):
        value, error = fit.maps[name].values, fit.maps[name].error
        if name == "f":
            covered = np.abs(value - truth) < 1.96 * error
        else:
            covered = np.abs(np.log(value / truth)) < 1.96 * error / value
        assert 0.93 < covered[np.isfinite(value)].mean() < 0.97, name


def test_the_most_probable_value_is_that_of_an_independent_search():
    truth, signal = simulate(60, 20)
    signal /= 700
    sigma = 1 / 20
    prior = Prior()
    fit = fit_ivim(signal, B, sigma=sigma, rician=False)
    for v in range(60):

        def squares(p, y=signal[v]):
            s0, f, ln_d, ln_fast = p
            slow, fast = np.exp(-1e-3 * B * np.exp(ln_d)), np.exp(-1e-3 * B * np.exp(ln_fast))
            model = s0 * (f * fast + (1 - f) * slow)
            before = (np.array([f, ln_d, ln_fast]) - prior.mean) / np.array(prior.width)
            return np.concatenate([(model - y) / sigma, before])

        best = least_squares(
            squares,
            (1, truth[0, v], np.log(truth[1, v]), np.log(truth[2, v])),
            bounds=([0, 0, -4, 0], [10, 1, 2, 6]),
            xtol=1e-12,
            ftol=1e-12,
            gtol=1e-12,
        ).x
        assert fit.maps["f"].values[v] == pytest.approx(best[1], abs=1e-3)
        assert fit.maps["D"].values[v] == pytest.approx(np.exp(best[2]), rel=1e-3)
        assert fit.maps["Dstar"].values[v] == pytest.approx(np.exp(best[3]), rel=3e-3)


def test_searches_along_a_flat_valley_come_to_an_end():
    b = np.array([0, 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 250, 350, 400, 550, 700, 850, 1000.0])
    clean = 0.07 * np.exp(-1e-3 * b * 10) + 0.93 * np.exp(-1e-3 * b * 3)
    # In three of these voxels the search of all voxels at once does not end by itself.
    noise = np.random.default_rng(2).normal(0, 0.01, (4000, len(b)))
    fit = fit_ivim(np.abs(clean + noise), b, threshold=150)
    assert not np.any(fit.flags & Flag.NOT_CONVERGED)
    assert np.isfinite(fit.maps["D"].values).all()


def test_magnitudes_of_noise_draw_nothing_down():
    clean = 0.15 * np.exp(-1e-3 * B * 20) + 0.85 * np.exp(-1e-3 * B * 2.5)
    real, imaginary = np.random.default_rng(8).normal(0, 0.08, (2, 4000, len(B)))
    magnitudes = np.hypot(clean + real, imaginary)
    free = Prior(width=(0.3, 5.0, 0.8))
    plain = fit_ivim(magnitudes, B, sigma=0.08, prior=free, rician=False).maps["D"].values
    rician = fit_ivim(magnitudes, B, sigma=0.08, prior=free).maps["D"].values
    assert np.nanmedian(plain) < 0.92 * 2.5
    assert np.nanmedian(rician) == pytest.approx(2.5, rel=0.05)


def test_a_prior_of_ones_own_is_used_and_recorded():
    _, signal = simulate(50, 15)
    narrow = Prior(mean=(0.2, 0.0, float(np.log(50))), width=(0.3, 0.7, 0.05))
    fit = fit_ivim(signal, B, prior=narrow)
    assert np.all(np.abs(fit.maps["Dstar"].values / 50 - 1) < 0.2)
    assert fit.settings["prior"]["Dstar"]["median"] == pytest.approx(50, rel=1e-3)
    assert any("next to nothing of D*" in note for note in fit.notes)


def test_slopes_are_those_of_the_signal():
    p = np.array([[1.1, 0.2, -0.1, 2.5]])
    _, slopes = ivim_signal(p, B)
    for k in range(4):
        step = np.eye(4)[k] * 1e-6
        up, down = (ivim_signal(p + s * step, B)[0] for s in (1, -1))
        np.testing.assert_allclose(slopes[0, :, k], (up - down)[0] / 2e-6, atol=1e-7)


def test_threshold_follows_the_perfusion():
    rng = np.random.default_rng(0)
    chosen = np.ones(2000, bool)
    thresholds = []
    for fast in (60.0, 6.0):
        clean = 0.3 * np.exp(-1e-3 * B * fast) + 0.7 * np.exp(-1e-3 * B * 0.8)
        signal = clean + rng.normal(0, 0.01, (2000, len(B)))
        thresholds.append(choose_threshold(signal, B, chosen))
    assert thresholds[0] == 100
    assert thresholds[1] > thresholds[0]


@pytest.mark.parametrize(
    ("off", "scatter", "threshold"),
    [
        (0.0019, 0.0, 100),  # of S0
        (0.0021, 0.0, 150),
        (1.5, 0.004, 100),  # standard errors
        (2.5, 0.004, 150),
    ],
)
def test_the_threshold_lies_within_two_errors_of_the_line_above(off, scatter, threshold):
    signal = np.exp(-B / 1000)[None] * np.ones((4, 1))
    above = np.flatnonzero(B > 100)
    signal[:, above] += scatter * np.array([1, -1, -1, 1, 1, -1, -1])
    clean = choose_line(signal[0], above)
    spread = np.sqrt(np.mean((signal[0, above] - clean[above]) ** 2))
    signal[:, B == 100] = clean[B == 100] + off * (spread if scatter else 1)
    assert choose_threshold(signal, B, np.ones(4, bool)) == threshold


def choose_line(signal, above):
    """A single exponential through the samples above, by the function that the model uses."""
    adc, s0 = log_linear(signal[None, above], B[above])
    return s0[0] * np.exp(-B * adc[0] / 1000)


def test_the_threshold_is_at_most_300():
    slow = 0.5 * np.exp(-B / 1000 * 4) + 0.5 * np.exp(-B / 1000 * 0.5)
    assert choose_threshold(slow[None] * np.ones((4, 1)), B, np.ones(4, bool)) == 300


def test_without_perfusion_f_is_zero_and_dstar_has_no_value():
    signal = 100 * np.exp(-1e-3 * B * np.array([[0.8], [1.2]]))
    fit = fit_ivim(signal, B, method="refined")
    np.testing.assert_allclose(fit.maps["D"].values, [0.8, 1.2], rtol=1e-3)
    assert np.all(fit.maps["f"].values < 1e-3)
    seen = np.isfinite(fit.maps["Dstar"].values)
    assert np.all(seen | ((fit.flags & Flag.AT_BOUND) > 0))


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ((0.012, 20.0), (0.009, 20.0)),
        ((3.9, 60.0), (4.1, 60.0)),
        ((1.0, 190.0), (1.0, 210.0)),
        ((1.0, 4.1), (1.0, 3.9)),
        ((1.6, 4.9), (1.6, 4.7)),  # D* at least three times D
    ],
)
def test_bounds_of_both_diffusivities(inside, outside):
    rows = np.array([[1000.0, 0.3, *np.log(pair)] for pair in (inside, outside)])
    fit = fit_ivim(ivim_signal(rows, B)[0], B, method="refined")
    assert (fit.flags & Flag.AT_BOUND > 0).tolist() == [False, True]


def test_bad_voxels_have_no_number():
    _, signal = simulate(5, 200)
    signal[0] = 0
    signal[1, 3] = np.nan
    fit = fit_ivim(signal, B, mask=[1, 1, 0, 1, 1])
    for name, quantity in fit.maps.items():
        assert np.isnan(quantity.values[:3]).all(), name
        assert np.isfinite(quantity.values[3:]).all(), name
    assert np.all(fit.flags[:3] & FATAL)


@pytest.mark.parametrize(
    ("b", "words"),
    [
        ([0, 0, 0, 500, 1000, 1000], "3 different b-values"),
        ([200, 250, 300, 400, 600, 800], "two or more b-values below 200"),
        ([0, 200, 250, 300, 400, 600], "two or more b-values below 200"),
        ([0, 50, 100, 200, 250, 299.9], "some above 300"),
        ([0, 0.01, 0.1, 0.2, 0.5, 1.0], "no number of s/mm2"),
    ],
)
def test_impossible_protocols_are_refused(b, words):
    with pytest.raises(ModelInputError, match=words) as caught:
        fit_ivim(np.ones((3, 6)), b)
    assert caught.value.hint.endswith(".")


def test_the_prior_holds_95_per_cent_in_the_bounds_of_other_fits():
    """f below 0.8, D of 0.25 to 4 and D* of 6 to 150 um2/ms, as the sidecar says it too."""
    found = fit_ivim(simulate(3, 50)[1], B).settings["prior"]
    f, d, fast = (found[name] for name in ("f", "D", "Dstar"))
    assert f["mean"] + 1.96 * f["standard_deviation"] == pytest.approx(0.8, rel=0.03)
    for one, low, high in ((d, 0.25, 4), (fast, 6, 150)):
        factor = one["factor_of_one_deviation"] ** 1.96
        assert one["median"] / factor == pytest.approx(low, rel=0.05)
        assert one["median"] * factor == pytest.approx(high, rel=0.05)


@pytest.mark.parametrize("b", [[0, 199, 250, 300, 400, 600], [0, 50, 100, 200, 250, 301]])
def test_two_b_values_below_200_and_one_above_300_are_enough(b):
    signal = 1000 * (0.1 * np.exp(-np.array(b) * 0.03) + 0.9 * np.exp(-np.array(b) * 0.001))
    assert np.isfinite(fit_ivim(signal[None], b, threshold=150).maps["D"].values).all()


@pytest.mark.parametrize("snr", [10, 30, 50, 100, 200])
@pytest.mark.parametrize("every_tissue", [False, True])
def test_not_above_the_median_of_published_programs(
    shared_data: Path, snr: int, every_tissue: bool
):
    folder = shared_data / "diffusion" / "osipi_ivim"
    b = np.array(json.loads((folder / "b_values.json").read_text())["original"], float)
    with (folder / "reference_output.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["SNR"]) == snr]
    # Where f is 0 or 1 one of the components does not exist.
    rows = [row for row in rows if every_tissue or 0 < float(row["f"]) < 1]
    truth = {row["Region"]: [float(row[k]) for k in ("f", "Dp", "D")] for row in rows}
    theirs: dict[str, list[list[float]]] = {}
    for row in rows:
        squares = [
            (float(row[f"{k}_mu"]) - float(row[k])) ** 2 + float(row[f"{k}_std"]) ** 2
            for k in ("f", "Dp", "D")
        ]
        theirs.setdefault(row["Algorithm"], []).append(squares)
    assert len(theirs) == 19
    median = np.median([np.sqrt(np.mean(v, axis=0)) for v in theirs.values()], axis=0)
    rng = np.random.default_rng(snr)
    ours = []
    for f, fast, slow in truth.values():
        clean = f * np.exp(-b * fast) + (1 - f) * np.exp(-b * slow)
        # As the published programs got it: noise of one channel, without sign, sigma not told.
        noisy = np.abs(clean + rng.normal(0, 1 / snr, (300, len(b))))
        fit = fit_ivim(noisy, b)
        assert ((fit.flags & FATAL) == 0).mean() >= 0.99
        found = [fit.maps["f"].values, 1e-3 * fit.maps["Dstar"].values, 1e-3 * fit.maps["D"].values]
        # A voxel without a value counts as an error of 100 %.
        ours.append(
            [
                np.mean((np.nan_to_num(v.astype(float)) - t) ** 2)
                for v, t in zip(found, (f, fast, slow), strict=True)
            ]
        )
    rmse = np.sqrt(np.mean(ours, axis=0))
    assert np.all(rmse <= median), (rmse, median)
