"""An archive is read as it comes, whoever made it, and damage in it is told."""

import io
import random
import zipfile
import zlib

import pytest

from uploader.verification.zip_members import zip_members
from xnat_config.server.errors import BrokenAnswerError

FILES = {
    "S/scans/1-T2/resources/DICOM/files/a.dcm": random.Random(1).randbytes(300_000),
    "S/scans/1-T2/resources/DICOM/files/empty.dcm": b"",
    "S/scans/1-T2/resources/DICOM/files/zeros.dcm": bytes(3_000_000),
    "S/scans/2-\u00e9/resources/DICOM/files/b.dcm": b"PK\x03\x04 is no mark here",
}


class _Sink(io.RawIOBase):
    """Cannot be sought, as an answer of a server."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def streamed(method=zipfile.ZIP_DEFLATED, force_zip64=False):
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=force_zip64) as target:
                target.write(content)
    return bytes(sink.data)


def seeked(method):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    return target.getvalue()


def pieces(data, size):
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [7, 4096, 1 << 30])
@pytest.mark.parametrize(
    "data",
    [
        streamed(),
        streamed(force_zip64=True),
        seeked(zipfile.ZIP_DEFLATED),
        seeked(zipfile.ZIP_STORED),
    ],
    ids=["streamed", "zip64", "deflated", "stored"],
)
def test_members_come_whole_in_pieces_of_any_size(data, size):
    found = {one.name: b"".join(one.blocks) for one in zip_members(pieces(data, size))}
    assert found == FILES


def test_member_that_nobody_reads_is_passed_over():
    names = [one.name for one in zip_members(pieces(streamed(), 4096))]
    assert names == list(FILES)


def test_block_of_a_member_is_bounded():
    found = zip_members(iter([streamed()]))
    assert max(len(block) for one in found for block in one.blocks) <= 1 << 20


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.9])
def test_archive_that_ends_early_is_broken(keep):
    data = streamed()
    early = pieces(data[: int(keep * len(data))], 4096)
    with pytest.raises(BrokenAnswerError):
        list(zip_members(early))


def test_damage_and_other_kinds_are_told():
    data = bytearray(seeked(zipfile.ZIP_STORED))
    data[1000] ^= 1
    with pytest.raises(BrokenAnswerError, match="damaged at S/scans/1-T2"):
        list(zip_members(pieces(bytes(data), 4096)))
    with pytest.raises(BrokenAnswerError, match="is damaged"):
        list(zip_members(iter([b"<html>"])))
    with pytest.raises(BrokenAnswerError, match="unknown way"):
        list(zip_members(iter([seeked(zipfile.ZIP_BZIP2)])))
    with pytest.raises(BrokenAnswerError, match="without their sizes"):
        list(zip_members(iter([streamed(zipfile.ZIP_STORED)])))


def test_random_damage_never_passes_for_the_content():
    data = streamed()
    choose = random.Random(3)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[choose.randrange(len(data) - 400)] ^= 1 << choose.randrange(8)
        try:
            found = {one.name: b"".join(one.blocks) for one in zip_members(iter([bytes(damaged)]))}
        except BrokenAnswerError:
            continue
        assert sorted(map(zlib.crc32, found.values())) == sorted(map(zlib.crc32, FILES.values()))
