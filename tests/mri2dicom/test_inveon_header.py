"""The grammar of Inveon headers, and finding them."""

from datetime import datetime

import pytest
from inveon_images import PET, dynamic_frames, frame, header_text, write_image

import mri2dicom
from mri2dicom.errors import AmbiguousFormatError
from mri2dicom.readers.inveon.header import parse, parse_time, read_header
from mri2dicom.readers.inveon.reader import InveonReader
from mri2dicom.series.model import Confidence, RawSeries, Skipped
from xnat_pic.errors import CorruptDataError


def parsed(tmp_path, text, encoding="latin-1"):
    path = tmp_path / "a.img.hdr"
    path.write_bytes(text.encode(encoding))
    return read_header(path)


def only(folder) -> RawSeries:
    found = list(mri2dicom.read(folder))
    assert len(found) == 1
    assert isinstance(found[0], RawSeries), getattr(found[0], "reason", "")
    return found[0]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends_repeated_empty_and_unknown_keys(tmp_path, newline):
    lines = [
        "# Header file for data file x.img",
        "version 001.910",
        "study",
        "",
        "   projection 0 12.5",
        "projection 1 13.5",
        "acquisition_notes  two  blanks stay µ\x85é",
        "key_of_a_later_release 7 8",
        "end_of_header",
        "frame 0",
        "singles 0 1 2",
        "singles 1 3 4",
        "end_of_header",
    ]
    header = parsed(tmp_path, newline.join(lines))
    assert header.main.all_values("projection") == ["0 12.5", "1 13.5"]
    assert header.main.text("study") is None
    assert header.main.all_values("study") == [""]
    assert header.main.text("acquisition_notes") == "two  blanks stay µ\x85é"
    assert header.main.numbers("key_of_a_later_release") == [7.0, 8.0]
    assert header.frames[0].all_values("singles") == ["0 1 2", "1 3 4"]


@pytest.mark.parametrize(("size", "refused"), [(2**24, False), (2**24 + 1, True)])
def test_a_header_has_16_mib_at_most(tmp_path, size, refused):
    text = "version 001.910\nend_of_header\n#".ljust(size, "x")
    if refused:
        with pytest.raises(CorruptDataError, match="larger than 16 MiB"):
            parsed(tmp_path, text)
    else:
        assert parsed(tmp_path, text).main.text("version") == "001.910"


@pytest.mark.parametrize(("count", "refused"), [(20_000, False), (20_001, True)])
def test_a_header_describes_20000_frames_at_most(count, refused):
    frames = [line for k in range(count) for line in (f"frame {k}", "end_of_header")]
    lines = ["version 001.910", "end_of_header", *frames]
    if refused:
        with pytest.raises(CorruptDataError, match="more than 20000 frames"):
            parse(lines)
    else:
        assert len(parse(lines).frames) == count


@pytest.mark.parametrize("turned", [False, True])
def test_keys_are_matched_whole(turned):
    """`dose` is not `dose_units`, in whatever order they come."""
    pairs = [
        ("dose", "0.2"),
        ("dose_units", "1"),
        ("pixel_size", "0.08"),
        ("pixel_size_x", "0.776"),
        ("isotope", "F-18"),
        ("isotope_half_life", "6586.2"),
        ("subject_weight", "25"),
        ("subject_weight_units", "1"),
    ]
    lines = [f"{key} {value}" for key, value in (reversed(pairs) if turned else pairs)]
    main = parse([*lines, "end_of_header"]).main
    for key, value in pairs:
        assert main.text(key) == value


def test_a_frame_wins_over_the_main_section():
    header = parse(["scale 1", "end_of_header", "frame 0", "scale 2", "end_of_header"])
    assert header.scope(0).number("scale") == 2
    assert header.main.number("scale") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun Sep 16 01:03:52 1973", datetime(1973, 9, 16, 1, 3, 52)),
        ("Thu Dec  4 11:32:21 2023", datetime(2023, 12, 4, 11, 32, 21)),
        ("Thu Jan  1 00:00:00 1970", None),
        ("Wed Dec 31 19:00:00 1969", None),
        ("Sun Foo 16 01:03:52 1973", None),
        ("Fri Feb 30 01:03:52 2001", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("cut", "said"),
    [("end_of_header\nframe 0", "main section"), ("frame_duration", "frame 0")],
)
def test_half_written(tmp_path, cut, said):
    text = header_text(PET, [frame()])
    with pytest.raises(CorruptDataError, match=f"ends within.*{said}"):
        parsed(tmp_path, text[: text.index(cut)])


def test_fewer_frames_than_announced(tmp_path):
    text = header_text(PET | {"total_frames": "28"}, [frame()])
    with pytest.raises(CorruptDataError, match="28 frames and describes 1"):
        parsed(tmp_path, text)


def test_frames_that_do_not_count_on(tmp_path):
    text = header_text(PET, [frame(), frame()]).replace("frame 1\n", "frame 7\n")
    with pytest.raises(CorruptDataError, match="frame 1 begins with 'frame 7'"):
        parsed(tmp_path, text)


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_numbers_that_are_none(tmp_path, word):
    with pytest.raises(CorruptDataError, match=f"scale_factor in frame 0 is '{word}'"):
        parsed(tmp_path, header_text({}, [frame(scale_factor=word)])).frames[0].number(
            "scale_factor"
        )


