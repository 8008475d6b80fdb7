"""SUV by body weight: against numbers worked out by the law of decay, and what is refused."""

import json
from datetime import datetime, timedelta

import nibabel as nib
import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pet_series import (
    BODY_SUV,
    DOSE_BQ,
    HALF_LIFE_S,
    INJECTED,
    SPHERE_SUV,
    START,
    WEIGHT_KG,
    dose_at,
    header,
    sphere,
    write_pet,
)

from pipelines.cli import main
from pipelines.errors import ModelInputError
from pipelines.inputs.pet import load_pet, uptake_of
from pipelines.maps.suv import SuvOptions, make_suv
from pipelines.models.suv import (
    Uptake,
    check,
    check_total,
    decayed,
    mean_rate_time,
    reference_dose,
    suv_body_weight,
)
from xnat_pic.errors import CorruptDataError, NothingUsableError

WAIT_S = (START - INJECTED).total_seconds()


def activity(reference_s):
    """Return Bq/mL that stand for the sphere's SUV so long after the injection."""
    values, _ = sphere()
    return values * dose_at(reference_s) / (1000 * WEIGHT_KG)


def map_of(folder):
    """Return the map in slice, row, column order of the sphere."""
    image = nib.load(next(folder.glob("*_SUVbw.nii.gz")))
    values = image.get_fdata()
    # Slices were written downwards, and NIfTI's are sorted along the plane's normal.
    return values.transpose(2, 1, 0)[::-1], image


def run(folder, out, **options):
    return make_suv(folder, out, SuvOptions(**options), formats=("nifti",))


@pytest.mark.parametrize(
    ("correction", "reference_s"),
    [("START", WAIT_S), ("ADMIN", 0.0), ("NONE", WAIT_S + 298.0)],
)
def test_sphere_within_a_tenth_of_a_percent(tmp_path, correction, reference_s):
    write_pet(tmp_path / "in", activity(reference_s), DecayCorrection=correction)
    summary = run(tmp_path / "in", tmp_path / "out")
    expected, ball = sphere()
    found, _ = map_of(tmp_path / "out")
    assert found[ball].mean() == pytest.approx(SPHERE_SUV, rel=1e-3)
    assert np.allclose(found[ball], SPHERE_SUV, rtol=1e-3)
    assert np.abs(found - expected).max() < 1e-3
    assert found.min() < 0  # noise below zero is kept
    assert summary.warnings == []
    assert summary.maps["SUVbw"]["unit"] == "{SUVbw}g/ml"


def test_a_uniform_animal_has_one(tmp_path):
    """An animal that keeps all of its dose has SUV 1 everywhere."""
    weight, dose = 24.5, dose_at(WAIT_S)
    assert np.allclose(suv_body_weight(np.full(4, dose / weight), weight, dose), 1.0)


@given(st.floats(1e3, 1e9), st.floats(0, 1e5), st.floats(60, 1e6))
def test_decay_halves_with_each_half_life(dose, seconds, period):
    assert decayed(dose, seconds + period, period) == pytest.approx(
        decayed(dose, seconds, period) / 2
    )


def test_every_output_of_a_map(tmp_path):
    write_pet(tmp_path / "in", activity(WAIT_S))
    done = CliRunner().invoke(
        main, ["map", "suv", str(tmp_path / "in"), str(tmp_path / "out"), "--json"]
    )
    assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    contents = json.loads((out / "maps.json").read_text())
    row = contents["maps"]["SUVbw"]
    for kind in ("nifti", "sidecar", "flags", "png", "dicom"):
        assert (out / row[kind]).is_file(), kind
    assert not list(out.glob("*R2fit*"))
    for name in ("report.html", "log.txt", "results.mat", "provenance.json"):
        assert (out / name).is_file()
    ds = pydicom.dcmread(out / row["dicom"])
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "{SUVbw}g/ml"
    values = np.frombuffer(ds.FloatPixelData, "<f4")
    assert values.max() == pytest.approx(SPHERE_SUV, rel=1e-3)
    inputs = json.loads((out / "provenance.json").read_text())["inputs"]
    assert len(inputs) == 20
    assert "agree with each other" in (out / "report.html").read_text()


