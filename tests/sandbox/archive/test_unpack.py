"""Archives made to do harm: refused in words, and nothing of them stays."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from archive_server import Served
from dicoms import Study, encode, make_object, make_zip
from emptied import emptied

from sandbox.archive.refusals import Refused
from sandbox.archive.unpack import Budget, archive_kind, members


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*entries: tuple[tarfile.TarInfo, bytes], kind: str = "tar") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in entries:
            info.size = len(content) if info.type == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue() if kind == "tar" else gzip.compress(buffer.getvalue())


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo("entry")
    info.type, info.linkname = kind, target
    return info


def zip_link() -> bytes:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped((info, b"/etc/passwd"))


def zip_bomb(size: int = 900 * 2**20) -> bytes:
    """A zip whose one member unpacks to far more than the limit, made without unpacking it."""
    packer = zlib.compressobj(9, wbits=-15)
    block = bytes(2**20)
    content = b"".join(packer.compress(block) for _ in range(4)) + packer.flush()
    name = b"zeros.dcm"
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(content), size, len(name), 0)
    central = struct.pack(
        "<4s6H3L5H2L",
        b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(content), size, len(name), 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    body = local + name + content
    directory = central + name
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(body), 0)
    return body + directory + end


def lying_zip() -> bytes:
    """A zip whose directory gives a member another size than it has."""
    data = bytearray(zipped(("a.dcm", b"A" * 1000)))
    at = data.rindex(b"PK\1\2")
    struct.pack_into("<L", data, at + 24, 500)
    return bytes(data)


def false_header(size: int) -> bytes:
    """A tar.gz whose header promises more than there is."""
    info = tarfile.TarInfo("big.dcm")
    info.size = size
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"short")


def huge_names() -> bytes:
    """A tar.gz with a pax header that would fill the memory if it were read."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**31
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))


def encrypted() -> bytes:
    data = bytearray(zipped(("a.dcm", b"secret")))
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + offset] |= 1
    return bytes(data)


HOSTILE = {
    "zip up": ("zip", zipped(("../up.dcm", b"x"))),
    "zip deep up": ("zip", zipped(("a/../../up.dcm", b"x"))),
    "zip absolute": ("zip", zipped(("/etc/cron.d/x", b"x"))),
    "zip drive": ("zip", zipped(("C:/x.dcm", b"x"))),
    "zip backslash": ("zip", zipped(("..\\x.dcm", b"x"))),
    "zip control": ("zip", zipped(("a\nb", b"x"))),
    "zip link": ("zip", zip_link()),
    "zip bomb": ("zip", zip_bomb()),
    "zip wrong size": ("zip", lying_zip()),
    "zip encrypted": ("zip", encrypted()),
    "zip cut": ("zip", zipped(("a.dcm", b"A" * 5000))[:-30]),
    "zip in the middle": ("zip", zipped(("a.dcm", bytes(range(256)) * 40))[:-90]),
    "not a zip": ("zip", b"hello" * 100),
    "tar up": ("tar", tarred((tarfile.TarInfo("../up.dcm"), b"x"))),
    "tar absolute": ("tar", tarred((tarfile.TarInfo("/etc/x"), b"x"))),
    "tar symbolic link": ("tar", tarred((special(tarfile.SYMTYPE, "/etc/passwd"), b""))),
    "tar hard link": ("tar", tarred((special(tarfile.LNKTYPE, "../x"), b""))),
    "tar device": ("tar", tarred((special(tarfile.CHRTYPE), b""))),
    "tar pipe": ("tar", tarred((special(tarfile.FIFOTYPE), b""))),
    "tar.gz too large": ("tar.gz", false_header(2**40)),
    "tar.gz cut": ("tar.gz", false_header(2000)),
    "tar.gz headers": ("tar.gz", huge_names()),
    "tar.gz is none": ("tar.gz", tarred((tarfile.TarInfo("a"), b"x"))),
    "not a tar": ("tar", b"hello" * 400),
}


def unpack(path: Path, kind: str, budget: Budget) -> int:
    return sum(len(piece) for one in members(path, kind, budget) for piece in one.pieces)


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive_is_refused(tmp_path: Path, case: str) -> None:
    kind, data = HOSTILE[case]
    path = tmp_path / "archive"
    path.write_bytes(data)
    with pytest.raises(Refused) as refused:
        unpack(path, kind, Budget(len(data)))
    assert refused.value.status == 400
    assert refused.value.message[0].isupper()


