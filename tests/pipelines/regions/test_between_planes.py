"""Contours that lie between the planes of their image."""

import shutil

import numpy as np
import pytest
from region_files import Scan, box, write_rtstruct, write_series

from pipelines.regions.run import RoiOptions, average_masks

SLICES = range(3, 12)


def _case(tmp_path, off=0.0, planes=SLICES, shape=lambda k: box(9.5, 9.5, 29.5, 29.5)):
    scan = Scan(shape=(16, 40, 40), spacing=(0.5, 0.5), step=1.0, origin=(-10.0, -10.0, -8.0))
    write_series(tmp_path / "image", scan)
    shift = off * np.cross(scan.orientation[:3], scan.orientation[3:])
    lines = [(scan.mm(shape(k), k) + shift, scan.uids[k]) for k in planes]
    return scan, write_rtstruct(tmp_path / "roi.dcm", scan, {"block": lines})


def _measure(tmp_path, roi, **options):
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    formats = RoiOptions(formats=("nifti",), unit="ms", **options)
    return average_masks(tmp_path / "image", roi, [tmp_path / "image"], out, formats)


@pytest.mark.parametrize("off", [0.0, 0.1, 0.25, -0.25, 0.5, -0.5])
def test_contours_off_their_planes_count_in_the_nearest(tmp_path, off):
    _, roi = _case(tmp_path, off)
    summary = _measure(tmp_path, roi)
    (found,) = summary.result.rois
    assert summary.exit_code == 0
    assert found.image_voxels == 3600
    told = any(
        "Contours between two planes, counted in the nearest: 9" in w for w in found.warnings
    )
    assert told == (abs(off) > 0.2)


@pytest.mark.parametrize(("off", "left"), [(0.19, ""), (0.21, "between the planes")])
def test_refused_on_request_from_a_fifth_of_a_slice_on(tmp_path, off, left):
    _, roi = _case(tmp_path, off)
    summary = _measure(tmp_path, roi, between="refuse")
    (found,) = summary.result.rois
    assert bool(found.unusable) == bool(left)
    assert left in found.unusable
    assert summary.exit_code == (3 if left else 0)


def test_every_other_slice_is_interpolated_on_request(tmp_path):
    """A cone: the radius of each slice between is half-way, as the truth has it."""

    def disc(k):
        angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
        radius = 4.0 + k
        return np.column_stack([20 + radius * np.cos(angle), 20 + radius * np.sin(angle)])

    scan, roi = _case(tmp_path, planes=range(3, 12, 2), shape=disc)
    (plain,) = _measure(tmp_path, roi).result.rois
    summary = _measure(tmp_path, roi, between="interpolate")
    (found,) = summary.result.rois
    assert any("interpolated, as asked: 4" in w for w in found.warnings)
    size = scan.shape[1] * scan.shape[2]
    counts = np.bincount(found.drawn.index // size, minlength=scan.shape[0])
    assert np.count_nonzero(np.bincount(plain.drawn.index // size)) == 5
    row, column = np.indices(scan.shape[1:])
    for k in range(3, 12):
        truth = np.count_nonzero((row - 20) ** 2 + (column - 20) ** 2 <= (4 + k) ** 2)
        assert counts[k] == pytest.approx(truth, rel=0.06), k


def test_contours_left_out_end_the_command_with_8(tmp_path):
    scan = Scan(shape=(16, 40, 40), spacing=(0.5, 0.5), step=1.0, origin=(-10.0, -10.0, -8.0))
    write_series(tmp_path / "image", scan)
    lines = [(scan.mm(box(9.5, 9.5, 29.5, 29.5), k), "") for k in (*SLICES, 40)]
    roi = write_rtstruct(tmp_path / "roi.dcm", scan, {"block": lines})
    summary = _measure(tmp_path, roi)
    (found,) = summary.result.rois
    assert found.is_partial
    assert summary.exit_code == 8
    assert any("outside the image, left out: 1" in w for w in found.warnings)


def test_references_that_are_all_foreign_end_the_command_with_8(tmp_path):
    scan = Scan(shape=(16, 40, 40), spacing=(0.5, 0.5), step=1.0, origin=(-10.0, -10.0, -8.0))
    write_series(tmp_path / "image", scan)
    lines = [(scan.mm(box(9.5, 9.5, 29.5, 29.5), k), f"1.2.3.{k}") for k in SLICES]
    roi = write_rtstruct(tmp_path / "roi.dcm", scan, {"block": lines})
    summary = _measure(tmp_path, roi)
    assert summary.exit_code == 8
    assert any("name an image that is not here" in w for w in summary.result.rois[0].warnings)
