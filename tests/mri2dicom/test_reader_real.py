"""Real studies of the shared folder: what each one must be read as."""

import numpy as np
import pytest
from builder import read_all

from mri2dicom.series.geometry import in_stack_positions, measured_spacing
from mri2dicom.series.model import Loop, RawSeries, SeriesKind, Skipped
from private_dictionaries import load


@pytest.fixture(scope="module")
def study(shared_data):
    """Give the series of a folder of real studies by study, scan and reconstruction."""
    found = {}

    def read(name):
        if name not in found:
            found[name] = {
                (s.study.name, s.expno, s.procno): s
                for s in read_all(shared_data / "paravision" / name)
            }
        return found[name]

    return read


def loops(series):
    return [(d.loop, d.source, d.length) for d in series.dimensions]


def normals(series):
    return np.abs(series.orientation[:, 2]).argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("name", "expno", "shape", "position", "told"),
    [
        ("pv601_acidoCEST", 1, (3, 256, 256), "HFP", "BIPED"),
        ("pv601_gtagora_localizer", 1, (3, 256, 256), "HFS", "QUADRUPED"),
        ("pv51_brukerMRI_tripilot", 100, (3, 128, 128), "HFS", None),
    ],
)
def test_tripilots_are_three_stacks(study, name, expno, shape, position, told):
    series = study(name)[(name, expno, 1)]
    assert series.kind is SeriesKind.LOCALIZER
    assert series.pixels.shape == shape
    assert series.stack.tolist() == [0, 1, 2]
    assert loops(series) == [(Loop.SLICE, "FG_SLICE", 3)]
    assert sorted(normals(series)) == [0, 1, 2]
    assert series.attributes["PatientPosition"] == position
    assert series.attributes.get("AnatomicalOrientationType") == told
    directions = series.plane_attributes["InPlanePhaseEncodingDirection"]
    assert directions == ["COL", "ROW", "ROW"]


def test_a_stack_of_24_slices(study):
    series = study("pv601_acidoCEST")[("pv601_acidoCEST", 2, 1)]
    assert series.kind is SeriesKind.ANATOMY
    assert series.pixels.shape == (24, 128, 128)
    assert set(series.stack) == {0}
    assert series.spacing_mm == pytest.approx((0.3, 0.3))
    assert measured_spacing(series.position_mm, series.orientation) == pytest.approx(1.0)
    assert set(series.thickness_mm) == {1.0}
    assert series.warnings == ()
    assert series.private == {}


def test_a_cest_series_of_176_images(study):
    series = study("pv601_acidoCEST")[("pv601_acidoCEST", 4, 1)]
    assert series.kind is SeriesKind.CEST
    assert series.pixels.shape == (176, 64, 64)
    assert loops(series) == [(Loop.TIME, "FG_CYCLE", 176)]
    assert set(series.stack) == {0}
    private = series.private
    assert private["MeasurementNumber"] == 44
    assert private["OffsetListSource"] == "PVM_ppgFreqList1"
    hz, ppm = private["SaturationOffsetHz"], private["SaturationOffsetPpm"]
    assert len(hz) == 176
    assert hz[:44] * 4 == hz
    assert hz[:3] == [-30032.0] * 3
    assert ppm[0] == pytest.approx(-100.0003138, abs=1e-7)
    np.testing.assert_allclose(np.array(hz) / 300.319057478109, ppm)
    marks = private["SaturationReferenceImage"]
    assert [mark == "YES" for mark in marks] == [value < -30000 for value in hz]
    assert (private["B1Saturation"], private["DutyCycle"]) == (3.5, 100)
    assert private["PulseLength"] == pytest.approx(6000)
    assert private["SaturationLength"] == pytest.approx(6000)
    assert private["ReadoutTime"] == pytest.approx(195.965, abs=1e-3)
    assert "RecoveryTime" not in private
    assert series.attributes["MagnetizationTransfer"] == "OFF_RESONANCE"
    assert "DiffusionBValue" not in series.plane_attributes
    assert set(private) <= set(load("cest").by_keyword)


