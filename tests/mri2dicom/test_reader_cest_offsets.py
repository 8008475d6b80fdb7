"""Which image has which saturation offset, and which list to believe."""

import numpy as np
import pytest
from builder import Raw, Word, make_reco, read_one
from test_reader_cest import F0, MODULES, OFF, OFFSETS, ON, VERSIONS, study

from mri2dicom.series.model import SeriesKind


def test_one_offset_is_no_spectrum(tmp_path):
    series = study(
        tmp_path,
        groups=[("FG_SLICE", 3)],
        PVM_SatTransFL=None,
        PVM_SatTransFreqValues=[-4.2],
        PVM_SatTransFreqUnit=Word("unit_ppm"),
    )
    assert series.kind is SeriesKind.ANATOMY
    assert series.private["MeasurementNumber"] == 1
    assert series.private["SaturationOffsetPpm"] == pytest.approx(-4.2)
    assert series.private["SaturationOffsetHz"] == pytest.approx(-4.2 * F0)
    assert series.private["OffsetListSource"] == "PVM_SatTransFreqValues"


def test_one_offset_played_again_and_again_is_no_spectrum(tmp_path):
    series = study(tmp_path, PVM_SatTransFL=[700.0] * 5)
    assert series.kind is SeriesKind.TIME_SERIES
    assert series.private["SaturationOffsetHz"] == [700] * 5


@pytest.mark.parametrize(
    ("frequency", "unit", "value", "hz", "ppm"),
    [
        (F0, "unit_ppm", 3.5, 1401.332534, 3.5),
        (F0, "unit_hz", -1681.6, -1681.6, -4.200002396),
        (300.319057478109, "unit_hz", -30032.0, -30032, -100.0003138),
    ],
)
def test_units_of_offsets(tmp_path, frequency, unit, value, hz, ppm):
    series = study(
        tmp_path,
        groups=[("FG_CYCLE", 2)],
        PVM_SatTransFL=None,
        PVM_SatTransFreqValues=[value, 0.0],
        PVM_SatTransFreqUnit=Word(unit),
        PVM_FrqWork=[frequency],
    )
    assert series.private["SaturationOffsetHz"] == pytest.approx([hz, 0], rel=1e-9)
    assert series.private["SaturationOffsetPpm"] == pytest.approx([ppm, 0], rel=1e-9)


def test_runs_and_exponents_in_the_list(tmp_path):
    series = study(
        tmp_path, groups=[("FG_CYCLE", 4)], PVM_SatTransFL=Raw("( 4 )\n@2*(-1000) 0 1e3")
    )
    assert series.private["SaturationOffsetHz"] == [-1000, -1000, 0, 1000]


@pytest.mark.parametrize(
    ("method", "acqp", "expected"),
    [
        ({"PVM_FrqWork": [300.1]}, {"BF1": 300.2}, 300.1),
        ({"PVM_FrqWork": None}, {"BF1": 300.2}, 300.2),
        ({"PVM_FrqWork": None}, {}, 300.3),
    ],
)
def test_the_working_frequency_is_the_scans_own(tmp_path, method, acqp, expected):
    series = study(tmp_path, visu={"VisuAcqImagingFrequency": 300.3}, acqp=acqp, **method)
    assert series.private["WorkingFrequency"] == expected
    np.testing.assert_allclose(series.private["SaturationOffsetPpm"][0], -1000 / expected)


def test_a_list_is_played_again_and_varies_fastest(tmp_path):
    """Forty-four offsets in 176 images of one slice: four passes."""
    hz = [-30032.0] * 3 + [float(v) for v in np.linspace(-3000, 3000, 41)]
    series = study(tmp_path, groups=[("FG_CYCLE", 176)], PVM_SatTransFL=hz)
    private = series.private
    assert private["SaturationOffsetHz"] == hz * 4
    assert private["SaturationListIndex"] == list(range(1, 45)) * 4
    assert private["SaturationRepetition"] == np.repeat([1, 2, 3, 4], 44).tolist()
    assert private["MeasurementNumber"] == 44


