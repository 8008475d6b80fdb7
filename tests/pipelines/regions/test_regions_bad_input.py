"""Regions that cannot serve are named, never a silent zero; damaged files are said to be."""

import gzip

import nibabel as nib
import numpy as np
import pydicom
import pytest
from region_files import Scan, aim_text, box, write_rtstruct, write_seg, write_series

from pipelines.regions.geometry import axes_of, uneven_note
from pipelines.regions.rasterize import rasterize
from pipelines.regions.readers import read_regions, referenced_instances
from pipelines.regions.readers.voxels import check_size
from pipelines.regions.volume import read_image
from xnat_pic.errors import CorruptDataError, NothingUsableError, WrongCallError, XnatPicError

SQUARE = box(3.5, 3.5, 9.5, 9.5)


@pytest.fixture
def scan():
    return Scan()


@pytest.fixture
def image(tmp_path, scan):
    return read_image(write_series(tmp_path / "image", scan))


def _only(path, image, **how):
    (region,) = read_regions(path, image).regions
    return rasterize(region, image, **how)


def _aim(tmp_path, rois, **how):
    path = tmp_path / "drawn.xml"
    path.write_text(aim_text(rois, **how), encoding="utf-8")
    return path


def test_an_roi_with_a_name_and_no_contours(tmp_path, scan, image):
    found = _only(write_rtstruct(tmp_path / "r.dcm", scan, {"lung": []}), image)
    assert found.unusable == 'The region "lung" is empty: it has no contours.'
    assert found.voxels == 0


@pytest.mark.parametrize("kind", ["POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", ""])
def test_shapes_without_an_interior_are_counted(tmp_path, scan, image, kind):
    lines = {"A": [(scan.mm(SQUARE, 1), None, kind), (scan.mm(SQUARE, 2), None, kind)]}
    found = _only(write_rtstruct(tmp_path / "r.dcm", scan, lines), image)
    assert "none of its shapes can be used (shapes without an interior" in found.unusable
    assert found.warnings[0].startswith("Left out, shapes without an interior")


def test_points_of_a_real_structure_set(shared_data, tmp_path, scan, image):
    drawn = read_regions(shared_data / "roi/pydicom/rtstruct.dcm", image)
    named = {one.name: one for one in drawn.regions}
    assert set(named) == {"patient", "Isocenter 1", "Isocenter 2"}
    found = rasterize(named["Isocenter 1"], image, assume_aligned=True)
    assert "none of its shapes can be used" in found.unusable
    assert found.warnings[0].startswith("Left out, shapes without an interior (POINT): 1.")


@pytest.mark.parametrize("kind", ["CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR"])
def test_explicit_holes_are_even_odd_even_where_contours_cross(tmp_path, scan, image, kind):
    lines = {"A": [(scan.mm(SQUARE, 1), None, kind), (scan.mm(SQUARE + 3, 1), None, kind)]}
    found = _only(write_rtstruct(tmp_path / "r.dcm", scan, lines), image)
    assert found.voxels == 36 + 36 - 2 * 9
    assert any("what both hold was left out" in text for text in found.warnings)


def test_aim_version_3_is_refused_with_a_clear_message(shared_data, image):
    path = shared_data / "roi/ncip_aim3_0022BaselineA.xml"
    with pytest.raises(NothingUsableError, match="AIM version 3; only version 4"):
        read_regions(path, image)
    assert referenced_instances(path) == frozenset()


def test_aim_of_a_version_that_is_not_known(tmp_path, image):
    with pytest.raises(NothingUsableError, match='AIM of version "AIMv9"'):
        read_regions(_aim(tmp_path, {}, version="AIMv9"), image)


def test_aim_shapes_of_other_kinds_are_counted(tmp_path, scan, image):
    path = _aim(tmp_path, {"A": [(scan.uids[0], 1, SQUARE)]}, kind="TwoDimensionCircle")
    found = _only(path, image)
    assert found.unusable
    assert "TwoDimensionCircle" in found.warnings[0]


