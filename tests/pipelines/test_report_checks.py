"""Each check of a report at the edge of its threshold."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.fitting.data import FitInputs, FittedMap
from pipelines.inputs.frames import Images
from pipelines.models.outcome import Noise, conclude, first_flags
from pipelines.models.result import FitResult, Flag, Map
from pipelines.report.checks import run_checks
from pipelines.report.expected import FitSurvey

SAMPLES, VOXELS = 8, 1000


def fitted(
    *,
    flags=0,
    share=0.0,
    top=1000.0,
    sigma=1.0,
    median=50.0,
    name="T2map",
    settings=None,
    shift=None,
    samples=SAMPLES,
):
    """A fit whose every number is chosen; `share` of its voxels has `flags`."""
    marked = np.zeros(VOXELS, np.uint8)
    marked[: round(share * VOXELS)] = flags
    values = np.full(VOXELS, median, np.float32)
    maps = {name: Map(values, "ms", np.full(VOXELS, 0.01, np.float32))}
    if shift is not None:
        maps["B0map"] = Map(np.full(VOXELS, shift, np.float32), "ppm", None)
    images = Images(
        data=np.full((samples, 1, VOXELS, 1), top, np.float32),
        affine=np.eye(4),
        values={"echo_time_ms": np.arange(samples, dtype=float)[None] + 1},
        directions=None,
        b_matrices=None,
        reference=np.zeros(samples, bool),
        component="M",
        frames=[],
        files=[Path("x.nii.gz")],
    )
    result = FitResult(
        maps=maps,
        flags=marked,
        r2fit=np.ones(VOXELS, np.float32),
        chi2_red=None,
        residual_mean=np.zeros(samples),
        model="T2 2p",
        sigma=sigma,
        settings=settings or {},
    )
    inputs = FitInputs(images, np.ones(VOXELS, bool), sigma=sigma)
    return FittedMap("t2", "echo_time_ms", inputs, result, "given", "given", {})


def survey(*, ratio=1.0, neighbours=0.0, residual=None):
    one = np.ones(3)
    return FitSurvey(np.arange(3), ratio * one, one, neighbours, residual, VOXELS)


def status(name, fit, found=None):
    (check,) = [c for c in run_checks(fit, found or survey()) if c.name.startswith(name)]
    return check.status


@pytest.mark.parametrize(
    ("name", "inside", "outside", "words"),
    [
        (
            "voxels of the mask with a value",
            {"flags": Flag.NOT_CONVERGED, "share": 0.1},
            {"flags": Flag.NOT_CONVERGED, "share": 0.101},
            ("pass", "warn"),
        ),
        (
            "voxels of the mask with a value",
            {"flags": Flag.NOT_CONVERGED, "share": 0.5},
            {"flags": Flag.NOT_CONVERGED, "share": 0.501},
            ("warn", "fail"),
        ),
        (
            "voxels with a standard error",
            {"flags": Flag.UNCERTAIN, "share": 0.1},
            {"flags": Flag.UNCERTAIN, "share": 0.101},
            ("pass", "warn"),
        ),
        (
            "voxels that the model does not fit",
            {"flags": Flag.MISFIT, "share": 0.1},
            {"flags": Flag.MISFIT, "share": 0.101},
            ("pass", "warn"),
        ),
        (
            "median signal-to-noise",
            {"top": 20.0},
            {"top": 19.9},
            ("pass", "warn"),
        ),
        ("median of T2map", {"median": 10.0}, {"median": 9.9}, ("pass", "warn")),
        ("median of T2map", {"median": 250.0}, {"median": 251.0}, ("pass", "warn")),
        (
            "median of T1map",
            {"name": "T1map", "median": 200.0},
            {"name": "T1map", "median": 199.0},
            ("pass", "warn"),
        ),
        (
            "median of T1map",
            {"name": "T1map", "median": 4000.0},
            {"name": "T1map", "median": 4001.0},
            ("pass", "warn"),
        ),
        (
            "median of ADC",
            {"name": "ADC", "median": 0.201},
            {"name": "ADC", "median": 0.199},
            ("pass", "warn"),
        ),
        (
            "median of MD",
            {"name": "MD", "median": 2.59},
            {"name": "MD", "median": 2.61},
            ("pass", "warn"),
        ),
        ("median distance of water", {"shift": -0.5}, {"shift": -0.51}, ("pass", "warn")),
        (
            "offsets without a mirror image",
            {"settings": {"unpaired_ppm": []}},
            {"settings": {"unpaired_ppm": [3.5]}},
            ("pass", "warn"),
        ),
    ],
)
def test_a_check_of_voxels_changes_at_its_threshold(name, inside, outside, words):
    assert (status(name, fitted(**inside)), status(name, fitted(**outside))) == words


@pytest.mark.parametrize(
    ("name", "inside", "outside", "words"),
    [
        ("standard error over", {"ratio": 0.671}, {"ratio": 0.669}, ("pass", "warn")),
        ("standard error over", {"ratio": 1.499}, {"ratio": 1.501}, ("pass", "warn")),
        ("correlation of residuals", {"neighbours": 0.3}, {"neighbours": 0.31}, ("pass", "warn")),
        (
            "largest mean residual",
            {"residual": np.full(SAMPLES, 50.0)},
            {"residual": np.full(SAMPLES, 50.1)},
            ("pass", "warn"),
        ),
        (
            "largest mean residual",
            {"residual": np.full(SAMPLES, 250.0)},
            {"residual": np.full(SAMPLES, 250.1)},
            ("warn", "fail"),
        ),
    ],
)
def test_a_check_of_residuals_changes_at_its_threshold(name, inside, outside, words):
    fit = fitted()
    assert (status(name, fit, survey(**inside)), status(name, fit, survey(**outside))) == words


def test_correlation_means_something_from_six_samples_on():
    def names(samples):
        return [c.name for c in run_checks(fitted(samples=samples), survey(neighbours=0.9))]

    wanted = "correlation of residuals one sample apart"
    assert wanted in names(6)
    assert wanted not in names(5)


def test_too_little_signal_begins_below_five_sigma():
    signal = np.array([[10.0, 3.0], [9.99, 3.0]])
    flags = first_flags(signal, None, 2.0, None)
    assert flags.tolist() == [0, Flag.LOW_SIGNAL]


def test_uncertain_begins_above_three_tenths_of_the_value():
    values = np.full(3, 1.0, np.float32)
    error = np.array([0.299, 0.301, 0.301], np.float32)
    result = conclude(
        name="T2 2p",
        maps={"T2map": Map(values, "ms", error)},
        flags=np.zeros(3, np.uint8),
        sse=np.zeros(3, np.float32),
        sst=np.ones(3, np.float32),
        freedom=2,
        noise=Noise(None),
        chi2=None,
        residual_mean=np.zeros(4),
        notes=(),
        settings={},
    )
    assert result.flags.tolist() == [0, Flag.UNCERTAIN, Flag.UNCERTAIN]


def test_misfit_begins_four_widths_of_chi_square_above_one():
    freedom, sigma = 8, 1.0
    edge = freedom * (1 + 4 * np.sqrt(2 / freedom))
    sse = np.array([edge * 0.999, edge * 1.001], np.float32)
    values = np.ones(2, np.float32)
    result = conclude(
        name="T2 2p",
        maps={"T2map": Map(values, "ms", np.full(2, 0.01, np.float32))},
        flags=np.zeros(2, np.uint8),
        sse=sse,
        sst=np.full(2, 1e6, np.float32),
        freedom=freedom,
        noise=Noise(sigma),
        chi2=None,
        residual_mean=np.zeros(10),
        notes=(),
        settings={},
    )
    assert result.flags.tolist() == [0, Flag.MISFIT]