@pytest.mark.parametrize("slices_first", [True, False])
def test_slices_do_not_count_as_offsets(tmp_path, slices_first):
    groups = [("FG_SLICE", 3, "", ["VisuCorePosition"]), ("FG_CYCLE", 5)]
    series = study(tmp_path, groups=groups if slices_first else groups[::-1])
    expected = np.repeat(OFFSETS, 3) if slices_first else np.tile(OFFSETS, 3)
    assert series.private["SaturationOffsetHz"] == expected.tolist()


def test_offsets_and_repetitions_as_two_loops(tmp_path):
    series = study(tmp_path, groups=[("FG_CYCLE", 5), ("FG_SLICE", 2), ("FG_REPETITION", 2)])
    assert series.private["SaturationOffsetHz"] == OFFSETS * 4
    assert series.private["SaturationRepetition"] == [1] * 10 + [2] * 10


def test_planes_of_a_volume_share_its_offset(tmp_path):
    make_reco(
        tmp_path / "s",
        version="360.3.6",
        size=(8, 6, 3),
        groups=[("FG_CYCLE", 5)],
        method=MODULES["360.3.6"],
    )
    series = read_one(tmp_path / "s")
    assert series.private["SaturationOffsetHz"] == np.repeat(OFFSETS, 3).tolist()


@pytest.mark.parametrize("passes", [1, 3])
def test_a_reference_scan_comes_first(tmp_path, passes):
    series = study(
        tmp_path,
        groups=[("FG_CYCLE", 6 * passes)],
        PVM_SatTransRefScan=ON,
        PVM_SatTransRepetitions=6,
    )
    private = series.private
    assert private["SaturationOffsetHz"] == [None, *OFFSETS] * passes
    assert private["SaturationOffsetPpm"][0] is None
    assert private["SaturationReferenceImage"] == ["YES", *["NO"] * 5] * passes
    assert private["SaturationListIndex"] == [None, 1, 2, 3, 4, 5] * passes
    assert private["SaturationRepetition"] == np.repeat(range(1, passes + 1), 6).tolist()
    assert private["MeasurementNumber"] == 5


def test_a_list_that_holds_its_reference_is_not_moved(tmp_path):
    series = study(tmp_path, PVM_SatTransRefScan=ON)
    assert series.private["SaturationOffsetHz"] == OFFSETS


@pytest.mark.parametrize(
    ("ppm", "expected"),
    [
        ([-100.0, -3, 0, 3], [True, False, False, False]),
        ([-3.0, -300, 0, 300, 3], [False, True, False, True, False]),
        ([-3.0, 0, 3, 40], [False, False, False, True]),
        ([-3.0, 0, 3, 15], [False] * 4),
        ([-10.0, 0, 10, 25], [False] * 4),
        ([-40.0, 0, 3, 40], [False] * 4),
    ],
)
def test_which_images_are_unsaturated(tmp_path, ppm, expected):
    series = study(
        tmp_path,
        groups=[("FG_CYCLE", len(ppm))],
        PVM_SatTransFL=None,
        PVM_SatTransFreqValues=ppm,
        PVM_SatTransFreqUnit=Word("unit_ppm"),
    )
    assert [mark == "YES" for mark in series.private["SaturationReferenceImage"]] == expected


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("images", [4, 7, 11])
def test_a_list_that_does_not_fit_belongs_to_the_series(tmp_path, version, images):
    series = study(tmp_path, version, groups=[("FG_CYCLE", images)])
    private = series.private
    assert private["MeasurementNumber"] == 5
    assert private["OffsetListSource"] in ("PVM_SatTransFL", "PVM_MagTransFL", "ACQ_O2_list")
    for keyword in ("SaturationOffsetHz", "SaturationOffsetPpm", "SaturationListIndex"):
        assert keyword not in private
    (warning,) = [text for text in series.warnings if "offsets" in text]
    assert "5 offsets (-1000 to 1000 Hz)" in warning
    assert f"the {images} images" in warning
    assert private["PulseLength"] == 50