@pytest.mark.parametrize(("size", "refused"), [(16 * 2**20, False), (16 * 2**20 + 1, True)])
def test_a_header_of_more_than_16_mib_is_none(tmp_path, size, refused):
    text = header_text(PET, [frame()])
    text = "#" + "x" * (size - len(text) - 2) + "\n" + text
    assert len(text) == size
    if refused:
        with pytest.raises(CorruptDataError, match="larger than 16 MiB"):
            parsed(tmp_path, text)
    else:
        assert len(parsed(tmp_path, text).frames) == 1


@pytest.mark.parametrize(("count", "refused"), [(20_000, False), (20_001, True)])
def test_more_than_20000_frames_are_refused(count, refused):
    lines = ["version 1", "end_of_header"]
    for number in range(count):
        lines += [f"frame {number}", "end_of_header"]
    if refused:
        with pytest.raises(CorruptDataError, match="more than 20000 frames"):
            parse(lines)
    else:
        assert len(parse(lines).frames) == count


@pytest.mark.parametrize(("others", "found"), [(999, True), (1000, False)])
def test_a_thousand_other_headers_end_the_search(tmp_path, others, found):
    for number in range(others):
        (tmp_path / f"a{number}.img.hdr").write_bytes(b"\0" * 348)
    write_image(tmp_path / "z.img")
    assert InveonReader().sniff(tmp_path) is (Confidence.SURE if found else Confidence.NO)


def test_bytes_that_are_no_text(tmp_path):
    with pytest.raises(CorruptDataError, match="no text"):
        parsed(tmp_path, header_text(PET, [frame()]) + "\0")


def test_found_by_content_and_not_by_name(tmp_path):
    reader = InveonReader()
    assert reader.sniff(tmp_path) is Confidence.NO
    (tmp_path / "analyze.hdr").write_bytes(b"\x5c\1\0\0" + bytes(344))
    (tmp_path / "other.img.hdr").write_text("ENVI\nsamples = 4\n")
    assert reader.sniff(tmp_path) is Confidence.NO
    assert list(reader.locate(tmp_path)) == []
    write_image(tmp_path / "deep" / "er" / "Maus 1.PET.img")
    assert reader.sniff(tmp_path) is Confidence.SURE
    assert [one.image.name for one in reader.locate(tmp_path)] == ["Maus 1.PET.img"]


def test_found_without_the_sentence(tmp_path):
    """Older programs leave out the comments."""
    path = write_image(tmp_path / "a.img")
    header = path.with_name("a.img.hdr")
    kept = [one for one in header.read_text("latin-1").splitlines() if not one.startswith("#")]
    header.write_text("\n".join(kept), encoding="latin-1")
    assert only(tmp_path).attributes["PatientID"] == "Maus 1"


def test_the_path_in_the_header_is_never_opened(tmp_path):
    (tmp_path / "trap.img").write_bytes(b"x")
    write_image(tmp_path / "in" / "a.img", file_name=str(tmp_path / "trap.img"))
    series = only(tmp_path / "in")
    assert series.pixels.path.name == "a.img"
    assert series.attributes["ProtocolName"] == "trap"


def test_numbers_follow_the_time_of_measurement(tmp_path):
    """Two reconstructions of one measurement share its number; a raw file shares it too."""
    late = "Thu Dec  4 12:00:00 2023"
    write_image(tmp_path / "a_late.img", scan_time=late)
    write_image(tmp_path / "b_first.img")
    write_image(tmp_path / "c_first_osem.img")
    write_image(tmp_path / "b_first.lst", file_type="1", scan_time=PET["scan_time"])
    found = {one.location: (one.expno, one.procno) for one in mri2dicom.read(tmp_path)}
    assert found == {
        "b_first.img": (1, 1),
        "c_first_osem.img": (1, 2),
        "b_first.lst": (1, 3),
        "a_late.img": (2, 1),
    }


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "list-mode"), (2, "sinogram"), (4, "attenuation"), (8, "mu"), (99, "99")],
)
def test_files_that_are_no_image(tmp_path, number, word):
    write_image(tmp_path / "a.img", file_type=str(number))
    (skipped,) = mri2dicom.read(tmp_path)
    assert isinstance(skipped, Skipped)
    assert word in skipped.reason
    assert not skipped.damaged


def test_several_scanners_in_one_folder(tmp_path):
    from builder import make_reco

    make_reco(tmp_path / "study")
    write_image(tmp_path / "pet" / "a.img")
    assert [one.reader for one in mri2dicom.read(tmp_path)] == ["paravision", "inveon"]
    report = mri2dicom.convert(tmp_path, tmp_path.with_name("out"))
    assert report.count("converted") == 2


def test_an_added_reader_may_not_share(tmp_path, monkeypatch):
    """Only readers of this distribution are known to look for different files."""
    from mri2dicom.readers import registry

    class Added(InveonReader):
        name = "added"

    write_image(tmp_path / "a.img")
    builtin = registry.list_readers()
    monkeypatch.setattr(registry, "list_readers", lambda: (*builtin, Added()))
    with pytest.raises(AmbiguousFormatError, match="inveon or added"):
        registry.choose_readers(tmp_path)


def test_reading_twice_gives_equal_series(tmp_path):
    write_image(tmp_path / "a.img", frames=dynamic_frames([60.0, 120.0]))
    one, other = only(tmp_path), only(tmp_path)
    assert one.identity == other.identity
    assert one.attributes == other.attributes
    assert one.plane_attributes == other.plane_attributes
    assert (one.pixels.array == other.pixels.array).all()
