"""Parametric maps, read by highdicom and by pydicom: values, units and meaning of the source."""

import json
import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from builder import make_pixels, make_reco, read_one
from cases import converted, datasets, mouse
from pydicom.sr._concepts_dict import concepts

from mri2dicom.dicom.planes import find_quantity
from mri2dicom.mapping.tables import load_mapping

PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"


def map_study(folder, pixels, *, labels, units, slope=1.0, offset=0.0, slices=3):
    """Write a derived series with the maps of each slice after one another."""
    make_reco(
        folder,
        procno=2,
        size=(8, 6),
        dtype=pixels.dtype,
        pixels=pixels,
        groups=[
            ("FG_ISA", len(labels), "", ("VisuFGElemComment", "VisuCoreDataUnits")),
            ("FG_SLICE", slices),
        ],
        slope=slope,
        offset=offset,
        visu={
            "VisuSeriesTypeId": "DERIVED_ISA",
            "VisuFGElemComment": list(labels),
            "VisuCoreDataUnits": list(units),
        },
    )
    return folder


def maps_of(report) -> list[Path]:
    (one,) = report.series
    return sorted(Path(one.path).glob("*.dcm"))


def seen_by_highdicom(path) -> np.ndarray:
    """Return the values as highdicom gives them through the Real World Value Mapping."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = highdicom.imread(path)
        return image.get_frames(apply_real_world_transform=True)


def unit_and_meaning(ds):
    (mapping,) = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    (unit,) = mapping.MeasurementUnitsCodeSequence
    (item,) = mapping.QuantityDefinitionSequence
    (code,) = item.ConceptCodeSequence
    return unit.CodeValue, (code.CodingSchemeDesignator, code.CodeValue)


@pytest.mark.parametrize("slope", [1.0, 0.1])
def test_float_maps(tmp_path, slope):
    pixels = make_pixels(6, (8, 6), "<f4")
    pixels[0, 0, 0] = np.nan
    pixels[2, :] = np.nan  # a whole plane of the first map
    study = map_study(
        tmp_path / "maps",
        pixels,
        labels=["T2 relaxation time", "std dev of T2 relaxation"],
        units=["ms", "ms"],
        slope=slope,
        offset=2.5,
    )
    files = maps_of(converted(study, tmp_path / "out"))
    assert len(files) == 2
    expected = (pixels.astype(float) * slope + 2.5).astype("f4")
    for number, path in enumerate(files):
        own = expected[number::2]
        ds = pydicom.dcmread(path)
        assert ds.SOPClassUID == PARAMETRIC_MAP
        assert "PixelData" not in ds
        np.testing.assert_array_equal(ds.pixel_array, own)
        np.testing.assert_array_equal(seen_by_highdicom(path), own)
        (mapping,) = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        assert mapping.DoubleFloatRealWorldValueFirstValueMapped == np.nanmin(own)
        assert mapping.DoubleFloatRealWorldValueLastValueMapped == np.nanmax(own)
    first, second = (pydicom.dcmread(path) for path in files)
    assert unit_and_meaning(first) == ("ms", ("DCM", "113065"))
    assert unit_and_meaning(second) == ("ms", ("DCM", "113061"))
    assert first.ContentDescription == "T2 relaxation time"
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID


def test_a_map_without_any_value(tmp_path):
    pixels = np.full((3, 6, 8), np.nan, dtype="<f4")
    study = map_study(tmp_path / "maps", pixels, labels=["T1 relaxation"], units=["ms"])
    (path,) = maps_of(converted(study, tmp_path / "out"))
    ds = pydicom.dcmread(path)
    assert np.isnan(ds.pixel_array).all()
    (mapping,) = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.DoubleFloatRealWorldValueFirstValueMapped == 0.0
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == 0.0


def test_whole_numbers_of_32_bits_need_float64(tmp_path):
    pixels = np.arange(3 * 48, dtype="<i4").reshape(3, 6, 8) + 2**30
    study = map_study(tmp_path / "maps", pixels, labels=["T1 relaxation"], units=["us"])
    (path,) = maps_of(converted(study, tmp_path / "out"))
    ds = pydicom.dcmread(path)
    assert ds.BitsAllocated == 64
    assert "DoubleFloatPixelData" in ds
    assert ds.pixel_array.dtype == np.float64
    np.testing.assert_array_equal(ds.pixel_array, pixels)
    np.testing.assert_array_equal(seen_by_highdicom(path), pixels)
    assert (pixels.astype("f4") != pixels).any()  # float32 would not have held them


def test_highdicom_accepts_the_object_as_a_parametric_map(tmp_path):
    study = map_study(
        tmp_path / "maps", make_pixels(3, (8, 6), "<f4"), labels=["T1 relaxation"], units=["ms"]
    )
    (path,) = maps_of(converted(study, tmp_path / "out"))
    image = highdicom.pm.ParametricMap.from_dataset(pydicom.dcmread(path))
    volume = image.get_volume()
    assert volume.shape == (3, 6, 8)
    np.testing.assert_allclose(volume.spacing, (1.0, 1.0, 1.0))


@pytest.mark.parametrize("version", ["5.1", "6.0.1", "360.3.6"])
def test_maps_of_the_digital_mouse(tmp_path, version):
    """The T2 map in the files is the truth that was written beside the study."""
    study = mouse(tmp_path / "in", version)
    report = converted(study / "3" / "pdata" / "2", tmp_path / "out")
    folder = study / "3" / "pdata" / "2"
    raw = np.fromfile(folder / "2dseq", "<f4").reshape(3, 5, 32, 16)
    for number, path in enumerate(maps_of(report)):
        np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, raw[:, number])
        np.testing.assert_array_equal(seen_by_highdicom(path), raw[:, number])
    units = [unit_and_meaning(pydicom.dcmread(path)) for path in maps_of(report)]
    assert units[2] == ("ms", ("DCM", "113065"))
    assert units[3] == ("ms", ("DCM", "113061"))


def test_a_derived_series_of_16_bits_stays_an_image_with_meaning(tmp_path):
    """Equal slopes must not lend one map's meaning to another, in either form."""
    study = map_study(
        tmp_path / "maps",
        make_pixels(6, (8, 6), "<i2"),
        labels=["T2 relaxation time", "T1 relaxation time"],
        units=["ms", "s"],
        slope=0.5,
    )
    (classic,) = converted(study, tmp_path / "classic").series
    found = [
        ds.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for ds in datasets(classic.path)
    ]
    assert found == ["ms", "s"] * 3
    (enhanced,) = converted(study, tmp_path / "enhanced", enhanced=True).series
    (ds,) = datasets(enhanced.path)
    frames = [
        frame.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        for frame in ds.PerFrameFunctionalGroupsSequence
    ]
    assert frames == ["ms", "s"] * 3


