"""The whole command: the drawings of the shared data in, numbers against independent ones out."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from pipelines.cli import main

AIM = "AIM_20260101_120000_000_S3.xml"
CASES = [
    ("axial", "AIM"),
    ("axial", "RTSTRUCT"),
    ("axial", "SEG"),
    ("enhanced_multiframe", "AIM"),
    ("enhanced_multiframe", "RTSTRUCT"),
]


def run(*words):
    return CliRunner().invoke(main, ["mask-average", *map(str, words)])


def measure(folder, roi, out, *words, image="image", maps=("map.nii.gz",)):
    options = [word for name in maps for word in ("--map", folder / name)]
    done = run("--image", folder / image, "--roi", roi, *options, out, "--json", *words)
    return done, json.loads(done.stdout) if done.exit_code in (0, 3, 8) and done.stdout else None


@pytest.fixture(scope="module")
def synthetic(shared_data):
    return shared_data / "roi" / "synthetic"


@pytest.fixture
def drawn(synthetic):
    """The structure set of the axial image, to be changed."""
    file = next((synthetic / "axial" / "RTSTRUCT").iterdir())
    return pydicom.dcmread(file)


@pytest.fixture(scope="module")
def shares(synthetic):
    """Share of each voxel of the map inside each segment, by points looked up in the SEG file."""
    ds = pydicom.dcmread(next((synthetic / "axial" / "SEG").iterdir()))
    names = {int(s.SegmentNumber): s.SegmentLabel for s in ds.SegmentSequence}
    masks = {name: np.zeros((10, 64, 64), bool) for name in names.values()}
    for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True):
        z = float(item.PlanePositionSequence[0].ImagePositionPatient[2])
        number = int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        masks[names[number]][round((z + 18) / 4)] |= frame > 0
    image = nib.load(synthetic / "axial" / "map.nii.gz")
    size = np.array(image.shape)
    fine = 20
    axes = [(np.arange(n * fine) + 0.5) / fine - 0.5 for n in size]
    start, step = image.affine[:3, 3] * [-1, -1, 1], np.diag(image.affine)[:3] * [-1, -1, 1]
    place = [start[k] + step[k] * axes[k] for k in range(3)]  # the axes are the patient's
    origin, spacing = np.array([-30, -25, -18]), np.array([0.9, 0.9, 4.0])
    index = [np.rint((place[k] - origin[k]) / spacing[k]).astype(int) for k in range(3)]
    out = {}
    for name, mask in masks.items():
        padded = np.pad(mask, 1)
        x, y, z = (np.clip(index[k] + 1, 0, padded.shape[2 - k] - 1) for k in range(3))
        points = padded[np.ix_(z, y, x)].reshape(size[2], fine, size[1], fine, size[0], fine)
        out[name] = points.mean(axis=(1, 3, 5))
    return out, np.asarray(image.dataobj).T


@pytest.mark.parametrize(("case", "kind"), CASES)
def test_every_region_has_the_voxels_and_the_volume_of_the_truth(synthetic, tmp_path, case, kind):
    folder = synthetic / case
    done, said = measure(folder, folder / kind, tmp_path / "out", "--format", "none")
    assert done.exit_code == 0, done.output
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["rois"]
    rois = {one["name"]: one for one in said["rois"]}
    assert set(rois) == set(truth)
    for name, expected in truth.items():
        one = rois[name]
        assert one["source"] == kind
        assert one["image_voxels"] == expected["voxels_pixel_centre"]
        assert one["volume_mm3"] == pytest.approx(expected["voxels_pixel_centre"] * 0.9**2 * 4)
        assert [row["slice"] for row in one["maps"][0]["slices"]]
        if kind != "SEG":  # contours know their area better than voxels do
            assert one["contour_volume_mm3"] == pytest.approx(expected["volume_mm3"], rel=1e-5)
            area = one["contour_volume_mm3"] / (0.9**2 * 4 * len(expected["slices"]))
            assert area == pytest.approx(expected["area_px_per_slice"], rel=1e-5)


@pytest.mark.parametrize(("case", "kind"), CASES)
def test_values_are_those_of_points_counted_one_by_one(synthetic, shares, tmp_path, case, kind):
    folder = synthetic / case
    _, said = measure(folder, folder / kind, tmp_path / "out", "--format", "none")
    parts, values = shares
    for one in said["rois"]:
        share = parts[one["name"]]
        row = one["maps"][0]
        for part, name in ((0.5, "whole"), (0.95, "core")):
            sure = np.abs(share - part) > 0.03  # of a voxel; nearer ones the points cannot decide
            inside = values[sure & (share >= part)]
            open_ones = np.count_nonzero(~sure)
            assert 0 <= row[name]["voxels"] - inside.size <= open_ones
            assert row[name]["nan"] <= np.count_nonzero(np.isnan(values[share >= part - 0.03]))
            if not open_ones:
                valid = inside[np.isfinite(inside)].astype(np.float64)
                assert row[name]["valid"] == valid.size
                assert row[name]["mean"] == pytest.approx(valid.mean(), rel=1e-9)
                assert row[name]["sd"] == pytest.approx(valid.std(ddof=1), rel=1e-9)
                assert row[name]["median"] == pytest.approx(np.median(valid), rel=1e-9)
                assert row[name]["q1"] == pytest.approx(np.percentile(valid, 25), rel=1e-9)
        finite = np.isfinite(values)
        expected = np.sum((share * np.nan_to_num(values))[finite]) / np.sum(share[finite])
        assert row["weighted"]["mean"] == pytest.approx(expected, rel=2e-3)
        assert row["weighted"]["volume_mm3"] == pytest.approx(one["volume_mm3"], rel=1e-5)


def test_digital_phantom_through_the_command(shared_data, tmp_path):
    folder = shared_data / "roi" / "ibsi" / "ibsi_1_digital_phantom" / "nifti"
    done, said = measure(
        folder,
        folder / "mask" / "mask.nii.gz",
        tmp_path / "out",
        image="image/phantom.nii.gz",
        maps=("image/phantom.nii.gz",),
    )
    assert done.exit_code == 0, done.output
    (one,) = said["rois"]
    assert (one["image_voxels"], one["volume_mm3"]) == (74, 592)
    whole = one["maps"][0]["whole"]
    assert (round(whole["mean"], 2), whole["median"], whole["iqr"]) == (2.15, 1, 3)
    assert (round(whole["skewness"], 2), round(whole["kurtosis"], 3)) == (1.08, -0.355)
    assert one["maps"][0]["core"] == whole
    assert sum(row["voxels"] for row in one["maps"][0]["slices"]) == 74
    assert any("no DICOM" in note for note in said["warnings"])


@pytest.mark.parametrize(("kind", "voxels"), [("MR_T1", 117145), ("CT", 117145), ("PET", 5095)])
def test_patient_of_the_ibsi_through_the_command(shared_data, tmp_path, kind, voxels):
    folder = shared_data / "roi" / "ibsi" / "ibsi_validation" / "dicom" / "STS_001" / kind
    words = ("--format", "none")
    done, said = measure(folder, folder / "mask", tmp_path / "out", *words, maps=("image",))
    # No contour names an image that is there: nothing but the positions says that it belongs here.
    assert done.exit_code == 8, done.output
    assert "name an image that is not here" in done.stderr
    (one,) = said["rois"]
    assert one["image_voxels"] == voxels
    assert one["maps"][0]["whole"]["voxels"] == voxels


def test_json_file_csv_and_text_say_the_same(synthetic, tmp_path):
    folder = synthetic / "axial"
    out = tmp_path / "out"
    _, said = measure(folder, folder / "AIM" / AIM, out, "--format", "none", "--unit", "ms")
    assert json.loads((out / "statistics.json").read_text(encoding="utf-8")) == said
    with (out / "statistics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text = (out / "statistics.txt").read_text(encoding="utf-8")
    assert text.count("-" * 40) >= 5
    for one in said["rois"]:
        found = [r for r in rows if r["roi"] == one["name"] and r["set"] == "whole"]
        assert [r["unit"] for r in found] == ["ms", "s^-1"]
        own, rate = one["maps"][0]["whole"], one["maps"][0]["reciprocal"]["whole"]
        for row, numbers in zip(found, (own, rate), strict=True):
            assert int(row["voxels"]) == numbers["voxels"]
            assert float(row["mean"]) == pytest.approx(numbers["mean"], rel=1e-8)
        part = text.split(f"{one['name']}\n")[1].split("-" * 40)[0]
        for number in (own["mean"], own["sd"], own["median"], rate["mean"], rate["median"]):
            assert f"{number:.6g}" in part
        assert str(one["image_voxels"]) in part


def test_rate_is_of_each_voxel_and_needs_a_unit_of_time(synthetic, tmp_path):
    folder = synthetic / "axial"
    _, plain = measure(folder, folder / "SEG", tmp_path / "a", "--format", "none")
    assert all(one["maps"][0]["reciprocal"] is None for one in plain["rois"])
    assert any("--unit" in note for note in plain["warnings"])
    done, said = measure(folder, folder / "SEG", tmp_path / "b", "--unit", "ms")
    assert done.exit_code == 0
    labels = nib.load(tmp_path / "b" / "masks_map.nii.gz").get_fdata()
    order = json.loads((tmp_path / "b" / "labels_map.json").read_text(encoding="utf-8"))
    values = nib.load(folder / "map.nii.gz").get_fdata()
    for place, number in enumerate(order["Volumes"]):
        inside = values[labels[..., place] > 0]
        rate = 1000 / inside[np.isfinite(inside)]
        found = said["rois"][number - 1]["maps"][0]["reciprocal"]
        assert found["unit"] == "s^-1"
        assert found["whole"]["mean"] == pytest.approx(rate.mean(), rel=1e-6)
        assert found["whole"]["sd"] == pytest.approx(rate.std(ddof=1), rel=1e-5)


def test_shifted_twin_is_said(synthetic, tmp_path):
    folder = synthetic / "axial"
    roi = folder / "RTSTRUCT_halfpixel"
    done, said = measure(folder, roi, tmp_path / "out", "--format", "none")
    assert done.exit_code == 0
    assert any("half a pixel" in note for note in said["warnings"])
    assert "half a pixel" in (tmp_path / "out" / "statistics.txt").read_text(encoding="utf-8")


def test_dcmrtstruct2nii_may_fill_the_contours(synthetic, tmp_path):
    pytest.importorskip("dcmrtstruct2nii")
    folder = synthetic / "axial"
    roi = next((folder / "RTSTRUCT").iterdir())
    done, said = measure(
        folder, roi, tmp_path / "out", "--format", "none", "--rasterizer", "dcmrtstruct2nii"
    )
    assert done.exit_code == 0, done.output
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["rois"]
    assert said["settings"]["rasterizer"] == "dcmrtstruct2nii"
    for one in said["rois"]:
        assert one["image_voxels"] == pytest.approx(
            truth[one["name"]]["voxels_pixel_centre"], rel=0.03
        )


# What is unusable is named, never counted as nothing.


def save(ds, tmp_path):
    folder = tmp_path / "roi"
    folder.mkdir()
    ds.save_as(folder / "changed.dcm")
    return folder / "changed.dcm"


def test_an_empty_region_is_named_and_the_others_measured(synthetic, drawn, tmp_path):
    del drawn.ROIContourSequence[1].ContourSequence
    folder = synthetic / "axial"
    done, said = measure(folder, save(drawn, tmp_path), tmp_path / "out")
    assert done.exit_code == 8, done.output
    empty = [one for one in said["rois"] if not one["usable"]]
    assert [one["name"] for one in empty] == ["Ring"]
    assert empty[0]["maps"] == []
    assert "no contours" in empty[0]["warnings"][0]
    assert "Ring: not usable" in done.stderr
    for name in ("statistics.txt", "statistics.csv", "report.html", "log.txt"):
        assert "no contours" in (tmp_path / "out" / name).read_text(encoding="utf-8"), name
    assert (tmp_path / "out" / "dicom" / "SEG.dcm").exists()


def test_points_have_no_inside(synthetic, drawn, tmp_path):
    for contour in drawn.ROIContourSequence[0].ContourSequence:
        contour.ContourGeometricType = "POINT"
        contour.ContourData = contour.ContourData[:3]
        contour.NumberOfContourPoints = 1
    done, said = measure(synthetic / "axial", save(drawn, tmp_path), tmp_path / "out")
    assert done.exit_code == 8
    assert [one["name"] for one in said["rois"] if not one["usable"]] == ["Lesion"]


def test_none_usable(synthetic, drawn, tmp_path):
    for one in drawn.ROIContourSequence:
        del one.ContourSequence
    done, said = measure(synthetic / "axial", save(drawn, tmp_path), tmp_path / "out")
    assert done.exit_code == 3
    assert all(one["warnings"] for one in said["rois"])
    assert (tmp_path / "out" / "report.html").exists()


def test_a_region_on_one_slice(synthetic, drawn, tmp_path):
    """On its own grid it is measured; the map's slices are thicker, and that is said."""
    sequence = drawn.ROIContourSequence[0].ContourSequence
    del sequence[1:]
    folder, roi = synthetic / "axial", save(drawn, tmp_path)
    done, said = measure(folder, roi, tmp_path / "a", maps=("image",))
    assert done.exit_code == 0, done.output
    whole = said["rois"][0]["maps"][0]["whole"]
    assert 0 < whole["voxels"] == whole["valid"] == said["rois"][0]["image_voxels"]
    assert len(said["rois"][0]["maps"][0]["slices"]) == 1
    assert len(list((tmp_path / "a" / "png").glob("01_Lesion*"))) == 1
    done, said = measure(folder, roi, tmp_path / "b", "--format", "none")
    assert done.exit_code == 8
    one = said["rois"][0]
    assert not one["usable"]
    assert "half a slice" in one["warnings"][0]
    assert f"{one['maps'][0]['weighted']['mean']:.6g}" in one["warnings"][0]


