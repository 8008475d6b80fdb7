"""From stored voxels to what DICOM says: values, units, dose, times, decay, CT."""

import numpy as np
import pydicom
import pytest
from cases import converted, datasets
from inveon_images import (
    DYNAMIC_28,
    F18_S,
    PET,
    TYPES,
    decay_factor,
    dynamic_frames,
    frame,
    ramp,
    write_image,
)


def written(folder, **options) -> list[pydicom.Dataset]:
    """Convert a folder with one series and read its files."""
    report = converted(folder, folder.with_name(f"{folder.name}_out"), **options)
    (one,) = report.series
    assert one.status == "converted", one.reason
    return datasets(one.path)


def decoded(files) -> np.ndarray:
    """Return pixels * slope + intercept of each file, by the decimal strings in them."""
    return np.stack(
        [
            ds.pixel_array.astype(np.float64) * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
            for ds in files
        ]
    )


def notes(folder) -> str:
    import mri2dicom

    (series,) = mri2dicom.read(folder)
    return " ".join(series.warnings)


@pytest.mark.parametrize("data_type", sorted(TYPES))
def test_every_data_type(tmp_path, data_type):
    """All types give the header's formula within half a step of each image's own slope."""
    voxels = ramp(data_type)
    write_image(tmp_path / "in" / "a.img", voxels=voxels, data_type=data_type)
    files = written(tmp_path / "in")
    expected = voxels[0].astype(np.float64) * 1.5 * 2.5 / 0.968 * 37
    values = decoded(files)
    slopes = np.array([float(ds.RescaleSlope) for ds in files])[:, None, None]
    assert values.shape == expected.shape
    assert (np.abs(values - expected) <= slopes / 2 * (1 + 1e-9)).all()
    if data_type in (1, 2, 6):
        np.testing.assert_allclose(values, expected, rtol=1e-10)
    np.testing.assert_allclose(values.sum(), expected.sum(), rtol=1e-4)
    assert {float(ds.RescaleIntercept) for ds in files} == {0.0}
    assert {ds.Units for ds in files} == {"BQML"}


def test_bytes_with_a_sign(tmp_path):
    """Nothing but a negative minimum tells that a byte has a sign."""
    voxels = np.arange(-60, 60).astype("i1").reshape(1, 4, 5, 6)
    write_image(
        tmp_path / "in" / "a.img",
        voxels=voxels.view("u1"),
        data_type=1,
        frames=[frame(minimum=-60)],
        calibration_units="0",
    )
    np.testing.assert_allclose(decoded(written(tmp_path / "in")), voxels[0] * 1.5)


@pytest.mark.parametrize(
    ("keys", "factor", "unit", "said"),
    [
        ({"calibration_units": "1"}, 2.5 / 0.968 * 37, "BQML", ""),
        ({"calibration_units": "2"}, 2.5 / 0.968, "BQML", ""),
        ({"calibration_units": "0"}, 1.0, "CNTS", "not calibrated"),
        ({"calibration_units": "3"}, 1.0, "CNTS", "calibration_units is 3"),
        ({"calibration_units": None}, 1.0, "CNTS", "calibration_units is absent"),
        ({"calibration_factor": "0"}, 1.0, "CNTS", "calibration_factor is 0"),
        ({"calibration_factor": None}, 1.0, "CNTS", "calibration_factor is absent"),
        ({"isotope_branching_fraction": "0"}, 2.5 * 37, "BQML", "branching_fraction is 0"),
        ({"isotope_branching_fraction": None}, 2.5 * 37, "BQML", "branching_fraction is absent"),
    ],
)
def test_calibration(tmp_path, keys, factor, unit, said):
    """Never x37 whatever the unit, never BQML without a calibration, never a division by zero."""
    write_image(tmp_path / "in" / "a.img", **keys)
    files = written(tmp_path / "in")
    expected = ramp(4)[0].astype(np.float64) * 1.5 * factor
    np.testing.assert_allclose(decoded(files), expected, atol=np.abs(expected).max() / 60_000)
    assert {ds.Units for ds in files} == {unit}
    assert said in notes(tmp_path / "in")
    assert ("DoseCalibrationFactor" in files[0]) == (unit == "BQML")