def test_trust_the_list_that_fits(tmp_path):
    series = study(
        tmp_path,
        PVM_SatTransFL=[0.0, 1.0, 2.0],
        PVM_SatTransFreqValues=OFFSETS,
        PVM_SatTransFreqUnit=Word("unit_hz"),
    )
    assert series.private["OffsetListSource"] == "PVM_SatTransFreqValues"
    assert series.private["SaturationOffsetHz"] == OFFSETS


def test_a_list_full_of_one_default_gives_way_to_a_real_one(tmp_path):
    series = study(
        tmp_path,
        PVM_SatTransFL=[1500.0] * 5,
        PVM_SatTransFreqValues=OFFSETS,
        PVM_SatTransFreqUnit=Word("unit_hz"),
    )
    assert series.private["OffsetListSource"] == "PVM_SatTransFreqValues"


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("PVM_ppgFreqList1", "SatFreqList"),
        ("SatFreqList", "Fp_SatOffsetHz"),
        ("Fp_SatOffsetHz", "PVM_SatTransFL"),
        ("PVM_SatTransFL", "PVM_SatTransFreqValues"),
        ("PVM_SatTransFreqValues", "PVM_MagTransFL"),
    ],
)
def test_the_order_of_trust(tmp_path, better, worse):
    lists = {"PVM_SatTransFL": None, "PVM_SatTransFreqUnit": Word("unit_hz")}
    lists |= {better: OFFSETS, worse: [v + 1 for v in OFFSETS]}
    series = study(tmp_path, **lists)
    assert series.private["OffsetListSource"] == better
    assert series.private["SaturationOffsetHz"] == OFFSETS


def test_acq_o2_list_of_one_is_unrelated(tmp_path):
    series = study(tmp_path, "6.0.1", acqp={"ACQ_O2_list": [1234.0], "BF1": F0})
    assert series.private["OffsetListSource"] == "PVM_MagTransFL"


@pytest.mark.parametrize("name", ["PVM_ppgFreqList1", "SatFreqList", "MT_Offsets_NoM0"])
def test_the_list_of_a_laboratorys_method_counts_with_the_module_off(tmp_path, name):
    method = {"PVM_MagTransOnOff": OFF, "PVM_MagTransFL": [1500.0], name: OFFSETS}
    series = study(tmp_path, "6.0.1", **method)
    assert series.kind is SeriesKind.CEST
    assert series.private["OffsetListSource"] == name
    assert series.private["SaturationOffsetHz"] == OFFSETS


def test_a_laboratorys_list_that_does_not_fit_gives_a_warning(tmp_path):
    series = study(
        tmp_path, "6.0.1", groups=[("FG_CYCLE", 7)], PVM_MagTransOnOff=OFF, SatFreqList=OFFSETS
    )
    assert series.private["MeasurementNumber"] == 5
    assert "SaturationOffsetHz" not in series.private
    assert any("SatFreqList" in text for text in series.warnings)


def test_a_stock_method_with_the_module_off_has_no_list_of_its_own(tmp_path):
    method = {"PVM_MagTransOnOff": OFF, "Method": "Bruker:FLASH", "PVM_ppgFreqList1": OFFSETS}
    series = study(tmp_path, "6.0.1", **method)
    assert series.private == {}


def test_offsets_of_a_user_method_in_ppm_or_hz(tmp_path):
    ppm = [-100.0, -3.5, 0.0, 3.5, 5.0]
    series = study(tmp_path / "ppm", Method="User:fp_EPI", Fp_SatOffset=ppm)
    assert series.private["OffsetListSource"] == "Fp_SatOffset"
    np.testing.assert_allclose(series.private["SaturationOffsetPpm"], ppm)
    series = study(tmp_path / "hz", Method="User:fp_EPI", Fp_SatOffset=OFFSETS)
    assert series.private["SaturationOffsetHz"] == OFFSETS
    assert any("too much for ppm" in text for text in series.warnings)
