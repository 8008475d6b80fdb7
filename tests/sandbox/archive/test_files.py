"""Resources and files as curl sees them: every status, every way in and out."""

import gzip
import hashlib
import io
import json
import socket
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pytest
from archive_server import Served
from emptied import emptied

from sandbox.archive import accounts

SESSION = "/data/projects/P1/subjects/S1/experiments/MR1"
SCAN = SESSION + "/scans/1"
FILES = SCAN + "/resources/NIFTI/files"
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def site(server: Served) -> Served:
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


class TestResources:
    def test_create_again_list_and_delete(self, site: Served) -> None:
        path = SCAN + "/resources/NIFTI"
        made = site.put(path + "?format=NIFTI&content=T2&tags=a,b&description=d")
        assert (made.status_code, made.text) == (200, "")
        assert message(site.put(path), 409) == "Specified resource already exists."
        (row,) = site.rows(SCAN + "/resources")
        assert list(row) == [
            "xnat_abstractresource_id", "label", "element_name", "category", "cat_id", "cat_desc",
            "file_count", "file_size", "tags", "content", "format",
        ]  # fmt: skip
        assert row["element_name"] == "xnat:resourceCatalog"
        assert (row["category"], row["cat_id"], row["cat_desc"]) == ("scans", "1", "T2 map")
        assert (row["format"], row["content"], row["tags"]) == ("NIFTI", "T2", "a,b")
        assert all(isinstance(value, str) for value in row.values())
        number = row["xnat_abstractresource_id"]
        assert site.get(f"{SCAN}/resources/{number}").status_code == 200
        assert site.delete(f"{SCAN}/resources/{number}?removeFiles=true").status_code == 200
        assert site.delete(path).status_code == 404
        assert site.rows(SCAN + "/resources") == []

    def test_catalog_is_xml_even_where_json_is_asked(self, site: Served) -> None:
        put(site, FILES + "/sub/a&b.txt", b"hello", content="C<1", tags="x")
        answer = site.get(SCAN + "/resources/NIFTI?format=json")
        assert answer.text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<cat:Catalog')
        space = {"cat": "http://nrg.wustl.edu/catalog"}
        entry = ET.fromstring(answer.text).find(".//cat:entry", space)
        assert entry is not None
        assert entry.attrib["URI"] == "sub/a&b.txt"
        assert entry.attrib["name"] == "a&b.txt"
        assert entry.attrib["content"] == "C<1"
        assert entry.attrib["digest"] == hashlib.md5(b"hello").hexdigest()
        assert entry.findtext("cat:tags/cat:tag", namespaces=space) == "x"

    def test_all_includes_lower_levels(self, site: Served) -> None:
        for path in (SESSION, SCAN):
            site.put(path + "/resources/R")
        assert len(site.rows(SESSION + "/resources")) == 1
        found = site.rows(SESSION + "/resources", all="true")
        assert [row["category"] for row in found] == ["resources", "scans"]

    def test_behind_a_resource_there_is_nothing(self, site: Served) -> None:
        site.put(SCAN + "/resources/R")
        text = message(site.put(SCAN + "/resources/R/a.txt"), 400)
        assert text.startswith("This resource works at the catalog level only")

    def test_unknown_owner_is_not_found(self, site: Served) -> None:
        assert site.put("/data/projects/NONE/resources/R").status_code == 404
        assert site.put(SESSION + "/scans/9/resources/R").status_code == 404
        assert site.get("/data/experiments/NONE/resources").status_code == 404

    @pytest.mark.parametrize(
        "owner",
        [
            "/data/projects/P1",
            "/data/projects/P1/subjects/S1",
            "/data/archive/projects/P1/subjects/S1/experiments/MR1",
            "/REST/projects/P1/experiments/MR1",
            "/data/archive/experiments/XNATPIC_E00001/scans/2",
            SESSION + "/assessors/Q1",
            SESSION + "/assessors/Q1/in",
            SESSION + "/assessors/Q1/out",
            SESSION + "/reconstructions/r1/in",
            SESSION + "/reconstructions/r1/out",
        ],
    )
    def test_every_level_holds_files(self, site: Served, owner: str) -> None:
        site.put(SESSION + "/assessors/Q1?xsiType=xnat:qcManualAssessorData")
        site.put(SESSION + "/reconstructions/r1?type=map")
        assert put(site, owner + "/resources/R/files/a.txt", b"abc").status_code == 200
        (row,) = site.rows(owner + "/files")
        assert site.get(row["URI"]).content == b"abc"
        assert row["digest"] == hashlib.md5(b"abc").hexdigest()

    def test_sides_of_an_assessor_are_apart(self, site: Served) -> None:
        assessor = SESSION + "/assessors/Q1"
        site.put(assessor + "?xsiType=xnat:qcManualAssessorData")
        put(site, assessor + "/out/resources/R/files/o.txt")
        put(site, assessor + "/in/resources/R/files/i.txt")
        put(site, assessor + "/resources/S/files/s.txt")
        assert names(site, assessor + "/out/files") == ["o.txt"]
        assert names(site, assessor + "/in/files") == ["i.txt"]
        assert sorted(names(site, assessor + "/files")) == ["i.txt", "o.txt", "s.txt"]