def test_an_unknown_quantity_gets_a_code_of_our_own():
    found = find_quantity("Kurtosis of something µ", "furlong")
    assert found.code[0] == "99XNATPIC"
    assert found.code[1] == "KURTOSISOFSOMETH"
    assert found.unit == "furlong"
    assert find_quantity("", "").unit == "1"


@pytest.mark.parametrize("name", ["quantities", "species"])
def test_codes_are_the_standards(name):
    """Scheme, value and meaning agree with the code lists of the standard in pydicom."""
    table = load_mapping(name)["quantity" if name == "quantities" else "species"]
    assert len(table) > 5
    for row in table:
        scheme, value, meaning = row["code"]
        known = [codes[value][0] for codes in concepts[scheme].values() if value in codes]
        assert meaning in known, row
        assert row["source"]


def test_overview_of_a_map_is_plain_json(tmp_path):
    study = map_study(
        tmp_path / "maps", make_pixels(3, (8, 6), "<f4"), labels=["T1 relaxation"], units=["ms"]
    )
    report = converted(study, tmp_path / "out")
    (one,) = json.loads(json.dumps(report.as_json()))["series"]
    assert (one["kind"], one["files"], one["status"]) == ("derived", 1, "converted")


@pytest.mark.parametrize(("unit", "is_quantity"), [("ms", True), ("a.u.", False), ("", False)])
def test_arbitrary_units_measure_nothing(tmp_path, unit, is_quantity):
    """A unit of an intensity does not make it a quantity: it stays an MR image."""
    make_reco(tmp_path / "study", dtype="<f4", visu={"VisuCoreDataUnits": [unit]})
    assert read_one(tmp_path / "study").is_quantity is is_quantity


@pytest.mark.parametrize(
    ("frame_type", "is_quantity"), [("REAL_IMAGE", True), ("MAGNITUDE_IMAGE", False)]
)
def test_magnitudes_of_a_field_map_are_intensities(tmp_path, frame_type, is_quantity):
    make_reco(
        tmp_path / "study",
        dtype="<f4",
        frame_type=frame_type,
        method={"Method": "Bruker:FieldMap"},
    )
    assert read_one(tmp_path / "study").is_quantity is is_quantity