@pytest.mark.parametrize("highest", [1e7, 1e4, 1e3, 100.0, 16.0, 1e-3, 1e-30])
def test_a_slope_has_no_fixed_decimals(tmp_path, highest):
    """A slope of three decimals would be 0.16 % wrong at 10 kBq/mL and zero below 16 Bq/mL."""
    voxels = np.linspace(0, highest, 120).reshape(1, 4, 5, 6).astype("<f4")
    write_image(
        tmp_path / "in" / "a.img",
        voxels=voxels,
        frames=[frame(scale_factor=1)],
        calibration_units="2",
        calibration_factor="1",
        isotope_branching_fraction="1",
    )
    files = written(tmp_path / "in")
    values = decoded(files)
    assert abs(values.max() / float(voxels.max()) - 1) < 1e-9
    assert np.abs(values - voxels[0]).max() <= highest / 32767 / 2 * (1 + 1e-6)
    assert all(len(str(ds["RescaleSlope"].value.original_string)) <= 16 for ds in files)


def test_floats_are_rounded_and_not_cut(tmp_path):
    voxels = np.zeros((1, 1, 4, 4), "<f4")
    voxels[0, 0, 0] = [32767, 0.75, 1.5001, -0.75]
    write_image(
        tmp_path / "in" / "a.img",
        voxels=voxels,
        frames=[frame(scale_factor=1)],
        calibration_units="0",
    )
    (ds,) = written(tmp_path / "in")
    assert ds.pixel_array[0].tolist() == [32767, 1, 2, -1]
    assert ds.PixelRepresentation == 1


def test_planes_of_zeros_and_values_that_are_no_numbers(tmp_path):
    voxels = ramp(4)
    voxels[0, 1] = 0
    voxels[0, 2, 0, :3] = [np.nan, np.inf, -np.inf]
    write_image(tmp_path / "in" / "a.img", voxels=voxels)
    files = written(tmp_path / "in")
    assert float(files[1].RescaleSlope) == 1
    assert not files[1].pixel_array.any()
    assert files[2].pixel_array[0, :3].tolist() == [0, 0, 0]
    assert "3 values of the image are not finite" in notes(tmp_path / "in")


@pytest.mark.parametrize(
    ("pointers", "order"),
    [
        (["0 0", "0 480", "0 960"], [0, 1, 2]),
        (["0", "480", "960"], [0, 1, 2]),
        (["0 960", "0 0", "0 480"], [2, 0, 1]),
        (["0 0", "0 0", "0 0"], [0, 1, 2]),
        ([None, None, None], [0, 1, 2]),
    ],
)
def test_pointers_of_frames(tmp_path, pointers, order):
    voxels = ramp(4, 3)
    frames = dynamic_frames([60.0, 60.0, 60.0])
    write_image(tmp_path / "in" / "a.img", voxels=voxels, frames=frames, pointers=pointers)
    values = decoded(written(tmp_path / "in")).reshape(3, 4, 5, 6)
    scale = np.array([0.5, 0.75, 1.0])[:, None, None, None] * 2.5 / 0.968 * 37
    expected = voxels[order].astype(np.float64) * scale
    np.testing.assert_allclose(values, expected, atol=np.abs(expected).max() / 60_000)


def test_a_pointer_beyond_four_gibibytes(tmp_path):
    """Two words, printed with a sign; the file is sparse."""
    voxels = ramp(2, 1)
    high, low = 1, 3_000_000_000
    path = write_image(
        tmp_path / "in" / "a.img",
        voxels=voxels,
        data_type=2,
        pointers=[f"{high} {low - 2**32}"],
        calibration_units="0",
    )
    with path.open("wb") as file:
        file.seek(high * 2**32 + low)
        file.write(voxels.tobytes())
    import mri2dicom.readers.inveon.pixels as pixels
    from mri2dicom.readers.inveon.header import read_header

    layout = pixels.read_layout(read_header(path.with_name("a.img.hdr")), path)
    assert layout.offsets == (high * 2**32 + low,)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"dose_units": "1", "dose": "0.2"}, 7.4e6),
        ({"dose_units": "2", "dose": "7.4"}, 7.4e6),
        ({"dose_units": "0"}, None),
        ({"dose": "0"}, None),
        ({"dose": None}, None),
    ],
)
def test_dose_in_becquerel(tmp_path, keys, expected):
    """1 MBq is 1e6 Bq, not 1e-6."""
    write_image(tmp_path / "in" / "a.img", **keys)
    (item,) = written(tmp_path / "in")[0].RadiopharmaceuticalInformationSequence
    found = item.get("RadionuclideTotalDose")
    assert (None if found is None else float(found)) == expected
    assert ("no injected dose" in notes(tmp_path / "in")) == (expected is None)