def test_a_dynamic_series_frame_by_frame(tmp_path):
    """Values of every frame refer to the scan's start; a frame is chosen by its number."""
    folder, uid = tmp_path / "in", "1.2.3.4"
    for number, level in enumerate((1.0, 0.5), start=1):
        begin = START + timedelta(seconds=600 * (number - 1))
        write_pet(
            folder, level * activity(WAIT_S), series=uid, study="1.2.3", first=20 * number - 19,
            SeriesType=["DYNAMIC", "IMAGE"], FrameReferenceTime=298000 + 600000 * (number - 1),
            AcquisitionTime=f"{begin:%H%M%S}",
        )  # fmt: skip
    _, ball = sphere()
    for frame, level in ((1, 1.0), (2, 0.5), (None, 0.5)):
        summary = run(folder, tmp_path / f"out{frame}", frame=frame)
        found, _ = map_of(tmp_path / f"out{frame}")
        assert found[ball].mean() == pytest.approx(level * SPHERE_SUV, rel=1e-3)
        assert f"frame {frame or 2} of 2" in " ".join(summary.warnings)
    with pytest.raises(NothingUsableError, match="no frame 3"):
        load_pet(folder, 3)


def test_a_late_series_time_is_not_the_start(tmp_path):
    """A reconstruction made the next day has its own Series Time; decay refers to the scan."""
    write_pet(tmp_path / "in", activity(WAIT_S), SeriesDate="20240109", SeriesTime="090000")
    run(tmp_path / "in", tmp_path / "out")
    _, ball = sphere()
    assert map_of(tmp_path / "out")[0][ball].mean() == pytest.approx(SPHERE_SUV, rel=1e-3)


@pytest.mark.parametrize(("seconds", "told"), [(94, False), (96, True)])
def test_two_starts_of_a_scan_that_differ_by_one_per_cent_are_told(tmp_path, seconds, told):
    """Of F-18 that is 94.5 s between Series Time and what acquisition and frame point back to."""
    reference = mean_rate_time(600.0, HALF_LIFE_S) - seconds
    write_pet(tmp_path / "in", activity(WAIT_S), FrameReferenceTime=1000 * reference)
    warnings = run(tmp_path / "in", tmp_path / "out").warnings
    assert any("with the second the SUV would be +1 %" in one for one in warnings) == told


def test_given_values_replace_the_headers(tmp_path):
    write_pet(tmp_path / "in", activity(WAIT_S), PatientWeight=None, RadionuclideTotalDose=0.001)
    with pytest.raises(ModelInputError, match="body weight"):
        run(tmp_path / "in", tmp_path / "out")
    with pytest.raises(ModelInputError, match="MBq written as Bq"):
        run(tmp_path / "in", tmp_path / "out", weight_g=24.5)
    assert not (tmp_path / "out").exists()
    run(tmp_path / "in", tmp_path / "out", weight_g=24.5, dose_mbq=7.4, injected=INJECTED)
    _, ball = sphere()
    assert map_of(tmp_path / "out")[0][ball].mean() == pytest.approx(SPHERE_SUV, rel=1e-3)


def test_weight_in_grams_and_dose_in_megabecquerel_are_taken_and_said(tmp_path):
    write_pet(tmp_path / "in", activity(WAIT_S), PatientWeight="24.5", RadionuclideTotalDose=7.4)
    summary = run(tmp_path / "in", tmp_path / "out")
    assert "A body weight of 24.5 kg is none: 24.5 g was taken." in summary.warnings
    assert any("A dose of 7.4 Bq is none: it was taken as 7.4 MBq" in w for w in summary.warnings)
    _, ball = sphere()
    assert map_of(tmp_path / "out")[0][ball].mean() == pytest.approx(SPHERE_SUV, rel=1e-3)


GOOD = Uptake(
    units="BQML", decay_correction="START", corrections=("DECY", "ATTN", "SCAT"), weight_g=24.5,
    dose_bq=DOSE_BQ, half_life_s=HALF_LIFE_S, injected=INJECTED, scan_start=START,
    nuclide="^18^Fluorine", species="Mus musculus",
)  # fmt: skip


