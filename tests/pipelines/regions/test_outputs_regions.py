"""Files of a run: masks, DICOM, pictures and page, read back by other means than they were made."""

import base64
import io
import json
import re
import subprocess

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from PIL import Image
from programs import need_program

from pipelines.cli import main


def measure(folder, roi, out, *words):
    options = ["--image", folder / "image", "--roi", roi, "--map", folder / "map.nii.gz"]
    words = ["mask-average", *options, out, "--unit", "ms", "--json", *words]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def synthetic(shared_data):
    return shared_data / "roi" / "synthetic"


@pytest.fixture(scope="module", params=["axial", "enhanced_multiframe"])
def made(request, synthetic, tmp_path_factory):
    """A run on classic and on Enhanced images: folder of the data, results, JSON."""
    folder = synthetic / request.param
    out = tmp_path_factory.mktemp("regions") / "ANALYSED"
    return folder, out, measure(folder, folder / "AIM", out)


def segments(path):
    """Masks of a Segmentation by label, placed by the position of each frame: (z mm, mask)."""
    ds = pydicom.dcmread(path)
    names = {int(s.SegmentNumber): s.SegmentLabel for s in ds.SegmentSequence}
    found = {name: {} for name in names.values()}
    frames = np.reshape(ds.pixel_array, (-1, ds.Rows, ds.Columns))
    for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        z = float(item.PlanePositionSequence[0].ImagePositionPatient[2])
        number = int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[names[number]][round(z, 3)] = frame > 0
    return found


def test_segmentation_holds_the_masks_of_the_one_that_was_given(made, synthetic):
    _, out, _ = made
    given = segments(next((synthetic / "axial" / "SEG").iterdir()))
    got = segments(out / "dicom" / "SEG.dcm")
    assert set(got) == set(given)
    for name, planes in given.items():
        assert set(got[name]) == {z for z, mask in planes.items() if mask.any()}
        for z, mask in got[name].items():
            np.testing.assert_array_equal(mask, planes[z])


def test_segmentation_refers_to_the_image(made):
    folder, out, said = made
    ds = pydicom.dcmread(out / "dicom" / "SEG.dcm")
    sources = [pydicom.dcmread(p, stop_before_pixels=True) for p in (folder / "image").iterdir()]
    assert ds.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    assert ds.StudyInstanceUID == sources[0].StudyInstanceUID
    (series,) = ds.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == sources[0].SeriesInstanceUID
    instances = {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence}
    assert instances <= {one.SOPInstanceUID for one in sources}
    assert [s.SegmentLabel for s in ds.SegmentSequence] == [one["name"] for one in said["rois"]]


def test_report_of_measurements_has_the_numbers_of_the_json(made):
    _, out, said = made
    sr = hd.sr.srread(out / "dicom" / "SR.dcm")
    segmentation = pydicom.dcmread(out / "dicom" / "SEG.dcm")
    groups = sr.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(said["rois"])
    for number, (group, roi) in enumerate(zip(groups, said["rois"], strict=True), 1):
        assert group.tracking_identifier == roi["name"]
        (item,) = group.referenced_segment[0].ReferencedSOPSequence
        assert item.ReferencedSOPInstanceUID == segmentation.SOPInstanceUID
        assert item.ReferencedSegmentNumber == number
        found = {}
        for one in group.get_measurements():
            derivation = one.derivation.meaning if one.derivation else ""
            found[one.unit.value, derivation] = float(one.value)
        whole, rate = roi["maps"][0]["whole"], roi["maps"][0]["reciprocal"]["whole"]
        expected = {("mm3", ""): roi["volume_mm3"]}
        for unit, row in (("ms", whole), ("/s", rate)):
            expected |= {
                (unit, "Mean"): row["mean"],
                (unit, "Standard Deviation"): row["sd"],
                (unit, "Median"): row["median"],
                (unit, "Minimum"): row["min"],
                (unit, "Maximum"): row["max"],
            }
        assert found == pytest.approx(expected, rel=1e-12)