@pytest.mark.parametrize(
    ("unit", "weight", "expected"),
    [("1", 25.5, 0.0255), ("2", 1, 0.028349523125), ("3", 0.3, 0.3), ("4", 1, 0.45359237)],
)
def test_weight_in_kilograms(tmp_path, unit, weight, expected):
    write_image(tmp_path / "in" / "a.img", subject_weight_units=unit, subject_weight=str(weight))
    assert float(written(tmp_path / "in")[0].PatientWeight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("keys", [{"subject_weight_units": "0"}, {"subject_weight": "0"}])
def test_an_unknown_weight_is_left_out(tmp_path, keys):
    write_image(tmp_path / "in" / "a.img", **keys)
    assert not written(tmp_path / "in")[0].get("PatientWeight")
    assert "no weight of the subject" in notes(tmp_path / "in")


@pytest.mark.parametrize("spelling", ["F-18", "F18", "18F", "Fluorine-18", "18-f"])
def test_radiopharmaceutical(tmp_path, spelling):
    write_image(tmp_path / "in" / "a.img", isotope=spelling)
    (item,) = written(tmp_path / "in")[0].RadiopharmaceuticalInformationSequence
    assert item.RadionuclideCodeSequence[0].CodeValue == "77004003"
    assert item.RadiopharmaceuticalCodeSequence[0].CodeValue == "35321007"
    assert item.Radiopharmaceutical == "FDG"
    assert item.RadiopharmaceuticalStartDateTime == "20231204103221"
    assert item.RadiopharmaceuticalStartTime == "103221"
    assert float(item.RadionuclideHalfLife) == F18_S
    assert float(item.RadionuclidePositronFraction) == 0.968


def test_syringe_against_dose(tmp_path):
    """The net activity, decayed to the injection: 0.25 mCi an half-life before, nothing left."""
    syringe = {
        "activity_units": "1",
        "activity_before_injection": "0.25",
        "activity_before_injection_time": "Thu Dec  4 08:42:35 2023",
    }
    write_image(tmp_path / "in" / "a.img", **syringe)
    assert "4.625 MBq" in notes(tmp_path / "in")
    write_image(tmp_path / "in" / "a.img", **syringe, dose="0.125")
    assert "syringe" not in notes(tmp_path / "in")


@pytest.mark.parametrize(("dose", "noted"), [("0.1191", False), ("0.1189", True)])
def test_a_dose_that_is_five_per_cent_off_the_syringe_is_noted(tmp_path, dose, noted):
    path = tmp_path / "in" / "a.img"
    moment = "Mon Dec  4 10:32:21 2023"  # of the injection: nothing decays
    write_image(
        path,
        injection_time=moment,
        activity_units="1",
        activity_before_injection="0.125",
        activity_before_injection_time=moment,
        dose_units="1",
        dose=dose,
    )
    assert ("check which of them is right" in notes(tmp_path / "in")) == noted


@pytest.mark.parametrize(
    ("injected", "noted"), [("Sun Dec  3 10:45:00 2023", False), ("Sun Dec  3 10:30:00 2023", True)]
)
def test_an_injection_more_than_a_day_before_the_scan_is_noted(tmp_path, injected, noted):
    scanned = "Mon Dec  4 10:40:00 2023"
    write_image(tmp_path / "in" / "a.img", injection_time=injected, scan_time=scanned)
    assert ("more than a day apart" in notes(tmp_path / "in")) == noted


@pytest.mark.parametrize(
    ("keys", "keyword", "kept"),
    [
        ({"subject_weight_units": "3", "subject_weight": "99.9"}, "PatientWeight", True),
        ({"subject_weight_units": "3", "subject_weight": "100.1"}, "PatientWeight", False),
        ({"subject_length_units": "2", "subject_length": "299"}, "PatientSize", True),
        ({"subject_length_units": "2", "subject_length": "301"}, "PatientSize", False),
    ],
)
def test_a_body_of_100_kg_or_3_m_is_none(tmp_path, keys, keyword, kept):
    write_image(tmp_path / "in" / "a.img", **keys)
    assert bool(written(tmp_path / "in")[0].get(keyword)) == kept


@pytest.mark.parametrize(("duration", "written_ms"), [(1.99e6, 1_990_000_000), (2.01e6, 0)])
def test_a_frame_lasts_less_than_two_million_seconds(tmp_path, duration, written_ms):
    """More milliseconds do not fit into an integer string."""
    write_image(tmp_path / "in" / "a.img", frames=[frame(0.0, duration)])
    for ds in written(tmp_path / "in"):
        assert int(ds.ActualFrameDuration) == written_ms < 2**31


def test_a_dynamic_study_of_28_frames(tmp_path):
    """Times, decay and order of every image, against an integral over each frame."""
    count = len(DYNAMIC_28)
    assert count == 28
    voxels = ramp(4, count)
    path = tmp_path / "in" / "a.img"
    write_image(path, voxels=voxels, frames=dynamic_frames(DYNAMIC_28), acquisition_mode="3")
    files = written(tmp_path / "in")
    starts = np.cumsum([0.0, *DYNAMIC_28])[:-1]
    for number, ds in enumerate(files):
        k, z = divmod(number, 4)
        start, length = starts[k], DYNAMIC_28[k]
        assert ds.ImageIndex == ds.InstanceNumber == number + 1
        assert ds.ActualFrameDuration == 1000 * length
        # The moment at which the decaying rate is the frame's mean, by the integral.
        mean = 1.0 / decay_factor(start, length)
        moment = -np.log2(mean) * F18_S
        assert float(ds.FrameReferenceTime) == pytest.approx(1000 * moment, abs=1.0)
        assert float(ds.DecayFactor) == pytest.approx(1.0 / mean, rel=1e-6)
        clock = 11 * 3600 + 32 * 60 + 21 + start
        text = f"{int(clock // 3600):02d}{int(clock // 60 % 60):02d}{int(clock % 60):02d}"
        assert ds.AcquisitionTime == text
        assert (ds.SeriesDate, ds.SeriesTime) == ("20231204", "113221")
        assert ds.TimezoneOffsetFromUTC == "+0100"
        assert ds.NumberOfSlices == 4
        assert ds.NumberOfTimeSlices == 28
        assert ds.SeriesType == ["DYNAMIC", "IMAGE"]
        assert ds.DecayCorrection == "START"
        assert float(ds.SliceLocation) == pytest.approx(float(files[z].SliceLocation))
    assert "decay" not in notes(tmp_path / "in")


def test_frames_out_of_order_are_sorted(tmp_path):
    frames = dynamic_frames([60.0, 60.0, 60.0])
    write_image(tmp_path / "in" / "a.img", voxels=ramp(4, 3), frames=[frames[k] for k in (2, 0, 1)])
    found = [ds.AcquisitionTime for ds in written(tmp_path / "in")][::4]
    assert found == ["113221", "113321", "113421"]


@pytest.mark.parametrize(
    ("keys", "factor", "expected", "said"),
    [
        ({}, decay_factor(0, 600), "START", ""),
        ({}, decay_factor(0, 600) * 2 ** (3600 / F18_S), "ADMIN", ""),
        ({}, decay_factor(0, 600) * 1.0095, "START", ""),  # factors are rounded: 1 %
        ({}, decay_factor(0, 600) * 1.0105, "START", "agrees neither"),
        ({}, decay_factor(0, 600) * 2 ** (3600 / F18_S) * 1.0095, "ADMIN", ""),
        ({}, decay_factor(0, 600) * 2 ** (3600 / F18_S) * 1.0105, "START", "agrees neither"),
        ({"decay_correction_applied": "0"}, 1.0, "NONE", ""),
        ({}, 1.2, "START", "agrees neither"),
    ],
)
def test_what_decay_is_corrected_to(tmp_path, keys, factor, expected, said):
    """The header's own factor proves it; the correction is never applied again."""
    write_image(tmp_path / "in" / "a.img", frames=[frame(decay_correction=factor)], **keys)
    files = written(tmp_path / "in")
    assert files[0].DecayCorrection == expected
    assert ("DECY" in files[0].CorrectedImage) == (expected != "NONE")
    assert ("DecayFactor" in files[0]) == (expected != "NONE")
    assert said in notes(tmp_path / "in")
    np.testing.assert_allclose(
        decoded(files).max(), ramp(4).max() * 1.5 * 2.5 / 0.968 * 37, rtol=1e-6
    )


def test_corrections_and_words(tmp_path):
    write_image(tmp_path / "in" / "a.img")
    ds = written(tmp_path / "in")[0]
    assert set(ds.CorrectedImage) == {"DECY", "ATTN", "SCAT", "DTIM", "NORM", "RAN"}
    assert ds.AttenuationCorrectionMethod == "CT-derived"
    assert ds.RandomsCorrectionMethod == "DLYD"
    assert ds.ReconstructionMethod == "OSEM 3D"
    assert float(ds.EnergyWindowRangeSequence[0].EnergyWindowLowerLimit) == 350
    assert float(ds.DeadTimeFactor) == 1.02
    assert ds.ManufacturerModelName == "Inveon Multimodality"
    assert ds.PatientSpeciesCodeSequence[0].CodeValue == "447612001"
    assert ds.AnatomicalOrientationType == "QUADRUPED"
    assert ds.InstitutionName == "Institut für Bildgebung"
    assert ds.PatientSex == "F"


@pytest.mark.parametrize("closed", [True, False])
def test_gated(tmp_path, closed):
    frames = [frame(0.0, 150.0, gate=gate, scale_factor=1 + gate) for gate in (2, 0, 3, 1)]
    voxels = ramp(2, 4)
    keys = {"gate_bins": "1 4 0.1 0.14"} if closed else {}
    path = tmp_path / "in" / "a.img"
    write_image(
        path, voxels=voxels, data_type=2, frames=frames, calibration_units="0",
        acquisition_mode="4", **keys,
    )  # fmt: skip
    files = written(tmp_path / "in")
    assert files[0].SeriesType == ["GATED", "IMAGE"]
    assert files[0].NumberOfTimeSlots == 4
    step = 30.0 if closed else 150_000.0
    assert [float(ds.TriggerTime) for ds in files[::4]] == [0, step, 2 * step, 3 * step]
    expected = np.concatenate([voxels[k] * (1.0 + gate) for gate, k in enumerate((1, 3, 0, 2))])
    np.testing.assert_allclose(decoded(files), expected, rtol=1e-12)
    assert ("how long a gated cycle lasts" in notes(tmp_path / "in")) == (not closed)


def test_bed_positions_are_series(tmp_path):
    import mri2dicom

    frames = [
        frame(start, 60.0, bed=bed, bed_offset=10.0 * bed)
        for bed, start in ((0, 0.0), (1, 60.0), (0, 120.0), (1, 180.0))
    ]
    voxels = ramp(2, 4)
    write_image(
        tmp_path / "in" / "a.img", voxels=voxels, data_type=2, frames=frames, calibration_units="0"
    )
    one, other = mri2dicom.read(tmp_path / "in")
    assert one.location == "a.img bed 1"
    assert one.identity.study_uid == other.identity.study_uid
    assert one.identity.content != other.identity.content
    assert one.identity.frame_of_reference_uid != other.identity.frame_of_reference_uid
    np.testing.assert_array_equal(one.pixels.array, voxels[[0, 2]].reshape(8, 5, 6))
    np.testing.assert_array_equal(other.pixels.array, voxels[[1, 3]].reshape(8, 5, 6))
    np.testing.assert_array_equal(
        other.pixels.read_planes(3, 6), voxels[[1, 3]].reshape(8, 5, 6)[3:6]
    )


def test_early_headers_are_pet(tmp_path):
    older = {"modality": None, "pixel_size": "0.08", "axial_crystal_pitch": "0.17"}
    older |= dict.fromkeys(("pixel_size_x", "pixel_size_y", "pixel_size_z"))
    write_image(tmp_path / "in" / "a.img", PET, **older)
    ds = written(tmp_path / "in")[0]
    assert ds.Modality == "PT"
    assert [float(v) for v in ds.PixelSpacing] == [0.8, 0.8]
    assert float(ds.SliceThickness) == pytest.approx(0.85)
