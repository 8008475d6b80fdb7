"""What the tests of resources and files share: a site, and calls as curl makes them."""

import gzip
import io
import socket
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from archive_server import Served
from emptied import emptied

SESSION = "/data/projects/P1/subjects/S1/experiments/MR1"


SCAN = SESSION + "/scans/1"


FILES = SCAN + "/resources/NIFTI/files"


OCTETS = {"Content-Type": "application/octet-stream"}


def file_site(server: Served) -> Served:
    """A project with a subject, a session and two scans."""
    served = emptied(server)
    assert served.put("/data/projects/P1").status_code == 200
    assert served.put("/data/projects/P1/subjects/S1").status_code == 201
    assert served.put(SESSION + "?xsiType=xnat:mrSessionData").status_code == 201
    for scan, kind in (("1", "T2 map"), ("2", "T1")):
        query = f"?xsiType=xnat:mrScanData&xnat:mrScanData/type={kind}"
        assert served.put(f"{SESSION}/scans/{scan}{query}").status_code == 200
    return served


def put(site: Served, path: str, body: bytes = b"text", **params: str) -> Any:
    return site.put(path, data=body, headers=OCTETS, params=params)


def names(site: Served, path: str, **params: str) -> list[str]:
    return [row["Name"] for row in site.rows(path, **params)]


def blobs(site: Served) -> list[Path]:
    """Contents on the disk, and what is on its way in."""
    folder = site.archive.folder
    found = [p for p in (folder / "blobs").rglob("*") if p.is_file()]
    return found + list((folder / "incoming").iterdir())


def heading(answer: Any) -> str:
    """The message of an error page."""
    text: str = answer.text
    return text[text.index("<h3>") + 4 : text.index("</h3>")]


def message(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert "<br>" in answer.text
    return heading(answer)


def pack(members: dict[str, bytes], kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue() if kind == "tar" else gzip.compress(buffer.getvalue())


def unpack(data: bytes, kind: str) -> dict[str, bytes]:
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:" if kind == "tar" else "r:gz") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def quoted(name: str) -> str:
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"/." else f"%{byte:02X}"
        for byte in name.encode()
    )


def address(site: Served) -> tuple[str, int]:
    host, port = site.url.removeprefix("http://").split(":")
    return host, int(port)


def head(site: Served, path: str, length: int) -> bytes:
    return (
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n"
        "Connection: close\r\n\r\n"
    ).encode()


def raw_put(site: Served, path: str, body: bytes) -> bytes:
    """Send a path just as it is; requests would tidy it."""
    with socket.create_connection(address(site)) as sender:
        sender.sendall(head(site, path, len(body)) + body)
        sender.settimeout(5)
        answer = b""
        while piece := sender.recv(4096):
            answer += piece
    return answer