def test_aim_drawn_on_other_images(tmp_path, scan, image):
    path = _aim(tmp_path, {"A": [("1.2.3.4", 1, SQUARE), (scan.uids[1], 1, SQUARE)]})
    found = _only(path, image)
    assert found.voxels == 36
    assert found.warnings == ("Left out, contours on images that are not here: 1.",)
    away = _only(_aim(tmp_path, {"A": [("1.2.3.4", 1, SQUARE)]}), image)
    assert "none of its shapes can be used (contours on images that are not here: 1)" in (
        away.unusable
    )


def test_contours_of_two_points_have_no_area(tmp_path, scan, image):
    path = _aim(tmp_path, {"A": [(scan.uids[0], 1, SQUARE[:2])]})
    assert "fewer than three points" in _only(path, image).warnings[0]


def test_contours_on_one_line_have_no_area(tmp_path, scan, image):
    line = np.array([[1.0, 1.0], [2.0, 2.0], [7.0, 7.0]])
    found = _only(_aim(tmp_path, {"A": [(scan.uids[0], 1, line)]}), image)
    assert found.unusable == 'The region "A" is empty: none of its contours has an area.'


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "x", ""])
def test_broken_numbers_of_aim_are_counted(tmp_path, scan, image, number):
    path = _aim(tmp_path, {"A": [(scan.uids[0], 1, SQUARE)]})
    text = path.read_text(encoding="utf-8").replace('"4.000000000"', f'"{number}"', 1)
    path.write_text(text, encoding="utf-8")
    found = _only(path, image)
    assert found.warnings == ("Left out, contours with broken numbers: 1.",)


def test_a_region_smaller_than_a_voxel_is_named(tmp_path, scan, image):
    found = _only(_aim(tmp_path, {"A": [(scan.uids[0], 1, box(4.2, 4.2, 4.8, 4.8))]}), image)
    assert "smaller than a voxel" in found.unusable


def test_a_region_beside_the_image_is_named_and_a_partial_one_cut(tmp_path, scan, image):
    away = _only(_aim(tmp_path, {"A": [(scan.uids[0], 1, SQUARE + 100)]}), image)
    assert away.unusable == 'The region "A" lies beside the image.'
    part = _only(_aim(tmp_path, {"A": [(scan.uids[0], 1, SQUARE - 6)]}), image)
    assert part.voxels == 16
    assert part.clipped == 1


@pytest.mark.parametrize(
    ("off", "placed", "told"),
    [(0.009, True, False), (0.011, True, True), (0.19, True, True), (0.21, True, False)],
)
@pytest.mark.parametrize("step", [1.0, 4.0])
def test_a_contour_belongs_to_a_plane_within_a_fifth_of_a_step(tmp_path, step, off, placed, told):
    scan = Scan(step=step)
    image = read_image(write_series(tmp_path / "image", scan))
    lines = {"A": [(scan.mm(SQUARE, 1 + off), scan.uids[1], "CLOSED_PLANAR")]}
    found = _only(write_rtstruct(tmp_path / "r.dcm", scan, lines), image)
    assert (found.voxels == 36) == placed
    assert ("lies on no plane of the image" in found.unusable) != placed
    assert any("off the plane" in note for note in found.warnings) == told


@pytest.mark.parametrize(("width", "told"), [(9.05, True), (9.15, False)])
def test_voxels_that_cover_a_tenth_more_than_the_lines_are_told(tmp_path, scan, image, width, told):
    drawn = box(9 - width / 2, 4, 9 + width / 2, 14)  # of ten by ten, whose centres it holds
    lines = {"A": [(scan.mm(drawn - 0.5, 1), scan.uids[1], "CLOSED_PLANAR")]}
    found = _only(write_rtstruct(tmp_path / "r.dcm", scan, lines), image)
    assert found.voxels == 100
    assert any("small for its voxels" in note for note in found.warnings) == told


