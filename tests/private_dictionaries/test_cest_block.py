"""Writing: decimal strings, encoding, and the way through a file and back."""

import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import validate_value

from private_dictionaries import (
    encode_block,
    format_ds,
    load,
    register,
    write_block,
    write_functional_group,
)
from private_dictionaries.reading import read_block, read_frames

BOOK = load("cest")
F0 = 400.38072396468129
FULL = {
    "ChemicalExchangeSaturationMethod": "<Bruker:RARE>",
    "SaturationType": "CEST",
    "PulseShape": "<bp>",
    "B1Saturation": 1.5,
    "PulseLength": 50,
    "PulseNumber": 36,
    "InterpulseDelay": 5.0,
    "SaturationLength": 1975.0,
    "ReadoutTime": 584.0,
    "PulseLength2": 20.0,
    "DutyCycle": 100 * 50 / 55,
    "RecoveryTime": None,
    "MeasurementNumber": 44,
    "SaturationOffsetHz": -1681.6,
    "SaturationOffsetPpm": -1681.6 / F0,
    "ParameterSetOwner": "nmrsu",
    "SaturationReferenceImage": False,
    "SaturationListIndex": 3,
    "SaturationRepetition": 1,
    "SaturationTimingSource": "DERIVED",
    "B1Rms": 0.1 + 0.2,
    "WorkingFrequency": F0,
    "OffsetListSource": "PVM_SatTransFL",
}


def through_a_file(ds, syntax):
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (6000.0, "6000"),
        (36, "36"),
        (2.5, "2.5"),
        (1e-5, "1e-5"),
        (1e22, "1e22"),
        (-4.200002396, "-4.200002396"),
        (-1681.6 / F0, "-4.2000023960902"),
        (1 / 3, "0.33333333333333"),
        (-1 / 3, "-0.3333333333333"),
        (-math.pi * 1e-5, "-3.1415926536e-5"),
        (123456789012345678, "1.23456789012e17"),
        (-1.7976931348623157e308, "-1.79769313e308"),
    ],
)
def test_decimal_string(value, text):
    assert format_ds(value) == text
    assert len(text) <= 16


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_string_is_legal_and_keeps_nine_digits(value):
    text = format_ds(value)
    assert len(text) <= 16
    validate_value("DS", text, config.RAISE)
    if abs(value) > 1e-300:
        assert float(text) == pytest.approx(value, rel=5e-9)


@given(st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-3))
def test_decimal_string_of_a_usual_number_keeps_eleven_digits(value):
    assert float(format_ds(value)) == pytest.approx(value, rel=1e-11)


