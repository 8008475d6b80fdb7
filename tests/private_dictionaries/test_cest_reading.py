"""Reading what other writers left: layouts, blocks, creators, defects."""

import io

import pytest
from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from private_dictionaries import write_block
from private_dictionaries.reading import read_block, read_frames

F0 = 400.38072396468129
SYNTAXES = pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])

LAYOUT_2019 = [
    (0x01, "LO", "CEST"),
    (0x02, "LO", "<gauss>"),
    (0x03, "DS", "1.5"),
    (0x04, "DS", "50"),
    (0x05, "DS", "36"),
    (0x06, "DS", "1975"),
    (0x07, "DS", "90.90909"),
    (0x08, "DS", "1000"),
    (0x09, "DS", "44"),
    (0x10, "DS", "1401.332534"),
    (0x11, "DS", "3.5"),
    (0x12, "LO", "linear"),
    (0x13, "LO", "On"),
    (0x14, "DS", "10000"),
    (0x15, "LO", "Yes"),
    (0x16, "LO", "peak"),
    (0x17, "LO", "12.5"),
]
LAYOUT_2020 = [
    (0x01, "LO", "<User:cestFISP>"),
    (0x02, "LO", "linear"),
    (0x03, "LO", "<bp32>"),
    (0x04, "DS", "1.5"),
    (0x05, "DS", "50"),
    (0x06, "DS", "36"),
    (0x07, "DS", "5"),
    (0x11, "DS", "90.90909"),
    (0x13, "DS", "44"),
    (0x14, "DS", "1401.332534"),
    (0x15, "DS", "3.5"),
]
LAYOUT_2021 = [(e, vr, "CEST" if e == 0x02 else value) for e, vr, value in LAYOUT_2020]


def foreign(rows, *, creator="nmrsu", block=0x10, **standard):
    """A data set with a block of another writer, values as they stand in the file."""
    ds = Dataset()
    for keyword, value in standard.items():
        setattr(ds, keyword, value)
    ds.add_new(0x10610000 | block, "LO", creator)
    for element, vr, value in rows:
        tag = 0x10610000 | block << 8 | element
        ds.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return ds


def from_file(ds, syntax=ExplicitVRLittleEndian):
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.1"
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def changed(rows, **values):
    """Rows with other values; keys such as e15 name the element, None takes it out."""
    new = {int(key[1:], 16): value for key, value in values.items()}
    return [(e, vr, new.get(e, value)) for e, vr, value in rows if new.get(e, value) is not None]


@SYNTAXES
@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
def test_layout_of_2019(syntax, block):
    found = read_block(from_file(foreign(LAYOUT_2019, block=block), syntax))
    assert found.layout == "2019-11"
    assert found.creator == "nmrsu"
    assert (found.saturation_type, found.pulse_shape, found.method) == ("CEST", "gauss", None)
    assert (found.b1_ut, found.pulse_length_ms, found.pulse_number) == (1.5, 50.0, 36)
    assert (found.saturation_length_ms, found.duty_cycle_percent) == (1975.0, 90.90909)
    assert (found.recovery_time_ms, found.measurement_number) == (1000.0, 44)
    assert (found.offset_hz, found.offset_ppm) == (1401.332534, 3.5)
    assert (found.sampling_type, found.m0_option) == ("linear", "On")
    assert found.m0_recovery_time_ms == 10000.0
    assert (found.spoiling, found.b1_definition, found.reference_voltage) == ("Yes", "peak", "12.5")
    assert found.interpulse_delay_ms is None
    assert len(found.repairs) == 1
    assert "(1061," in found.repairs[0]


@SYNTAXES
def test_layout_of_2020(syntax):
    found = read_block(from_file(foreign(LAYOUT_2020), syntax))
    assert found.layout == "2020-04"
    assert (found.sampling_type, found.saturation_type) == ("linear", None)
    assert (found.method, found.pulse_shape) == ("User:cestFISP", "bp32")
    assert (found.b1_ut, found.interpulse_delay_ms) == (1.5, 5.0)
    assert (found.duty_cycle_percent, found.offset_ppm) == (90.90909, 3.5)
    assert len(found.repairs) == 2


@SYNTAXES
def test_layout_of_2021(syntax):
    found = read_block(from_file(foreign(LAYOUT_2021), syntax))
    assert found.layout == "2021-01"
    assert (found.sampling_type, found.saturation_type) == (None, "CEST")
    assert found.offset_hz == 1401.332534


def test_without_element_02_the_type_is_unknown():
    found = read_block(foreign(changed(LAYOUT_2020, e02=None)))
    assert found.layout == "2020-04"
    assert (found.sampling_type, found.saturation_type) == (None, None)