def changed(**values):
    from dataclasses import replace

    return replace(GOOD, **values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"units": "CNTS"}, "not calibrated"),
        ({"units": "PROPCPS"}, "not calibrated"),
        ({"units": ""}, "no unit"),
        ({"decay_correction": ""}, "decay correction"),
        ({"weight_g": None}, "body weight"),
        ({"weight_g": 0.0}, "body weight"),
        ({"weight_g": float("nan")}, "body weight"),
        ({"dose_bq": None}, "injected dose"),
        ({"dose_bq": 0.0}, "injected dose"),
        ({"dose_bq": 7.4}, "MBq written as Bq"),
        ({"half_life_s": None, "nuclide": ""}, "half-life"),
        ({"injected": None}, "time of the injection"),
        ({"scan_start": None}, "time of the scan"),
        ({"injected": START + timedelta(minutes=5)}, "later than the images"),
        ({"injected": INJECTED - timedelta(days=30)}, "nothing would be left"),
    ],
)
def test_refused_in_a_sentence(values, words):
    with pytest.raises(ModelInputError, match=words):
        reference_dose(changed(**values))
    with pytest.raises(ModelInputError, match=words):
        check(changed(**values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"units": "GML", "suv_type": "LBM"}, "no Patient's Size"),
        ({"units": "GML", "suv_type": "NONE", "height_cm": 170.0}, "type NONE, which is not known"),
        ({"units": "CM2ML"}, "SUV by BSA, and the header has no Patient's Size"),
        ({"units": "GML", "suv_type": "LBM", "height_cm": 170.0, "weight_g": None}, "body weight"),
        ({"decay_correction": "NONE"}, "say neither when each was acquired"),
    ],
)
def test_what_an_suv_of_another_kind_needs_is_refused_by_name(values, words):
    with pytest.raises(ModelInputError, match=words):
        check(changed(**values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"corrections": ("ATTN", "SCAT")}, "DECY"),
        ({"corrections": ("DECY", "SCAT")}, "attenuation"),
        ({"corrections": ("DECY", "ATTN")}, "scatter"),
        ({"weight_g": 245.0}, "unusual for a mouse"),
        ({"weight_g": 1.0, "species": ""}, "unusual"),
        ({"half_life_s": 4062.6}, "half-life of 4062.6 s; that of"),
        ({"injected": START - timedelta(hours=15)}, "half-lives passed"),
        ({"dose_bq": 7.4e12}, "unusual: check its unit"),
        ({"intercepts": (0.0, 3.0)}, "intercept"),
    ],
)
def test_pointed_out_in_a_sentence(values, words):
    (note,) = check(changed(**values))
    assert words in note


def test_a_good_study_has_nothing_odd():
    assert check(GOOD) == []
    assert check(changed(decay_correction="ADMIN", injected=None, scan_start=None)) == []
    # A scan that was started some seconds before the injection.
    late = changed(injected=START + timedelta(seconds=10), frame_start_s=60.0)
    assert reference_dose(late) == pytest.approx(DOSE_BQ * 2 ** (10 / HALF_LIFE_S))


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ({"weight_g": 8.0}, {"weight_g": 7.9}),
        ({"weight_g": 70.0}, {"weight_g": 70.1}),
        ({"weight_g": 40.0, "species": "Rattus"}, {"weight_g": 39.9, "species": "Rattus"}),
        ({"weight_g": 1200.0, "species": "rat"}, {"weight_g": 1201.0, "species": "rat"}),
        ({"weight_g": 5.0, "species": ""}, {"weight_g": 4.9, "species": ""}),
        ({"weight_g": 120e3, "species": ""}, {"weight_g": 121e3, "species": ""}),
        ({"half_life_s": HALF_LIFE_S * 1.019}, {"half_life_s": HALF_LIFE_S * 1.021}),
        ({"half_life_s": HALF_LIFE_S * 0.981}, {"half_life_s": HALF_LIFE_S * 0.979}),
        ({"dose_bq": 1e4}, {"dose_bq": 9.9e3}),
        ({"dose_bq": 2e9}, {"dose_bq": 2.1e9}),
        (
            {"injected": START - timedelta(seconds=4.99 * HALF_LIFE_S)},
            {"injected": START - timedelta(seconds=5.01 * HALF_LIFE_S)},
        ),
    ],
)
def test_what_is_unusual_begins_beyond_its_limit(inside, outside):
    assert (len(check(changed(**inside))), len(check(changed(**outside)))) == (0, 1)


@pytest.mark.parametrize(
    ("inside", "outside", "words"),
    [
        ({"dose_bq": 1000.0}, {"dose_bq": 999.0}, "MBq written as Bq"),
        (
            {"injected": START - timedelta(seconds=49.9 * HALF_LIFE_S)},
            {"injected": START - timedelta(seconds=50.1 * HALF_LIFE_S)},
            "nothing would be left",
        ),
    ],
)
def test_what_is_refused_begins_beyond_its_limit(inside, outside, words):
    assert len(check(changed(**inside))) == 1
    with pytest.raises(ModelInputError, match=words):
        check(changed(**outside))


def test_a_tenth_more_than_was_given_is_let_pass():
    assert check_total(np.array([1.09, np.nan]), 1.0, 1.0) == []
    assert "111 % of the injected dose" in check_total(np.array([1.11]), 1.0, 1.0)[0]


