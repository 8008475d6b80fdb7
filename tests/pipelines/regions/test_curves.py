"""Regions over time, echoes, b-values: against the numbers that were put into the images."""

import csv
import json
import sys
from datetime import timedelta
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mr_series import affine, write_classic
from pet_series import DOSE_BQ, HALF_LIFE_S, INJECTED, NX, NZ, SIDE_MM, START, WEIGHT_KG, write_pet

from pipelines.cli import main
from pipelines.regions.run import RoiOptions, average_masks

TABLES = RoiOptions(formats=("report",))
STARTS = np.array([0.0, 10.0, 30.0, 90.0, 390.0])
ENDS = np.array([10.0, 30.0, 90.0, 390.0, 990.0])
BLOCKS = {"heart": np.s_[4:8, 8:14, 8:14], "muscle": np.s_[10:15, 18:26, 16:24]}
CURVES = {"heart": [9000.0, 40000.0, 22000.0, 9000.0, 4000.0], "muscle": [10, 400, 900, 1500, 1900]}


def _volume(k):
    out = np.zeros((NZ, NX, NX))
    for name, where in BLOCKS.items():
        out[where] = CURVES[name][k]
    return out


def _pet(folder, **more):
    for k, (start, end) in enumerate(zip(STARTS, ENDS, strict=True)):
        begin = START + timedelta(seconds=float(start))
        reference = start + (end - start) / 2
        write_pet(
            folder, _volume(k), series="1.2.3.4", study="1.2.3", first=1 + k * NZ,
            SeriesType=["DYNAMIC", "IMAGE"], FrameReferenceTime=1000 * reference,
            ActualFrameDuration=int(1000 * (end - start)), AcquisitionTime=f"{begin:%H%M%S}",
            **more,
        )  # fmt: skip
    return folder


def _labels(path, matrix, shape):
    labels = np.zeros(shape, np.uint8)
    for number, where in enumerate(BLOCKS.values(), 1):
        labels[where] = number
    nib.save(nib.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), matrix), path)
    return path


def _pet_mask(folder, tmp_path):
    ds = pydicom.dcmread(next(folder.iterdir()))
    assert [*ds.ImageOrientationPatient] == [-1, 0, 0, 0, -1, 0]
    matrix = np.diag([SIDE_MM, SIDE_MM, -SIDE_MM, 1.0])  # RAS; slices go down
    matrix[:3, 3] = -15.5, -15.5, 0.0
    return _labels(tmp_path / "rois.nii.gz", matrix, (NZ, NX, NX))


