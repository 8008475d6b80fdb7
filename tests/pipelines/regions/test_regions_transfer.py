"""Carrying masks to other grids: exact overlaps, sampled ones, frames of reference."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from region_files import (
    Scan,
    aim_text,
    box,
    centres_inside,
    circle,
    oblique,
    write_rtstruct,
    write_series,
)

from pipelines.regions.geometry import grid_of_affine, same_grid, slabs, to_pixels
from pipelines.regions.headers import FramePlace
from pipelines.regions.model import DrawnMask, Region, RegionSet, Transferred
from pipelines.regions.overlap import crop, overlap, volume_mm3
from pipelines.regions.rasterize import rasterize
from pipelines.regions.readers import read_regions
from pipelines.regions.readers.twins import Twin, compare
from pipelines.regions.run_maps import MapVolume
from pipelines.regions.run_measure import measure_regions
from pipelines.regions.transfer import transfer
from pipelines.regions.volume import read_image, stack
from xnat_pic.errors import WrongCallError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
FRAME = "1.2.3"


def _grid(scan):
    return grid_of_affine(LPS_TO_RAS @ scan.affine, scan.shape, FRAME)


def _coarse(scan, factors, shape, shift=(0.0, 0.0, 0.0)):
    """A grid with voxels `factors` (column, row, slice) as large, shifted by fine voxels."""
    affine = scan.affine.copy()
    start = np.array(shift) + (np.array(factors) - 1) / 2
    affine[:3, 3] += affine[:3, :3] @ start
    affine[:3, :3] *= factors
    return grid_of_affine(LPS_TO_RAS @ affine, shape, FRAME)


def test_the_same_grid_takes_the_mask_as_it_is():
    scan = Scan(shape=(3, 8, 9), orientation=oblique())
    mask = np.random.default_rng(0).random((3, 8, 9)) > 0.5
    nudged = replace(_grid(scan), positions=_grid(scan).positions + 0.002)
    found = transfer(mask, _grid(scan), nudged)
    assert found.same_grid
    assert np.array_equal(found.mask, mask)
    assert np.array_equal(found.core, mask)
    assert found.covered == 1


def test_half_of_a_voxel_is_whole_and_95_per_cent_core():
    shares = np.array([[[0.499, 0.5, 0.949, 0.951]]], np.float32)
    found = Transferred(shares, same_grid=False, covered=1.0)
    assert found.mask.ravel().tolist() == [False, True, True, True]
    assert found.core.ravel().tolist() == [False, False, False, True]


@pytest.mark.parametrize("axis", ["row", "column", "normal"])
@pytest.mark.parametrize(("part", "same"), [(0.009, True), (-0.009, True), (0.011, False)])
def test_grids_are_the_same_within_a_hundredth_of_a_voxel(axis, part, same):
    grid = _grid(Scan(shape=(3, 8, 9), spacing=(0.4, 0.9), step=1.1, orientation=oblique()))
    size = {"row": 0.9, "column": 0.4, "normal": 1.1}[axis]
    moved = replace(grid, positions=grid.positions + part * size * getattr(grid, axis))
    assert same_grid(grid, moved) == same


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), oblique()], ids=["axial", "oblique"])
def test_shares_of_voxels_that_hold_whole_ones_are_their_mean(orientation):
    scan = Scan(shape=(6, 12, 15), spacing=(0.4, 0.9), step=1.1, orientation=orientation)
    mask = np.random.default_rng(1).random((6, 12, 15)) > 0.4
    target = _coarse(scan, (3, 4, 2), (3, 3, 5))
    found = transfer(mask, _grid(scan), target)
    expected = mask.reshape(3, 2, 3, 4, 5, 3).mean(axis=(1, 3, 5))
    assert np.abs(found.fraction - expected).max() < 1e-6
    assert found.covered == pytest.approx(1)
    assert np.array_equal(found.mask, found.fraction >= 0.5)
    assert np.array_equal(found.core, found.fraction >= 0.95)


def test_a_voxel_half_way_between_two_gets_half_of_each():
    scan = Scan(shape=(1, 4, 4))
    mask = np.zeros((1, 4, 4), dtype=bool)
    mask[0, 1, 1] = True
    found = transfer(mask, _grid(scan), _coarse(scan, (1, 1, 1), (1, 4, 4), (0.5, 0.25, 0)))
    assert found.fraction[0, 1, 0] == pytest.approx(0.5 * 0.75)
    assert found.fraction[0, 1, 1] == pytest.approx(0.5 * 0.75)
    assert found.fraction[0, 0, 0] == pytest.approx(0.5 * 0.25)
    assert found.fraction.sum() == pytest.approx(1)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_axes_in_any_order_and_direction(axes, flips):
    scan = Scan(shape=(4, 7, 9), spacing=(0.4, 0.9), step=1.1, orientation=oblique())
    mask = np.random.default_rng(4).random(scan.shape) > 0.5
    values = mask.transpose(2, 1, 0).transpose(axes)
    affine = scan.affine[:, [*axes, 3]].copy()
    for axis in flips:
        values = np.flip(values, axis)
        affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
        affine[:3, axis] *= -1
    target = grid_of_affine(LPS_TO_RAS @ affine, values.shape[::-1], FRAME)
    found = transfer(mask, _grid(scan), target)
    assert np.array_equal(found.mask, values.transpose(2, 1, 0))
    assert np.abs(found.fraction - found.mask).max() < 1e-6


def _turned(scan, degrees):
    """A grid of 1.5 x 1.6 x 1.8 mm turned around an axis through the middle of another."""
    axis = np.array([0.3, 0.5, 0.8]) / np.linalg.norm([0.3, 0.5, 0.8])
    angle = np.deg2rad(degrees)
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.5, 1.6, 1.8])
    middle = (scan.affine @ [*(np.array(scan.shape[::-1]) - 1) / 2, 1])[:3]
    affine[:3, 3] = middle - affine[:3, :3] @ [9.5, 9.5, 7.5]
    return grid_of_affine(LPS_TO_RAS @ affine, (16, 20, 20), FRAME)


@pytest.mark.parametrize("degrees", [8, 40])
def test_shares_on_an_oblique_grid_are_those_of_many_random_points(degrees):
    scan = Scan(shape=(10, 40, 36), spacing=(0.5, 0.6), step=1.2)
    z, y, x = np.indices(scan.shape)
    mask = ((x - 18) / 10) ** 2 + ((y - 20) / 13) ** 2 + ((z - 4.5) / 3.5) ** 2 < 1
    target = _turned(scan, degrees)
    found = transfer(mask, _grid(scan), target)
    rng = np.random.default_rng(7)
    inverse = np.linalg.inv(scan.affine)
    for _ in range(4):
        k, j, i = np.unravel_index(rng.choice(found.fraction.size, 60), target.shape)
        points = np.stack([i, j, k], axis=1)[:, None] + rng.uniform(-0.5, 0.5, (60, 4000, 3))
        index = nib.affines.apply_affine(inverse @ target.affine, points)
        i1, j1, k1 = np.moveaxis(np.rint(index).astype(int), -1, 0)
        inside = (i1 >= 0) & (i1 < 36) & (j1 >= 0) & (j1 < 40) & (k1 >= 0) & (k1 < 10)
        inside[inside] = mask[k1[inside], j1[inside], i1[inside]]
        assert np.abs(inside.mean(axis=1) - found.fraction[k, j, i]).max() < 0.06
    assert found.covered == pytest.approx(1, abs=0.005)
    assert 0 < np.count_nonzero(found.core) < np.count_nonzero(found.mask)


@pytest.mark.parametrize(("angle", "exact"), [(0.9e-4, True), (1.1e-4, False)])
def test_shares_are_exact_on_axes_within_a_ten_thousandth(angle, exact):
    """Beside it voxels are sampled at six points along an edge, of which none says 0.3."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    target = grid_of_affine(turn, (1, 4, 4), FRAME)
    moved = np.eye(4)
    moved[0, 3] = 0.7
    found = transfer(np.ones((1, 4, 4), bool), grid_of_affine(moved, (1, 4, 4), FRAME), target)
    share = found.fraction[0, 2, 0]
    assert share == pytest.approx(0.3 if exact else 1 / 3, abs=1e-3)