@pytest.mark.parametrize(("slanted", "refused"), [(0.9e-3, False), (1.1e-3, True)])
def test_rows_and_columns_are_at_right_angles_within_a_thousandth(slanted, refused):
    orientation = [1, 0, 0, np.sin(slanted), np.cos(slanted), 0]
    if refused:
        with pytest.raises(NothingUsableError, match="not at right angles"):
            axes_of(orientation)
    else:
        assert axes_of(orientation)[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(("wider", "told"), [(0.019, False), (0.021, True)])
def test_slices_are_even_within_two_per_cent(wider, told):
    assert bool(uneven_note([0.0, 1.0, 2.0, 3.0 + wider])) == told


@pytest.mark.parametrize(("labels", "refused"), [(1000, False), (1001, True)])
def test_a_mask_has_at_most_a_thousand_labels(tmp_path, image, labels, refused):
    values = np.zeros(image.shape[::-1], np.int16)
    values.ravel()[:labels] = np.arange(1, labels + 1)
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    if refused:
        with pytest.raises(NothingUsableError, match="1001 different values"):
            read_regions(path, image)
    else:
        assert len(read_regions(path, image).regions) == 1000


def test_a_volume_of_more_than_two_to_the_31_voxels_is_no_mask(tmp_path):
    check_size((2**21, 2**10, 1), tmp_path / "a.nrrd")
    with pytest.raises(NothingUsableError, match=r"a\.nrrd announces 2147483649 x 1 x 1 voxels"):
        check_size((2**31 + 1, 1, 1), tmp_path / "a.nrrd")


def test_a_drawing_of_more_than_512_mib_is_refused_unread(tmp_path, image):
    path = tmp_path / "a.xml"
    path.write_text('<?xml version="1.0"?><ImageAnnotationCollection/>', encoding="utf-8")
    with path.open("r+b") as file:
        file.truncate(512 * 1024 * 1024 + 1)  # takes no room on the disk
    with pytest.raises(CorruptDataError, match="larger than any drawing"):
        read_regions(path, image)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY b "{bomb}">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        "<ImageAnnotationCollection",
        "<a>" * 200_000,
    ],
)
def test_hostile_xml_is_refused(tmp_path, image, text):
    path = tmp_path / "a.xml"
    path.write_text(text.replace("{bomb}", "b" * 10_000), encoding="utf-8")
    with pytest.raises(CorruptDataError, match=r"a\.xml"):
        read_regions(path, image)


def test_other_xml_and_other_files_are_no_regions(tmp_path, image):
    for name, text in (("a.xml", "<svg/>"), ("a.txt", "hello"), ("m.json", '{"imageMeasurements"')):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(NothingUsableError):
            read_regions(path, image)
    with pytest.raises(NothingUsableError, match="does not exist"):
        read_regions(tmp_path / "nothing", image)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingUsableError, match="holds no file of regions"):
        read_regions(tmp_path / "empty", image)


def _cut(path, part):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_structure_set_or_segmentation_cut_short_never_ends_in_a_traceback(
    tmp_path, scan, image, part
):
    lines = {"A": [(scan.mm(SQUARE, k), None) for k in range(3)]}
    frames = [(1, k, np.ones((32, 32))) for k in range(3)]
    for path in (
        write_rtstruct(tmp_path / "r.dcm", scan, lines),
        write_seg(tmp_path / "s.dcm", scan, frames),
    ):
        _cut(path, part)
        with pytest.raises(CorruptDataError, match=path.name):
            read_regions(path, image)


def test_a_segmentation_with_fewer_pixels_than_announced_is_damaged(tmp_path, scan, image):
    path = write_seg(tmp_path / "s.dcm", scan, [(1, k, np.ones((32, 32))) for k in range(3)])
    ds = pydicom.dcmread(path)
    ds.PixelData = ds.PixelData[:100]
    ds.save_as(path)
    with pytest.raises(CorruptDataError, match="384 bytes of pixels announced, 100 there"):
        read_regions(path, image)


