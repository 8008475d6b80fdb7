"""Saturation: gates, sources by version, timing; offsets are in `test_reader_cest_offsets.py`."""

import numpy as np
import pytest
from builder import Word, make_reco, read_one

from mri2dicom.series.model import SeriesKind

F0 = 400.38072396468129
ON, OFF = Word("On"), Word("Off")
OFFSETS = [-1000.0, -500, 0, 500, 1000]

MODULES = {
    "360.3.6": {
        "Method": "Bruker:RARE",
        "PVM_SatTransOnOff": ON,
        "PVM_SatTransType": Word("CEST"),
        "PVM_SatTransPulseEnum": Word("gauss"),
        "PVM_SatTransPulse": (50.0, 54.8, 180.0, Word("Yes")),
        "PVM_SatTransPulseAmpl_uT": 2.5,
        "PVM_SatTransNPulses": 36,
        "PVM_SatTransInterPulseDelay": 5.0,
        "PVM_SatTransModuleTime": 1990.0,
        "PVM_SatTransFL": OFFSETS,
        "PVM_FrqWork": [F0, 300.0],
    },
    "6.0.1": {
        "Method": "User:my_cest_RARE",
        "PVM_MagTransOnOff": ON,
        "PVM_MagTransPulse1Enum": "gauss",
        "PVM_MagTransPulse1": (50.0, 54.8, 180.0, Word("Yes")),
        "PVM_MagTransPower": 2.5,
        "PVM_MagTransPulsNumb": 36,
        "PVM_MagTransInterDelay": 5.0,
        "PVM_MagTransModuleTime": 1990.0,
        "PVM_MagTransFL": OFFSETS,
        "PVM_FrqWork": [F0],
    },
    "5.1": {
        "Method": Word("cestRARE"),
        "PVM_MagTransOnOff": ON,
        "PVM_MagTransPulseEnum": Word("gauss"),
        "PVM_MagTransPulse": (50.0, 54.8, 180.0, Word("Yes")),
        "PVM_MagTransPower": 2.5,
        "PVM_MagTransPulsNumb": 36,
        "PVM_MagTransInterDelay": 5.0,
        "PVM_MagTransModuleTime": 1990.0,
    },
}
VERSIONS = list(MODULES)


def study(tmp_path, version="360.3.6", groups=(("FG_CYCLE", 5),), visu=None, acqp=None, **method):
    """Write a saturated series; a method parameter of None is left out."""
    if version == "5.1" and acqp is None:
        acqp = {"ACQ_O2_list_size": 5, "ACQ_O2_list": OFFSETS, "BF1": F0}
    method = MODULES[version] | method
    defaults = {"VisuAcqRepetitionTime": [5000.0], "VisuAcqImagingFrequency": F0}
    make_reco(
        tmp_path / "s", version=version, groups=groups, visu=defaults | (visu or {}),
        method=method, acqp=acqp,
    )  # fmt: skip
    return read_one(tmp_path / "s")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_module_of_each_version(tmp_path, version):
    series = study(tmp_path, version)
    private = series.private
    assert series.kind is SeriesKind.CEST
    assert private["ChemicalExchangeSaturationMethod"] == MODULES[version]["Method"]
    assert private["SaturationType"] == "CEST"
    assert private["PulseShape"] == "gauss"
    assert private["B1Saturation"] == 2.5
    assert private["PulseLength"] == 50
    assert private["PulseNumber"] == 36
    assert private["InterpulseDelay"] == 5
    assert private["SaturationLength"] == 1975
    assert private["DutyCycle"] == pytest.approx(90.90909, abs=1e-5)
    assert private["MeasurementNumber"] == 5
    assert private["WorkingFrequency"] == F0
    assert private["SaturationOffsetHz"] == OFFSETS
    np.testing.assert_allclose(private["SaturationOffsetPpm"], np.array(OFFSETS) / F0)
    assert private["SaturationListIndex"] == [1, 2, 3, 4, 5]
    assert private["SaturationRepetition"] == [1] * 5
    assert private["SaturationReferenceImage"] == ["NO"] * 5
    assert (
        private["OffsetListSource"]
        == {
            "360.3.6": "PVM_SatTransFL",
            "6.0.1": "PVM_MagTransFL",
            "5.1": "ACQ_O2_list",
        }[version]
    )
    assert "ModuleTime" not in private


@pytest.mark.parametrize("version", VERSIONS)
def test_a_module_that_is_off_gives_no_attributes(tmp_path, version):
    """The lists then hold placeholders."""
    switch = "PVM_SatTransOnOff" if version.startswith("360") else "PVM_MagTransOnOff"
    series = study(
        tmp_path, version, visu={"VisuAcqMagnetizationTransfer": Word("No")}, **{switch: OFF}
    )
    assert series.private == {}
    assert series.kind is SeriesKind.TIME_SERIES


@pytest.mark.parametrize("protocol", ["CEST_RARE", "cest EPI", "my scan"])
def test_the_protocols_name_does_not_matter(tmp_path, protocol):
    for state in (ON, OFF):
        series = study(
            tmp_path / state,
            visu={"VisuAcquisitionProtocol": protocol},
            PVM_SatTransOnOff=state,
        )
        assert bool(series.private) == (state == ON)
        assert "DiffusionBValue" not in series.plane_attributes


def test_a_power_series_has_one_b1_per_image(tmp_path):
    powers = [0.0, 1.0, 2.0, 3.0, 4.0]
    series = study(tmp_path, PVM_SatTransPulseAmpl_uT=None, Fp_SatPows=powers)
    assert series.private["B1Saturation"] == powers
    series = study(tmp_path / "t", PVM_SatTransPulseAmpl_uT=None, Fp_SatPows=[2.0] * 5)
    assert series.private["B1Saturation"] == 2.0


