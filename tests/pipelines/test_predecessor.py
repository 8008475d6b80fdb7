"""Every wrong result known of the predecessor, asked of the command."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from edits import PLAIN, copy_series, number, run, set_pixels

from pipelines.models.result import FATAL


def values(image):
    return np.asarray(image.dataobj)


def whole_mask(path, series):
    """A mask of every voxel on the grid of the maps of a series."""
    _, image = run("t2", series, path.parent / "for_mask", *PLAIN)
    found = image("T2map")
    nib.save(nib.Nifti1Image(np.ones(found.shape, np.uint8), found.affine), path)
    return path


def depth(ds):
    return tuple(float(v) for v in ds.ImagePositionPatient)


@pytest.mark.parametrize("way", [1, -1], ids=["ascending", "descending"])
def test_repetition_times_may_ascend_or_descend(mouse, tmp_path, way):
    _, expected = run("t1sr", mouse.series("t1sr"), tmp_path / "a", *PLAIN)
    folder = copy_series(mouse.series("t1sr"), tmp_path / "series")
    number(folder, lambda ds: (way * float(ds.RepetitionTime), depth(ds)))
    _, image = run("t1sr", folder, tmp_path / "b", *PLAIN)
    np.testing.assert_array_equal(values(image("T1map")), values(expected("T1map")))


@pytest.mark.parametrize("fastest", ["echo", "slice"])
def test_echoes_or_slices_may_come_fastest(mouse, tmp_path, fastest):
    _, expected = run("t2", mouse.series("t2"), tmp_path / "a", *PLAIN)
    folder = copy_series(mouse.series("t2"), tmp_path / "series")

    def place(ds):
        echo = float(ds.EchoTime)
        return (depth(ds), echo) if fastest == "echo" else (echo, depth(ds))

    number(folder, place)
    _, image = run("t2", folder, tmp_path / "b", *PLAIN)
    np.testing.assert_array_equal(values(image("T2map")), values(expected("T2map")))
    true = mouse.true_map("3_t2map_T2_ms", image("T2map").affine, image("T2map").shape)
    found = values(image("T2map"))
    inside = np.isfinite(found) & (true > 0)
    assert abs(np.median(found[inside] / true[inside] - 1)) < 0.005


@pytest.mark.parametrize("cut", ["rows", "columns"])
def test_matrices_need_not_be_square(mouse, tmp_path, cut):
    mask = whole_mask(tmp_path / "mask.nii.gz", mouse.series("t2"))
    options = (*PLAIN, "--skip-echoes", "0", "--mask")
    _, expected = run("t2", mouse.series("t2"), tmp_path / "a", *options, mask)
    full = expected("T2map")
    part = (slice(None, -7), slice(None)) if cut == "rows" else (slice(None), slice(None, -7))
    folder = copy_series(
        mouse.series("t2"), tmp_path / "series", lambda ds: set_pixels(ds, ds.pixel_array[part])
    )
    small = np.ones_like(values(full), np.uint8)[part[::-1]]
    nib.save(nib.Nifti1Image(small, full.affine), tmp_path / "small.nii.gz")
    _, image = run("t2", folder, tmp_path / "b", *options, tmp_path / "small.nii.gz")
    assert image("T2map").shape == small.shape
    assert image("T2map").shape[0] != image("T2map").shape[1]
    np.testing.assert_allclose(image("T2map").affine, full.affine, atol=1e-6)
    np.testing.assert_array_equal(values(image("T2map")), values(full)[part[::-1]])


def test_each_of_several_slices_has_its_own_values(mouse, tmp_path):
    mask = whole_mask(tmp_path / "mask.nii.gz", mouse.series("t2"))
    options = (*PLAIN, "--skip-echoes", "0")
    _, image = run("t2", mouse.series("t2"), tmp_path / "all", *options, "--mask", mask)
    together = image("T2map")
    assert together.shape[2] > 1
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in mouse.series("t2").iterdir()]
    for index, place in enumerate(sorted({depth(ds) for ds in headers}, key=lambda p: p[2])):
        folder = copy_series(mouse.series("t2"), tmp_path / f"series{index}")
        for path in folder.iterdir():
            if depth(pydicom.dcmread(path, stop_before_pixels=True)) != place:
                path.unlink()
        _, own = run("t2", folder, tmp_path / f"own{index}", *options)
        alone = own("T2map")
        corner = np.linalg.solve(together.affine, alone.affine @ [0, 0, 0, 1])
        same = values(together)[:, :, round(corner[2])]
        there = np.isfinite(values(alone)[:, :, 0])
        assert there.sum() > 100
        np.testing.assert_array_equal(same[there], values(alone)[:, :, 0][there])


@pytest.fixture
def spoilt(mouse, tmp_path):
    """T2 and T1 series with a corner of nothing, of the top of the scale, and of rising signal."""

    def make(name):
        folder = tmp_path / f"spoilt_{name}"

        def change(ds):
            pixels = ds.pixel_array.copy()
            late = float(ds.EchoTime if name == "t2" else -float(ds.RepetitionTime))
            pixels[:6, :6] = 0
            pixels[:6, 6:12] = np.iinfo(pixels.dtype).max
            pixels[:6, 12:18] = int(100 + late) if name == "t2" else int(9000 + late)
            set_pixels(ds, pixels)

        return copy_series(mouse.series(name), folder, change)

    return make


@pytest.mark.parametrize(("command", "main_map"), [("t2", "T2map"), ("t1sr", "T1map")])
def test_no_flag_stands_in_a_map_and_failed_voxels_have_no_r_squared(
    spoilt, mouse, tmp_path, command, main_map
):
    mask = whole_mask(tmp_path / "mask.nii.gz", mouse.series("t2"))
    folder = spoilt(command)
    options = (*PLAIN, "--mask", mask)
    _, image = run(command, folder, tmp_path / "out", *options)
    flags = values(image(main_map, "flags")).astype(np.uint8)
    lost = (flags & np.uint8(FATAL)) != 0
    assert lost[:18, :6].all()
    assert 0.05 < lost.mean() < 1
    parameter = values(image(main_map))
    for found in (parameter, values(image(main_map, "r2fit")), values(image(main_map, "error"))):
        np.testing.assert_array_equal(np.isnan(found), lost)
    assert np.nanmin(parameter) > 0
    assert not np.isin(parameter, [-1, -2, 0]).any()
    assert np.nanmax(values(image(main_map, "r2fit"))) <= 1
    assert flags.dtype == np.uint8
    assert values(image(main_map, "flags")).shape == parameter.shape


def test_voxels_have_the_size_of_the_images(mouse, tmp_path):
    options = ("--format", "nifti,dicom", "--sigma", "0")
    _, image = run("t2", mouse.series("t2"), tmp_path / "out", *options)
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in mouse.series("t2").iterdir()]
    between_rows, between_columns = (float(v) for v in headers[0].PixelSpacing)
    places = np.array(sorted({depth(ds) for ds in headers}))
    pitch = np.linalg.norm(np.diff(places, axis=0), axis=1)
    for kind in ("nifti", "error", "flags", "r2fit"):
        zooms = image("T2map", kind).header.get_zooms()[:3]
        np.testing.assert_allclose(zooms, [between_columns, between_rows, pitch[0]], rtol=1e-5)
        assert image("T2map", kind).header["xyzt_units"] & 7 == 2  # mm
    made = pydicom.dcmread(tmp_path / "out" / "dicom" / "T2map.dcm")
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(v) for v in measures.PixelSpacing] == [between_rows, between_columns]
    assert float(measures.SliceThickness) > 0
    for path in (tmp_path / "out" / "dicom" / "T2map_int16").iterdir():
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        assert [float(v) for v in ds.PixelSpacing] == [between_rows, between_columns]
        assert float(ds.SliceThickness) > 0
