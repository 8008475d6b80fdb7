"""What other converters get wrong on phantoms, right here; the truth is counted by hand.

Every test draws in index coordinates, where the truth is plain, and goes through files, headers
and patient space.
"""

import numpy as np
import pytest
from region_files import (
    AXIAL,
    CORONAL,
    SAGITTAL,
    Scan,
    aim_text,
    box,
    centres_inside,
    circle,
    oblique,
    write_enhanced,
    write_rtstruct,
    write_seg,
    write_series,
)

from pipelines.regions.rasterize import rasterize
from pipelines.regions.readers import read_regions
from pipelines.regions.volume import read_image

ORIENTATIONS = {
    "axial": AXIAL,
    "coronal": CORONAL,
    "sagittal": SAGITTAL,
    "oblique": oblique(),
}


def _image(tmp_path, scan, **how):
    return read_image(write_series(tmp_path / "image", scan, **how))


def _rtstruct(tmp_path, scan, contours, name="A", **how):
    """Masks of {name: [(slice, index points)]} through an RTSTRUCT."""
    named = dict(enumerate(scan.uids))
    lines = [(scan.mm(points, k), named.get(k)) for k, points in contours]
    return write_rtstruct(tmp_path / "drawn.dcm", scan, {name: lines}, **how)


def _only(path, image, **how):
    (region,) = read_regions(path, image).regions
    return rasterize(region, image, **how)