def test_a_data_set_in_memory_reads_as_its_file_does():
    ds = foreign(LAYOUT_2019)
    assert read_block(ds) == read_block(from_file(foreign(LAYOUT_2019)))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0x01, "LO", "a"), (0x02, "LO", "b")],
        changed(LAYOUT_2020, e01=None),
        changed(LAYOUT_2020, e04=None),
        changed(LAYOUT_2020, e13=None, e14=None, e15=None),
        changed(LAYOUT_2019, e09=None, e10=None, e11=None),
        [(e, "DS" if e == 0x01 else vr, "1" if e == 0x01 else v) for e, vr, v in LAYOUT_2020],
    ],
    ids=["empty", "texts", "no 01", "no 04", "no offset", "no offset 2019", "number in 01"],
)
def test_a_foreign_block_is_ignored(rows):
    assert read_block(from_file(foreign(rows))) is None


def test_no_block_at_all():
    assert read_block(Dataset()) is None
    ds = Dataset()
    ds.add_new(0x10611015, "DS", "3.5")  # an element without its creator
    assert read_block(ds) is None


def test_our_block_is_preferred_to_another():
    ds = foreign(LAYOUT_2021)
    write_block(ds, {"SaturationOffsetPpm": -1.0})
    assert read_block(ds).offset_ppm == -1.0


def test_a_foreign_block_that_fits_is_found_behind_one_that_does_not():
    ds = foreign(LAYOUT_2021, block=0x20)
    ds.add_new(0x10610010, "LO", "SOMEBODY")
    ds.add_new(0x10611001, "LO", "theirs")
    assert read_block(ds).offset_ppm == 3.5


@SYNTAXES
def test_offset_in_ppm_that_was_multiplied_is_divided(syntax):
    rows = changed(LAYOUT_2021, e14="-1681.6", e15="-673280.2254")
    found = read_block(from_file(foreign(rows, ImagingFrequency="400.380723964681"), syntax))
    assert found.offset_ppm == pytest.approx(-4.200002396, abs=1e-9)
    assert found.offset_hz == -1681.6
    assert "-673280.2254" in found.repairs[-1]
    assert "-4.2000" in found.repairs[-1]


def test_frequency_of_the_caller_serves_where_the_file_has_none():
    ds = foreign(changed(LAYOUT_2021, e14="-1681.6", e15="-673280.2254"))
    assert read_block(ds).offset_ppm == -673280.2254
    assert read_block(ds, working_frequency_mhz=F0).offset_ppm == pytest.approx(-4.200002396)
    ds.ImagingFrequency = "300.0"  # the file's own wins, and with it nothing fits
    assert read_block(ds, working_frequency_mhz=F0).offset_ppm == -673280.2254
    assert read_block(ds, working_frequency_mhz=F0).working_frequency_mhz == 300.0


@pytest.mark.parametrize(
    ("hz", "ppm"),
    [("-40038.0724", "-100.0"), ("2.4", "960.9137"), ("-1681.6", "-673281.2254")],
    ids=["a true -100", "a small one", "another number"],
)
def test_offset_that_is_no_product_stays(hz, ppm):
    ds = foreign(changed(LAYOUT_2021, e14=hz, e15=ppm), ImagingFrequency="400.380723964681")
    assert read_block(ds).offset_ppm == float(ppm)


@pytest.mark.parametrize(
    ("hz", "written", "repaired"),
    [
        (2.49, 996.0, False),  # might be ppm
        (2.51, 1004.0, True),
        (2510.0, 1004000.9, True),  # rounded in the seventh digit
        (2510.0, 1004001.1, False),
    ],
)
def test_an_offset_is_repaired_above_1000_ppm_and_within_a_millionth(hz, written, repaired):
    rows = changed(LAYOUT_2021, e14=str(hz), e15=str(written))
    found = read_block(foreign(rows, ImagingFrequency="400.0"))
    assert found.offset_ppm == (pytest.approx(hz / 400) if repaired else written)


@pytest.mark.parametrize(
    ("duty", "number", "percent"),
    [("0.9090909", "36", 90.90909), ("1", "36", 100.0), ("1", "1", 1.0), ("1.5", "36", 1.5)],
)
def test_duty_cycle_as_fraction(duty, number, percent):
    found = read_block(foreign(changed(LAYOUT_2021, e11=duty, e06=number)))
    assert found.duty_cycle_percent == pytest.approx(percent)
    assert any("fraction" in note for note in found.repairs) == (percent != float(duty))


def test_our_duty_cycle_is_always_percent():
    ds = Dataset()
    write_block(ds, {"DutyCycle": 0.5, "PulseNumber": 10})
    assert read_block(ds).duty_cycle_percent == 0.5


def test_decimal_string_of_too_many_characters_is_read_and_reported():
    long = "3.500000000000000000"
    back = from_file(foreign(changed(LAYOUT_2021, e15=long)))
    found = read_block(back)
    assert found.offset_ppm == 3.5
    assert found.repairs[-1].startswith("(1061,1015) has 20 characters")