def test_aim_of_version_3_is_refused(shared_data, synthetic, tmp_path):
    roi = shared_data / "roi" / "ncip_aim3_0022BaselineA.xml"
    done, _ = measure(synthetic / "axial", roi, tmp_path / "out")
    assert done.exit_code == 3
    assert "AIM" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_segmentation_of_another_study_is_not_measured(shared_data, synthetic, tmp_path):
    roi = shared_data / "roi" / "dcmqi" / "data" / "segmentations" / "liver.dcm"
    done, said = measure(synthetic / "axial", roi, tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert said["rois"]
    assert all(not one["usable"] and one["warnings"] for one in said["rois"])


def test_a_map_beside_the_image_is_named(synthetic, tmp_path):
    folder = synthetic / "axial"
    image = nib.load(folder / "map.nii.gz")
    far = image.affine.copy()
    far[0, 3] += 500
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), far), tmp_path / "far.nii.gz")
    done, said = measure(tmp_path, folder / "AIM", tmp_path / "out", maps=("far.nii.gz",),
                         image=folder / "image")  # fmt: skip
    assert done.exit_code == 3, done.output
    for one in said["rois"]:
        assert one["image_voxels"] > 0
        assert "outside the field of view" in " ".join(one["warnings"])
        assert one["maps"][0]["whole"]["voxels"] == 0
        assert one["maps"][0]["whole"]["mean"] is None


