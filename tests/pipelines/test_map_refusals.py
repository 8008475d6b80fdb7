"""What cannot be defended is refused in words, and nothing is left behind."""

import json
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from pipelines.cli import main


def refused(code, hint, *words):
    out = words[2]
    done = CliRunner().invoke(main, ["map", *map(str, words)])
    assert done.exit_code == code, done.output
    assert hint in done.stderr
    assert "Traceback" not in done.output
    assert not out.exists()
    assert [p for p in out.parent.iterdir() if p.name.startswith(f".{out.name}")] == []


@pytest.fixture
def copy(mouse, tmp_path):
    """A copy of the T2 series, and a function that edits every header."""
    folder = tmp_path / "series"
    shutil.copytree(mouse.series("t2"), folder)

    def edit(change):
        for path in sorted(folder.iterdir()):
            ds = pydicom.dcmread(path)
            change(ds)
            ds.save_as(path)
        return folder

    return edit


def test_one_image(mouse, tmp_path):
    one = sorted(mouse.series("t2").iterdir())[0]
    refused(3, "one value", "t2", one, tmp_path / "out")


def test_equal_echo_times(copy, tmp_path):
    folder = copy(lambda ds: setattr(ds, "EchoTime", "10"))
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        if "EchoNumbers" in ds:
            del ds.EchoNumbers
            ds.save_as(path)
    refused(3, "one value", "t2", folder, tmp_path / "out")


def test_missing_image(copy, tmp_path):
    folder = copy(lambda ds: None)
    sorted(folder.iterdir())[5].unlink()
    refused(3, "complete series", "t2", folder, tmp_path / "out")


def test_cut_file(copy, tmp_path):
    folder = copy(lambda ds: None)
    path = sorted(folder.iterdir())[5]
    path.write_bytes(path.read_bytes()[:-100])
    refused(4, "Get it again", "t2", folder, tmp_path / "out")


def test_pixels_of_no_size(copy, tmp_path):
    folder = copy(lambda ds: setattr(ds, "PixelSpacing", ["0", "0"]))
    refused(3, "how large its pixels are", "t2", folder, tmp_path / "out")


def test_no_b_values(mouse, tmp_path):
    refused(3, "b-values", "dwi", mouse.series("t2"), tmp_path / "out")


def test_no_images(tmp_path):
    (tmp_path / "in").mkdir()
    refused(3, "no MR image", "t2", tmp_path / "in", tmp_path / "out")


def test_reversed_signal_is_a_wrong_order(copy, tmp_path):
    """Ascending decay: echo times written backwards are found, not fitted."""
    folder = copy(lambda ds: setattr(ds, "EchoTime", str(90 - float(ds.EchoTime))))
    refused(3, "order", "t2", folder, tmp_path / "out")


def mask_file(path, mouse, shape=None, value=1, shift=0.0):
    from pipelines.fitting.methods import MAP_METHODS
    from pipelines.inputs.load import load_images

    images = load_images(mouse.series("t2"), MAP_METHODS["t2"].requirement)
    affine = images.affine.copy()
    affine[0, 3] += shift
    values = np.full(shape or images.grid[::-1], value, np.uint8)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [({"value": 0}, "is empty"), ({"shape": (4, 4, 4)}, "4x4x4"), ({"shift": 5.0}, "5 mm away")],
)
def test_wrong_mask(mouse, tmp_path, options, words):
    mask = mask_file(tmp_path / "mask.nii.gz", mouse, **options)
    refused(2, words, "t2", mouse.series("t2"), tmp_path / "out", "--mask", mask)


def test_option_of_another_map(mouse, tmp_path):
    refused(2, "no model epg", "t1sr", mouse.series("t1sr"), tmp_path / "out", "--model", "epg")


def test_echo_times_are_rebuilt_from_echo_numbers_and_said(copy, tmp_path):
    def change(ds):
        ds.EchoNumbers = round(float(ds.EchoTime) / 10)
        ds.EchoTime = "10"

    done = CliRunner().invoke(
        main,
        ["map", "t2", str(copy(change)), str(tmp_path / "out"), "--json", "--format", "nifti"],
    )
    assert done.exit_code == 0, done.output
    assert any("rebuilt" in note for note in json.loads(done.stdout)["warnings"])


def test_order_of_files_does_not_matter(mouse, copy, tmp_path):
    folder = copy(lambda ds: setattr(ds, "InstanceNumber", 1000 - int(ds.InstanceNumber)))
    files = sorted(folder.iterdir())
    for k, path in enumerate(files):
        path.rename(path.with_name(f"x{(k * 7) % len(files):03d}.bin"))
    medians = []
    for name, source in (("a", folder), ("b", mouse.series("t2"))):
        words = ["map", "t2", str(source), str(tmp_path / name), "--json", "--format", "nifti"]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        medians.append(json.loads(done.stdout)["maps"]["T2map"])
    assert medians[0]["median"] == medians[1]["median"]
    assert medians[0]["valid"] == medians[1]["valid"]
