"""What the reader says about a series: attributes, dates, identity, kinds, where it lies."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builder import Raw, Word, make_reco, make_uid, read_all, read_one

import mri2dicom
from mri2dicom.readers.paravision.dates import format_datetime, format_time, parse_datetime
from mri2dicom.readers.paravision.layout import find_recos
from mri2dicom.readers.paravision.transforms import method_name
from mri2dicom.series.model import SeriesKind


def attributes(tmp_path, version="6.0.1", **options):
    make_reco(tmp_path / "s", version=version, **options)
    return read_one(tmp_path / "s").attributes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("15:03:33 17 Jun 2013", (2013, 6, 17, 15, 3, 33, 0, None)),
        ("9:03:33  7 Dec 2013", (2013, 12, 7, 9, 3, 33, 0, None)),
        ("2024-07-25T09:18:04,238+0200", (2024, 7, 25, 9, 18, 4, 238000, 120)),
        ("2024-07-25T09:18:04.5-05:30", (2024, 7, 25, 9, 18, 4, 500000, -330)),
        ("2024-07-25T09:18:04Z", (2024, 7, 25, 9, 18, 4, 0, 0)),
        ("2024-07-25T09:18:04", (2024, 7, 25, 9, 18, 4, 0, None)),
        ((1721891884, 238, 120), (2024, 7, 25, 9, 18, 4, 238000, 120)),
    ],
)
def test_three_spellings_of_a_date(value, expected):
    moment = parse_datetime(value)
    *clock, zone = expected
    assert moment.replace(tzinfo=None) == datetime(*clock)
    assert moment.utcoffset() == (None if zone is None else timedelta(minutes=zone))


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "25:61:61 40 Jun 2013", "10:00:00 17 Foo 2013", "2024-13-40T00:00:00",
     (1, 2), (10**30, 0, 0), (0, 0, 10**9), ("a", "b", "c"), ((1,), 2, 3), 5, None],
)  # fmt: skip
def test_what_is_no_date(value):
    assert parse_datetime(value) is None


def test_times_have_a_fraction_only_where_there_is_one():
    moment = datetime(2024, 7, 25, 9, 8, 4, tzinfo=UTC)
    assert format_time(moment) == "090804"
    assert format_datetime(moment + timedelta(milliseconds=5)) == "20240725090804.005000"


def test_dates_of_a_series_are_in_the_zone_of_its_study(tmp_path):
    found = attributes(
        tmp_path,
        visu={
            "VisuStudyDate": "2024-07-25T23:30:00,000+0200",
            "VisuAcqDate": "2024-07-25T22:45:00,250+0000",
            "VisuSeriesDate": "2024-07-25T22:40:00,000+0000",
            "VisuCreationDate": None,
        },
    )
    assert (found["StudyDate"], found["StudyTime"]) == ("20240725", "233000")
    assert (found["AcquisitionDate"], found["AcquisitionTime"]) == ("20240726", "004500.250000")
    assert found["SeriesDate"] == "20240726"
    assert found["TimezoneOffsetFromUTC"] == "+0200"
    assert "InstanceCreationDate" not in found


def test_dates_of_5_1_have_no_zone(tmp_path):
    found = attributes(tmp_path, "5.1")
    assert (found["StudyDate"], found["StudyTime"]) == ("20130617", "150333")
    assert "TimezoneOffsetFromUTC" not in found


@pytest.mark.parametrize(
    ("visu", "subject", "expected"),
    [
        ({"VisuSubjectWeight": 0.0257}, {}, 0.0257),
        ({"VisuSubjectWeight": 0.001}, {}, None),
        ({}, {"SUBJECT_study_weight": 0.03}, 0.03),
        ({}, {}, None),
    ],
)
def test_the_consoles_default_weight_means_unknown(tmp_path, visu, subject, expected):
    assert attributes(tmp_path, visu=visu, subject=subject).get("PatientWeight") == expected


@pytest.mark.parametrize(
    ("sex", "expected"), [("MALE", "M"), ("FEMALE", "F"), ("UNKNOWN", "O"), (None, None)]
)
def test_sex(tmp_path, sex, expected):
    visu = {"VisuSubjectSex": None if sex is None else Word(sex)}
    assert attributes(tmp_path, visu=visu).get("PatientSex") == expected


@pytest.mark.parametrize(("date", "kept"), [("20240131", True), ("", False), ("31 Jan", False)])
def test_birth_date(tmp_path, date, kept):
    found = attributes(tmp_path, visu={"VisuSubjectBirthDate": date})
    assert found.get("PatientBirthDate") == (date if kept else None)


def test_the_subject_is_known_from_its_file_too(tmp_path):
    found = attributes(
        tmp_path,
        visu={"VisuSubjectId": None, "VisuSubjectName": None},
        subject={"SUBJECT_id": "rat 7"},
    )
    assert (found["PatientID"], found["PatientName"]) == ("rat 7", "rat 7")


@pytest.mark.parametrize(
    ("method", "visu", "expected"),
    [
        ({"ExcPulse1": (1.0, 5400.0, 90.0, Word("Yes"))}, {"VisuAcqFlipAngle": 180.0}, 90),
        ({}, {"VisuAcqFlipAngle": 25.0}, 25),
        ({"ExcPulse1": (1.0, 2.0)}, {"VisuAcqFlipAngle": 25.0}, 25),
    ],
)
def test_the_flip_angle_is_that_of_the_excitation(tmp_path, method, visu, expected):
    assert attributes(tmp_path, method=method, visu=visu)["FlipAngle"] == expected


@pytest.mark.parametrize(
    ("name", "sequence", "bare"),
    [
        ("Bruker:RARE", "Bruker:RARE", "RARE"),
        ("FLASH (pvm)", "FLASH", "FLASH"),
        ("User:averylongmethodname_v2", "averylongmethodname_v2", "averylongmethodname_v2"),
        ("mic_flash", "mic_flash", "mic_flash"),
    ],
)
def test_names_of_methods(tmp_path, name, sequence, bare):
    assert attributes(tmp_path, visu={"VisuAcqSequenceName": name})["SequenceName"] == sequence
    assert method_name(name) == bare


def test_scan_time_is_in_seconds(tmp_path):
    assert attributes(tmp_path, visu={"VisuAcqScanTime": 64500.0})["AcquisitionDuration"] == 64.5


@pytest.mark.parametrize(
    ("word", "term"),
    [
        ("FatSuppression", "FAT"),
        ("WaterSuppression", "WATER"),
        ("FatAndWater", "FAT_AND_WATER"),
        ("NoSuppression", "NONE"),
        ("Unheard", None),
    ],
)
def test_terms_of_the_vendor_are_translated_or_left_out(tmp_path, word, term):
    found = attributes(tmp_path, visu={"VisuAcqSpectralSuppression": Word(word)})
    assert found.get("SpectrallySelectedSuppression") == term


@pytest.mark.parametrize(
    ("encoding", "size", "direction", "matrix"),
    [
        (["read_enc", "phase_enc"], [96, 128], "COL", [96, 0, 0, 128]),
        (["phase_enc", "read_enc"], [128, 96], "ROW", [0, 96, 128, 0]),
        (["read_enc", "no_gradient_enc"], [96, 128], None, None),
    ],
)
def test_phase_encoding_and_matrix(tmp_path, encoding, size, direction, matrix):
    found = attributes(
        tmp_path,
        visu={"VisuAcqGradEncoding": [Word(one) for one in encoding], "VisuAcqSize": size},
    )
    assert found.get("InPlanePhaseEncodingDirection") == direction
    assert found.get("AcquisitionMatrix") == matrix


def test_identity_without_and_with_a_uid(tmp_path):
    make_reco(tmp_path / "a/s", visu={"VisuUid": None})
    make_reco(tmp_path / "b/s", visu={"VisuUid": None})
    pixels = bytes(96)
    make_reco(tmp_path / "c/s", visu={"VisuUid": None}, pixels=pixels)
    first, second, third = (read_one(tmp_path / x).identity for x in "abc")
    assert first == second
    assert first.content != third.content
    assert first.study_uid == make_uid("s")


@pytest.mark.parametrize("uid", ["", "abc", "1.2", "1.02.3", "1.2." + "3" * 70, "1.2.3.", "1.٣.4"])
def test_an_invalid_uid_is_replaced(tmp_path, uid):
    make_reco(tmp_path / "s", visu={"VisuStudyUid": uid, "VisuUid": uid})
    series = read_one(tmp_path / "s")
    assert series.identity.study_uid.startswith("2.25.")
    assert any("study has no UID" in text for text in series.warnings)


def test_the_frame_of_reference_is_the_scanners_where_it_has_its_own(tmp_path):
    for name, frame in (("own", "1.2.3.4"), ("same", make_uid("same")), ("none", None)):
        make_reco(tmp_path / name, version="360.3.6", visu={"VisuSeriesFrameOfReferenceUid": frame})
        found = read_one(tmp_path / name).identity.frame_of_reference_uid
        assert found == ("1.2.3.4" if name == "own" else "")


@pytest.mark.parametrize("modality", ["PT", "CT"])
def test_other_modalities_are_skipped(tmp_path, modality):
    make_reco(tmp_path / "s", version="360.3.6", visu={"VisuInstanceModality": modality})
    (series,) = read_all(tmp_path / "s")
    assert modality in series.reason
    assert not series.damaged


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, SeriesKind.ANATOMY),
        ({"groups": [("FG_REPETITION", 3)]}, SeriesKind.TIME_SERIES),
        ({"groups": [("FG_ECHO", 2)]}, SeriesKind.ANATOMY),
        ({"groups": [("FG_RESP_MOVIE", 4)]}, SeriesKind.CINE),
        ({"frame_type": "PHASE_IMAGE"}, SeriesKind.PHASE),
        ({"visu": {"VisuAcqSequenceName": "Bruker:FieldMap"}}, SeriesKind.FIELD_MAP),
        ({"visu": {"VisuSeriesTypeId": "DERIVED_MPR"}}, SeriesKind.DERIVED),
        ({"groups": [("FG_DTI", 3)]}, SeriesKind.DERIVED),
        ({"visu": {"VisuAcquisitionProtocol": "T2map CEST DTI localizer"}}, SeriesKind.ANATOMY),
    ],
)
def test_kinds_come_from_what_was_measured(tmp_path, options, kind):
    make_reco(tmp_path / "s", **options)
    assert read_one(tmp_path / "s").kind is kind


@pytest.mark.parametrize("word", ["GradientEcho", "SpinEcho"])
def test_echoes_are_t2_or_t2_star_by_the_files_own_word(tmp_path, word):
    make_reco(
        tmp_path / "s",
        groups=[("FG_ECHO", 5)],
        visu={"VisuAcqEchoSequenceType": Word(word)},
    )
    expected = SeriesKind.T2STAR_SERIES if word == "GradientEcho" else SeriesKind.T2_SERIES
    assert read_one(tmp_path / "s").kind is expected


@pytest.mark.parametrize("level", ["s", "s/5", "s/5/pdata", "s/5/pdata/2", "."])
def test_any_level_of_a_study_can_be_given(tmp_path, level):
    make_reco(tmp_path / "in/s", expno=5, procno=2, method={"Method": "Bruker:MSME"})
    series = read_one(tmp_path / "in" / level)
    assert (series.study.name, series.location) == ("s", "5/pdata/2")
    assert (series.expno, series.procno) == (5, 2)


def test_a_relative_path_is_resolved(tmp_path, monkeypatch):
    make_reco(tmp_path / "s", expno=5, procno=2)
    monkeypatch.chdir(tmp_path / "s/5/pdata/2")
    (found,) = find_recos(Path())
    assert (found.study.name, found.location, found.expno) == ("s", "5/pdata/2", 5)


def test_scans_come_in_the_order_of_their_numbers(tmp_path):
    for expno in (10, 9, 100, 1):
        make_reco(tmp_path / "project/m02", expno=expno)
    make_reco(tmp_path / "project/m01", expno=3)
    found = [(r.study.name, r.expno) for r in find_recos(tmp_path)]
    assert found == [("m01", 3), *(("m02", n) for n in (1, 9, 10, 100))]


def test_pixels_are_read_lazily(tmp_path):
    folder = make_reco(tmp_path / "s", groups=[("FG_SLICE", 4)])
    series = read_one(tmp_path / "s")
    (folder / "2dseq").unlink()
    with pytest.raises(FileNotFoundError):
        series.pixels.read_planes(0, 1)


def test_reading_is_lazy_series_by_series(tmp_path):
    for expno in (1, 2, 3):
        make_reco(tmp_path / "s", expno=expno)
    reading = mri2dicom.read(tmp_path / "s")
    assert next(reading).expno == 1
    (tmp_path / "s/3/pdata/1/2dseq").write_bytes(b"")
    assert [type(series).__name__ for series in reading] == ["RawSeries", "Skipped"]


def test_coils(tmp_path):
    found = attributes(
        tmp_path,
        visu={
            "VisuCoilReceiveName": "array",
            "VisuCoilReceiveType": Word("MULTICOIL"),
            "VisuCoilReceiveMultiName": Raw("( 2 )\n(<one>, Yes) (<two>, No)"),
            "VisuCoilTransmitType": Word("MULTICOIL"),
        },
    )
    assert found["ReceiveCoilType"] == "MULTICOIL"
    assert found["TransmitCoilType"] == "VOLUME"
    assert found["MultiCoilDefinitionSequence"] == [
        {"name": "one", "used": "YES"},
        {"name": "two", "used": "NO"},
    ]
