"""The report: its numbers are those of the fit, its curves those of the signal equation."""

import html
import json
import re

import nibabel as nib
import numpy as np
import pytest

from pipelines.fitting.data import MapOptions
from pipelines.fitting.fit import fit_images
from pipelines.fitting.methods import MAP_METHODS
from pipelines.inputs.load import load_images
from pipelines.models.epg import echo_train
from pipelines.models.result import Flag
from pipelines.models.wasabi import wasabi_signal
from pipelines.outputs.write import write_maps
from pipelines.report.charts import Chart, ticks
from pipelines.report.checks import run_checks
from pipelines.report.expected import snr_of, survey
from pipelines.report.forward import forward_of, samples_of
from pipelines.report.page import write_report

SHAPE = (10, 8, 3)
N = int(np.prod(SHAPE))
RNG = np.random.default_rng(11)


def unit(*vectors):
    rows = np.array(vectors, float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


TE = np.arange(1, 13) * 8.0
TR = np.array([150, 300, 600, 1000, 1800, 3000, 5000, 8000.0])
TI = np.array([50, 120, 300, 700, 1300, 2200, 3500.0])
B = np.array([0, 10, 20, 40, 80, 120, 200, 300, 450, 600, 800.0])
OFFSETS = np.concatenate([[-300.0], np.linspace(-2, 2, 31)])
AXES = unit((1, 0, 1), (-1, 0, 1), (0, 1, 1), (0, 1, -1), (1, 1, 0), (-1, 1, 0))
TENSOR = np.diag([1.4, 0.8, 0.5])


def decay(t, offset=0.0):
    return 1000 * np.exp(-t / np.linspace(25, 60, N)[:, None]) + offset


def tensor():
    g = np.vstack([np.zeros(3), AXES, AXES])
    b = np.array([0] + [500] * 6 + [1000] * 6)
    return 1000 * np.exp(-1e-3 * b * np.einsum("ni,ij,nj->n", g, TENSOR, g)) * np.ones((N, 1))


def spoiled():
    a, e = np.radians([3.0, 8, 14, 20]), np.exp(-15.0 / np.linspace(600, 1800, N))[:, None]
    return 20000 * np.sin(a) * (1 - e) / (1 - np.cos(a) * e)


def wasabi():
    p = np.stack([np.full(N, 0.9), np.full(N, 1.5), np.linspace(0.8, 1.2, N), np.full(N, 0.1)], 1)
    z, _ = wasabi_signal(p, OFFSETS[1:], 5.0, 3.7, 300.0)
    return 1000 * np.concatenate([np.ones((N, 1)), z], axis=1)


T1 = np.linspace(500, 1800, N)[:, None]
CASES = {
    "t2": ("t2", {}, {"EchoTime": TE / 1000}, lambda: decay(TE)),
    "t2 3p": ("t2", {"model": "3p", "skip_echoes": 0}, {"EchoTime": TE / 1000},
              lambda: decay(TE, 30.0)),
    "t2 epg": ("t2", {"model": "epg"}, {"EchoTime": TE / 1000},
               lambda: 1000 * echo_train(np.linspace(25, 60, N), np.full(N, 150.0),
                                         echo_spacing_ms=8.0, echoes=12)),
    "t2star": ("t2star", {}, {"EchoTime": TE / 1000}, lambda: decay(TE)),
    "t1sr": ("t1sr", {"model": "3p"}, {"RepetitionTime": TR / 1000},
             lambda: 1000 * (1 - 0.95 * np.exp(-TR / T1))),
    "t1ir": ("t1ir", {}, {"InversionTime": TI / 1000, "RepetitionTime": 6.0},
             lambda: 1000 * np.abs(1 - 1.9 * np.exp(-TI / T1) + np.exp(-6000 / T1))),
    "t1vfa": ("t1vfa", {}, {"FlipAngle": np.array([3.0, 8, 14, 20]), "RepetitionTime": 0.015},
              spoiled),
    "dwi": ("dwi", {}, {"bValues": B}, lambda: 1000 * np.exp(-1e-3 * B * 0.8) * np.ones((N, 1))),
    "dti": ("dwi", {}, {"bValues": np.array([0] + [500] * 6 + [1000] * 6)}, tensor),
    "ivim": ("ivim", {}, {"bValues": B},
             lambda: 1000 * (0.2 * np.exp(-B * 0.03) + 0.8 * np.exp(-B * 8e-4)) * np.ones((N, 1))),
    "wasabi": ("cest", {"model": "wasabi"},
               {"SaturationOffsetPpm": OFFSETS, "SaturationPulseLength": 0.005,
                "SaturationB1": 3.7, "ImagingFrequency": 300.0}, wasabi),
}  # fmt: skip


def fitted(tmp_path, case, sigma=None, noise=0.0):
    command, options, side, make = CASES[case]
    data = make()
    if noise:
        channels = RNG.normal(scale=noise, size=(2, *data.shape))
        data = np.hypot(data + channels[0], channels[1])
    path = tmp_path / "x.nii.gz"
    image = data.reshape(*SHAPE[::-1], -1).transpose(2, 1, 0, 3).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.diag([-1.0, 1.0, 1.0, 1.0])), path)
    listed = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in side.items()}
    (tmp_path / "x.json").write_text(json.dumps(listed), encoding="utf-8")
    if case == "dti":
        # Along image axes; the affine turns handedness over, so that none is flipped.
        vectors = np.vstack([np.zeros(3), AXES, AXES])
        np.savetxt(tmp_path / "x.bvec", (vectors * np.array([1.0, -1.0, 1.0])).T)
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), np.diag([-1.0, 1, 1, 1])),
             tmp_path / "mask.nii.gz")  # fmt: skip
    wishes = MapOptions(mask=tmp_path / "mask.nii.gz", sigma=sigma, **options)
    return fit_images(command, load_images(path, MAP_METHODS[command].requirement), wishes)