def test_dicom_passes_the_validator(made):
    tool = need_program("dciodvfy")
    _, out, _ = made
    kinds = {"SEG.dcm": "Segmentation", "SR.dcm": "Comprehensive3DSR"}
    for file in (out / "dicom").iterdir():
        done = subprocess.run([tool, file], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert kinds[file.name] in lines
        assert [line for line in lines if line.startswith("Error")] == []


def test_the_same_input_gives_the_same_dicom(made, tmp_path):
    folder, out, _ = made
    measure(folder, folder / "AIM", tmp_path / "b", "--format", "dicom")
    for name in ("SEG.dcm", "SR.dcm"):
        again = (tmp_path / "b" / "dicom" / name).read_bytes()
        assert again == (out / "dicom" / name).read_bytes()


def test_names_beyond_ascii_survive(synthetic, tmp_path):
    ds = pydicom.dcmread(next((synthetic / "axial" / "RTSTRUCT").iterdir()))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StructureSetROISequence[0].ROIName = "Läsion µ"
    ds.save_as(tmp_path / "roi.dcm")
    measure(synthetic / "axial", tmp_path / "roi.dcm", tmp_path / "out")
    made = pydicom.dcmread(tmp_path / "out" / "dicom" / "SEG.dcm")
    assert made.SegmentSequence[0].SegmentLabel == "Läsion µ"
    assert "Läsion µ" in (tmp_path / "out" / "statistics.txt").read_text(encoding="utf-8")


def test_label_maps_give_the_numbers_back(made):
    """Whoever has the masks and the map gets the means of the table."""
    folder, out, said = made
    values = nib.load(folder / "map.nii.gz").get_fdata()
    order = json.loads((out / "labels_map.json").read_text(encoding="utf-8"))
    assert order["OverlapVoxels"] > 0  # two regions of the data overlap, so each has its volume
    stack = nib.load(out / order["Masks"])
    np.testing.assert_allclose(stack.affine, nib.load(folder / "map.nii.gz").affine, atol=1e-5)
    for place, number in enumerate(order["Volumes"]):
        roi = said["rois"][number - 1]
        assert order["Labels"][str(number)] == roi["name"]
        inside = values[stack.get_fdata()[..., place] > 0]
        assert roi["maps"][0]["whole"]["voxels"] == inside.size
        assert roi["maps"][0]["whole"]["mean"] == pytest.approx(np.nanmean(inside), rel=1e-9)
    union = stack.get_fdata().any(axis=-1)
    masked = nib.load(out / "masked_map.nii.gz").get_fdata()
    np.testing.assert_array_equal(np.isfinite(masked), union & np.isfinite(values))
    np.testing.assert_array_equal(masked[np.isfinite(masked)], values[np.isfinite(masked)])
    image_labels = nib.load(out / "masks_image.nii.gz").get_fdata()
    counts = image_labels.sum(axis=(0, 1, 2))
    assert counts.tolist() == [one["image_voxels"] for one in said["rois"]]


def test_a_picture_for_each_region_and_slice_is_in_the_page(made):
    folder, out, _ = made
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["rois"]
    pictures = sorted(out.glob("png/*.png"))
    assert len(pictures) == sum(len(one["slices"]) for one in truth.values())
    page = (out / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert {base64.b64decode(one) for one in shown} == {p.read_bytes() for p in pictures}
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)


def test_the_outline_in_the_picture_encloses_the_voxels_measured(made):
    """White pixels of the panel of the map lie at the edge of voxels with a share of a half."""
    _, out, said = made
    number = next(one["number"] for one in said["rois"] if one["name"] == "Lesion")
    row = said["rois"][number - 1]["maps"][0]
    picture = np.asarray(
        Image.open(io.BytesIO((out / "png" / "01_Lesion_slice005.png").read_bytes()))
    )
    width = picture.shape[1]
    panel = picture[42:-30, width // 2 + 5 :]
    white = (panel == 255).all(axis=2)
    columns = np.flatnonzero(white[:, : panel.shape[1] - 12].sum(axis=0) > 10)
    assert columns.size
    # The region is 82 voxels over 4 slices of the map: about 5 voxels across, 2.6 mm each.
    span_mm = (columns[-1] - columns[0]) / 300 * _shown_mm(said, number)
    assert span_mm == pytest.approx(5 * 2.6, abs=0.3 * 2.6)
    assert row["whole"]["voxels"] == 82


def _shown_mm(said, number):
    """Width of the panel: the region's diameter and 35 % of it on either side."""
    area = said["rois"][number - 1]["image_voxels"] / 6 * 0.81
    return 2 * np.sqrt(area / np.pi) * 1.7


def test_provenance_names_every_input(made):
    folder, out, _ = made
    content = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    names = {one["file"] for one in content["inputs"]}
    assert {p.name for p in (folder / "image").iterdir()} <= names
    assert {"map.nii.gz", "AIM_20260101_120000_000_S3.xml"} <= names
    assert all(len(one["sha256"]) == 64 for one in content["inputs"])
