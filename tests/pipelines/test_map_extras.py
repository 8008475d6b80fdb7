"""Maps given beside the images: B0, B1, T1 and pH calibrations through the command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.models.vfa import spoiled_echo
from pipelines.models.wasabi import wasabi_signal

SHAPE = (7, 6, 2)  # columns, rows, slices
AFFINE = np.diag([-0.5, -0.4, 1.0, 1.0])
MHZ = 300.0


def save(path, values, sidecar=None):
    nib.save(nib.Nifti1Image(np.asarray(values, np.float32), AFFINE), path)
    if sidecar is not None:
        name = path.name.removesuffix(".nii.gz")
        path.with_name(f"{name}.json").write_text(json.dumps(sidecar), encoding="utf-8")
    return path


def spread(low, high):
    return np.linspace(low, high, int(np.prod(SHAPE))).reshape(SHAPE)


@pytest.fixture
def whole(tmp_path):
    return "--mask", save(tmp_path / "whole.nii.gz", np.ones(SHAPE))


def run(command, source, out, *words, formats="nifti"):
    line = [command, source, out, "--sigma", "0", "--json", "--format", formats, *words]
    return CliRunner().invoke(main, ["map", *map(str, line)])


def maps(done):
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["maps"]
    return {name: np.asarray(nib.load(row["nifti"]).dataobj) for name, row in rows.items()}


def refused(done, code, words):
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert "Traceback" not in done.output


# --- B1 ------------------------------------------------------------------------------------------


@pytest.fixture
def angles(tmp_path):
    """Variable flip angles under a B1 of 0.8 to 1.2, and T1 of 500 to 2000 ms."""
    nominal = np.array([3.0, 8.0, 14.0, 20.0])
    b1, t1 = spread(0.8, 1.2), spread(2000, 500)
    actual = np.radians(nominal) * b1.ravel()[:, None]
    data = spoiled_echo(actual, 15.0, t1.ravel(), np.full(t1.size, 5000.0)).reshape(*SHAPE, 4)
    side = {"FlipAngle": nominal.tolist(), "RepetitionTimeExcitation": 0.015}
    return save(tmp_path / "vfa.nii.gz", data, side), b1, t1


@pytest.mark.parametrize(
    ("factor", "side"), [(1, None), (100, {"Units": "%"}), (1, {"Units": "1"})]
)
def test_b1_makes_t1_right(tmp_path, angles, whole, factor, side):
    source, b1, t1 = angles
    path = save(tmp_path / "b1.nii.gz", factor * b1, side)
    got = maps(run("t1vfa", source, tmp_path / "out", "--b1", path, *whole))["T1map"]
    np.testing.assert_allclose(got, t1, rtol=1e-4)
    without = maps(run("t1vfa", source, tmp_path / "plain", *whole))["T1map"]
    assert np.abs(without / t1 - 1).max() > 0.3


def test_b1_in_percent_without_a_unit_is_refused(tmp_path, angles):
    source, b1, _ = angles
    path = save(tmp_path / "b1.nii.gz", 100 * b1)
    refused(run("t1vfa", source, tmp_path / "out", "--b1", path), 2, "a fraction of the nominal")
    assert not (tmp_path / "out").exists()


def test_b1_outside_the_mask_is_refused_and_gaps_are_told(tmp_path, angles, whole):
    source, b1, t1 = angles
    path = save(tmp_path / "b1.nii.gz", np.where(t1 > 1000, b1, np.nan))
    done = run("t1vfa", source, tmp_path / "out", "--b1", path, *whole)
    got = maps(done)["T1map"]
    assert np.array_equal(np.isfinite(got), t1 > 1000)
    lacking = int(np.count_nonzero(t1 <= 1000))
    assert any(f"no value in {lacking} of the {t1.size}" in note for note in notes(done))
    mask = save(tmp_path / "m.nii.gz", t1 <= 1000)
    refused(
        run("t1vfa", source, tmp_path / "b", "--b1", path, "--mask", mask), 2, "inside the mask"
    )


def notes(done):
    return json.loads(done.stdout)["warnings"]


# --- Z-spectra -----------------------------------------------------------------------------------

OFFSETS = np.concatenate([[-300.0], np.arange(-8, 8.01, 0.1)])
T1 = 1600.0


def line(offset, centre, height, width):
    return height * (width / 2) ** 2 / ((width / 2) ** 2 + (offset - centre) ** 2)


def spectrum(shift, amide=0.06, at=3.5, other=0.0):
    """Z of water, a pool at `at` and one at 5.5 ppm, all moved by `shift`; M0 first."""
    x = OFFSETS[1:] - shift[..., None]
    z = 1 - line(x, 0, 0.85, 1.6) - line(x, at, amide, 0.8) - line(x, 5.5, other, 0.8)
    return 1000 * np.concatenate([np.ones((*SHAPE, 1)), z], axis=-1)


SIDE = {"SaturationOffsetPpm": OFFSETS.tolist(), "ImagingFrequency": MHZ}
SHIFT = spread(-0.31, 0.29)


@pytest.fixture
def cest(tmp_path):
    return save(tmp_path / "cest.nii.gz", spectrum(SHIFT), SIDE)


def asymmetry(ppm=3.5, amide=0.06):
    x = np.array([-ppm, ppm])
    z = 1 - line(x, 0, 0.85, 1.6) - line(x, 3.5, amide, 0.8)
    return 100 * (z[0] - z[1])


def wassr(tmp_path):
    offsets = np.arange(-1.2, 1.21, 0.1)
    z = 1000 * (1 - line(offsets - SHIFT[..., None], 0, 0.9, 0.4))
    return save(tmp_path / "wassr.nii.gz", z, {"SaturationOffsetPpm": offsets.tolist()}), 0.02


def wasabi(tmp_path):
    offsets = np.linspace(-2, 2, 31)
    p = np.stack([np.full(SHIFT.size, v) for v in (0.95, 1.5, 0.9)] + [SHIFT.ravel()], axis=1)
    z, _ = wasabi_signal(p, offsets, 5.0, 3.7, MHZ)
    data = 1000 * np.concatenate([np.ones((len(z), 1)), z], axis=1).reshape(*SHAPE, -1)
    side = {
        "SaturationOffsetPpm": [-300.0, *offsets.tolist()],
        "SaturationPulseLength": 0.005,
        "SaturationB1": 3.7,
        "ImagingFrequency": MHZ,
    }
    return save(tmp_path / "wasabi.nii.gz", data, side), 1e-3


def ppm_map(tmp_path):
    return save(tmp_path / "b0.nii.gz", SHIFT), 1e-6


def hertz_map(tmp_path):
    return save(tmp_path / "b0hz.nii.gz", SHIFT * MHZ, {"Units": "Hz"}), 1e-6


@pytest.mark.parametrize("make", [wassr, wasabi, ppm_map, hertz_map])
def test_b0_of_every_kind(tmp_path, cest, whole, make):
    path, tolerance = make(tmp_path)
    done = run("cest", cest, tmp_path / "out", "--b0", path, "--offsets", "3.5", *whole)
    got = maps(done)
    np.testing.assert_allclose(got["B0map"], SHIFT, atol=tolerance)
    np.testing.assert_allclose(got["MTRasym_3.5ppm"], asymmetry(), atol=0.25)
    told = " ".join(notes(done))
    assert ("WASSR" in told) == (make is wassr)
    assert ("WASABI" in told) == (make is wasabi)


def test_windows_are_means_of_the_asymmetry(tmp_path, cest, whole):
    done = run(
        "cest", cest, tmp_path / "out", "--b0", ppm_map(tmp_path)[0], *whole,
        "--offsets", "amide,2.2-2.6",
    )  # fmt: skip
    got = maps(done)
    assert "MTRasym_3.5ppm" not in got
    amide = np.mean([asymmetry(ppm) for ppm in np.arange(3.2, 3.81, 0.05)])
    np.testing.assert_allclose(got["MTRasym_amide"], amide, atol=0.2)
    low = np.mean([asymmetry(ppm) for ppm in np.arange(2.2, 2.61, 0.05)])
    np.testing.assert_allclose(got["MTRasym_2.2-2.6ppm"], low, atol=0.2)


@pytest.mark.parametrize("words", ["3.5-3.2", "apt", "-2.0", "0", "nan"])
def test_offsets_that_mean_nothing(tmp_path, cest, words):
    done = run("cest", cest, tmp_path / "out", "--offsets", words)
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_arex_is_rex_over_t1(tmp_path, cest, whole):
    t1 = spread(1000, 2000)
    words = ["--b0", ppm_map(tmp_path)[0], "--offsets", "3.5", *whole]
    path = save(tmp_path / "t1.nii.gz", t1)
    got = maps(run("cest", cest, tmp_path / "out", "--t1", path, *words))
    z = 1 - line(3.5, 0, 0.85, 1.6)
    rex = 1 / (z - 0.06) - 1 / z
    np.testing.assert_allclose(got["MTRrex_3.5ppm"], 100 * rex, rtol=0.05)
    np.testing.assert_allclose(got["AREX_3.5ppm"], rex / (t1 / 1000), rtol=0.05)
    seconds = save(tmp_path / "t1s.nii.gz", t1 / 1000, {"Units": "s"})
    again = maps(run("cest", cest, tmp_path / "s", "--t1", seconds, *words))
    np.testing.assert_allclose(again["AREX_3.5ppm"], got["AREX_3.5ppm"], rtol=1e-5)
    wrong = save(tmp_path / "t1x.nii.gz", t1 / 1000)
    refused(run("cest", cest, tmp_path / "x", "--t1", wrong, *words), 2, "--t1 needs ms")


def test_extras_that_a_map_has_no_use_for(tmp_path, cest, angles, whole):
    path = save(tmp_path / "t1.nii.gz", spread(1000, 2000))
    refused(run("t1vfa", angles[0], tmp_path / "a", "--t1", path), 2, "no use for --t1")
    refused(run("cest", cest, tmp_path / "b", "--b1", path), 2, "no use for --b1")
    refused(
        run("cest", cest, tmp_path / "c", "--b0", path, "--model", "wasabi"), 2, "no use for --b0"
    )
    refused(run("t2", cest, tmp_path / "d", "--offsets", "3.5"), 2, "no use for --offsets")


def test_wasabi_gives_b0_and_b1_that_serve_the_next_command(tmp_path, whole, cest, angles):
    done = run("cest", wasabi(tmp_path)[0], tmp_path / "w", "--model", "wasabi", *whole)
    got = maps(done)
    np.testing.assert_allclose(got["B0map"], SHIFT, atol=1e-3)
    np.testing.assert_allclose(got["B1map"], 90.0, atol=0.1)
    rows = json.loads(done.stdout)["maps"]
    b0 = run("cest", cest, tmp_path / "c", "--b0", rows["B0map"]["nifti"], *whole)
    np.testing.assert_allclose(maps(b0)["MTRasym_3.5ppm"], asymmetry(), atol=0.25)
    # Its unit, per cent, stands in the sidecar.
    vfa = run("t1vfa", angles[0], tmp_path / "v", "--b1", rows["B1map"]["nifti"], *whole)
    flat = save(tmp_path / "flat.nii.gz", np.full(SHAPE, 0.9))
    other = run("t1vfa", angles[0], tmp_path / "f", "--b1", flat, *whole)
    np.testing.assert_allclose(maps(vfa)["T1map"], maps(other)["T1map"], rtol=5e-3)


def test_wasabi_without_its_pulse_is_refused(tmp_path, cest, whole):
    done = run("cest", cest, tmp_path / "w", "--model", "wasabi", *whole)
    refused(done, 3, "length and amplitude of the pulse")


# --- pH ------------------------------------------------------------------------------------------

CALIBRATION = """
ph = [5.5, 6.0, 6.5, 7.0, 7.5]
ratio = [0.4, 0.7, 1.2, 2.0, 3.4]
field_t = 7.0
b1_ut = 3.0
temperature_c = 37.0
source = "test tubes"
"""


@pytest.fixture
def iopamidol(tmp_path):
    z = spectrum(np.zeros(SHAPE), amide=0.12, at=4.2, other=0.1)
    side = {**SIDE, "MagneticFieldStrength": 7.0, "SaturationB1": 3.0}
    return save(tmp_path / "iopamidol.nii.gz", z, side)


def calibration(tmp_path, text=CALIBRATION):
    path = tmp_path / "ph.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ph_by_a_calibration(tmp_path, iopamidol, whole):
    b0 = save(tmp_path / "b0.nii.gz", np.full(SHAPE, 1e-6))
    words = ["--ph", calibration(tmp_path), "--b0", b0, *whole]
    done = run("cest", iopamidol, tmp_path / "out", *words)
    got = maps(done)
    transfer = []
    for ppm in (4.2, 5.5):
        z = [1 - line(x, 0, 0.85, 1.6) - line(x, 4.2, 0.12, 0.8) - line(x, 5.5, 0.1, 0.8)
             for x in (-ppm, ppm)]  # fmt: skip
        transfer.append(z[0] - z[1])
    a, b = transfer
    ratio = (a / (1 - a)) / (b / (1 - b))
    np.testing.assert_allclose(got["RST"], ratio, rtol=0.02)
    between = np.interp(ratio, [0.7, 1.2, 2.0], [6.0, 6.5, 7.0])
    np.testing.assert_allclose(got["pH"], between, atol=0.03)
    assert any("test tubes" in note for note in notes(done))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("field_t = 7.0", "field_t = 3.0", "field of 3 T"),
        ("b1_ut = 3.0", "b1_ut = 6.0", "B1 of 6 uT"),
        ('source = "test tubes"', "", "does not say source"),
        ("2.0, 3.4]", "0.1, 3.4]", "rising or falling"),
        ("[5.5, 6.0", '["acid", 6.0', "no number"),
    ],
)
def test_calibration_that_does_not_hold(tmp_path, iopamidol, whole, old, new, words):
    path = calibration(tmp_path, CALIBRATION.replace(old, new))
    refused(run("cest", iopamidol, tmp_path / "out", "--ph", path, *whole), 2, words)


def test_calibration_that_is_no_toml(tmp_path, iopamidol):
    path = calibration(tmp_path, "ph = [")
    refused(run("cest", iopamidol, tmp_path / "out", "--ph", path), 2, "no valid TOML")


# --- Parametric Map, provenance, stopping --------------------------------------------------------


def test_parametric_map_of_an_earlier_run(mouse, tmp_path):
    """B0 written as DICOM comes back on its voxels: the maps made with it are the same."""
    source = mouse.series("cest")
    first = run("cest", source, tmp_path / "a", formats="nifti,dicom")
    b0 = tmp_path / "a" / "dicom" / "B0map.dcm"
    again = maps(run("cest", source, tmp_path / "b", "--b0", b0))
    for name, values in maps(first).items():
        np.testing.assert_allclose(again[name], values, rtol=1e-4, atol=1e-3)


def test_contents_of_a_mask_enter_the_hash(tmp_path, angles):
    source = angles[0]
    said = []
    for k in (0, 1):
        folder = tmp_path / f"m{k}"
        folder.mkdir()
        mask = np.ones(SHAPE)
        mask[0, 0, k] = 0
        words = ["--mask", save(folder / "mask.nii.gz", mask)]
        assert run("t1vfa", source, tmp_path / f"o{k}", *words).exit_code == 0
        content = json.loads((tmp_path / f"o{k}" / "provenance.json").read_text(encoding="utf-8"))
        assert content["options"]["mask"]["file"] == "mask.nii.gz"
        said.append(content["parameters"])
    assert said[0] != said[1]


@pytest.mark.skipif(os.name != "posix", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_on_the_way_leaves_nothing(tmp_path, number):
    shape = (96, 96, 24, 16)
    times = np.arange(1, 17) * 0.01
    data = 1000 * np.exp(-times / 0.05) * np.ones(shape)
    source = save(tmp_path / "big.nii.gz", data, {"EchoTime": times.tolist()})
    code = "from pipelines.cli import main; main()"
    root = Path(__file__).resolve().parents[2]
    started = subprocess.Popen(
        [sys.executable, "-c", code, "map", "t2", source, tmp_path / "out"],
        cwd=root,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # The folder beside the results is there from the first moment of the work on.
    while not list(tmp_path.glob(".out.*")) and started.poll() is None:
        time.sleep(0.02)
    started.send_signal(number)
    said, told = started.communicate(timeout=120)
    assert started.returncode == 130, told
    assert "nothing was written" in told
    assert "Traceback" not in told
    assert said == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big.json", "big.nii.gz"]