def test_a_map_with_half_as_many_slices_keeps_the_volume(tmp_path):
    """Contours put on such a grid directly leave 7 % of the voxels in other converters."""
    scan = Scan(shape=(8, 32, 32))
    image = read_image(write_series(tmp_path / "image", scan))
    lines = [(scan.mm(circle(15, 15, 9), k), None) for k in range(8)]
    (region,) = read_regions(write_rtstruct(tmp_path / "r.dcm", scan, {"A": lines}), image).regions
    drawn = rasterize(region, image)
    target = _coarse(scan, (1, 1, 2), (4, 32, 32))
    found = transfer(drawn, image, replace(target, frame_of_reference_uid=scan.frame_uid))
    assert found.mask.sum() * 2 == drawn.voxels
    assert found.covered == pytest.approx(1)


def test_a_map_that_does_not_reach_the_region_says_so():
    scan = Scan(shape=(3, 8, 8))
    mask = np.ones(scan.shape, dtype=bool)
    away = _coarse(scan, (1, 1, 1), (3, 8, 8), (50, 0, 0))
    found = transfer(mask, _grid(scan), away)
    assert found.covered == 0
    assert not found.mask.any()
    half = transfer(mask, _grid(scan), _coarse(scan, (1, 1, 1), (3, 8, 8), (4, 0, 0)))
    assert half.covered == pytest.approx(0.5)
    turned = replace(away, row=away.column, column=-away.row)
    assert transfer(mask, _grid(scan), turned).covered == 0


