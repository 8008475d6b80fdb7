"""Large files pass through the server without being held in its memory."""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicoms import Study, encode, make_object
from process import Process, process

SIZE = 300 * 2**20
ALLOWED = 64 * 2**20
PIECE = 2**20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(),
        reason="Only Linux tells the peak memory of a process.",
    ),
]


def large_file(path: Path) -> str:
    """Write a file of SIZE bytes; return its MD5."""
    digest = hashlib.md5()
    with path.open("wb") as file:
        for number in range(SIZE // PIECE):
            piece = number.to_bytes(4, "little") * (PIECE // 4)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def large_study(path: Path, pixels: Path) -> None:
    """Write a zip with one DICOM object of SIZE bytes."""
    dataset = make_object(Study(), NumberOfFrames=SIZE // 128)
    whole = encode(dataset)
    assert whole[-128:] == dataset.PixelData
    head = whole[:-132] + SIZE.to_bytes(4, "little")
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open("large.dcm", "w", force_zip64=True) as target,
        pixels.open("rb") as source,
    ):
        target.write(head)
        while piece := source.read(PIECE):
            target.write(piece)


FORM = {"Content-Type": "multipart/form-data; boundary=B"}


class Form:
    """A form with one file, sent in pieces; requests itself would build it in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head = b'--B\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        self._tail = b"\r\n--B--\r\n"

    def __len__(self) -> int:
        return len(self._head) + self._path.stat().st_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
        yield self._tail


def read_back(server: Process, path: str) -> tuple[int, str]:
    """Return size and MD5 of an answer, read in pieces."""
    size, digest = 0, hashlib.md5()
    with server.session().get(server.url + path, stream=True, timeout=60) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_content(PIECE):
            size += len(piece)
            digest.update(piece)
    return size, digest.hexdigest()


def test_large_files_are_streamed(tmp_path: Path) -> None:
    pixels, study = tmp_path / "pixels", tmp_path / "study.zip"
    digest = large_file(pixels)
    large_study(study, pixels)
    with process(tmp_path / "archive") as server:
        session = server.session()
        assert session.put(server.url + "/data/projects/P1", timeout=60).status_code == 200
        warm = {"Content-Type": "application/octet-stream"}
        files = server.url + "/data/projects/P1/resources/R/files"
        assert session.put(f"{files}/warm", data=b"x", headers=warm, timeout=60).ok
        before = server.peak_memory()
        with pixels.open("rb") as file:
            assert session.put(f"{files}/large", data=file, headers=warm, timeout=60).ok
        assert session.put(f"{files}/form", data=Form(pixels), headers=FORM, timeout=60).ok
        with study.open("rb") as file:
            query = "?dest=/archive/projects/P1"
            answer = session.post(
                server.url + "/data/services/import" + query,
                data=file,
                headers={"Content-Type": "application/zip"},
                timeout=60,
            )
            assert answer.status_code == 200, answer.text
        path = "/data/projects/P1/resources/R/files"
        assert read_back(server, path + "/large") == (SIZE, digest)
        assert read_back(server, path + "/form") == (SIZE, digest)
        scans = "/data/projects/P1/experiments/mouse1_MR1/scans/ALL/files"
        assert read_back(server, scans + "?format=zip&compression=0")[0] > SIZE
        assert read_back(server, scans + "?format=tar")[0] > SIZE
        assert server.peak_memory() - before < ALLOWED