@pytest.mark.parametrize(
    ("element", "value"), [("e05", "long"), ("e06", "36.5"), ("e05", "nan"), ("e05", ["1", "2"])]
)
def test_a_value_that_is_no_number_is_left_out_and_reported(element, value):
    rows = changed(LAYOUT_2021, **{element: value})
    ds = foreign([row for row in rows if row[2] != value])
    written = "\\".join(value) if isinstance(value, list) else value
    # As text, because no writer of decimal strings would take it.
    ds.add(DataElement(0x10611000 | int(element[1:], 16), "UN", written.encode()))
    found = read_block(ds)
    assert (found.pulse_length_ms if element == "e05" else found.pulse_number) is None
    assert found.offset_ppm == 3.5
    assert "left out" in found.repairs[-1]


def test_empty_values_are_none_without_a_word():
    found = read_block(from_file(foreign(changed(LAYOUT_2021, e05="", e07=""))))
    assert (found.pulse_length_ms, found.interpulse_delay_ms) == (None, None)
    assert all("left out" not in note for note in found.repairs)


@pytest.mark.parametrize(
    ("duration", "repetition", "seconds", "repaired"),
    [
        (264000.0, 6000.0, 264.0, True),  # 44 measurements of 6 s
        (264.0, 6000.0, 264.0, False),
        (4224.0, 6000.0, 4224.0, False),  # 16 shots each
        (172800.0, None, 172.8, True),  # longer than a day
        (3600.0, None, 3600.0, False),
        (86400.0, None, 86400.0, False),
        (86401.0, None, 86.401, True),
        (44 * 900 * 2.0, 2000.0, 79200.0, False),  # 900 repetitions for each measurement
        (44 * 901 * 2.0, 2000.0, 79.288, True),
    ],
)
def test_acquisition_duration_in_milliseconds(duration, repetition, seconds, repaired):
    ds = foreign(LAYOUT_2021, AcquisitionDuration=duration)
    if repetition is not None:
        ds.RepetitionTime = repetition
    found = read_block(from_file(ds))
    assert found.acquisition_duration_s == seconds
    assert any("milliseconds" in note for note in found.repairs) == repaired


def test_our_own_acquisition_duration_is_in_seconds():
    ds = Dataset()
    ds.AcquisitionDuration = 172800.0
    write_block(ds, {"SaturationOffsetPpm": 1.0})
    assert read_block(ds).acquisition_duration_s == 172800.0
    assert read_block(ds).repairs == ()


def test_names_in_latin_letters_survive():
    ds = foreign(LAYOUT_2021)
    ds.add(DataElement(0x10611001, "UN", "Größe".encode("latin-1")))
    assert read_block(ds).method == "Größe"
    ds.add(DataElement(0x10611001, "UN", "Größe".encode()))
    assert read_block(ds).method == "Größe"


def test_big_endian_numbers_are_read():
    ds = Dataset()
    write_block(ds, {"WorkingFrequency": F0, "SaturationOffsetPpm": 3.5})
    buffer = io.BytesIO()
    ds.save_as(buffer, implicit_vr=False, little_endian=False)
    buffer.seek(0)
    from pydicom.filereader import read_dataset

    back = read_dataset(buffer, is_implicit_VR=False, is_little_endian=False)
    assert read_block(back).working_frequency_mhz == F0


def test_foreign_private_sequence_of_a_frame_is_searched():
    item = Dataset()
    block = item.private_block(0x0055, "SOMEBODY", create=True)
    block.add_new(0x07, "SQ", [foreign(LAYOUT_2021)])
    assert read_block(item).offset_ppm == 3.5


def test_frames_use_the_transmitter_frequency_of_the_shared_group():
    modifier = Dataset()
    modifier.TransmitterFrequency = F0
    shared = Dataset()
    shared.MRImagingModifierSequence = [modifier]
    ds = Dataset()
    ds.SharedFunctionalGroupsSequence = [shared]
    rows = changed(LAYOUT_2021, e14="-1681.6", e15="-673280.2254")
    ds.PerFrameFunctionalGroupsSequence = [foreign(rows), foreign(LAYOUT_2021)]
    first, second = read_frames(from_file(ds))
    assert first.offset_ppm == pytest.approx(-4.200002396)
    assert second.offset_ppm == 3.5
    assert first.working_frequency_mhz == F0


def test_reading_changes_nothing():
    ds = from_file(foreign(LAYOUT_2019, ImagingFrequency="400.4"))
    before = {tag: ds.get_item(tag).value for tag in ds.keys()}  # noqa: SIM118
    read_block(ds)
    assert {tag: ds.get_item(tag).value for tag in ds.keys()} == before  # noqa: SIM118