def test_cest_images_of_one_offset_are_alike(study):
    """Passes through the list correlate at the length of the list and nowhere near."""
    series = study("pv601_acidoCEST")[("pv601_acidoCEST", 4, 1)]
    signal = series.pixels.array.astype(float).mean(axis=(1, 2)) * series.slope

    def correlation(lag):
        return np.corrcoef(signal[:-lag], signal[lag:])[0, 1]

    length = series.private["MeasurementNumber"]
    assert correlation(length) > 0.99
    assert correlation(length // 2) < 0.5


def test_epi_with_a_pitch_wider_than_its_slices(study):
    series = study("pv51_bruker2nifti_testdata")[("bru_banana", 1, 1)]
    assert series.kind is SeriesKind.ANATOMY
    assert series.pixels.shape == (5, 64, 80)
    assert set(series.stack) == {0}
    assert measured_spacing(series.position_mm, series.orientation) == pytest.approx(2.0)
    assert set(series.thickness_mm) == {1.5}
    assert series.attributes["EchoPlanarPulseSequence"] == "YES"
    assert any("file says scan 18" in text for text in series.warnings)


@pytest.mark.parametrize("expno", [2, 3])
def test_hand_edited_geometry_is_no_stack(study, expno):
    series = study("pv51_bruker2nifti_testdata")[("bru_banana", expno, 1)]
    assert series.stack.tolist() == [0, 1, 2, 3, 4]
    assert measured_spacing(series.position_mm, series.orientation) is None
    assert any("do not lie one above the other" in text for text in series.warnings)


def test_hand_edited_copies_are_images_of_their_own(study):
    found = study("pv51_bruker2nifti_testdata")
    contents = {found[("bru_banana", k, 1)].identity.content for k in (1, 2, 3)}
    assert len(contents) == 3


@pytest.mark.parametrize(
    ("name", "key", "words", "damaged"),
    [
        ("pv51_bruker2nifti_testdata", ("bru_banana_bad_1", 18, 1), "No image file", False),
        ("pv51_bruker2nifti_testdata", ("bru_banana_bad_2", 18, 1), "No visu_pars", True),
        ("pv51_bruker2nifti_testdata", ("bru_banana_bad_3", 18, 0), "No reconstruction", False),
        ("pv3601_mrs4brain", ("DemoRat14T", 20, 1), "Spectroscopy", False),
        ("pv3601_mrs4brain", ("DemoRat14T", 20, 2), "Spectroscopy", False),
        ("misc_dicomifier_tests", ("bruker", 1, 1), "how large the image is", True),
    ],
)
def test_what_is_skipped_and_why(study, name, key, words, damaged):
    series = study(name)[key]
    assert isinstance(series, Skipped)
    assert words in series.reason
    assert series.damaged == damaged


def test_foot_first_slices_that_step_against_the_normal(study):
    series = study("pv3601_mrs4brain")[("DemoRat14T", 12, 1)]
    assert series.attributes["PatientPosition"] == "FFP"
    assert series.pixels.shape == (20, 256, 256)
    assert set(series.stack) == {0}
    steps = np.diff(series.position_mm @ series.orientation[0, 2])
    np.testing.assert_allclose(steps, -0.8, atol=1e-6)
    assert measured_spacing(series.position_mm, series.orientation) == pytest.approx(0.8)
    numbers = in_stack_positions(series.position_mm, series.orientation, series.stack)
    assert numbers.tolist() == list(range(20, 0, -1))
    assert series.attributes["InPlanePhaseEncodingDirection"] == "ROW"
    # Saturation is off and its lists hold defaults.
    assert series.private == {}
    assert series.warnings == ()


def test_every_real_image_is_whole(study, shared_data):
    images = 0
    for folder in sorted((shared_data / "paravision").iterdir()):
        for series in study(folder.name).values():
            if not isinstance(series, RawSeries):
                continue
            images += 1
            path = series.study / series.location / "2dseq"
            stored = np.fromfile(path, series.pixels.dtype).reshape(series.pixels.shape)
            np.testing.assert_array_equal(series.pixels.array, stored)
            np.testing.assert_allclose(np.linalg.det(series.orientation), 1.0, atol=1e-6)
            for plane in series.plane_attributes.values():
                assert len(plane) == series.plane_count
    assert images == 9