@pytest.mark.parametrize("powers", [[1.0, 2.0], [1.0, 2.0, 3.0, 4.0, 500.0]])
def test_a_power_list_that_cannot_be_is_left_out(tmp_path, powers):
    series = study(tmp_path, PVM_SatTransPulseAmpl_uT=None, Fp_SatPows=powers)
    assert "B1Saturation" not in series.private
    assert any("Fp_SatPows" in text for text in series.warnings)


@pytest.mark.parametrize(
    ("power", "kept"), [(0.05, True), (50.0, True), (0.01, False), (900.0, False)]
)
def test_power_in_microtesla_must_be_plausible(tmp_path, power, kept):
    series = study(tmp_path, "6.0.1", PVM_MagTransPower=power)
    assert ("B1Saturation" in series.private) == kept
    assert kept or any("B1Saturation" in text for text in series.warnings)


def test_the_pulse_length_in_microseconds_where_the_pulse_is_missing(tmp_path):
    series = study(tmp_path, PVM_SatTransPulse=None, PVM_StP0=50000.0)
    assert series.private["PulseLength"] == 50
    series = study(tmp_path / "b", "5.1", PVM_MagTransPulse=None, PVM_MtP0=50000.0)
    assert series.private["PulseLength"] == 50


def timing(tmp_path, tr, groups=(("FG_CYCLE", 5),), scan_ms=None, **method):
    no_train = {"PVM_SatTransInterPulseDelay": 0.0, "PVM_SatTransModuleTime": None}
    return study(
        tmp_path,
        groups=groups,
        visu={"VisuAcqRepetitionTime": [tr], "VisuAcqScanTime": scan_ms},
        Method="User:cestEPI",
        **(no_train | method),
    ).private


def test_one_pulse_and_the_rest_is_readout(tmp_path):
    private = timing(tmp_path, 6000.0, PVM_SatTransPulse=(5000.0, 1), PVM_SatTransNPulses=1)
    assert private["SaturationLength"] == 5000
    assert private["DutyCycle"] == 100
    assert private["ReadoutTime"] == 1000
    assert private["SaturationTimingSource"] == "DERIVED"
    assert "RecoveryTime" not in private
    assert "InterpulseDelay" not in private


def test_a_short_pulse_before_each_further_slice(tmp_path):
    private = timing(
        tmp_path,
        6000.0,
        groups=[("FG_SLICE", 5, "", ["VisuCorePosition"]), ("FG_CYCLE", 5)],
        PVM_SatTransPulse=(3000.0, 1),
        PVM_SatTransNPulses=1,
        PVM_SatTransPulseLength2=20.0,
    )
    assert private["PulseLength2"] == 20
    assert private["ReadoutTime"] == 584


def test_a_second_pulse_longer_than_tr_is_in_microseconds(tmp_path):
    private = timing(
        tmp_path,
        6000.0,
        PVM_SatTransPulse=(3000.0, 1),
        PVM_SatTransNPulses=1,
        PVM_SatTransPulseLength2=20000.0,
    )
    assert private["PulseLength2"] == 20


def test_tr_shorter_than_the_pulse_is_that_of_the_excitation(tmp_path):
    private = timing(
        tmp_path,
        2.67,
        groups=[("FG_CYCLE", 176)],
        scan_ms=34489.84,
        PVM_SatTransFL=[float(v) for v in range(44)],
        PVM_SatTransPulse=(6000.0, 1),
        PVM_SatTransNPulses=1,
    )
    assert private["ReadoutTime"] == pytest.approx(195.965)
    assert "RecoveryTime" not in private


def test_recovery_where_the_readout_is_known(tmp_path):
    series = study(tmp_path, PVM_EchoTime=4.0, PVM_RareFactor=32)
    private = series.private
    assert private["ReadoutTime"] == 128
    assert private["SaturationTimingSource"] == "MEASURED"
    assert private["RecoveryTime"] == 5000 - 1990 - 128


def test_a_negative_recovery_is_not_written(tmp_path):
    series = study(
        tmp_path, visu={"VisuAcqRepetitionTime": [2000.0]}, PVM_EchoTime=4.0, PVM_RareFactor=32
    )
    assert "RecoveryTime" not in series.private


@pytest.mark.parametrize(
    ("version", "method", "expected"),
    [
        ("360.3.6", {"PVM_SatTransType": Word("MTC")}, "MTC"),
        ("6.0.1", {"Method": "Bruker:RARE"}, None),
        ("6.0.1", {"Method": "User:cestFISP"}, "CEST"),
        ("5.1", {"Method": Word("RARE")}, None),
    ],
)
def test_the_type_is_given_only_where_it_is_known(tmp_path, version, method, expected):
    assert study(tmp_path, version, **method).private.get("SaturationType") == expected


def test_visu_alone_shows_that_saturation_was_played(tmp_path):
    series = study(
        tmp_path,
        PVM_SatTransOnOff=None,
        visu={"VisuAcqMagnetizationTransfer": Word("Yes")},
    )
    assert series.kind is SeriesKind.CEST
    assert series.attributes["MagnetizationTransfer"] == "OFF_RESONANCE"


def test_without_a_method_only_the_flag_is_given(tmp_path):
    make_reco(
        tmp_path / "s",
        groups=[("FG_CYCLE", 5)],
        visu={"VisuAcqMagnetizationTransfer": Word("Yes")},
    )
    series = read_one(tmp_path / "s")
    assert series.attributes["MagnetizationTransfer"] == "OFF_RESONANCE"
    assert "SaturationOffsetHz" not in series.private
    assert series.kind is SeriesKind.TIME_SERIES
