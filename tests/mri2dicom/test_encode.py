"""The encoder's bytes, read back by pydicom."""

import io
import math
import struct
from decimal import Decimal

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian

from mri2dicom.dicom.encode import (
    Template,
    TypedValue,
    character_set,
    clean_text,
    encode_element,
    encode_elements,
    encode_sequence,
    join_elements,
    tag_and_vr,
)
from mri2dicom.dicom.header import file_bytes, subject_name
from mri2dicom.dicom.uids import Form
from mri2dicom.mapping.tables import load_mapping

UID = "2.25.1234"
ANY_TEXT = st.text(max_size=300)


def read(body: bytes) -> pydicom.Dataset:
    """Read a data set in a whole file as pydicom does."""
    parts = b"".join(file_bytes(Form.CLASSIC, UID, [body]))
    ds = pydicom.dcmread(io.BytesIO(parts))
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert ds.file_meta.MediaStorageSOPInstanceUID == UID
    return ds


def cleaned(values):
    """Return texts as they will stand in the file, which decides on the character set."""
    return {
        key: clean_text(one, tag_and_vr(key)[1]) if isinstance(one, str) else one
        for key, one in values.items()
    }


def read_back(**values):
    return read(join_elements(encode_elements(values | character_set(cleaned(values)))))


def unpadded(text: str) -> str:
    return text.rstrip(" ")


# --- numbers ---------------------------------------------------------------------------------

WHOLE = {"US": (0, 2**16 - 1), "SS": (-(2**15), 2**15 - 1), "UL": (0, 2**32 - 1)}
WHOLE["SL"] = (-(2**31), 2**31 - 1)
TAG_OF = {"US": 0x00280010, "SS": 0x00189219, "UL": 0x00209157, "SL": 0x00186020, "FL": 0x00186031}


@pytest.mark.parametrize("vr", WHOLE)
@given(data=st.data())
def test_whole_numbers(vr, data):
    value = data.draw(st.integers(*WHOLE[vr]))
    found = read(encode_element(TAG_OF[vr], vr, value))[TAG_OF[vr]]
    assert (found.VR, found.value) == (vr, value)


@pytest.mark.parametrize("vr", WHOLE)
@pytest.mark.parametrize("side", [0, 1])
def test_a_number_that_does_not_fit_is_refused(vr, side):
    value = WHOLE[vr][side] + (1 if side else -1)
    with pytest.raises(ValueError, match=f"does not fit.* {vr}"):
        encode_element(TAG_OF[vr], vr, value)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=5))
def test_lists_of_whole_numbers(values):
    assert list(read_back(DimensionIndexValues=values).DimensionIndexValues) == values


@given(st.floats(allow_nan=False))
def test_doubles(value):
    assert read_back(EffectiveEchoTime=value).EffectiveEchoTime == value


def test_a_double_that_is_no_number():
    assert math.isnan(read_back(EffectiveEchoTime=math.nan).EffectiveEchoTime)


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=3))
def test_lists_of_doubles(values):
    assert list(read_back(InversionTimes=values).InversionTimes) == values


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_singles(value):
    tag = 0x00186031
    assert read(encode_element(tag, "FL", value))[tag].value == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_strings(value):
    body = join_elements(encode_elements({"EchoTime": value}))
    raw = body[8:].rstrip(b" ").decode()
    assert 0 < len(raw) <= 16
    found = Decimal(raw)
    exact = Decimal(value)
    # 9 digits at the very least, where the exponent and two signs take their place.
    assert abs(found - exact) <= abs(exact) * Decimal("6e-9") + Decimal("1e-300")
    assert str(read(body).EchoTime).strip() == raw


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1499999999999999, ".1499999999999999"[:16]),
        (8.272144110823019e-13, "8.2721441108e-13"),
        (-0.0, "0"),
        (3.0, "3"),
        (1 / 3, ".333333333333333"),
    ],
)
def test_decimal_strings_of_note(value, text):
    raw = join_elements(encode_elements({"EchoTime": value}))[8:].rstrip(b" ").decode()
    assert len(raw) <= 16
    assert float(raw) == pytest.approx(float(text), rel=1e-10)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_decimal_string_holds_numbers_only(value):
    with pytest.raises(ValueError, match="decimal string"):
        encode_elements({"EchoTime": value})


@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=6))
def test_lists_of_decimal_strings(values):
    found = read_back(ImageOrientationPatient=values).ImageOrientationPatient
    assert [float(one) for one in found] == pytest.approx(values, rel=1e-9, abs=1e-9)


@given(st.integers(-(2**31), 2**31 - 1))
def test_integer_strings(value):
    assert int(read_back(InstanceNumber=value).InstanceNumber) == value


