"""The whole command: mouse in, every kind of file out, values against the truth."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from programs import need_program
from scipy.io import loadmat

from pipelines.cli import main
from pipelines.cli.maps import MAPS
from pipelines.fitting.methods import MAP_METHODS


def run(*words):
    return CliRunner().invoke(main, ["map", *map(str, words)])


@pytest.fixture(scope="module")
def t2(mouse, tmp_path_factory):
    out = tmp_path_factory.mktemp("t2") / "PROCESSED_T2"
    done = run("t2", mouse.series("t2"), out, "--json")
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


def relative_error(mouse, file, truth):
    image = nib.load(file)
    true = mouse.true_map(truth, image.affine, image.shape[:3])
    values = np.asarray(image.dataobj)
    inside = np.isfinite(values) & (true > 0)
    assert np.count_nonzero(inside) >= 0.99 * np.count_nonzero(true > 0)
    return values[inside] / true[inside] - 1


def test_every_command_is_offered():
    assert set(MAPS) == set(MAP_METHODS)


@pytest.mark.parametrize("form", ["classic", "enhanced"])
@pytest.mark.parametrize(
    ("command", "series", "main_map", "truth", "median", "spread"),
    [
        ("t2", "t2", "T2map", "3_t2map_T2_ms", 0.005, 0.03),
        ("t1sr", "t1sr", "T1map", "4_t1map_T1_ms", 0.005, 0.03),
        ("dwi", "dti", "MD", "6_dti_MD_um2_ms", 0.01, 0.04),
        ("dwi", "dwi", "ADC", "5_dwi_ADC_um2_ms", 0.02, 0.05),
    ],
)
def test_values_are_the_truth(
    mouse, tmp_path, form, command, series, main_map, truth, median, spread
):
    source = mouse.series(series, form)
    done = run(command, source, tmp_path / "out", "--json", "--format", "nifti")
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)["maps"][main_map]
    error = relative_error(mouse, row["nifti"], truth)
    assert abs(np.median(error)) < median
    assert np.sqrt(np.mean(error**2)) < spread


def test_cest_finds_the_planted_shift(mouse, tmp_path):
    done = run("cest", mouse.series("cest"), tmp_path / "out", "--json", "--offsets", "3.5,2.0")
    assert done.exit_code == 0, done.output
    maps = json.loads(done.stdout)["maps"]
    assert {"MTRasym_3.5ppm", "MTRasym_2ppm", "B0map"} <= set(maps)
    image = nib.load(maps["B0map"]["nifti"])
    true = mouse.true_map("7_cest_B0_ppm", image.affine, image.shape)
    label = mouse.true_map("7_cest_label", image.affine, image.shape)
    values = np.asarray(image.dataobj)
    inside = np.isfinite(values) & (label > 0)
    assert np.median(np.abs(values[inside] - true[inside])) < 0.03


def test_json_names_files_that_exist(t2):
    out, said = t2
    assert set(said) >= {"maps", "report", "warnings"}
    row = said["maps"]["T2map"]
    assert row["unit"] == "ms"
    assert 20 < row["median"] < 80
    assert row["valid"] > 500
    for kind in ("nifti", "dicom", "secondary", "error"):
        assert out in Path(row[kind]).parents
        assert Path(row[kind]).exists()


def test_the_table_of_contents_names_what_is_there(t2):
    out, _ = t2
    row = json.loads((out / "maps.json").read_text(encoding="utf-8"))["maps"]["T2map"]
    for kind in ("nifti", "sidecar", "dicom", "secondary", "error", "flags", "r2fit", "png"):
        assert (out / row[kind]).exists(), kind
    assert row["source_series"]
    assert row["frame_of_reference"]
    provenance = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["parameters"] == row["parameters"]
    assert all(len(one["sha256"]) == 64 for one in provenance["inputs"])
    begin, end = (datetime.fromisoformat(provenance[name]) for name in ("started", "ended"))
    assert begin < end < datetime.now(UTC)
    assert end - begin < timedelta(minutes=5)


def test_sidecar_is_in_seconds_and_the_map_in_milliseconds(t2):
    out, _ = t2
    content = json.loads((out / "sub-m01_T2map.json").read_text(encoding="utf-8"))
    assert content["Units"] == "ms"
    np.testing.assert_allclose(content["EchoTime"], np.arange(1, 9) * 0.01)
    assert content["Flags"]["OUTSIDE_MASK"] > 0


def test_dicom_holds_the_values_of_the_nifti(t2):
    out, _ = t2
    image = nib.load(out / "sub-m01_T2map.nii.gz")
    values = np.asarray(image.dataobj)
    made = pydicom.dcmread(out / "dicom" / "T2map.dcm")
    frames = np.asarray(made.pixel_array).reshape(-1, made.Rows, made.Columns)
    for item, frame in zip(made.PerFrameFunctionalGroupsSequence, frames, strict=True):
        place = item.PlanePositionSequence[0].ImagePositionPatient
        ras = [-float(place[0]), -float(place[1]), float(place[2]), 1]
        column, row, index, _ = np.linalg.solve(image.affine, ras)
        np.testing.assert_allclose([column, row], 0, atol=1e-3)
        np.testing.assert_array_equal(frame.T, values[:, :, round(index)])
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "ms"
    secondary = sorted((out / "dicom" / "T2map_int16").iterdir())
    assert len(secondary) == values.shape[2]
    for k, file in enumerate(secondary):
        ds = pydicom.dcmread(file)
        real = ds.pixel_array * float(ds.RescaleSlope)
        real = np.where(ds.pixel_array == ds.PixelPaddingValue, np.nan, real)
        step = float(ds.RescaleSlope)
        np.testing.assert_allclose(real.T, values[:, :, k], atol=0.51 * step)


def test_planes_and_frame_of_reference_are_the_sources(t2, mouse):
    out, _ = t2
    made = pydicom.dcmread(out / "dicom" / "T2map.dcm")
    headers = [pydicom.dcmread(p, stop_before_pixels=True) for p in mouse.series("t2").iterdir()]
    places = {tuple(map(float, ds.ImagePositionPatient)) for ds in headers}
    assert made.FrameOfReferenceUID == headers[0].FrameOfReferenceUID
    got = {
        tuple(map(float, item.PlanePositionSequence[0].ImagePositionPatient))
        for item in made.PerFrameFunctionalGroupsSequence
    }
    assert got == places


def test_every_object_passes_the_validator(t2):
    tool = need_program("dciodvfy")
    out, _ = t2
    for file in (out / "dicom").rglob("*.dcm"):
        done = subprocess.run([tool, file], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert any(line in ("MRImage", "ParametricMap") for line in lines)
        assert [line for line in lines if line.startswith("Error")] == []


def test_the_same_input_gives_the_same_dicom(t2, mouse, tmp_path):
    out, _ = t2
    assert run("t2", mouse.series("t2"), tmp_path / "b", "--format", "dicom").exit_code == 0
    first = (out / "dicom" / "T2map.dcm").read_bytes()
    assert (tmp_path / "b" / "dicom" / "T2map.dcm").read_bytes() == first


def test_arrays_for_matlab(t2):
    out, _ = t2
    arrays = loadmat(out / "results.mat")
    values = np.asarray(nib.load(out / "sub-m01_T2map.nii.gz").dataobj)
    np.testing.assert_array_equal(arrays["T2map"], values)
    assert "T2map_se" in arrays


def test_report_needs_no_other_file(t2):
    out, _ = t2
    text = (out / "report.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") >= 2
    assert text.count("<svg") >= 8
    assert 'src="http' not in text
    assert "<link" not in text
    assert "EchoTime" in text or "EffectiveEchoTime" in text


def test_output_is_not_overwritten_unless_asked(t2, mouse):
    out, _ = t2
    again = run("t2", mouse.series("t2"), out, "--format", "nifti")
    assert again.exit_code == 2
    assert "--overwrite" in again.output
    assert (out / "report.html").exists()