@pytest.mark.parametrize("what", ["roi", "map", "image"])
def test_a_file_that_breaks_off_is_corrupt(synthetic, tmp_path, what):
    folder = tmp_path / "axial"
    shutil.copytree(synthetic / "axial", folder)
    roi = next((folder / "RTSTRUCT").iterdir())
    broken = {"roi": roi, "map": folder / "map.nii.gz", "image": folder / "image" / "00.dcm"}[what]
    length = 400 if what == "image" else broken.stat().st_size // 2
    broken.write_bytes(broken.read_bytes()[:length])
    if what == "image":  # the only one
        done, _ = measure(folder, roi, tmp_path / "out", image="image/00.dcm")
    else:
        done, _ = measure(folder, roi, tmp_path / "out")
    assert done.exit_code == 4, done.output
    assert broken.name in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_files_and_wrong_calls(synthetic, tmp_path):
    folder = synthetic / "axial"
    done, _ = measure(folder, tmp_path / "nothing", tmp_path / "out")
    assert done.exit_code == 3
    done, _ = measure(folder, folder / "AIM", tmp_path / "out", maps=("nothing.nii.gz",))
    assert done.exit_code == 3
    assert run("--image", folder / "image", tmp_path / "out").exit_code == 2
    done, _ = measure(folder, folder / "AIM", tmp_path / "out", "--rasterizer", "magic")
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_output_is_not_overwritten_unless_asked(synthetic, tmp_path):
    folder = synthetic / "axial"
    out = tmp_path / "out"
    assert measure(folder, folder / "AIM", out, "--format", "none")[0].exit_code == 0
    again, _ = measure(folder, folder / "AIM", out, "--format", "none")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert measure(folder, folder / "SEG", out, "--format", "none", "--overwrite")[0].exit_code == 0
    said = json.loads((out / "statistics.json").read_text(encoding="utf-8"))
    assert {one["source"] for one in said["rois"]} == {"SEG"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]  # nothing left beside it


def test_names_from_files_do_no_harm(synthetic, drawn, tmp_path):
    names = ['=HYPERLINK("http://x")', "<script>alert(1)</script>", "../../up\x07", ""]
    for item, name in zip(drawn.StructureSetROISequence, names, strict=True):
        item.ROIName = name
    out = tmp_path / "out"
    done, _ = measure(synthetic / "axial", save(drawn, tmp_path), out)
    assert done.exit_code == 0, done.output
    with (out / "statistics.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["roi"].startswith("'=")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x07" not in done.stderr + (out / "statistics.txt").read_text(encoding="utf-8")
    assert {p.name for p in tmp_path.iterdir()} == {"roi", "out"}