@pytest.fixture
def site(server: Served) -> Served:
    served = emptied(server)
    assert served.put("/data/projects/P1").status_code == 200
    return served


def traces(site: Served) -> list[Path]:
    folder = site.archive.folder
    found = [p for p in (folder / "blobs").rglob("*") if p.is_file()]
    return found + list((folder / "incoming").iterdir())


def test_hostile_archives_leave_no_trace(site: Served) -> None:
    types = {"zip": "application/zip", "tar": "application/x-tar", "tar.gz": "application/x-gtar"}
    for case, (kind, data) in HOSTILE.items():
        headers = {"Content-Type": types[kind]}
        answer = site.post("/data/services/import", data=data, headers=headers)
        assert answer.status_code == 400, case
        assert "<h3>" in answer.text
        path = f"/data/projects/P1/resources/R/files/up.{kind}?extract=true&inbody=true"
        answer = site.put(path, data=data, headers=headers)
        assert answer.status_code == 400, case
    assert traces(site) == []
    assert site.rows("/data/prearchive/projects") == []
    assert site.rows("/data/projects/P1/resources") == []


def test_one_bad_member_takes_the_good_ones_with_it(site: Served) -> None:
    good = [("good.dcm", encode(make_object(Study())))]
    for bad in (("../bad", b"x"), ("note.txt", b"no DICOM"), ("zero.dcm", b"")):
        data = zipped(*good, bad)
        headers = {"Content-Type": "application/zip"}
        answer = site.post(
            "/data/services/import?dest=/archive/projects/P1", data=data, headers=headers
        )
        assert answer.status_code == 400
        assert traces(site) == []
    assert site.rows("/data/prearchive/projects") == []
    assert site.rows("/data/projects/P1/experiments") == []


def test_archives_in_archives_have_a_bottom(site: Served) -> None:
    data = make_zip([make_object(Study())])
    headers = {"Content-Type": "application/zip"}
    for depth in range(1, 8):
        data = zipped((f"level{depth}.zip", data))
        answer = site.post("/data/services/import", data=data, headers=headers)
        assert answer.status_code == (200 if depth <= 4 else 400), depth


def test_budget_counts_everything_inside(tmp_path: Path) -> None:
    data = zipped(*((f"{n}.bin", bytes(1000)) for n in range(20)))
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    assert unpack(path, "zip", Budget(len(data), ratio=0, spare=20_000)) == 20_000
    for budget in (
        Budget(len(data), ratio=0, spare=19_999),
        Budget(len(data), members=19),
    ):
        with pytest.raises(Refused):
            unpack(path, "zip", budget)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ZIP", "zip"),
        ("a.tar", "tar"),
        ("a.tar.gz", "tar.gz"),
        ("a.tgz", "tar.gz"),
        ("a.gz", ""),
        ("zip", ""),
        ("a.dcm", ""),
    ],
)
def test_kind_by_name(name: str, kind: str) -> None:
    assert archive_kind(name) == kind


def test_deflated_dicom_that_would_fill_the_memory(
    site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.archive.dicom_files._MAX_INFLATED", 2**22)
    whole = encode(make_object(Study()))
    meta_end = 144 + struct.unpack_from("<L", whole, 140)[0]
    plain = b"1.2.840.10008.1.2.1\0"
    deflated = b"1.2.840.10008.1.2.1.99"
    at = whole.index(plain)
    meta = (
        whole[: at - 2]
        + struct.pack("<H", len(deflated))
        + deflated
        + whole[at + len(plain) : meta_end]
    )
    meta = meta[:140] + struct.pack("<L", meta_end - 144 + len(deflated) - len(plain)) + meta[144:]
    packer = zlib.compressobj(9, wbits=-15)
    body = packer.compress(bytes(2**23)) + packer.flush()
    headers = {"Content-Type": "application/dicom"}
    path = "/data/services/import?import-handler=gradual-DICOM"
    answer = site.post(path, data=meta + body, headers=headers)
    assert answer.status_code == 400
    assert "too large" in answer.text
    small = zlib.compressobj(wbits=-15)
    good = meta + small.compress(whole[meta_end:]) + small.flush()
    assert site.post(path, data=good, headers=headers).status_code == 200