def test_an_oblique_map_that_does_not_reach_the_region_says_so():
    scan = Scan(shape=(10, 40, 36))
    target = _turned(scan, 30)
    away = replace(target, positions=target.positions + 500)
    assert transfer(np.ones(scan.shape, dtype=bool), _grid(scan), away).covered == 0


def test_another_frame_of_reference_is_refused_unless_assumed():
    scan = Scan(shape=(2, 4, 4))
    mask = np.ones(scan.shape, dtype=bool)
    other = replace(_grid(scan), frame_of_reference_uid="9.9")
    with pytest.raises(WrongCallError, match=r"different frames of reference \(1\.2\.3 and 9\.9\)"):
        transfer(mask, _grid(scan), other)
    found = transfer(mask, _grid(scan), other, assume_aligned=True)
    assert "as asked" in found.note
    unnamed = transfer(mask, _grid(scan), replace(other, frame_of_reference_uid=""))
    assert "The map names no frame of reference" in unnamed.note
    assert transfer(mask, _grid(scan), _grid(scan)).note == ""


def test_gaps_between_slices_stay_empty():
    scan = Scan(shape=(5, 4, 4))
    full = _grid(scan)
    kept = [0, 1, 3, 4]
    gapped = replace(full, shape=(4, 4, 4), positions=full.positions[kept])
    assert slabs(gapped)[:, 1][1] < slabs(gapped)[:, 0][2]
    found = overlap(np.ones((4, 4, 4), dtype=np.float32), gapped, full)
    assert found.mean(axis=(1, 2)).tolist() == pytest.approx([1, 1, 0, 1, 1])


def test_slices_closer_than_their_thickness_count_once():
    scan = Scan(shape=(3, 4, 4))
    full = _grid(scan)
    close = replace(
        full,
        shape=(4, 4, 4),
        positions=np.insert(full.positions, 1, full.positions[0] + full.normal * 0.4, 0),
    )
    ones = np.ones((4, 4, 4), dtype=np.float32)
    assert volume_mm3(ones, close) == pytest.approx(3 * 16 * 0.25)


def test_the_box_around_a_mask_lies_where_the_mask_does():
    scan = Scan(shape=(4, 9, 12), spacing=(0.4, 0.9), orientation=oblique())
    mask = np.zeros(scan.shape, dtype=np.float32)
    mask[1:3, 2:5, 7:9] = 1
    small, grid = crop(mask, _grid(scan))
    assert small.shape == grid.shape == (2, 3, 2)
    assert np.abs(grid.positions[0] - (scan.affine @ [7, 2, 1, 1])[:3]).max() < 1e-9
    assert np.array_equal(overlap(small, grid, _grid(scan)) > 0.5, mask > 0)


def test_grids_differ_by_shape_place_and_middle_slices():
    grid = _grid(Scan(shape=(4, 9, 12)))
    assert same_grid(grid, replace(grid, title="other"))
    assert not same_grid(grid, replace(grid, shape=(4, 12, 9)))
    aside = grid.positions + np.array([0.02, 0.0, 0.0])
    assert not same_grid(grid, replace(grid, positions=aside))
    bent = grid.positions.copy()
    bent[1] += [0, 0, 0.3]
    assert not same_grid(grid, replace(grid, positions=bent))


def test_masks_of_the_three_modalities_of_sts_001_agree_on_the_pet_grid(shared_data):
    """The same tumour drawn on MR (1 mm) and carried to PET (4 mm) is the mask drawn on PET."""
    folder = shared_data / "roi/ibsi/ibsi_validation/dicom/STS_001"
    pet = read_image(folder / "PET/image")
    (own,) = read_regions(folder / "PET/mask/RS.dcm", pet).regions
    truth = rasterize(own, pet).mask
    for modality in ("MR_T1", "CT"):
        image = read_image(folder / modality / "image")
        (region,) = read_regions(folder / modality / "mask/RS.dcm", image).regions
        found = transfer(rasterize(region, image), image, pet)
        assert found.covered == pytest.approx(1, abs=1e-6)
        both = np.count_nonzero(found.mask & truth)
        assert 2 * both / (found.mask.sum() + truth.sum()) > 0.97


def test_voxels_at_centres_inside_agree_with_the_slow_definition(tmp_path):
    scan = Scan(shape=(1, 14, 17), spacing=(0.3, 0.8))
    image = read_image(write_series(tmp_path / "image", scan))
    lines = [box(2.5, 3.5, 12.5, 9.5), circle(9, 6, 2.2, 24)]
    drawn = {"A": [(scan.mm(line, 0), None) for line in lines]}
    (region,) = read_regions(write_rtstruct(tmp_path / "r.dcm", scan, drawn), image).regions
    assert np.array_equal(rasterize(region, image).mask[0], centres_inside(lines, (14, 17)))