def test_a_segmentation_of_another_study_is_refused_unless_assumed(tmp_path, scan, image):
    frames = [(1, 2, np.ones((32, 32)))]
    path = write_seg(tmp_path / "s.dcm", scan, frames, frame_uid="1.2.3")
    found = _only(path, image)
    assert "another frame of reference" in found.unusable
    assert found.voxels == 0
    assumed = _only(path, image, assume_aligned=True)
    assert assumed.voxels == 32 * 32
    assert any("as asked" in text for text in assumed.warnings)


def test_a_segmentation_that_names_another_series_is_said(shared_data, image):
    path = shared_data / "roi/highdicom/data/test_files/seg_image_ct_binary.dcm"
    assert any("another series" in text for text in read_regions(path, image).warnings)


def test_a_mask_away_from_the_image_is_named(tmp_path, scan, image):
    affine = np.diag([-1, -1, 1, 1]) @ scan.affine
    affine[:3, 3] += 1000
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), dtype=np.uint8), affine), tmp_path / "m.nii")
    found = _only(tmp_path / "m.nii", image)
    assert found.unusable == 'The region "m" lies outside the image.'


def test_a_mask_on_another_grid_is_carried_over_and_said(tmp_path, scan, image):
    affine = np.diag([-1, -1, 1, 1]) @ scan.affine @ np.diag([0.5, 0.5, 1, 1])
    affine[:3, 3] -= affine[:3, :2].sum(axis=1) * 0.5 * -1 * -1
    values = np.zeros((64, 64, 5), dtype=np.uint8)
    values[10:20, 20:31, 2] = 1
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "m.nii")
    found = _only(tmp_path / "m.nii", image)
    assert found.mask.sum(axis=(1, 2)).tolist() == [0, 0, 5 * 6, 0, 0]
    assert any("drawn on another grid" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((4, 4, 4), -1, dtype=np.int16), "is no mask"),
        (np.linspace(0, 900, 64, dtype=np.float32).reshape(4, 4, 4), "is no mask"),
        (np.ones((4, 4, 4, 3), dtype=np.uint8), "4 x 4 x 4 x 3"),
    ],
)
def test_volumes_that_are_no_masks_are_refused(tmp_path, image, values, words):
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(NothingUsableError, match=words):
        read_regions(tmp_path / "m.nii", image)


def test_an_empty_mask_is_named(tmp_path, image):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.uint8), np.eye(4)), tmp_path / "m.nii")
    assert "it marks no voxel" in _only(tmp_path / "m.nii", image).unusable


def test_damaged_nifti_and_nrrd(tmp_path, image):
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), dtype=np.uint8), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(CorruptDataError):
        read_regions(_cut(tmp_path / "m.nii", 0.5), image)
    (tmp_path / "m.nii.gz").write_bytes(b"\x1f\x8b no")
    with pytest.raises(CorruptDataError):
        read_regions(tmp_path / "m.nii.gz", image)


NRRD = {
    "type": "uint8", "dimension": "3", "space": "left-posterior-superior", "sizes": "4 4 4",
    "space directions": "(1,0,0) (0,1,0) (0,0,1)", "encoding": "gzip", "space origin": "(0,0,0)",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"data file": "../../secret.raw"}, NothingUsableError, "another file"),
        ({"sizes": "4 4 5"}, CorruptDataError, "80 bytes announced, 64 there"),
        ({"sizes": "900000 900000 900000"}, NothingUsableError, "announces"),
        ({"sizes": "4 4"}, NothingUsableError, "2 axes"),
        ({"sizes": "4 4 x"}, CorruptDataError, "m.nrrd"),
        ({"encoding": "hex"}, NothingUsableError, "encoded as hex"),
        ({"type": "block"}, NothingUsableError, "type block"),
        ({"space": "scanner-xyz"}, NothingUsableError, "scanner-xyz"),
        ({"space directions": "none none none"}, NothingUsableError, "where its voxels lie"),
        ({"space directions": "(1,0,0) (0,1,0) (0,2,0)"}, NothingUsableError, "one plane"),
        ({"space origin": "none"}, NothingUsableError, "where it begins"),
    ],
)
def test_nrrd_that_cannot_be_read_says_why(tmp_path, image, change, kind, words):
    fields = {**NRRD, **change}
    header = "NRRD0004\n" + "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"
    path = tmp_path / "m.nrrd"
    path.write_bytes(header.encode() + gzip.compress(b"\1" * 64))
    with pytest.raises(kind, match=words):
        read_regions(path, image)