@pytest.mark.parametrize(
    ("case", "sequence", "told"),
    [
        ("t2star", "SE", ["These are spin echoes: they decay with T2, not T2*."]),
        ("t2", "GR", ["These are gradient echoes: they decay with T2*, not T2."]),
        ("t2star", "GR", []),
        ("t2", "SE", []),
        ("t2", "RM", []),
    ],
)
def test_echoes_of_the_other_kind_are_told(tmp_path, monkeypatch, case, sequence, told):
    command, options, side, make = CASES[case]
    side = {**side, "ScanningSequence": sequence}
    monkeypatch.setitem(CASES, case, (command, options, side, make))
    notes = fitted(tmp_path, case).notes
    assert [note for note in notes if note.startswith("These are")] == told


@pytest.mark.parametrize("case", CASES)
def test_the_equation_gives_the_samples_back(tmp_path, case):
    fit = fitted(tmp_path, case)
    forward = forward_of(fit)
    for index in (0, N // 2, N - 1):
        x, y = samples_of(fit, index)
        p = forward.parameters(fit, index)
        got = forward.signal(index)(p, x)[forward.first :]
        np.testing.assert_allclose(got, y[forward.first :], atol=4.0 if case == "ivim" else 0.6)


@pytest.mark.parametrize("case", [c for c in CASES if c not in ("t2star", "ivim")])
def test_standard_errors_are_those_that_noise_allows(tmp_path, case):
    found = survey(fitted(tmp_path, case, sigma=4.0, noise=4.0))
    assert 0.85 < found.ratio < 1.2


def test_the_bound_of_a_decay_by_hand(tmp_path):
    """Inverse of J'J for S0 exp(-t / T2), its slopes written out; no noise to speak of."""
    fit = fitted(tmp_path, "t2", sigma=2.0)
    found = survey(fit)
    first = forward_of(fit).first
    t = TE[first:]
    for voxel, bound in zip(found.voxels[::40], found.bound[::40], strict=True):
        t2 = np.linspace(25, 60, N)[voxel]
        e = np.exp(-t / t2)
        slopes = np.stack([1000 * t / t2**2 * e, e], axis=1)
        expected = 2.0 * np.sqrt(np.linalg.inv(slopes.T @ slopes)[0, 0])
        assert bound == pytest.approx(expected, rel=0.01)


def test_noise_floor_of_late_echoes_is_no_residual(tmp_path):
    """Magnitudes of nothing are 1.25 sigma; a fit that knows it leaves nothing over."""
    fit = fitted(tmp_path, "t2", sigma=100.0, noise=100.0)
    found = survey(fit)
    assert np.abs(found.residual).max() < 0.35 * 100
    assert np.abs(fit.result.residual_mean).max() > 0.5 * 100


def test_signal_to_noise_is_the_first_sample_over_sigma(tmp_path):
    fit = fitted(tmp_path, "t2", sigma=2.0)
    np.testing.assert_allclose(np.median(snr_of(fit)), np.median(decay(TE)[:, 0]) / 2, rtol=1e-4)


def page(tmp_path, fit):
    folder = tmp_path / "out"
    folder.mkdir()
    written = write_maps(folder, fit, ("report",), "sub-x")
    write_report(folder, fit, written.maps)
    return html.unescape((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_page_of_every_map(tmp_path, case):
    fit = fitted(tmp_path, case, sigma=4.0, noise=4.0)
    text = page(tmp_path, fit)
    name, main = next(iter(fit.result.maps.items()))
    assert f"{np.nanmedian(main.values):.4g}" in text
    for one in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert "nan" not in one
        assert "inf" not in one.replace("information", "")
    assert "Cramer-Rao" in text
    assert "built-in" not in text
    assert "x.json" in text  # the source of the values
    assert f"{name} by slice" in text
    assert text.count("<svg") >= 3 + len(
        [m for m in fit.result.maps.values() if m.values.ndim == 1]
    )


def test_protocol_lists_every_value_with_its_source(tmp_path):
    text = page(tmp_path, fitted(tmp_path, "t1ir", sigma=4.0))
    assert "50, 120, 300, 700, 1300, 2200, 3500 ms" in text
    assert "InversionTime of x.json" in text
    assert "6000" in text


def test_residuals_show_a_first_echo_that_does_not_fit(tmp_path):
    command, _, side, make = CASES["t2 3p"]
    low = make()
    low[:, 0] *= 0.7
    CASES["low first"] = (command, {"skip_echoes": 0}, side, lambda: low)
    try:
        fit = fitted(tmp_path, "low first", sigma=4.0)
    finally:
        del CASES["low first"]
    checks = {one.name: one for one in run_checks(fit, survey(fit))}
    assert checks["voxels that the model does not fit"].status != "pass"
    assert checks["largest mean residual of a sample"].status != "pass"


def test_an_asymmetry_of_zero_is_not_uncertain_if_its_error_is_small():
    from pipelines.models.cest import fit_cest

    offsets = np.concatenate([[-300.0], np.arange(-6, 6.01, 0.25)])
    z = 1 - 0.85 * 0.64 / (0.64 + offsets[1:] ** 2)
    data = 1000 * np.append(1.0, z) * np.ones((50, 1))
    small = fit_cest(data, offsets, sigma=1.0)
    assert np.count_nonzero(small.flags & Flag.UNCERTAIN) == 0
    large = fit_cest(data, offsets, sigma=20.0)
    assert np.count_nonzero(large.flags & Flag.UNCERTAIN) == 50


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (1e-4, 2e-4), (0, 9e6), (-5, -1)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 11
    step = np.diff([value for value, _ in found])
    np.testing.assert_allclose(step, step[0])
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in found)
    assert all(
        float(text) == pytest.approx(value, abs=1e-5 * (high - low)) for value, text in found
    )


def test_texts_of_a_chart_cannot_be_markup():
    chart = Chart("<script>x</script>", "a & b")
    chart.points([0, 1], [0, 1])
    assert "<script>" not in chart.svg()
    assert "a &amp; b" in chart.svg()


def test_every_value_is_in_the_histogram():
    chart = Chart("x", "x")
    values = np.append(RNG.normal(size=1000), [99.0, -99.0, np.nan])
    chart.bars(values, -2.0, 2.0)
    _, _, counts, _ = chart._marks[0]
    assert counts.sum() == 1002