def _told(share, scan, target, values):
    """Measure a region that is drawn as voxels in a map on another grid; return the notes."""
    region = Region(1, "A", "1", "SEG", Path("a.dcm"), mask=DrawnMask(_grid(scan), share))
    regions = RegionSet(Path("a.dcm"), "", (region,), ())
    one = MapVolume(
        "T2map", "ms", values.astype(np.float32), target.affine, None, FRAME, "m.nii.gz", ()
    )
    (found,) = measure_regions(_grid(scan), regions, [one])
    return " ".join(found.maps[0].warnings)


@pytest.mark.parametrize(("missing", "told"), [(5, False), (6, True)])
def test_a_region_of_which_less_than_half_counts_is_told(missing, told):
    scan = Scan(shape=(1, 8, 9))
    share, values = np.zeros(scan.shape), np.full(scan.shape, 40.0)
    share[0, 2, :9], share[0, 3, 0] = 1, 1
    values[0, 2, :missing] = np.nan
    notes = _told(share, scan, _grid(scan), values)
    assert (f"Only {10 - missing} of its 10 voxels count" in notes) == told


@pytest.mark.parametrize(("beyond", "told"), [(1, False), (3, True)])
def test_a_region_of_which_a_thousandth_is_outside_the_map_is_told(beyond, told):
    scan = Scan(shape=(1, 50, 60))
    share = np.zeros(scan.shape)
    share[0, :40, :50] = 1
    share[0, :beyond, 50] = 1
    target = _coarse(scan, (1, 1, 1), (1, 50, 50))
    notes = _told(share, scan, target, np.full((1, 50, 50), 40.0))
    assert ("lies inside the field of view" in notes) == told


@pytest.mark.parametrize(("narrow", "told"), [(0, False), (1, True)])
def test_a_region_of_which_more_than_half_is_edge_is_told(narrow, told):
    """A row of two voxels has one on its edge in a map that is shifted, a row of one has none."""
    scan = Scan(shape=(1, 20, 9))
    share = np.zeros(scan.shape)
    share[0, 2:12, 3:5] = 1
    share[0, 12 : 12 + narrow, 3] = 1
    target = _coarse(scan, (1, 1, 1), scan.shape, (0.4, 0, 0))
    notes = _told(share, scan, target, np.full(scan.shape, 40.0))
    assert ("lie on the edge" in notes) == told


@pytest.mark.parametrize(("apart", "slices"), [(0.009, 1), (0.011, 2)])
def test_frames_within_a_hundredth_of_a_millimetre_are_one_slice(apart, slices):
    places = [
        FramePlace(k, np.array([0.0, 0.0, depth]), (1, 0, 0, 0, 1, 0), (1.0, 1.0), 1.0, ())
        for k, depth in enumerate([0.0, apart, 1.0])
    ]
    grid, index = stack(places, (4, 4))
    assert grid.shape[0] == slices + 1
    assert index == [0, slices - 1, slices]


@pytest.mark.parametrize(("off", "on_it"), [(1.9e-4, True), (-1.9e-4, True), (2.1e-4, False)])
def test_a_point_within_two_parts_in_ten_thousand_of_a_centre_is_put_on_it(off, on_it):
    grid = _grid(Scan(spacing=(0.4, 0.9)))
    point = grid.positions[2] + (7 + off) * 0.9 * grid.row + 4 * 0.4 * grid.column
    ((column, row),) = to_pixels(grid, point[None], 2)
    assert (column == 7, row == 4) == (on_it, True)


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [
        (0.09, Twin.EQUAL),
        (0.11, Twin.DIFFERENT),
        (0.41, Twin.SHIFTED),
        (0.59, Twin.SHIFTED),
        (0.61, Twin.DIFFERENT),
    ],
)
def test_two_drawings_are_one_within_a_tenth_of_a_pixel(tmp_path, shift, verdict):
    scan = Scan()
    image = read_image(write_series(tmp_path / "image", scan))
    square = box(3.5, 3.5, 9.5, 9.5)
    path = tmp_path / "a.xml"
    path.write_text(aim_text({"A": [(scan.uids[1], 1, square)]}), encoding="utf-8")
    lines = {"A": [(scan.mm(square + shift, 1), scan.uids[1], "CLOSED_PLANAR")]}
    twin = write_rtstruct(tmp_path / "r.dcm", scan, lines)
    found = compare(read_regions(path, image), read_regions(twin, image), image)
    assert found.twin is verdict
    assert found.offset_px == pytest.approx((shift, shift), abs=1e-6)
