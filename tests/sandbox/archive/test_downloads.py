"""Listings, downloads, deletion and upkeep of files as curl sees them."""

import hashlib
import json
from pathlib import Path

import pytest
from archive_server import Served
from file_calls import (
    FILES,
    SCAN,
    SESSION,
    blobs,
    file_site,
    message,
    names,
    pack,
    put,
    quoted,
    unpack,
)

from sandbox.archive import accounts


@pytest.fixture
def site(server: Served) -> Served:
    return file_site(server)


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

    def test_no_part_is_sent_for_itself(self, site: Served) -> None:
        """XNAT's answers to ranges are wrong in length and place: nothing may be built on them."""
        put(site, FILES + "/a.bin", bytes(range(256)))
        for wanted in ("bytes=100-199", "bytes=100-", "bytes=0-9,20-29"):
            answer = site.get(FILES + "/a.bin", headers={"Range": wanted})
            assert (answer.status_code, answer.content) == (200, bytes(range(256)))

    def test_missing_file(self, site: Served) -> None:
        put(site, FILES + "/a.txt")
        text = message(site.get(FILES + "/none.txt"), 404)
        assert text == "Unable to find catalog entry for given uri."
        assert site.get(FILES + "/none.txt?accept-not-found=true").status_code == 204
        assert site.rows(SCAN + "/resources/NONE/files") == []
        assert site.get(SCAN + "/resources/NONE/files?format=zip").status_code == 404
        assert site.get(SCAN + "/resources/987654/files").status_code == 403

    def test_names_that_need_quoting(self, site: Served) -> None:
        """A name is decoded only where it holds a blank or a plus sign; else it stays encoded."""
        stored = {
            "a b.txt": "a b.txt",
            "a+b(ü).txt": "a+b(ü).txt",
            "50%.txt": "50%25.txt",
            "x#1.txt": "x%231.txt",
            "q?.txt": "q%3F.txt",
            "ü.txt": "%C3%BC.txt",
        }
        for name in stored:
            assert put(site, f"{FILES}/{quoted(name)}", name.encode()).status_code == 200
        assert put(site, f"{FILES}/(1)&.txt", b"(1)&.txt").status_code == 200
        found = {}
        for row in site.rows(FILES):  # URIs are not encoded: whoever asks does it
            name = row["Name"]
            uri = row["URI"].removesuffix(name)
            blank = " " in name or "+" in name
            found[name] = site.get(uri + (quoted(name) if blank else name)).content.decode()
        assert found == {there: name for name, there in stored.items()} | {"(1)&.txt": "(1)&.txt"}
        assert site.delete(f"{FILES}/%C3%BC.txt").status_code == 200
        assert "%C3%BC.txt" not in {row["Name"] for row in site.rows(FILES)}

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
        assert site.get(FILES, params={"file_format": "NIFTI", "index": "0"}).content == b"text"
        assert site.get(FILES, params={"file_format": "NIFTI", "index": "1"}).status_code == 404
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

    def test_refresh_knows_a_resource_by_its_label_alone(self, site: Served) -> None:
        put(site, FILES + "/a.txt", b"A")
        row = site.rows(FILES, locator="absolutePath")[0]
        Path(row["absolutePath"]).write_bytes(b"changed")
        number = site.rows(FILES)[0]["URI"].split("/resources/")[1].split("/")[0]
        for name in (number, "NIFTI"):
            before = site.rows(FILES)[0]["digest"]
            resource = f"/archive/projects/P1/subjects/S1/experiments/MR1/scans/1/resources/{name}"
            query = {"resource": resource, "options": "checksum"}
            assert site.post("/data/services/refresh/catalog", params=query).status_code == 200
            assert (site.rows(FILES)[0]["digest"] == before) == (name == number)

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