def test_more_activity_than_was_given_is_pointed_out(tmp_path):
    write_pet(tmp_path / "in", 40 * activity(WAIT_S))
    summary = run(tmp_path / "in", tmp_path / "out")
    assert "% of the injected dose" in summary.warnings[0]


@pytest.mark.parametrize(
    ("day", "clock", "minutes"), [("20240108", "133000", 30), ("20240109", "001000", 50)]
)
def test_an_injection_time_without_a_date(day, clock, minutes):
    """A time alone is that of the scan's day, or of the day before where that is later."""
    start = datetime.strptime(day + clock, "%Y%m%d%H%M%S")
    alone = (start - timedelta(minutes=minutes)).strftime("%H%M%S")
    ds = header(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime=alone)
    study = uptake_of(ds, start)
    assert study.injected == start - timedelta(minutes=minutes)


@pytest.mark.parametrize(("alone", "day"), [("200100", 8), ("195900", 9)])
def test_an_injection_is_of_the_day_before_where_that_is_within_twelve_hours(alone, day):
    """Else it stays behind the scan, and is refused for that."""
    ds = header(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime=alone)
    study = uptake_of(ds, datetime(2024, 1, 9, 8, 0))
    assert (study.injected.day, f"{study.injected:%H%M%S}") == (day, alone)


class TestSeries:
    def test_none(self, tmp_path):
        (tmp_path / "note.txt").write_text("x")
        with pytest.raises(NothingUsableError, match="no PET image"):
            load_pet(tmp_path)

    def test_several(self, tmp_path):
        write_pet(tmp_path / "a", activity(0))
        write_pet(tmp_path / "b", activity(0), SeriesDescription="other")
        with pytest.raises(NothingUsableError, match="several PET series: 10001 PET, 10001 other"):
            load_pet(tmp_path)

    def test_gated(self, tmp_path):
        write_pet(tmp_path / "a", activity(0), SeriesType=["GATED", "IMAGE"])
        with pytest.raises(NothingUsableError, match="gated"):
            load_pet(tmp_path)

    def test_missing_slices_of_one_frame(self, tmp_path):
        write_pet(tmp_path, activity(0), series="1.2", study="1.3")
        write_pet(
            tmp_path, activity(0), series="1.2", study="1.3", first=21, skip=(3,),
            FrameReferenceTime=900000,
        )  # fmt: skip
        with pytest.raises(CorruptDataError, match="19 to 20 slices"):
            load_pet(tmp_path)

    def test_truncated(self, tmp_path):
        write_pet(tmp_path, activity(0))
        path = tmp_path / "0003.dcm"
        path.write_bytes(path.read_bytes()[:-700])
        with pytest.raises(CorruptDataError, match=r"0003.dcm is damaged"):
            load_pet(tmp_path)

    @pytest.mark.parametrize(
        ("change", "code"), [({"Units": "CNTS"}, 3), ({"PatientWeight": None}, 3), ({}, 0)]
    )
    def test_exit_codes(self, tmp_path, change, code):
        write_pet(tmp_path / "in", activity(WAIT_S), **change)
        call = ["map", "suv", str(tmp_path / "in"), str(tmp_path / "out"), "--format", "nifti"]
        done = CliRunner().invoke(main, call)
        assert done.exit_code == code, done.output
        assert (tmp_path / "out").exists() == (code == 0)

    def test_a_wrong_call(self, tmp_path):
        call = ["map", "suv", str(tmp_path), str(tmp_path / "out")]
        assert CliRunner().invoke(main, [*call, "--weight-g", "0"]).exit_code == 2
        assert CliRunner().invoke(main, [*call, "--injection-time", "noon"]).exit_code == 2
        assert CliRunner().invoke(main, call).exit_code == 3


def test_the_body_beside_the_sphere(tmp_path):
    write_pet(tmp_path / "in", activity(WAIT_S))
    run(tmp_path / "in", tmp_path / "out")
    found, image = map_of(tmp_path / "out")
    values, ball = sphere()
    body = (values == BODY_SUV) & ~ball
    assert np.allclose(found[body], BODY_SUV, rtol=2e-3)
    # The place of the sphere's centre in RAS: written about the origin in x and y.
    centre = np.argwhere(np.isclose(image.get_fdata(), SPHERE_SUV, rtol=1e-3)).mean(axis=0)
    place = nib.affines.apply_affine(image.affine, centre)
    assert np.allclose(place, [0, 0, -7.5], atol=1e-3)