def test_attribute_tags():
    tag = tag_and_vr("EffectiveEchoTime")[0]
    found = read_back(
        DimensionIndexSequence=[{"DimensionIndexPointer": tag}]
    ).DimensionIndexSequence
    assert found[0].DimensionIndexPointer == tag


# --- text ------------------------------------------------------------------------------------

LIMITS = {"StudyID": 16, "SeriesDescription": 64, "ImageComments": 10240}


@pytest.mark.parametrize("keyword", LIMITS)
@given(text=ANY_TEXT)
def test_any_text_can_be_read_back(keyword, text):
    tag, vr = tag_and_vr(keyword)
    cleaned = clean_text(text, vr)
    ds = read_back(**{keyword: text})
    assert unpadded(str(ds[tag].value)) == unpadded(cleaned)
    assert len(cleaned) <= LIMITS[keyword]
    assert ("SpecificCharacterSet" in ds) == (not cleaned.isascii())
    if "SpecificCharacterSet" in ds:
        assert ds.SpecificCharacterSet == "ISO_IR 192"


@given(text=ANY_TEXT)
def test_any_subject_id_can_be_read_back(text):
    name = subject_name({"PatientID": text})
    ds = read_back(PatientName=name, PatientID=name)
    assert str(ds.PatientName) == (ds.PatientID or "") == name
    assert len(name) <= 64
    assert not set(name) & set("^=\\")


@given(text=ANY_TEXT)
def test_short_text_is_one_line_and_one_value(text):
    cleaned = clean_text(text, "LO")
    assert "\\" not in cleaned
    assert all(sign.isprintable() for sign in cleaned)
    assert read_back(SeriesDescription=text)["SeriesDescription"].VM <= 1


def test_long_text_keeps_its_lines_and_backslashes():
    text = "one\r\ntwo\tthree\\four\x00\x1b[31m"
    assert clean_text(text, "LT") == "one\r\ntwo\tthree\\four[31m"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\\b", "a/b"),
        ("\x1b[31mred", "[31mred"),
        ("  padded  ", "padded"),
        ("\x00", ""),
        ("tab\there", "tab here"),
        ("\ud800 lone half", "lone half"),
    ],
)
def test_signs_that_are_not_legal(text, cleaned):
    assert clean_text(text, "LO") == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("^^^^", ""), ("a=b", "a b"), ("a^b^c^d^e^f", "a^b^c^d^e f"), ("Doe^J^^", "Doe^J"), ("=", "")],
)
def test_names_of_people(text, cleaned):
    assert clean_text(text, "PN") == cleaned
    assert str(read_back(ReferringPhysicianName=text).ReferringPhysicianName) == cleaned


def test_a_cut_never_ends_in_a_blank():
    assert clean_text("a" * 15 + " bcd", "SH") == "a" * 15


def test_a_full_value_leaves_room_for_its_padding():
    """Sixteen characters in seventeen bytes need a blank, which would be a seventeenth."""
    text = "µ" + "a" * 15
    assert clean_text(text, "SH") == text[:15]
    assert clean_text("µµ" + "a" * 14, "SH") == "µµ" + "a" * 14


def test_lists_of_text():
    values = ["ORIGINAL", "PRIMARY", "OTHER"]
    assert list(read_back(ImageType=values).ImageType) == values
    assert list(read_back(SoftwareVersions=["a\\b", "c"]).SoftwareVersions) == ["a/b", "c"]


def test_a_name_in_a_sequence_declares_the_character_set():
    ds = read_back(BreedRegistrationSequence=[{"PatientBreedDescription": "Süß"}])
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert ds.BreedRegistrationSequence[0].PatientBreedDescription == "Süß"


@pytest.mark.parametrize("value", ["", None])
def test_empty_values(value):
    ds = read_back(PatientName=value, EchoTime=None, StudyDate=value)
    assert str(ds.PatientName) == ""
    assert ds.EchoTime is None
    assert ds.StudyDate == ""


@pytest.mark.parametrize(
    ("given_id", "written"),
    [
        ("^^^^", ""),
        ("", ""),
        (None, ""),
        ("m01^^^^", "m01"),
        ("mouse^one", "mouse_one"),
        ("a=b", "a_b"),
        ("a\\b\n", "a/b"),
        ("x" * 80, "x" * 64),
        ("  m 1 ", "m 1"),
    ],
)
def test_subject_ids(given_id, written):
    name = subject_name({"PatientID": given_id})
    assert name == written
    ds = read_back(PatientName=name, PatientID=name)
    assert str(ds.PatientName) == ds.PatientID == written