def _rows(out):
    with (out / "curves.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_activity_over_time(tmp_path):
    folder = _pet(tmp_path / "in")
    roi = _pet_mask(folder, tmp_path)
    summary = average_masks(folder, roi, [folder], tmp_path / "out", TABLES)
    assert summary.exit_code == 0, summary.result.warnings
    rows = _rows(tmp_path / "out")
    dose = DOSE_BQ * 2 ** (-(START - INJECTED).total_seconds() / HALF_LIFE_S)
    for number, name in enumerate(BLOCKS, 1):
        mine = [row for row in rows if row["roi_number"] == str(number)]
        mean = np.array([float(row["mean"]) for row in mine])
        # Stored as whole numbers times a slope of each slice: nothing else is between.
        assert mean == pytest.approx(CURVES[name], rel=1e-4)
        assert [float(row["at"]) for row in mine] == pytest.approx(STARTS)
        assert [float(row["duration_s"]) for row in mine] == pytest.approx(ENDS - STARTS)
        assert {row["unit"] for row in mine} == {"Bq/ml"}
        assert [int(row["voxels"]) for row in mine] == [_volume(0)[BLOCKS[name]].size] * len(STARTS)
        suv = [float(row["suv_mean"]) for row in mine]
        assert suv == pytest.approx(mean * 1000 * WEIGHT_KG / dose, rel=1e-6)
        share = [float(row["percent_dose_per_g_mean"]) for row in mine]
        assert share == pytest.approx(100 * mean / dose, rel=1e-6)
    found = {one.roi: one for one in summary.result.curves}
    assert len(found) == 2
    names = [one.roi for one in summary.result.curves]
    heart = summary.result.curves[0]
    assert heart.peak == pytest.approx(40000, rel=1e-4)
    assert heart.at_peak == 20.0  # the middle of its frame
    area = np.dot(CURVES["heart"], ENDS - STARTS)
    assert heart.area == pytest.approx(area, rel=1e-4)
    table = (tmp_path / "out" / "PT_tacs.tsv").read_text(encoding="utf-8").splitlines()
    assert table[0].split("\t")[:2] == ["frame_start", "frame_end"]
    assert len(table[0].split("\t")) == 2 + len(names)
    values = np.array([[float(v) for v in line.split("\t")] for line in table[1:]])
    np.testing.assert_allclose(values[:, :2], np.column_stack([STARTS, ENDS]))
    np.testing.assert_allclose(values[:, 2], CURVES["heart"], rtol=1e-4)
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "PT over time (Bq/ml)" in report
    assert report.count('<svg class="chart"') == 1
    with (tmp_path / "out" / "statistics.csv").open(encoding="utf-8") as file:
        statistics = list(csv.DictReader(file))
    peaks = [row for row in statistics if row["quantity"] == "PT peak"]
    assert float(peaks[0]["mean"]) == pytest.approx(40000, rel=1e-4)
    content = json.loads((tmp_path / "out" / "statistics.json").read_text(encoding="utf-8"))
    assert len(content["curves"]) == 10


@pytest.mark.parametrize(
    "changed",
    [
        {"SeriesDate": f"{START + timedelta(days=1):%Y%m%d}", "SeriesTime": "090000"},
        {"RadiopharmaceuticalStartDateTime": None},
        {"RadiopharmaceuticalStartDateTime": f"{START + timedelta(seconds=5):%Y%m%d%H%M%S}"},
    ],
    ids=["reconstructed the next day", "injection without a date", "injected while it ran"],
)
def test_a_curve_has_the_suv_of_the_map(tmp_path, changed):
    folder = _pet(tmp_path / "in", **changed)
    roi = _pet_mask(folder, tmp_path)
    average_masks(folder, roi, [folder], tmp_path / "out", TABLES)
    done = CliRunner().invoke(main, ["map", "suv", str(folder), str(tmp_path / "suv")])
    assert done.exit_code == 0, done.output
    (file,) = (tmp_path / "suv").glob("*_SUVbw.nii.gz")
    values = nib.load(file).get_fdata().transpose(2, 1, 0)[::-1]  # slices were written downwards
    last = [row for row in _rows(tmp_path / "out") if float(row["at"]) == STARTS[-1]]
    assert len(last) == len(BLOCKS)
    for row, where in zip(last, BLOCKS.values(), strict=True):
        assert float(row["suv_mean"]) == pytest.approx(values[where].mean(), rel=1e-5)


def test_without_weight_the_curve_stands_and_says_what_lacks(tmp_path):
    folder = _pet(tmp_path / "in", PatientWeight=None)
    roi = _pet_mask(folder, tmp_path)
    summary = average_masks(folder, roi, [folder], tmp_path / "out", TABLES)
    assert summary.exit_code == 0
    assert any("Neither SUV nor per cent" in text for text in summary.result.warnings)
    rows = _rows(tmp_path / "out")
    assert {row["suv_mean"] for row in rows} == {""}
    assert float(rows[1]["mean"]) == pytest.approx(40000, rel=1e-4)


def _mr(folder, values, attributes):
    shape = (3, 16, 16)
    data = np.zeros((len(values), *shape))
    data[:, 1, 4:8, 5:9] = np.array(values)[:, None, None]
    write_classic(folder, data, attributes)
    mask = np.zeros(shape, np.uint8)
    mask[1, 4:8, 5:9] = 1
    path = folder.with_name("roi.nii.gz")
    nib.save(nib.Nifti1Image(np.ascontiguousarray(mask.transpose(2, 1, 0)), affine()), path)
    return path


@pytest.mark.parametrize(
    ("axis", "unit", "at", "attribute"),
    [
        ("echo time", "ms", [10.0, 20.0, 30.0, 40.0], lambda v: {"EchoTime": v}),
        ("b-value", "s/mm2", [0.0, 200.0, 500.0, 1000.0], lambda v: {"DiffusionBValue": v}),
        ("inversion time", "ms", [50.0, 200.0, 800.0, 3000.0], lambda v: {"InversionTime": v}),
        (
            "time", "s", [0.0, 12.5, 25.0, 37.5],
            lambda v: {"AcquisitionDate": "20240101", "AcquisitionTime": f"1000{v:09.6f}"},
        ),
        (
            "time", "s", [0.0, 2.0, 4.0, 6.0],
            lambda v: {"TemporalPositionIdentifier": int(v / 2) + 1, "TemporalResolution": 2000},
        ),
    ],
)  # fmt: skip
def test_regions_along_whatever_varies(tmp_path, axis, unit, at, attribute):
    values = [1000.0, 640.0, 300.0, 110.0]
    roi = _mr(tmp_path / "in", values, [attribute(v) for v in at])
    summary = average_masks(tmp_path / "in", roi, [tmp_path / "in"], tmp_path / "out", TABLES)
    (curve,) = summary.result.curves
    assert (curve.samples.axis, curve.samples.axis_unit) == (axis, unit)
    assert curve.samples.at == pytest.approx(at)
    assert curve.mean == pytest.approx(values, abs=0.26)  # half a stored step
    assert set(curve.voxels) == {16}


def test_images_of_one_place_that_nothing_tells_apart_are_refused(tmp_path):
    roi = _mr(tmp_path / "in", [1000.0, 640.0], [{"EchoTime": 10.0}, {"EchoTime": 10.0}])
    done = CliRunner().invoke(
        main,
        [
            "mask-average", "--image", str(tmp_path / "in"), "--roi", str(roi),
            "--map", str(tmp_path / "in"), str(tmp_path / "out"),
        ],
    )  # fmt: skip
    assert done.exit_code == 3, done.output
    assert "nothing in their headers says by what they differ" in done.output
    assert not (tmp_path / "out").exists()
