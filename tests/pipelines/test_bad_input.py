"""What no map can come from: a sentence, the right exit code, and no file left."""

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
from edits import PLAIN, copy_series, refuse, run, set_pixels

from pipelines.models.result import Flag

SERIES = {"t2": "t2", "t2star": "t2", "t1sr": "t1sr", "dwi": "dwi", "cest": "cest"}
TE_S = 0.01 * np.arange(1, 9)
AFFINE = np.diag([0.5, 0.5, 1.0, 1.0])


def fill(value):
    def change(ds):
        set_pixels(ds, np.full_like(ds.pixel_array, value))

    return change


def eight_bits(ds):
    pixels = ds.pixel_array
    set_pixels(ds, (255 * (pixels / max(pixels.max(), 1))).astype(np.uint8))
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7


@pytest.mark.parametrize("command", SERIES)
def test_one_image(mouse, tmp_path, command):
    one = sorted(mouse.series(SERIES[command]).iterdir())[0]
    told = "are needed" if command != "cest" else "No image says its saturation offsets"
    refuse(3, told, command, one, tmp_path / "out")


@pytest.mark.parametrize(
    ("command", "keyword"),
    [("t2", "EchoTime"), ("t2star", "EchoTime"), ("t1sr", "RepetitionTime")],
)
def test_equal_times(mouse, tmp_path, command, keyword):
    def change(ds):
        setattr(ds, keyword, "30")
        ds.pop("EchoNumbers", None)

    folder = copy_series(mouse.series(SERIES[command]), tmp_path / "in", change)
    refuse(3, "have one value", command, folder, tmp_path / "out")


@pytest.mark.parametrize("command", ["dwi", "ivim"])
def test_b_values_all_missing(mouse, tmp_path, command):
    refuse(3, "b-value", command, mouse.series("t1sr"), tmp_path / "out")


def test_b_values_missing_in_one_image(mouse, tmp_path):
    folder = copy_series(mouse.series("dwi"), tmp_path / "in")
    path = sorted(folder.iterdir())[3]
    ds = pydicom.dcmread(path)
    for element in [e for e in ds if e.tag.group == 0x0018 and 0x9087 <= e.tag.element <= 0x9607]:
        del ds[element.tag]
    ds.pop("MRDiffusionSequence", None)
    ds.save_as(path)
    refuse(3, "do not say their b-values", "dwi", folder, tmp_path / "out")


@pytest.mark.parametrize("command", SERIES)
@pytest.mark.parametrize("content", ["all zero", "all saturated"])
def test_images_without_information(mouse, tmp_path, command, content):
    source = mouse.series(SERIES[command])
    top = np.iinfo(pydicom.dcmread(next(source.iterdir())).pixel_array.dtype).max
    folder = copy_series(source, tmp_path / "in", fill(0 if content == "all zero" else top))
    told = "enough signal" if content == "all zero" else "cut off at the top"
    refuse(3, told, command, folder, tmp_path / "out")


@pytest.mark.parametrize("command", ["t2", "t1sr", "dwi"])
def test_pictures_of_eight_bits(mouse, tmp_path, command):
    folder = copy_series(mouse.series(command), tmp_path / "in", eight_bits)
    refuse(3, "8-bit", command, folder, tmp_path / "out")


@pytest.mark.parametrize("factor", [1e-3, 1e3], ids=["seconds", "microseconds"])
@pytest.mark.parametrize(("command", "keyword"), [("t2", "EchoTime"), ("t1sr", "RepetitionTime")])
def test_wrong_units(mouse, tmp_path, command, keyword, factor):
    def change(ds):
        setattr(ds, keyword, f"{float(ds[keyword].value) * factor:.8g}")

    folder = copy_series(mouse.series(command), tmp_path / "in", change)
    refuse(3, "no number of milliseconds", command, folder, tmp_path / "out")


