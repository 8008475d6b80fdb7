"""Readers of regions against files of other programs, and against other programs' reading."""

import copy

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from region_files import (
    Scan,
    aim_text,
    box,
    circle,
    oblique,
    write_rtstruct,
    write_seg,
    write_series,
)

from pipelines.regions.rasterize import rasterize
from pipelines.regions.readers import read_regions, referenced_instances
from pipelines.regions.readers.seg import rgb_of_cielab
from pipelines.regions.volume import read_image

HIGHDICOM = "roi/highdicom/data/test_files"
DCMQI = "roi/dcmqi/data/segmentations"
SOURCE = "roi/pydicom/CT2_source_of_highdicom_seg"


def _masks(path, image):
    drawn = read_regions(path, image)
    return {one.name: rasterize(one, image) for one in drawn.regions}


@pytest.mark.parametrize(
    "name",
    [
        "seg_image_ct_binary.dcm",
        "seg_image_ct_binary_overlap.dcm",
        "seg_image_ct_binary_fractional.dcm",
        "seg_image_ct_true_fractional.dcm",
    ],
)
def test_segmentations_are_what_highdicom_reads(shared_data, name):
    path = shared_data / HIGHDICOM / name
    image = read_image(shared_data / SOURCE)
    seg = highdicom.seg.segread(path)
    uids = [uid for _, _, uid in seg.get_source_image_uids()]
    expected = seg.get_pixels_by_source_instance(
        uids, segment_numbers=seg.segment_numbers, ignore_spatial_locations=True
    )
    drawn = read_regions(path, image)
    assert [one.number for one in drawn.regions] == list(seg.segment_numbers)
    for place, region in enumerate(drawn.regions):
        found = rasterize(region, image)
        truth = np.zeros(image.shape, dtype=bool)
        for uid, plane in zip(uids, expected[..., place], strict=True):
            truth[image.instances[(uid, 1)]] |= plane >= 0.5
        assert truth.any()
        assert np.array_equal(found.mask, truth)


def _nrrd_labels(path, image):
    return {one.number: rasterize(one, image).mask for one in read_regions(path, image).regions}


@pytest.mark.parametrize(
    ("seg", "nrrd"),
    [
        ("liver.dcm", ["liver_seg.nrrd"]),
        (
            "partial_overlaps.dcm",
            ["partial_overlaps-1.nrrd", "partial_overlaps-2.nrrd", "partial_overlaps-3.nrrd"],
        ),
    ],
)
def test_segmentations_of_dcmqi_are_the_nrrd_they_were_made_of(shared_data, seg, nrrd):
    folder = shared_data / DCMQI
    image = read_image(folder / "ct-3slice")
    truth = [mask for one in nrrd for mask in _nrrd_labels(folder / one, image).values()]
    found = [one.mask for one in _masks(folder / seg, image).values()]
    assert len(found) == len(truth)
    for mask in found:
        assert mask.any()
        assert any(np.array_equal(mask, other) for other in truth)


@pytest.mark.parametrize("name", ["23x38x3", "24x38x3"])
@pytest.mark.parametrize("image_form", ["image", "multiframe"])
def test_frames_whose_bits_fill_no_whole_bytes(shared_data, name, image_form):
    folder = shared_data / DCMQI / name
    image = read_image(folder / image_form)
    (found,) = _masks(folder / "seg/label.seg", image).values()
    (truth,) = _nrrd_labels(folder / "nrrd/label.nrrd", image).values()
    assert truth.any()
    assert np.array_equal(found.mask, truth)


@pytest.mark.parametrize("padding", ["noppv", "ppv5"])
def test_label_map_segmentations_leave_out_background_and_padding(shared_data, padding):
    folder = shared_data / DCMQI
    image = read_image(folder / "24x38x3/image")
    found = _masks(folder / f"sparse-labelmap-{padding}.dcm", image)
    assert list(found) == ["Liver"]
    truth = _nrrd_labels(folder / f"sparse_labelmap_{padding}_seg.nrrd", image)
    assert np.array_equal(found["Liver"].mask, truth[1])
    assert truth[1].any()


def test_nrrd_voxels_are_where_its_header_says(shared_data):
    """Parsed here by hand: gzip, short, LPS."""
    import gzip

    folder = shared_data / DCMQI
    image = read_image(folder / "24x38x3/image")
    path = folder / "24x38x3/nrrd/label.nrrd"
    header, _, data = path.read_bytes().partition(b"\n\n")
    assert b"type: short" in header
    assert b"sizes: 24 38 3" in header
    truth = np.frombuffer(gzip.decompress(data), "<i2").reshape(3, 38, 24) == 1
    (found,) = _nrrd_labels(path, image).values()
    assert np.array_equal(found, truth)