@given(st.decimals(-99999, 99999, places=6))
def test_a_short_number_comes_back_exactly(value):
    assert float(format_ds(float(value))) == float(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_decimal_string_of_no_number_is_refused(value):
    with pytest.raises(ValueError, match="leave the value out"):
        format_ds(value)


def test_encode_gives_the_creator_first_then_ascending_tags():
    encoded = encode_block(dict(reversed(FULL.items())), block=0x12)
    assert encoded[0] == (0x10610012, "LO", "XNAT-PIC CEST")
    tags = [tag for tag, _, _ in encoded]
    assert tags == sorted(tags)
    assert len(encoded) == len(FULL)  # the creator in, the None out
    found = {tag: (vr, value) for tag, vr, value in encoded}
    assert found[0x10611201] == ("LO", "Bruker:RARE")
    assert found[0x10611214] == ("DS", "-1681.6")
    assert found[0x10611221] == ("CS", "NO")
    assert found[0x10611222] == ("IS", "3")
    assert found[0x10611226] == ("FD", F0)


def test_nothing_known_writes_nothing():
    ds = Dataset()
    write_block(ds, {"PulseShape": None, "SaturationType": "  ", "B1Saturation": None})
    write_functional_group(ds, {"PulseShape": None})
    assert len(ds) == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"B1Saturations": 1.0}, "B1Saturations not in the dictionary"),
        ({"B1Saturation": "much"}, "B1Saturation cannot hold 'much'"),
        ({"B1Saturation": math.nan}, "use None to leave it out"),
        ({"B1Rms": math.inf}, "needs a finite number"),
        ({"B1Saturation": True}, "B1Saturation cannot hold True"),
        ({"SaturationListIndex": 1.5}, "needs a whole number"),
        ({"SaturationListIndex": 2**31}, "needs a whole number"),
        ({"SaturationTimingSource": "GUESSED"}, "choose one of"),
        ({"SaturationReferenceImage": "yes"}, "choose one of"),
        ({"SaturationFrameSequence": "x"}, "use write_functional_group"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_the_data_set_alone(values, words):
    ds = Dataset()
    with pytest.raises(ValueError, match=words):
        write_block(ds, {"PulseLength": 1.0} | values)
    assert len(ds) == 0


def test_a_block_outside_the_range_is_refused():
    with pytest.raises(ValueError, match="0x10 to 0xFF"):
        encode_block({"PulseLength": 1.0}, block=0x0F)


@given(st.text(max_size=200))
def test_any_text_becomes_a_legal_long_string(text):
    encoded = encode_block({"PulseShape": text})
    for _, vr, value in encoded:
        assert len(value) <= 64
        assert "\\" not in value
        assert re.search(r"[\x00-\x1f\x7f]", value) is None
        validate_value(vr, value, config.RAISE)


def test_a_long_string_keeps_sixty_four_characters():
    ((_, _, value),) = (row for row in encode_block({"PulseShape": "g" * 65}) if "g" in row[2])
    assert value == "g" * 64


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_through_a_file_and_back(syntax):
    ds = Dataset()
    write_block(ds, FULL)
    back = through_a_file(ds, syntax)
    found = read_block(back)
    by_field = {BOOK.by_keyword[keyword].field: value for keyword, value in FULL.items()}
    by_field |= {"method": "Bruker:RARE", "pulse_shape": "bp"}
    for name, value in by_field.items():
        shown = getattr(found, name)
        if name.endswith(("_ms", "_ut", "_hz", "_ppm", "_percent", "_mhz")) and value is not None:
            assert isinstance(shown, float), name
            assert shown == pytest.approx(value, rel=1e-12), name
        else:
            assert shown == value, name
            assert type(shown) is type(value), name
    assert found.b1_rms_ut == 0.1 + 0.2  # FD keeps every bit
    assert found.working_frequency_mhz == F0
    assert found.creator == "XNAT-PIC CEST"
    assert found.layout == "2021-01"
    assert found.repairs == ()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_printed_data_set_shows_names_and_values(syntax):
    register("cest")
    ds = Dataset()
    write_block(ds, FULL)
    back = through_a_file(ds, syntax)
    lines = {line[:11]: line for line in str(back).splitlines()}
    assert "[Saturation Offset (ppm)]" in lines["(1061,1015)"]
    assert "DS: '-4.2000023960902'" in lines["(1061,1015)"]
    assert "[Saturation List Index]" in lines["(1061,1022)"]
    assert "IS: '3'" in lines["(1061,1022)"]
    assert "[Unknown" not in str(back)
    assert "Private tag data" not in str(back)


def test_writing_twice_sets_the_creator_once():
    ds = Dataset()
    write_block(ds, {"PulseLength": 1.0, "B1Saturation": 2.0})
    write_block(ds, {"PulseLength": 3.0})
    assert [int(element.tag) & 0xFFFF for element in ds] == [0x10, 0x1004, 0x1005]
    assert read_block(ds).pulse_length_ms == 3.0
    assert read_block(ds).b1_ut == 2.0


def test_another_creators_block_is_left_alone():
    ds = Dataset()
    ds.private_block(0x1061, "SOMEBODY", create=True).add_new(0x01, "LO", "theirs")
    write_block(ds, {"PulseLength": 1.0})
    assert ds[0x1061, 0x1001].value == "theirs"
    assert ds[0x1061, 0x0011].value == "XNAT-PIC CEST"
    assert ds[0x1061, 0x1105].value == 1.0
    assert read_block(ds).pulse_length_ms == 1.0


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_enhanced_frames_inherit_from_the_shared_group(syntax):
    shared = Dataset()
    write_functional_group(shared, {"PulseLength": 50.0, "WorkingFrequency": F0})
    frames = [Dataset(), Dataset(), Dataset()]
    write_functional_group(frames[0], {"SaturationOffsetPpm": 3.5, "B1Saturation": 1.0})
    write_functional_group(frames[1], {"SaturationOffsetPpm": -3.5, "PulseLength": 20.0})
    ds = Dataset()
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = frames
    back = through_a_file(ds, syntax)
    found = read_frames(back)
    assert [frame.offset_ppm for frame in found] == [3.5, -3.5, None]
    assert [frame.pulse_length_ms for frame in found] == [50.0, 20.0, 50.0]
    assert [frame.b1_ut for frame in found] == [1.0, None, None]
    assert {frame.working_frequency_mhz for frame in found} == {F0}
    assert read_block(back) is None  # the data set itself has none
    assert read_block(back.PerFrameFunctionalGroupsSequence[1]).offset_ppm == -3.5


def test_functional_group_holds_one_private_sequence():
    item = Dataset()
    write_functional_group(item, {"SaturationOffsetPpm": 3.5})
    assert [int(element.tag) for element in item] == [0x10610010, 0x10611030]
    assert item[0x1061, 0x1030].VR == "SQ"
    inner = item[0x1061, 0x1030].value[0]
    assert [int(element.tag) for element in inner] == [0x10610010, 0x10611015]


def test_frames_without_a_block_are_none():
    ds = Dataset()
    assert read_frames(ds) == []
    ds.PerFrameFunctionalGroupsSequence = [Dataset(), Dataset()]
    assert read_frames(ds) == [None, None]
