"""The same region of the same volume, whatever the size of its voxels: from micro-CT to man."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
from region_files import Scan, aim_text, box, oblique, write_rtstruct, write_seg, write_series

from pipelines.regions.run import RoiOptions, average_masks

SLICES, SIZE = 20, 64
INSIDE = range(5, 15)  # slices
FIRST, LAST = 10, 29  # rows and columns
UM = [2, 5, 9, 9.9, 10, 12, 100, 1000, 5000]


def _values():
    """100 + slice in every voxel."""
    return np.broadcast_to(100.0 + np.arange(SLICES)[:, None, None], (SLICES, SIZE, SIZE))


def _scan(um):
    size = um / 1000
    return Scan(
        shape=(SLICES, SIZE, SIZE), spacing=(size, size), step=size, orientation=oblique(),
        origin=(-31 * size, 12 * size, 7 * size),
    )  # fmt: skip


def _ras(scan):
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.affine


def _image(kind, scan, folder):
    if kind == "nifti":
        path = folder / "image.nii.gz"
        data = np.ascontiguousarray(_values().transpose(2, 1, 0), dtype=np.float32)
        nib.save(nib.Nifti1Image(data, _ras(scan)), path)
        return path
    write_series(folder / "image", scan)
    for k, uid in enumerate(scan.uids):
        (path,) = [
            one
            for one in (folder / "image").iterdir()
            if pydicom.dcmread(one, stop_before_pixels=True).SOPInstanceUID == uid
        ]
        ds = pydicom.dcmread(path)
        ds.PixelData = np.full((SIZE, SIZE), 100 + k, np.uint16).tobytes()
        ds.RescaleSlope, ds.RescaleIntercept = "1", "0"
        ds.save_as(path)
    return folder / "image"


def _drawing(kind, scan, folder):
    line = box(FIRST - 0.5, FIRST - 0.5, LAST + 0.5, LAST + 0.5)
    plane = np.zeros((SIZE, SIZE), bool)
    plane[FIRST : LAST + 1, FIRST : LAST + 1] = True
    if kind == "RTSTRUCT":
        lines = [(scan.mm(line, k), scan.uids[k]) for k in INSIDE]
        return write_rtstruct(folder / "roi.dcm", scan, {"block": lines})
    if kind == "SEG":
        return write_seg(
            folder / "roi.dcm", scan, [(1, k, plane) for k in INSIDE], labels={1: "block"}
        )
    if kind == "AIM":
        path = folder / "roi.xml"
        text = aim_text({"block": [(scan.uids[k], 1, line) for k in INSIDE]})
        path.write_text(text, encoding="utf-8")
        return path
    volume = np.zeros((SLICES, SIZE, SIZE), np.uint8)
    volume[list(INSIDE)] = plane
    path = folder / "roi.nii.gz"
    nib.save(nib.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), _ras(scan)), path)
    return path


@pytest.mark.parametrize("kind", ["RTSTRUCT", "SEG", "AIM", "mask"])
@pytest.mark.parametrize("um", UM)
def test_a_region_has_its_voxels_and_its_mean(tmp_path, um, kind):
    scan = _scan(um)
    image = _image("dicom", scan, tmp_path)
    roi = _drawing(kind, scan, tmp_path)
    maps = [image, _image("nifti", scan, tmp_path)]
    summary = average_masks(image, roi, maps, tmp_path / "out", RoiOptions(formats=(), unit="ms"))
    assert summary.exit_code == 0, summary.result
    (found,) = summary.result.rois
    assert not found.unusable
    assert found.volume_mm3 == pytest.approx(4000 * (um / 1000) ** 3, rel=1e-5)
    assert len(found.maps) == 2
    for one in found.maps:
        assert not one.unusable
        assert one.own.whole.voxels == 4000
        assert one.own.whole.mean == pytest.approx(109.5, abs=1e-4)


@pytest.mark.parametrize("kind", ["RTSTRUCT", "mask"])
@pytest.mark.parametrize("um", UM)
def test_the_same_on_an_image_in_nifti(tmp_path, um, kind):
    scan = _scan(um)
    image = _image("nifti", scan, tmp_path)
    roi = _drawing(kind, scan, tmp_path)
    summary = average_masks(
        image,
        roi,
        [image],
        tmp_path / "out",
        RoiOptions(formats=(), assume_aligned=True, unit="ms"),
    )
    (found,) = summary.result.rois
    assert found.maps[0].own.whole.voxels == 4000
    assert found.maps[0].own.whole.mean == pytest.approx(109.5, abs=1e-4)
