"""Where the background was blanked the noise is found in the fits, or said not to be known."""

import json

import mr_series
import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.cli import main

TE = 8.0 * np.arange(1, 26)
TI = np.array([30.0, 90, 200, 420, 850, 1700, 3400, 6800])
TR = np.array([200.0, 400, 700, 1000, 1500, 2500, 4000, 6000])
SHAPE, SNR, HEIGHT = (2, 40, 40), 20.0, 4000.0


def magnitudes(decay):
    """Magnitudes of a disc (n, *SHAPE) with noise, and 0 outside of it, as a scanner blanks it."""
    rng = np.random.default_rng(3)
    clean = HEIGHT * decay
    noise = rng.normal(0, HEIGHT / SNR, (2, *clean.shape))
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    return np.where(np.hypot(x, y) < 0.8, np.hypot(clean + noise[0], noise[1]), 0.0)


def made(kind, spread):
    """Times of every voxel, the series, and the attributes of its images."""
    t = np.linspace(*spread, int(np.prod(SHAPE))).reshape(SHAPE)
    values = {"t2": TE, "t2star": TE, "t1sr": TR, "t1ir": TI}[kind]
    decay = np.exp(-values[:, None, None, None] / t)
    data = {"t1sr": 1 - decay, "t1ir": 1 - 1.9 * decay}.get(kind, decay)
    name = {"t1sr": "RepetitionTime", "t1ir": "InversionTime"}.get(kind, "EchoTime")
    return t, magnitudes(data), [{name: float(v)} for v in values]


def run(kind, tmp_path, data, rows):
    mr_series.write_classic(tmp_path / "in", data, rows)
    words = ["map", kind, str(tmp_path / "in"), str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(main, [*words, "--format", "nifti"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("kind", "spread"),
    [("t2", (15, 60)), ("t2star", (15, 60)), ("t1sr", (700, 1900)), ("t1ir", (500, 1900))],
)
def test_noise_and_truth_are_found_without_a_background(tmp_path, kind, spread):
    truth, data, rows = made(kind, spread)
    said = run(kind, tmp_path, data, rows)
    assert not any("noise is not known" in note for note in said["warnings"])
    row = said["maps"][{"t2": "T2map", "t2star": "T2starmap"}.get(kind, "T1map")]
    sidecar = json.loads(
        next((tmp_path / "out").glob("*1map.json" if "t1" in kind else "*T2*map.json")).read_text()
    )
    assert sidecar["Sigma"] == pytest.approx(HEIGHT / SNR, rel=0.05)
    assert sidecar["SigmaSource"].startswith("residuals")
    read = lambda file: np.asarray(nibabel.load(file).dataobj).T  # noqa: E731
    off = read(row["nifti"]) - truth
    error = read(row["error"])
    there = np.isfinite(off)
    assert there.sum() > 0.98 * (data[0] > 0).sum()
    assert 0.93 < np.mean(np.abs(off[there]) < 1.96 * error[there]) < 0.97
    assert abs(np.mean(off[there] / truth[there])) < 0.015


@pytest.mark.parametrize("spread", [(60, 110), (40, 110)])
def test_what_is_more_than_noise_is_not_taken_for_it(tmp_path, spread):
    """Two decays in each voxel and little noise: no single one leaves noise alone."""
    t = np.linspace(*spread, int(np.prod(SHAPE))).reshape(SHAPE)
    clean = 0.6 * np.exp(-TE[:, None, None, None] / 12) + 0.4 * np.exp(-TE[:, None, None, None] / t)
    said = run("t2", tmp_path, magnitudes(8 * clean) / 8, [{"EchoTime": float(v)} for v in TE])
    told = next(note for note in said["warnings"] if "noise is not known" in note)
    assert "exactly zero" in told
    assert "does not explain these" in told
    assert any("give --sigma" in note for note in said["warnings"])