class TestUpload:
    def test_known_content_type_is_enough(self, site: Served) -> None:
        answer = put(site, FILES + "/a.nii", b"123", format="NIFTI", content="T2", tags="t")
        assert (answer.status_code, answer.text) == (200, "")
        (row,) = site.rows(FILES)
        assert (row["Name"], row["Size"], row["collection"]) == ("a.nii", "3", "NIFTI")
        assert (row["file_format"], row["file_content"], row["file_tags"]) == ("NIFTI", "T2", "t")
        assert row["cat_ID"] == site.rows(SCAN + "/resources")[0]["xnat_abstractresource_id"]

    @pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
    def test_other_bodies_need_inbody(self, site: Served, kind: str) -> None:
        headers = {"Content-Type": kind}
        refused = site.put(FILES + "/a.json", data=b'{"a": 1}', headers=headers)
        assert message(refused, 400).startswith("You tried to PUT to this service")
        stored = site.put(FILES + "/a.json?inbody=true", data=b'{"a": 1}', headers=headers)
        assert stored.status_code == 200
        assert site.get(FILES + "/a.json").content == b'{"a": 1}'

    def test_no_type_at_all(self, site: Served) -> None:
        assert site.post(FILES + "/a", data=b"x").status_code == 400
        assert site.post(FILES + "/a?inbody=true", data=b"x").status_code == 200

    def test_existing_file_is_kept_and_reported(self, site: Served) -> None:
        put(site, FILES + "/sub/a.txt", b"old")
        answer = put(site, FILES + "/sub/a.txt", b"new")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert json.loads(answer.text) == {"duplicates": ["sub/a.txt"]}
        assert site.get(FILES + "/sub/a.txt").content == b"old"
        assert len(blobs(site)) == 1
        replaced = put(site, FILES + "/sub/a.txt", b"new", overwrite="true")
        assert replaced.text == ""
        assert site.get(FILES + "/sub/a.txt").content == b"new"
        assert len(blobs(site)) == 1

    def test_forms(self, site: Served) -> None:
        parts = [
            ("a", ("one.txt", b"1", "text/plain")),
            ("b", ("two.txt", b"", "text/plain")),
            ("c", (None, "not a file")),
        ]
        assert site.post(FILES, files=parts).status_code == 200
        assert names(site, FILES) == ["one.txt", "two.txt"]
        single = {"file": ("local name.txt", b"3")}
        assert site.put(FILES + "/sub/given.txt", files=single).status_code == 200
        assert site.get(FILES + "/sub/given.txt").content == b"3"
        assert message(site.put(FILES + "/x?inbody=true", files=single), 400)
        assert message(site.put(FILES, files={"c": (None, "no file")}), 400)

    def test_form_that_ends_early_leaves_nothing(self, site: Served) -> None:
        body = b'--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nhalf'
        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        assert "ends in the middle" in message(site.put(FILES, data=body, headers=headers), 400)
        assert blobs(site) == []

    def test_empty_and_endless_bodies(self, site: Served) -> None:
        assert "0" in message(put(site, FILES + "/a", b""), 500)
        chunked = site.put(FILES + "/a", data=iter([b"ab", b"c"]), headers=OCTETS)
        assert "-1" in message(chunked, 500)
        zipped = {"Content-Type": "application/zip"}
        stored = site.put(FILES + "/a.zip", data=iter([b"ab", b"c"]), headers=zipped)
        assert stored.status_code == 200
        assert site.get(FILES + "/a.zip").content == b"abc"

    @pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz"])
    def test_extract(self, site: Served, ending: str) -> None:
        put(site, FILES + "/sub/b.txt", b"old")
        members = {"a.txt": b"A", "sub/b.txt": b"B"}
        answer = put(site, f"{FILES}/up.{ending}", pack(members, ending), extract="true")
        assert json.loads(answer.text) == {"duplicates": ["sub/b.txt"]}
        found = {row["URI"].partition("/files/")[2] for row in site.rows(FILES)}
        assert found == {"a.txt", "sub/b.txt"}
        assert site.get(FILES + "/sub/b.txt").content == b"old"
        again = put(
            site, f"{FILES}/up.{ending}", pack(members, ending), extract="true", overwrite="true"
        )
        assert again.text == ""
        assert site.get(FILES + "/sub/b.txt").content == b"B"
        assert len(blobs(site)) == 2

    def test_reference(self, site: Served, tmp_path: Path) -> None:
        folder = tmp_path / "result"
        (folder / "maps").mkdir(parents=True)
        (folder / "maps" / "t2.nii").write_bytes(b"map")
        (folder / "log.txt").write_bytes(b"log")
        answer = site.put(f"{SESSION}/resources/OUT/files", params={"reference": str(folder)})
        assert answer.status_code == 200
        assert {row["URI"].partition("/files/")[2] for row in site.rows(SESSION + "/files")} == {
            "maps/t2.nii",
            "log.txt",
        }
        one = {"reference": str(folder / "log.txt")}
        assert site.put(f"{SESSION}/resources/OUT/files/x/new.txt", params=one).status_code == 200
        assert site.get(f"{SESSION}/resources/OUT/files/x/new.txt").content == b"log"
        gone = {"reference": str(tmp_path / "none")}
        assert message(site.put(f"{SESSION}/resources/OUT/files", params=gone), 400)

    @pytest.mark.parametrize(
        "name", ["../x", "a/../../x", "/etc/x", "a//b", "C:/x", "a\\b", "./x", "a\x01b", "x" * 1100]
    )
    def test_bad_names(self, site: Served, name: str) -> None:
        raw = raw_put(site, f"{FILES}/{quoted(name)}", b"x")
        assert raw.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), raw[:60]
        assert blobs(site) == []
        form = {"f": (name, b"x")}
        if "/" not in name and "\\" not in name:
            assert site.put(FILES, files=form).status_code == 400
            assert blobs(site) == []

    def test_body_shorter_than_said_leaves_nothing(self, site: Served) -> None:
        request = head(site, f"{FILES}/a", 1000) + b"only this"
        with socket.create_connection(address(site)) as sender:
            sender.sendall(request)
            sender.shutdown(socket.SHUT_WR)
            sender.settimeout(5)
            while sender.recv(4096):
                pass
        assert blobs(site) == []
        assert site.rows(SCAN + "/resources") == []