@pytest.mark.parametrize("name", ["r.dcm", "s.dcm", "drawn.xml", "m.nii.gz", "image"])
def test_damaged_bytes_end_in_a_sentence_or_in_regions(tmp_path, scan, image, name):
    """Whatever stands in a file, no other error than the package's own comes out."""
    frames = [(1, k, np.ones((32, 32))) for k in range(3)]
    write_rtstruct(tmp_path / "r.dcm", scan, {"A": [(scan.mm(SQUARE, 1), scan.uids[1])]})
    write_seg(tmp_path / "s.dcm", scan, frames)
    _aim(tmp_path, {"A": [(scan.uids[0], 1, SQUARE)]})
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), dtype=np.uint8), np.eye(4)), tmp_path / "m.nii.gz")
    source = tmp_path / name if name != "image" else next((tmp_path / "image").iterdir())
    whole = source.read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / f"damaged_{source.name}"
    told = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), 3000), 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        said = _said(path, None if name == "image" else image)
        assert said == "" or path.name in said
        told += bool(said)
    assert told > 0


def _said(path, image):
    """The sentence of the package's own error, or nothing; any other error comes out."""
    try:
        if image is None:
            read_image(path)
            return ""
        referenced_instances(path)
        for region in read_regions(path, image).regions:
            rasterize(region, image, assume_aligned=True)
    except XnatPicError as error:
        return error.message
    return ""


def test_in_a_folder_a_bad_file_is_a_problem_of_its_own(tmp_path, scan, image):
    folder = tmp_path / "rois"
    write_rtstruct(folder / "good.dcm", scan, {"A": [(scan.mm(SQUARE, 1), None)]})
    (folder / "bad.xml").write_text("<broken", encoding="utf-8")
    (folder / "v3.xml").write_text("<ImageAnnotation/>", encoding="utf-8")
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")
    drawn = read_regions(folder, image)
    assert [one.name for one in drawn.regions] == ["A"]
    assert [(one.path.name, one.corrupt) for one in drawn.problems] == [
        ("bad.xml", True),
        ("v3.xml", False),
    ]


def test_images_that_cannot_carry_regions(tmp_path, scan):
    with pytest.raises(NothingUsableError, match="does not exist"):
        read_image(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingUsableError, match="no image with positions"):
        read_image(tmp_path / "empty")
    folder = write_series(tmp_path / "cut", Scan(shape=(1, 8, 8)))
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CorruptDataError, match=path.name):
        read_image(path)


def test_an_error_of_geometry_says_in_which_file(tmp_path, image):
    affine = np.eye(4)
    affine[0, 1] = 0.5
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), dtype=np.uint8), affine), tmp_path / "m.nii")
    for read in (read_image, lambda path: read_regions(path, image)):
        with pytest.raises(NothingUsableError, match=r"m\.nii: .* not at right angles"):
            read(tmp_path / "m.nii")


def test_two_series_and_nothing_that_says_which(tmp_path):
    write_series(tmp_path / "image/a", Scan())
    write_series(tmp_path / "image/b", Scan(spacing=(0.7, 0.7)))
    with pytest.raises(WrongCallError, match="2 different grids"):
        read_image(tmp_path / "image")


def test_two_series_on_one_grid_are_one_image(tmp_path):
    scan = Scan()
    again = Scan(frame_uid=scan.frame_uid)
    write_series(tmp_path / "image/a", scan)
    write_series(tmp_path / "image/b", again)
    image = read_image(tmp_path / "image")
    assert image.series_uids == {scan.series_uid, again.series_uid}
    assert image.instances[(scan.uids[3], 1)] == image.instances[(again.uids[3], 1)] == 3