def test_frames_in_any_order_overlapping_and_missing(tmp_path):
    scan = Scan(shape=(5, 11, 13), spacing=(0.4, 0.9), orientation=oblique())
    image = read_image(write_series(tmp_path / "image", scan))
    rng = np.random.default_rng(5)
    planes = {(s, k): rng.random((11, 13)) > 0.6 for s, k in [(2, 4), (1, 0), (2, 1), (1, 1)]}
    frames = [(s, k, plane) for (s, k), plane in planes.items()]
    path = write_seg(tmp_path / "seg.dcm", scan, frames, labels={1: "a", 2: "b", 3: "never drawn"})
    found = _masks(path, image)
    for number, name in ((1, "a"), (2, "b")):
        truth = np.zeros(image.shape, dtype=bool)
        for (s, k), plane in planes.items():
            if s == number:
                truth[k] = plane
        assert np.array_equal(found[name].mask, truth)
        assert found[name].unusable == ""
    assert "empty" in found["never drawn"].unusable


def _slant(orientation, by):
    """Turn the rows of an orientation towards its normal."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    turned = np.cos(by) * row + np.sin(by) * np.cross(row, column)
    return [f"{value:.9f}" for value in (*turned, *column)]


@pytest.mark.parametrize(("by", "lost"), [(0.95e-3, 0), (1.05e-3, 1)])
def test_frames_of_a_segment_are_parallel_within_a_thousandth(tmp_path, by, lost):
    scan = Scan(shape=(3, 8, 8), orientation=oblique())
    image = read_image(write_series(tmp_path / "image", scan))
    frames = [(1, k, np.eye(8)) for k in range(3)]
    path = write_seg(tmp_path / "seg.dcm", scan, frames)
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for group in ds.PerFrameFunctionalGroupsSequence:
        group.PlaneOrientationSequence = copy.deepcopy(shared)
    del ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    last = ds.PerFrameFunctionalGroupsSequence[2].PlaneOrientationSequence[0]
    # Turned within the slice: the frame lies on its plane, and only its rows point elsewhere.
    row, column = np.array(scan.orientation[:3]), np.array(scan.orientation[3:])
    turned = (row + by / np.abs(column).max() * column, column - by / np.abs(row).max() * row)
    last.ImageOrientationPatient = [f"{value:.9f}" for value in np.concatenate(turned)]
    ds.save_as(path)
    found = rasterize(read_regions(path, image).regions[0], image)
    assert found.mask.any(axis=(1, 2)).sum() == 3 - lost
    assert ("Left out, frames turned another way: 1." in found.warnings) == bool(lost)


@pytest.mark.parametrize(("by", "thickness"), [(0.9e-3, 1.0), (1.1e-3, 0.4)])
def test_a_segment_on_the_planes_of_its_image_is_as_thick_as_they_are(tmp_path, by, thickness):
    scan = Scan(shape=(3, 8, 8), orientation=oblique())
    image = read_image(write_series(tmp_path / "image", scan))
    path = write_seg(tmp_path / "seg.dcm", scan, [(1, 1, np.eye(8))])
    ds = pydicom.dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence[0].SliceThickness = 0.4
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = _slant(scan.orientation, by)
    ds.save_as(path)
    (region,) = read_regions(path, image).regions
    assert region.mask.grid.step_mm == pytest.approx(thickness)


def test_fractional_shares_count_from_one_half(tmp_path):
    scan = Scan(shape=(2, 4, 4))
    image = read_image(write_series(tmp_path / "image", scan))
    plane = np.arange(16).reshape(4, 4) * 13
    path = write_seg(tmp_path / "seg.dcm", scan, [(1, 0, plane)], kind="FRACTIONAL")
    (found,) = _masks(path, image).values()
    assert np.array_equal(found.mask[0], plane >= 100)
    assert any("fractional (occupancy)" in text for text in found.warnings)


def test_compressed_segmentations_are_read_too(tmp_path):
    scan = Scan(shape=(3, 9, 7))
    image = read_image(write_series(tmp_path / "image", scan))
    planes = np.random.default_rng(8).integers(0, 201, (3, 9, 7))
    frames = [(1, k, planes[k]) for k in (2, 0, 1)]
    path = write_seg(tmp_path / "seg.dcm", scan, frames, kind="FRACTIONAL")
    ds = pydicom.dcmread(path)
    ds.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
    ds.save_as(path)
    (found,) = _masks(path, image).values()
    assert np.array_equal(found.mask, planes >= 100)


def test_label_map_of_two_segments(tmp_path):
    scan = Scan(shape=(3, 6, 7))
    image = read_image(write_series(tmp_path / "image", scan))
    labels = np.arange(42).reshape(6, 7) % 3
    path = write_seg(
        tmp_path / "seg.dcm", scan, [(0, 2, labels)], kind="LABELMAP", labels={0: "bg", 1: "x"}
    )
    found = _masks(path, image)
    assert np.array_equal(found["x"].mask[2], labels == 1)
    assert np.array_equal(found["Segment 2"].mask[2], labels == 2)
    assert len(found) == 2


def _nifti(path, values, affine_lps, **header):
    image = nib.Nifti1Image(values, np.diag([-1, -1, 1, 1]) @ affine_lps)
    image.set_sform(image.affine, code=header.get("sform", 1))
    image.set_qform(image.affine, code=header.get("qform", 0))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("flip", [(), (0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("top", [1, 255])
def test_nifti_masks_are_placed_by_world_coordinates(tmp_path, flip, top):
    scan = Scan(shape=(4, 9, 12), spacing=(0.4, 0.9), step=1.5, orientation=oblique())
    image = read_image(write_series(tmp_path / "image", scan))
    truth = np.random.default_rng(2).random((4, 9, 12)) > 0.7
    values = truth.transpose(2, 1, 0).astype(np.uint8) * top
    affine = scan.affine.copy()
    for axis in flip:
        values = np.flip(values, axis)
        affine[:3, 3] += affine[:3, axis] * (values.shape[axis] - 1)
        affine[:3, axis] *= -1
    (found,) = _masks(_nifti(tmp_path / "liver.nii.gz", values, affine), image).values()
    assert np.array_equal(found.mask, truth)
    assert found.region.name == "liver"
    assert found.warnings == ()


def test_labels_of_a_nifti_mask_are_regions(tmp_path):
    scan = Scan(shape=(3, 8, 8))
    image = read_image(write_series(tmp_path / "image", scan))
    values = np.zeros((8, 8, 3), dtype=np.int16)
    values[1:3], values[5] = 2, 7
    found = _masks(_nifti(tmp_path / "m.nii", values, scan.affine), image)
    assert {name: one.voxels for name, one in found.items()} == {"m 2": 48, "m 7": 24}


def test_segments_of_slicer_have_their_names(tmp_path):
    scan = Scan(shape=(2, 4, 5), spacing=(1.0, 2.0))
    image = read_image(write_series(tmp_path / "image", scan))
    layers = np.zeros((2, 4, 5, 2), dtype=np.uint8)
    layers[0, :2, :, 0], layers[0, 1:3, :, 1] = 1, 1
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\n"
        "sizes: 2 5 4 2\nspace directions: none (2,0,0) (0,1,0) (0,0,1)\n"
        "kinds: list domain domain domain\nendian: little\nencoding: raw\n"
        "space origin: (-8,4,-2.5)\nSegment0_Name:=tumour\nSegment0_LabelValue:=1\n"
        "Segment0_Layer:=0\nSegment1_Name:=muscle\nSegment1_LabelValue:=1\nSegment1_Layer:=1\n\n"
    )
    path = tmp_path / "s.seg.nrrd"
    path.write_bytes(header.encode() + layers.tobytes())
    found = _masks(path, image)
    assert np.array_equal(found["tumour"].mask, layers[..., 0] == 1)
    assert np.array_equal(found["muscle"].mask, layers[..., 1] == 1)


def test_aim_names_colours_collection_and_software(tmp_path):
    scan = Scan()
    image = read_image(write_series(tmp_path / "image", scan))
    path = tmp_path / "a.xml"
    square = box(3.5, 3.5, 9.5, 9.5)
    path.write_text(
        aim_text({"A": [(scan.uids[0], 1, square)], "": [(scan.uids[1], 1, square)]}),
        encoding="utf-8",
    )
    drawn = read_regions(path, image)
    assert [one.name for one in drawn.regions] == ["A", "ROI 2"]
    assert drawn.regions[0].colour == (0, 128, 255)
    assert drawn.name == "Drawn"
    assert drawn.software == ("ICR", "XNAT-OHIF-VIEWER", "3.6.2")
    assert drawn.warnings == ()


def test_references_choose_the_series(tmp_path):
    one, other = Scan(), Scan(spacing=(0.7, 0.7))
    write_series(tmp_path / "image/a", one)
    write_series(tmp_path / "image/b", other)
    line = circle(9, 9, 4)
    path = tmp_path / "a.xml"
    path.write_text(aim_text({"A": [(other.uids[2], 1, line)]}), encoding="utf-8")
    for source in (
        path,
        write_rtstruct(tmp_path / "r.dcm", other, {"A": [(other.mm(line, 2), other.uids[2])]}),
    ):
        image = read_image(tmp_path / "image", wanted=referenced_instances(source))
        assert image.spacing == (0.7, 0.7)


def test_structure_sets_of_rt_utils_are_read_whatever_they_refer_to(shared_data):
    folder = shared_data / "roi/rt-utils/tests/mock_data"
    image = read_image(folder, wanted=[pydicom.dcmread(folder / "ct_1.dcm").SOPInstanceUID])
    for name in ("invalid_reference_rt.dcm", "non_existent_reference_rt.dcm"):
        drawn = read_regions(folder / name, image)
        assert [one.name for one in drawn.regions] == ["ROI-1", "ROI-2", "ROI-3", "ROI-4"]
        assert all(len(one.contours) == 3 for one in drawn.regions)


def test_colours_of_segments():
    """White, black, and sRGB red (L* 54.29, a* 80.80, b* 69.89 for D50)."""
    assert rgb_of_cielab((65535, 32896, 32896)) == (255, 255, 255)
    assert rgb_of_cielab((0, 32896, 32896)) == (0, 0, 0)
    stored = [round(54.29 / 100 * 65535), *(round((v + 128) / 255 * 65535) for v in (80.8, 69.89))]
    assert np.abs(np.array(rgb_of_cielab(tuple(stored))) - [255, 0, 0]).max() <= 2