class TestRights:
    def test_roles(self, site: Served) -> None:
        with site.archive.database.write() as connection:
            for login in ("member", "reader", "nobody"):
                accounts.set_user(connection, login, "pw")
            connection.execute("INSERT INTO member VALUES ('P1', 'member', 'Members')")
            connection.execute("INSERT INTO member VALUES ('P1', 'reader', 'Collaborators')")
        put(site, FILES + "/a.txt")
        member, reader, nobody = (
            site.as_user(name, "pw") for name in ("member", "reader", "nobody")
        )
        assert put(member, FILES + "/b.txt").status_code == 200
        assert member.delete(FILES + "/a.txt").status_code == 403
        assert reader.get(FILES + "/a.txt").status_code == 200
        assert put(reader, FILES + "/c.txt").status_code == 403
        assert reader.put(SCAN + "/resources/X").status_code == 403
        assert nobody.get(FILES).status_code == 404
        assert nobody.get(FILES + "/a.txt").status_code == 404
        assert put(nobody, FILES + "/c.txt").status_code == 404
        denied = {"reference": str(site.archive.folder)}
        assert member.put(FILES, params=denied).status_code == 403
        assert names(site, FILES) == ["a.txt", "b.txt"]


class TestDownload:
    def test_one_file(self, site: Served) -> None:
        put(site, FILES + "/sub/a.txt", b"hello")
        answer = site.get(FILES + "/sub/a.txt")
        assert answer.content == b"hello"
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["content-length"] == "5"
        assert "last-modified" in answer.headers
        head_only = site.request("HEAD", FILES + "/sub/a.txt")
        assert (head_only.status_code, head_only.headers["content-length"]) == (200, "5")
        put(site, FILES + "/unknown.xyz1", b"x")
        kind = site.get(FILES + "/unknown.xyz1").headers["content-type"]
        assert kind == "application/octet-stream"

    def test_missing_file(self, site: Served) -> None:
        put(site, FILES + "/a.txt")
        text = message(site.get(FILES + "/none.txt"), 404)
        assert text == "Unable to find catalog entry for given uri."
        assert site.get(FILES + "/none.txt?acceptNotFound=true").status_code == 204
        assert site.get(SCAN + "/resources/NONE/files").status_code == 404

    def test_names_that_need_quoting(self, site: Served) -> None:
        for name in ("a b.txt", "50%.txt", "x#1.txt", "q?.txt", "ü.txt", "a+b.txt"):
            assert put(site, f"{FILES}/{quoted(name)}", name.encode()).status_code == 200
        for row in site.rows(FILES):
            assert site.get(row["URI"]).content == row["Name"].encode()

    def test_listing(self, site: Served) -> None:
        put(site, FILES + "/a.txt", format="TXT", content="C1")
        put(site, FILES + "/sub/b.txt", format="NIFTI")
        put(site, FILES + "/sub/deep/c.txt")
        text = site.get(FILES).text
        assert text.startswith('{"ResultSet":{"Columns":[{"key":"Name"},')
        result = json.loads(text)["ResultSet"]
        assert result["title"] == "Files"
        assert "totalRecords" not in result
        assert names(site, FILES, file_format="TXT") == ["a.txt"]
        assert names(site, FILES, file_content="NULL") == ["b.txt", "c.txt"]
        assert names(site, FILES, index="1") == ["b.txt"]
        assert names(site, FILES, recursive="false") == ["a.txt"]
        assert names(site, FILES + "/sub/") == ["b.txt", "c.txt"]
        assert names(site, FILES + "/sub/", recursive="false") == ["b.txt"]
        both = site.get(FILES + "?file_format=TXT&file_format=NIFTI").json()
        assert len(both["ResultSet"]["Result"]) == 2
        lines = site.get(FILES + "?format=csv").text.split("\n")
        assert lines[0] == (
            "Name,Size,URI,collection,file_tags,file_format,file_content,cat_ID,digest"
        )
        assert len(lines) == 5

    def test_place_on_this_disk(self, site: Served) -> None:
        put(site, FILES + "/sub/a.nii", b"voxels")
        (row,) = site.rows(FILES, locator="absolutePath")
        path = Path(row["absolutePath"])
        assert path.read_bytes() == b"voxels"
        assert path.name == "a.nii"
        assert "URI" not in row

    def test_scans_by_list_and_type(self, site: Served) -> None:
        put(site, SESSION + "/scans/1/resources/R/files/1.txt")
        put(site, SESSION + "/scans/2/resources/R/files/2.txt")
        for which, expected in (
            ("ALL", ["1.txt", "2.txt"]),
            ("1,2", ["1.txt", "2.txt"]),
            ("2", ["2.txt"]),
            ("T2 map", ["1.txt"]),
            ("T2 map,T1", ["1.txt", "2.txt"]),
        ):
            assert names(site, f"{SESSION}/scans/{which}/files") == expected
        assert site.get(f"{SESSION}/scans/9,8/files").status_code == 404

    @pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
    def test_archives(self, site: Served, kind: str) -> None:
        put(site, FILES + "/sub/a.txt", b"A" * 3_000_000)
        put(site, SESSION + "/resources/RAW/files/b.txt", b"B")
        answer = site.get(f"{SESSION}/scans/ALL/files?format={kind}")
        assert answer.headers["content-disposition"] == f'attachment; filename="MR1.{kind}"'
        assert "content-length" not in answer.headers
        name = "MR1/scans/1-T2_map/resources/NIFTI/files/sub/a.txt"
        assert unpack(answer.content, kind) == {name: b"A" * 3_000_000}
        own = unpack(site.get(f"{SESSION}/files?format={kind}").content, kind)
        assert own == {"MR1/resources/RAW/files/b.txt": b"B"}

    def test_nothing_to_archive(self, site: Served) -> None:
        site.put(SCAN + "/resources/EMPTY")
        assert site.get(SCAN + "/resources/EMPTY/files?format=zip").status_code == 404
        assert site.get(SCAN + "/files?format=zip&compression=11").status_code in (400, 404)

    def test_all_of_a_project(self, site: Served) -> None:
        put(site, FILES + "/a.txt", b"A")
        found = unpack(site.get("/data/projects/P1/files?all=true&format=zip").content, "zip")
        assert found == {"P1/MR1/scans/1-T2_map/resources/NIFTI/files/a.txt": b"A"}

    def test_inside_a_stored_zip(self, site: Served) -> None:
        put(site, FILES + "/a.zip", pack({"in/x.txt": b"X"}, "zip"))
        assert site.get(FILES + "/a.zip!/in/x.txt").content == b"X"
        assert site.get(FILES + "/a.zip!/in/none.txt").status_code == 404


