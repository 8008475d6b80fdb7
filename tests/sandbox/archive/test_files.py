"""Resources and uploads as curl sees them: every status, every way in."""

import hashlib
import json
import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from archive_server import Served
from file_calls import (
    FILES,
    OCTETS,
    SCAN,
    SESSION,
    address,
    blobs,
    file_site,
    head,
    message,
    names,
    pack,
    put,
    quoted,
    raw_put,
)

from sandbox.archive import accounts


@pytest.fixture
def site(server: Served) -> Served:
    return file_site(server)


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
