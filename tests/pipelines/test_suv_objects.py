"""Digital reference objects of IBSI-SUV, and their brothers made from them: one SUV in all."""

import json
import shutil
from dataclasses import replace
from datetime import datetime

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from pipelines.errors import ModelInputError
from pipelines.maps.suv import SuvOptions, make_suv
from pipelines.models.suv import (
    Uptake,
    check,
    correct_units,
    half_life,
    mean_rate_time,
    reference_dose,
    reference_doses,
)

OBJECTS = ["DRO_0_0", "DRO_2_0", "DRO_2_1", "DRO_2_3", "DRO_2_5", "DRO_3_0", "DRO_3_4"]
EXPECTED = (0.20, 1.00, 4.00)  # smallest, median and largest inside the mask, of every object


def _numbers(out, mask):
    """Let others read the map and the mask."""
    row = json.loads((out / "maps.json").read_text(encoding="utf-8"))["maps"]["SUVbw"]
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(out / row["nifti"])))
    inside = sitk.GetArrayFromImage(sitk.ReadImage(str(mask))) != 0
    values = found[inside]
    return values.min(), np.median(values), values.max()


@pytest.fixture
def object_of(shared_data):
    """Return folder and mask of an object."""
    root = shared_data / "pet" / "suv_objects"

    def find(name):
        return root / name / "PT", root / name / "mask" / "DRO_mask.nii.gz"

    return find


@pytest.mark.parametrize("name", OBJECTS)
def test_every_object_has_the_same_suv(object_of, tmp_path, name):
    folder, mask = object_of(name)
    summary = make_suv(folder, tmp_path / "out", SuvOptions(mask=mask), formats=("nifti", "report"))
    # The values are stored as whole numbers, cut off: of cm2/ml one step is 0.038 of an SUV.
    tolerance = 0.038 if name == "DRO_2_3" else 0.005
    assert _numbers(tmp_path / "out", mask) == pytest.approx(EXPECTED, abs=tolerance)
    row = summary.maps["SUVbw"]
    assert row["median"] == pytest.approx(1.00, abs=tolerance), "the headline is of the mask"
    log = (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")
    assert "in 203202 voxels (DRO_mask.nii.gz): smallest 0." in log


def _changed(object_of, tmp_path, name, change):
    """Copy an object, and let `change` alter each header; return folder and mask."""
    folder, mask = object_of(name)
    shutil.copytree(folder, tmp_path / "in")
    for index, path in enumerate(sorted((tmp_path / "in").iterdir())):
        ds = pydicom.dcmread(path)
        change(ds, index)
        ds.save_as(path)
    return tmp_path / "in", mask


def _philips_suv(ds, _):
    block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
    # Counts to SUV: what Bq/mL would be divided by.
    block.add_new(0x00, "DS", "0.0002776")
    ds.Units = "CNTS"


def _ideal_weight(ds, _):
    ds.SUVType = "IBW"
    male, female = 48.0 + 1.06 * (175 - 152), 45.5 + 0.91 * (175 - 152)
    ds.RescaleSlope = f"{float(ds.RescaleSlope) * (male + female) / 2 / 70:.10g}"


def _admin(ds, _):
    ds.DecayCorrection = "ADMIN"
    factor = 2 ** (-3600 / 6586.2)
    ds.RescaleSlope = f"{float(ds.RescaleSlope) / factor:.10g}"


def _late_series(ds, _):
    ds.SeriesTime = "150000"


def _maker_time(ds, _):
    ds.SeriesTime = "150000"
    ds.AcquisitionTime = "110700"
    block = ds.private_block(0x0009, "GEMS_PETD_01", create=True)
    block.add_new(0x0D, "DT", "20250101110000.00")


def _grams(ds, _):
    ds.PatientWeight = "70000"


def _no_date(ds, _):
    item = ds.RadiopharmaceuticalInformationSequence[0]
    del item.RadiopharmaceuticalStartDateTime


def _over_midnight(ds, _):
    item = ds.RadiopharmaceuticalInformationSequence[0]
    ds.SeriesDate = ds.AcquisitionDate = "20250102"
    ds.SeriesTime = ds.AcquisitionTime = "003000"
    item.RadiopharmaceuticalStartDateTime = "20250101233000"


def _bed_positions(ds, index):
    """Corrected to the start of the scan, the halves acquired one after the other."""
    if index >= 10:
        ds.AcquisitionTime = "110500"
        ds.FrameReferenceTime = "450000"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("DRO_0_0", _philips_suv, "maker's SUV scale factor"),
        ("DRO_2_0", _ideal_weight, "The sex is not known: the mean of both formulas"),
        ("DRO_0_0", _admin, ""),
        ("DRO_0_0", _late_series, ""),
        ("DRO_0_0", _maker_time, ""),
        ("DRO_0_0", _grams, "A body weight of 70000 kg is none"),
        ("DRO_0_0", _no_date, ""),
        ("DRO_0_0", _over_midnight, ""),
        ("DRO_0_0", _bed_positions, ""),
    ],
)
def test_brothers_of_the_objects(object_of, tmp_path, name, change, said):
    folder, mask = _changed(object_of, tmp_path, name, change)
    summary = make_suv(folder, tmp_path / "out", SuvOptions(mask=mask), formats=("nifti",))
    assert _numbers(tmp_path / "out", mask) == pytest.approx(EXPECTED, rel=0.01)
    assert said in " ".join(summary.warnings)
    assert not any("frame" in text and " of 2" in text for text in summary.warnings)