class TestDelete:
    def test_files_and_folders(self, site: Served) -> None:
        for name in ("a.txt", "sub/b.txt", "sub/deep/c.txt", "subway.txt"):
            put(site, f"{FILES}/{name}")
        assert site.delete(FILES + "/a.txt").status_code == 200
        assert message(site.delete(FILES + "/a.txt"), 404) == "No matched files."
        assert site.delete(FILES + "/sub").status_code == 200
        assert names(site, FILES) == ["subway.txt"]
        assert len(blobs(site)) == 1

    def test_address_without_file_deletes_nothing(self, site: Served) -> None:
        put(site, FILES + "/a.txt")
        assert site.delete(FILES).status_code == 404
        assert names(site, FILES) == ["a.txt"]

    def test_deleting_what_is_above(self, site: Served) -> None:
        put(site, FILES + "/a.txt")
        assert site.delete(SESSION + "?removeFiles=true").status_code == 200
        assert blobs(site) == []


class TestUpkeep:
    def test_refresh(self, site: Served) -> None:
        put(site, FILES + "/a.txt", b"A")
        put(site, FILES + "/b.txt", b"B")
        place = Path(site.rows(FILES, locator="absolutePath")[0]["absolutePath"])
        place.write_bytes(b"changed")
        resource = "/archive/projects/P1/subjects/S1/experiments/MR1/scans/1/resources/NIFTI"
        query = {"resource": resource, "options": ["checksum", "delete"]}
        assert site.post("/data/services/refresh/catalog", params=query).status_code == 200
        assert site.rows(FILES)[0]["digest"] == hashlib.md5(b"changed").hexdigest()
        place.unlink()
        assert site.get(FILES + "/a.txt").status_code == 404
        assert site.post("/data/services/refresh/catalog", params=query).status_code == 200
        assert names(site, FILES) == ["b.txt"]
        assert site.post("/data/services/refresh/catalog").status_code == 400
        gone = {"resource": "/archive/experiments/NONE"}
        assert site.post("/data/services/refresh/catalog", params=gone).status_code == 404

    def test_own_files_of_a_user(self, site: Served) -> None:
        with site.archive.database.write() as connection:
            accounts.set_user(connection, "other", "pw")
        other = site.as_user("other", "pw")
        path = "/data/user/cache/resources/up/files/x.zip"
        assert put(other, path, b"mine").status_code == 200
        assert other.get(path).content == b"mine"
        assert site.get(path).status_code == 404
        assert other.rows("/data/user/cache/resources/up/files")[0]["URI"].startswith(
            "/data/user/cache/resources/"
        )
        assert other.delete(path).status_code == 200
        assert other.get(path).status_code == 404


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