def test_a_contour_below_the_volume_is_left_out_and_counted_not_wrapped(tmp_path):
    scan = Scan()
    image = _image(tmp_path, scan)
    square = box(3.5, 3.5, 9.5, 9.5)
    path = _rtstruct(tmp_path, scan, [(-1, square), (0, square), (1, square)])
    found = _only(path, image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [36, 36, 0, 0, 0]
    assert found.outside == 1
    assert any("Contours outside the image, left out: 1." in text for text in found.warnings)


def test_a_contour_above_the_volume_does_not_drop_the_region(tmp_path):
    scan = Scan()
    image = _image(tmp_path, scan)
    square = box(3.5, 3.5, 9.5, 9.5)
    found = _only(_rtstruct(tmp_path, scan, [(4, square), (5, square), (9, square)]), image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [0, 0, 0, 0, 36]
    assert found.outside == 2


def test_a_ring_of_two_contours_keeps_its_hole(tmp_path):
    scan = Scan()
    image = _image(tmp_path, scan)
    found = _only(
        _rtstruct(tmp_path, scan, [(2, box(2.5, 2.5, 14.5, 14.5)), (2, box(5.5, 5.5, 9.5, 9.5))]),
        image,
    )
    assert found.voxels == 144 - 16
    assert found.areas_mm2[2] == pytest.approx((144 - 16) * 0.25)
    assert found.drawn_mm3 == pytest.approx((144 + 16) * 0.25), "the viewer adds holes"


@pytest.mark.parametrize("spacing", [(0.4, 0.9), (0.9, 0.4)])
@pytest.mark.parametrize("form", ["classic", "enhanced"])
@pytest.mark.parametrize("kind", ["AIM", "RTSTRUCT", "SEG"])
def test_unequal_spacing_on_an_oblique_image_is_not_swapped(tmp_path, spacing, form, kind):
    """Non-square, unequal, oblique: rows and columns cannot be taken for each other."""
    scan = Scan(shape=(4, 21, 37), spacing=spacing, step=1.3, orientation=oblique())
    line = circle(24.3, 8.2, 5.1, 40)
    if form == "classic":
        image = _image(tmp_path, scan, backwards=True)
        uids = [(uid, 1) for uid in scan.uids]
    else:
        frames = write_enhanced(tmp_path / "image/one.dcm", scan, order=(2, 0, 3, 1))
        image = read_image(tmp_path / "image")
        uids = [(scan.enhanced_uid, frames.index(k) + 1) for k in range(4)]
    truth = np.zeros(scan.shape, dtype=bool)
    truth[1] = truth[3] = centres_inside([line], scan.shape[1:])
    if kind == "AIM":
        path = tmp_path / "drawn.xml"
        path.write_text(aim_text({"A": [(*uids[k], line) for k in (1, 3)]}), encoding="utf-8")
    elif kind == "RTSTRUCT":
        path = _rtstruct(tmp_path, scan, [(1, line), (3, line)])
    else:
        path = write_seg(tmp_path / "drawn.dcm", scan, [(1, k, truth[k]) for k in (3, 1)])
    found = _only(path, image)
    assert np.array_equal(found.mask, truth)
    assert found.region.name in ("A", "Segment 1")


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_no_slice_is_lost_on_any_orientation(tmp_path, name):
    scan = Scan(shape=(6, 18, 26), spacing=(0.3, 0.7), step=0.9, orientation=ORIENTATIONS[name])
    image = _image(tmp_path, scan)
    lines = [circle(10 + k, 8, 4 + 0.3 * k, 30) for k in range(6)]
    found = _only(_rtstruct(tmp_path, scan, list(enumerate(lines))), image)
    truth = np.array([centres_inside([line], scan.shape[1:]) for line in lines])
    assert np.array_equal(found.mask, truth)
    assert found.warnings == ()


def test_no_slice_is_lost_to_rounded_orientations(tmp_path):
    """Slices of one stack whose cosines differ in the last digits, around a rounding border."""
    import pydicom

    angle = np.arcsin(0.1235)
    turned = (np.cos(angle), np.sin(angle), 0.0, -np.sin(angle), np.cos(angle), 0.0)
    scan = Scan(shape=(6, 16, 16), orientation=turned)
    folder = write_series(tmp_path / "image", scan)
    for k, path in enumerate(sorted(folder.iterdir())):
        ds = pydicom.dcmread(path)
        ds.ImageOrientationPatient[1] = f"{0.1235 + (-1) ** k * 1e-7:.8f}"
        ds.PixelSpacing[0] = f"{0.5 + k * 1e-9:.9f}"
        ds.save_as(path)
    assert read_image(folder).shape == (6, 16, 16)


@pytest.mark.parametrize("shape", [(2, 12, 40), (2, 40, 12)])
def test_a_non_square_image_does_not_clip_the_region(tmp_path, shape):
    scan = Scan(shape=shape)
    image = _image(tmp_path, scan)
    far = box(shape[2] - 5.5, shape[1] - 5.5, shape[2] - 1.5, shape[1] - 1.5)
    found = _only(_rtstruct(tmp_path, scan, [(1, far)]), image)
    assert found.voxels == 16
    assert found.mask[1, shape[1] - 5 : shape[1] - 1, shape[2] - 5 : shape[2] - 1].all()
    assert found.clipped == 0


def test_a_vertex_is_never_rounded_to_a_pixel(tmp_path):
    """A 3-pixel disc grows by 45 % in converters that round."""
    scan = Scan(shape=(1, 32, 32))
    image = _image(tmp_path, scan)
    rng = np.random.default_rng(3)
    counts = []
    for x, y in rng.uniform(14, 15, (25, 2)):
        counts.append(_only(_rtstruct(tmp_path, scan, [(0, circle(x, y, 3))]), image).voxels)
    assert np.mean(counts) == pytest.approx(np.pi * 9, rel=0.03)


def test_contours_without_references_are_placed_by_position(tmp_path):
    scan = Scan(orientation=oblique())
    image = _image(tmp_path, scan)
    lines = {"A": [(scan.mm(box(3.5, 3.5, 9.5, 9.5), 2), None)]}
    found = _only(write_rtstruct(tmp_path / "rt.dcm", scan, lines), image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [0, 0, 36, 0, 0]
    assert found.warnings == ("Contours that name no image, placed by their position: 1.",)


def test_contours_that_name_another_image_of_the_series_follow_their_position(tmp_path):
    scan = Scan()
    image = _image(tmp_path, scan)
    lines = {"A": [(scan.mm(box(3.5, 3.5, 9.5, 9.5), 2), scan.uids[4])]}
    found = _only(write_rtstruct(tmp_path / "rt.dcm", scan, lines), image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [0, 0, 36, 0, 0]
    assert "on another image than they name" in found.warnings[0]


def test_contours_between_planes_are_moved_to_the_nearest_and_counted(tmp_path):
    scan = Scan()
    image = _image(tmp_path, scan)
    square = box(3.5, 3.5, 9.5, 9.5)
    found = _only(_rtstruct(tmp_path, scan, [(1, square), (2.5, square)]), image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [0, 36, 36, 0, 0]
    assert any("between two planes, counted in the nearest: 1" in text for text in found.warnings)


def test_a_missing_slice_leaves_a_gap_and_is_not_interpolated(tmp_path):
    scan = Scan()
    image = _image(tmp_path, scan, skip=(2,))
    assert image.shape == (4, 32, 32)
    assert "1 to 2 mm apart" in image.notes[0]
    square = box(3.5, 3.5, 9.5, 9.5)
    found = _only(_rtstruct(tmp_path, scan, [(k, square) for k in range(5)]), image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [36] * 4
    assert found.outside == 1


def test_a_single_slice_is_an_image(tmp_path):
    scan = Scan(shape=(1, 16, 16), step=2.0)
    image = _image(tmp_path, scan)
    found = _only(_rtstruct(tmp_path, scan, [(0, box(3.5, 3.5, 9.5, 9.5))]), image)
    assert found.voxels * image.voxel_mm3 == pytest.approx(36 * 0.25 * 2.0)


def test_contours_of_one_region_in_any_order_and_split_sequences(tmp_path):
    """ROIs are told by number, never by order."""
    import pydicom

    scan = Scan()
    image = _image(tmp_path, scan)
    lines = {
        "first": [(scan.mm(box(3.5, 3.5, 9.5, 9.5), 1), None)],
        "second": [(scan.mm(box(3.5, 3.5, 7.5, 7.5), 2), None)],
    }
    path = write_rtstruct(tmp_path / "rt.dcm", scan, lines)
    ds = pydicom.dcmread(path)
    ds.ROIContourSequence.reverse()
    ds.save_as(path)
    drawn = read_regions(path, image)
    found = {one.name: rasterize(one, image).voxels for one in drawn.regions}
    assert found == {"first": 36, "second": 16}


def test_reading_needs_nothing_that_pydicom_3_took_away(tmp_path):
    import pydicom

    assert not hasattr(pydicom, "read_file")
    scan = Scan()
    image = _image(tmp_path, scan)
    assert _only(_rtstruct(tmp_path, scan, [(1, circle(9, 9, 4))]), image).voxels > 0
    assert not hasattr(pydicom, "read_file")


def test_echoes_of_one_position_are_one_slice(tmp_path):
    scan = Scan(shape=(3, 16, 16))
    frames = write_enhanced(tmp_path / "image/one.dcm", scan, echoes=4)
    image = read_image(tmp_path / "image")
    assert image.shape == (3, 16, 16)
    assert [image.instances[(scan.enhanced_uid, n + 1)] for n in range(12)] == frames
    path = tmp_path / "drawn.xml"
    drawn = {"A": [(scan.enhanced_uid, 7, box(3.5, 3.5, 9.5, 9.5))]}
    path.write_text(aim_text(drawn), encoding="utf-8")
    assert _only(path, image).mask.sum(axis=(1, 2)).tolist() == [0, 36, 0]