def decays(shape=(12, 10, 3)):
    t2 = np.linspace(0.03, 0.08, int(np.prod(shape))).reshape(shape)
    return 1e3 * np.exp(-TE_S / t2[..., None])


def nifti(folder, values, times=TE_S):
    folder.mkdir()
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), folder / "m1.nii.gz")
    said = json.dumps({"EchoTime": list(map(float, times))})
    (folder / "m1.json").write_text(said, encoding="utf-8")
    return folder / "m1.nii.gz"


def mask(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(values.astype(np.uint8), affine), path)
    return path


@pytest.mark.parametrize(
    ("values", "times", "told"),
    [
        (decays() * np.nan, TE_S, "or missing"),
        (decays() * 0, TE_S, "enough signal"),
        (-decays(), TE_S, "can be defended"),
        (decays(), TE_S * 1e3, "no number of milliseconds"),
        (decays(), TE_S * 1e-3, "no number of milliseconds"),
        (decays(), TE_S * 0 + 0.01, "fewer than 3 different"),
        (decays()[..., 0], TE_S[:1], "at least 3 are needed"),
        (decays()[..., :1], TE_S[:1], "at least 3 are needed"),
        (decays()[..., ::-1], TE_S, "another order"),
    ],
    ids=["nan", "zero", "negative", "ms", "us", "equal", "3-D", "one", "reversed"],
)
def test_nifti_that_cannot_be_fitted(tmp_path, values, times, told):
    refuse(3, told, "t2", nifti(tmp_path / "in", values, times), tmp_path / "out")


def test_voxels_that_cannot_be_fitted_leave_the_others_their_values(tmp_path):
    values = decays()
    values[0, 0, 0] = 0
    values[1, 0, 0, 3] = np.nan
    values[2, 0, 0, 4] = np.inf
    values[3, 0, 0] = -5
    whole = mask(tmp_path / "mask.nii.gz", np.ones(values.shape[:3]))
    source = nifti(tmp_path / "in", values)
    _, image = run("t2", source, tmp_path / "out", *PLAIN, "--mask", whole)
    found = np.asarray(image("T2map").dataobj)
    flags = np.asarray(image("T2map", "flags").dataobj).astype(np.uint8)
    assert np.isnan(found[:4, 0, 0]).all()
    assert flags[0, 0, 0] == flags[3, 0, 0] == Flag.LOW_SIGNAL
    assert flags[1, 0, 0] == flags[2, 0, 0] == Flag.NOT_FINITE
    truth = 1e3 * np.linspace(0.03, 0.08, found.size).reshape(found.shape)
    rest = np.isfinite(found)
    assert rest.sum() == found.size - 4
    np.testing.assert_allclose(found[rest], truth[rest], rtol=1e-4)


@pytest.fixture(scope="module")
def grids(mouse, tmp_path_factory):
    """Shape and affine of the maps of each command."""
    found = {}
    for command, series in SERIES.items():
        out = tmp_path_factory.mktemp("grids") / command
        said, image = run(command, mouse.series(series), out, "--format", "nifti")
        first = image(next(iter(said["maps"])))
        found[command] = first.shape[:3], first.affine
    return found


@pytest.mark.parametrize("command", SERIES)
@pytest.mark.parametrize(
    ("kind", "told"),
    [("empty", "is empty"), ("shape", "voxels and the images"), ("place", "mm away")],
)
def test_masks_that_do_not_fit(mouse, grids, tmp_path, command, kind, told):
    shape, affine = grids[command]
    values, affine = np.ones(shape), affine.copy()
    if kind == "empty":
        values[:] = 0
    elif kind == "shape":
        values = values[:-1]
    else:
        affine[:3, 3] += [2.0, 0.0, 0.0]
    path = mask(tmp_path / "mask.nii.gz", values, affine)
    source = mouse.series(SERIES[command])
    refuse(2, told, command, source, tmp_path / "out", "--mask", path)
