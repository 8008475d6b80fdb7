"""Streamed archives are what zip programs expect, and as long as they say."""

import hashlib
import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploader.transfer import zip_stream as zipstream
from uploader.transfer.jobs import UploadOptions
from uploader.transfer.zip_stream import Entry, ZipStream, split
from xnat_pic.errors import CorruptDataError


def _entries(folder, contents):
    found = []
    for name, content in contents.items():
        path = folder / f"{len(found)}.bin"
        path.write_bytes(content)
        found.append(Entry(name, path, len(content)))
    return found


CONTENTS = {"1.2.3.dcm": b"one", "ü/µ.dcm": b"", "large.dcm": bytes(range(256)) * 20}


@pytest.mark.parametrize("in_memory", [8 << 20, 100])
def test_archive_reads_back_and_has_the_length_it_says(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(zipstream, "IN_MEMORY", in_memory)
    monkeypatch.setattr(zipstream, "BLOCK", 1000)
    counted = []
    stream = ZipStream(_entries(tmp_path, CONTENTS), counted.append)
    data = b"".join(stream)
    assert len(data) == len(stream) == sum(counted)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
    assert b"".join(stream) == data  # and again, for another attempt


def test_archive_holds_four_gib_and_not_a_byte_more():
    rest = len(ZipStream([Entry("a", Path("a"), 0)]))
    assert len(ZipStream([Entry("a", Path("a"), 2**32 - 1 - rest)])) == 2**32 - 1
    with pytest.raises(ValueError, match="at most 4 GiB"):
        ZipStream([Entry("a", Path("a"), 2**32 - rest)])


def test_an_import_carries_512_mib():
    rest = len(ZipStream([Entry(name, Path(name), 0) for name in "ab"])) - len(ZipStream([]))
    most = UploadOptions().part_bytes
    for more, parts in ((0, 1), (1, 2)):
        sizes = {"a": 256 << 20, "b": (256 << 20) - rest + more}
        entries = [Entry(name, Path(name), size) for name, size in sizes.items()]
        assert len(split(entries, most)) == parts


def test_lengths_stand_before_the_data_for_readers_of_streams(tmp_path):
    """A stored entry whose length follows it cannot be read by java.util.zip.ZipInputStream."""
    data = b"".join(ZipStream(_entries(tmp_path, {"a": b"abc"})))
    _, _, flags, method, _, _, crc, packed, size = struct.unpack_from("<4s5H3I", data)
    assert (flags & 0x8, method, packed, size) == (0, 0, 3, 3)
    assert crc == zipfile.crc32(b"abc")


@pytest.mark.parametrize("in_memory", [8 << 20, 0])
@pytest.mark.parametrize("now", [b"shorter", b"much longer than it was before", None])
def test_file_that_changed_is_not_sent(tmp_path, monkeypatch, in_memory, now):
    monkeypatch.setattr(zipstream, "IN_MEMORY", in_memory)
    entries = _entries(tmp_path, {"a": b"as it was planned"})
    if now is None:
        entries[0].path.unlink()
    else:
        entries[0].path.write_bytes(now)
    with pytest.raises(CorruptDataError) as caught:
        b"".join(ZipStream(entries))
    assert caught.value.path == entries[0].path


def test_file_that_changes_between_two_readings_is_not_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(zipstream, "IN_MEMORY", 0)
    entries = _entries(tmp_path, {"a": b"first content"})
    blocks = iter(ZipStream(entries))
    next(blocks)  # the head, with the checksum of the first reading
    entries[0].path.write_bytes(b"other content")
    with pytest.raises(CorruptDataError, match="changed"):
        list(blocks)


def test_content_made_on_the_way_may_have_another_length(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(b"original")
    stream = ZipStream([Entry("a.dcm", path, 8, lambda: b"not the same length")])
    assert not stream.is_sized
    with zipfile.ZipFile(io.BytesIO(b"".join(stream))) as archive:
        assert archive.read("a.dcm") == b"not the same length"
    assert stream.digests == {"a.dcm": (hashlib.md5(b"not the same length").hexdigest(), 19)}


def test_two_entries_of_one_name_are_a_fault_of_the_program(tmp_path):
    entries = _entries(tmp_path, {"a": b"1"})
    with pytest.raises(ValueError, match="names"):
        ZipStream([*entries, *entries])


@given(st.lists(st.integers(0, 500), max_size=40), st.integers(1, 1000))
def test_parts_keep_every_file_in_order_and_stay_small(sizes, largest):
    entries = [Entry(f"{k}.dcm", Path("unused"), size) for k, size in enumerate(sizes)]
    parts = split(entries, largest)
    assert [one for part in parts for one in part] == entries
    for part in parts:
        assert len(part) == 1 or len(ZipStream(part)) <= largest + 22


def test_archive_of_more_than_65535_files_is_divided():
    entries = [Entry(f"{k}", Path("unused"), 0) for k in range(70000)]
    parts = split(entries, 1 << 30)
    assert [len(part) for part in parts] == [65535, 70000 - 65535]


def test_one_name_is_never_twice_in_one_archive():
    first, again = (Entry("a", Path("unused"), size) for size in (1, 2))
    other = Entry("b", Path("unused"), 1)
    assert split([first, other, again], 1 << 30) == [[first, other], [again]]