def test_slices_of_two_times_are_one_volume_and_each_has_its_own_decay(object_of, tmp_path):
    folder, mask = object_of("DRO_3_4")
    summary = make_suv(folder, tmp_path / "out", SuvOptions(mask=mask), formats=("nifti",))
    assert any("own time of acquisition" in text for text in summary.warnings)
    row = json.loads((tmp_path / "out" / "maps.json").read_text(encoding="utf-8"))["maps"]["SUVbw"]
    assert sitk.ReadImage(str(tmp_path / "out" / row["nifti"])).GetSize()[2] == 20


def test_without_a_mask_the_headline_is_of_the_animal_not_of_air(object_of, tmp_path):
    folder, _ = object_of("DRO_0_0")
    summary = make_suv(folder, tmp_path / "out", formats=("nifti",))
    values = sitk.GetArrayFromImage(
        sitk.ReadImage(str(tmp_path / "out" / summary.maps["SUVbw"]["nifti"]))
    )
    assert np.median(values) == 0.0, "most of the image is air"
    assert summary.maps["SUVbw"]["median"] == pytest.approx(1.0, abs=0.005)


def test_a_series_time_that_decay_does_not_agree_with_is_said(object_of, tmp_path):
    def change(ds, _):
        ds.SeriesTime = "105000"  # ten minutes before what acquisition and reference time say

    folder, mask = _changed(object_of, tmp_path, "DRO_0_0", change)
    summary = make_suv(folder, tmp_path / "out", SuvOptions(mask=mask), formats=("nifti",))
    (note,) = [text for text in summary.warnings if "Series Time" in text]
    assert "+7 %" in note


# The formulas, from their definition.

GOOD = Uptake(
    units="BQML", decay_correction="NONE", corrections=("ATTN", "SCAT"), weight_g=25.0,
    dose_bq=1e7, half_life_s=1221.8, injected=datetime(2025, 1, 1, 10),
    scan_start=datetime(2025, 1, 1, 10, 30), nuclide="C-11", species="mouse",
)  # fmt: skip


@pytest.mark.parametrize(
    ("duration", "period"), [(60.0, 6586.2), (3600.0, 6586.2), (3600.0, 122.24)]
)
def test_the_time_at_which_a_rate_is_its_mean(duration, period):
    t = np.linspace(0, duration, 200_001)
    rate = 2.0 ** (-t / period)
    mean = (rate[1:] + rate[:-1]).mean() / 2
    assert 2.0 ** (-mean_rate_time(duration, period) / period) == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize(
    ("nuclide", "seconds"),
    [
        ("18F", 109.77 * 60),
        ("11C", 20.364 * 60),
        ("13N", 9.965 * 60),
        ("15O", 122.24),
        ("64Cu", 12.701 * 3600),
        ("68Ga", 67.71 * 60),
        ("89Zr", 78.41 * 3600),
        ("124I", 4.176 * 86400),
        ("82Rb", 1.273 * 60),
        ("86Y", 14.74 * 3600),
    ],
)
def test_half_lives_are_those_of_the_tables_of_nuclides(nuclide, seconds):
    """Minutes, hours and days as the National Nuclear Data Center prints them."""
    assert half_life(Uptake(nuclide=nuclide)) == pytest.approx(seconds, rel=5e-4)


def test_each_slice_has_the_dose_of_its_own_time():
    times = (datetime(2025, 1, 1, 10, 30), datetime(2025, 1, 1, 11, 0))
    found = reference_doses(replace(GOOD, measured=times), 2)
    assert found == pytest.approx([1e7 * 2 ** (-1800 / 1221.8), 1e7 * 2 ** (-3600 / 1221.8)])


@pytest.mark.parametrize(
    ("species", "inside", "outside"),
    [("mouse", 2000.0, 2001.0), ("rat", 20_000.0, 20_001.0), ("", 1e6, 1.001e6)],
)
def test_a_weight_in_grams_is_taken_beyond_its_limit(species, inside, outside):
    for weight, mended in ((inside, False), (outside, True)):
        found, notes = correct_units(replace(GOOD, species=species, weight_g=weight))
        assert bool(notes) is mended
        assert found.weight_g == pytest.approx(weight / 1000 if mended else weight)


@pytest.mark.parametrize(
    ("dose", "taken"),
    [(0.0099, None), (0.0101, 1.01e4), (1999.0, 1.999e9), (2001.0, None), (1e4, None)],
)
def test_a_dose_in_megabecquerel_is_taken_where_it_is_plausible(dose, taken):
    found, notes = correct_units(replace(GOOD, dose_bq=dose))
    assert found.dose_bq == pytest.approx(taken or dose)
    assert bool(notes) is (taken is not None)


def test_without_any_time_an_uncorrected_image_is_refused():
    with pytest.raises(ModelInputError, match="neither when each was acquired"):
        check(GOOD)
    with pytest.raises(ModelInputError, match="neither when each was acquired"):
        reference_dose(GOOD)