# --- bytes and structure ---------------------------------------------------------------------


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 65535, 65536, 200001])
def test_bytes_of_any_length(vr, length):
    data = bytes(range(256)) * (length // 256 + 1)
    data = data[:length]
    body = encode_element(0x7FE00010, vr, data)
    stated = struct.unpack("<I", body[8:12])[0]
    assert stated == length + length % 2 == len(body) - 12
    found = read(encode_elements({"Rows": 1})[0x00280010] + body)[0x7FE00010]
    assert (found.VR, found.value or b"") == (
        vr,
        data + b"\0" * (length % 2),
    )


@given(st.text("0123456789", min_size=1, max_size=30).map(lambda t: f"2.25.1{t}"))
def test_uids_are_padded_with_a_zero_byte(uid):
    body = join_elements(encode_elements({"StudyInstanceUID": uid}))
    assert len(body) % 2 == 0
    assert body[8:].rstrip(b"\0").decode() == uid
    assert read(body).StudyInstanceUID == uid


NESTED = st.recursive(
    st.fixed_dictionaries({"CodeValue": st.text("ABC012", max_size=16)}),
    lambda inner: st.fixed_dictionaries(
        {
            "CodeMeaning": st.text("xyzµ", max_size=9),
            "ConceptCodeSequence": st.lists(inner, max_size=3),
        }
    ),
    max_leaves=12,
)


def _plain(ds) -> dict:
    return {
        one.keyword: [_plain(item) for item in one.value] if one.VR == "SQ" else str(one.value)
        for one in ds
        if one.keyword != "SpecificCharacterSet"
    }


@given(st.lists(NESTED, max_size=3))
def test_nested_sequences(items):
    ds = read_back(ConceptNameCodeSequence=items)
    assert [_plain(item) for item in ds.ConceptNameCodeSequence] == items


def test_encoded_items_are_not_encoded_again():
    tag, _ = tag_and_vr("ConceptNameCodeSequence")
    item = join_elements(encode_elements({"CodeValue": "A"}))
    assert encode_sequence(tag, [item]) == encode_element(tag, "SQ", [{"CodeValue": "A"}])


def test_elements_stand_in_the_order_of_their_tags():
    body = join_elements(encode_elements({"Rows": 4, "StudyDate": "20240101", "PatientID": "m"}))
    tags = [one.tag for one in read(body)]
    assert tags == sorted(tags)
    assert body.index(b"20240101") < body.index(b"m ")


def test_values_whose_vr_is_open():
    found = read(join_elements(encode_elements({0x00280106: TypedValue("SS", -5)})))[0x00280106]
    assert (found.VR, found.value) == ("SS", -5)


def test_a_short_element_cannot_be_too_long():
    with pytest.raises(ValueError, match=r"\(0018,9079\) is too long"):
        encode_elements({"InversionTimes": [1.0] * 8192})


def test_an_unknown_keyword_is_an_error():
    with pytest.raises(KeyError, match="NoSuchThing"):
        encode_elements({"NoSuchThing": 1})


def test_every_keyword_of_the_tables_can_be_encoded():
    """The tables name only what the dictionary knows, with a VR that the encoder has."""
    known = {"AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SQ", "ST"}
    known |= {"TM", "UI", "UL", "UC", "US", "UT", "SS", "SL", "OB", "OW", "AT"}
    rows = [row for name in ("common", "classic", "enhanced") for row in _rows(name)]
    assert len(rows) > 100
    for row in rows:
        assert tag_and_vr(row["keyword"])[1] in known, row
        if "default" in row:
            encode_element(*tag_and_vr(row["keyword"]), row["default"])


def _rows(name):
    table = load_mapping(f"dicom_{name}")
    groups = table.get("group", [])
    for one in (*table["element"], *groups):
        assert one["source"], one
    yield from table["element"]
    for group in groups:
        yield {"keyword": group["sequence"]}
        yield from group["items"]


def test_a_template_inserts_varying_elements_in_tag_order():
    constant = encode_elements({"Rows": 4, "StudyDate": "20240101", "PatientID": "m", "Columns": 3})
    rows, name = tag_and_vr("Rows")[0], tag_and_vr("PatientID")[0]
    template = Template(constant, [rows, name, rows])
    with_both = template.render(
        {rows: encode_element(rows, "US", 9), name: encode_element(name, "LO", "x")}
    )
    assert with_both == join_elements(
        encode_elements({"Rows": 9, "StudyDate": "20240101", "PatientID": "x", "Columns": 3})
    )
    assert template.render({}) == join_elements(
        encode_elements({"StudyDate": "20240101", "Columns": 3})
    )
