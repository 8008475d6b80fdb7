"""Results and images that were changed behind the catalogue, and files of other people."""

import gzip
import json
import sqlite3

import pytest
from drawn import aim, draw, store

from pipelines.xnat.client import RunClient
from pipelines.xnat.session_run import run_session
from pipelines.xnat.store import ResultLocation, publish
from xnat_pic.errors import ServerError

PIPELINE, SCAN = "process_T1w_SR", "40001"
REFRESH = {"method": "POST", "path": "/data/services/refresh/catalog", "count": 0}


def _run(bench, tmp_path, pipeline=PIPELINE, **parameters):
    return run_session(bench.access, pipeline, bench.mr, parameters, tmp_path / "work")


def _address(bench, name):
    resource, _, path = name.partition("/")
    return f"/data/experiments/{bench.mr}/scans/{SCAN}/resources/{resource}/files/{path}"


def _named(bench, end):
    return next(one for one in bench.files(f"/data/experiments/{bench.mr}/scans/{SCAN}")
                if one.endswith(end))  # fmt: skip


def _on_disk(bench, tmp_path, end):
    """Return where the server keeps a file whose size and checksum are those of a listed one."""
    name = _named(bench, end)
    content = bench.served.get(_address(bench, name)).content
    places = (tmp_path / "archive").glob(f"blobs/*/*/{name.rpartition('/')[2]}")
    (place,) = [one for one in places if one.read_bytes() == content]
    return place


def _flip(place):
    """Change one byte in the middle."""
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)


def _edit_median(place):
    content = json.loads(place.read_text())
    content["maps"]["T1map"]["median"] = 4321.0
    place.write_text(json.dumps(content))


def _median(outcome):
    return next(row["median"] for row in outcome.maps if row["name"] == "T1map")


def _forget_digests(tmp_path):
    """Keep a catalogue without checksums, as a site that computes none has it."""
    with sqlite3.connect(tmp_path / "archive" / "archive.sqlite") as connection:
        assert connection.execute("UPDATE file SET digest = ''").rowcount > 50


@pytest.mark.parametrize("change", [_flip, lambda place: place.unlink()], ids=["bit", "lost"])
def test_an_image_that_changed_behind_its_catalogue_is_no_done(bench, mapped, tmp_path, change):
    stored = bench.scan(SCAN)
    change(_on_disk(bench, tmp_path, ".dcm"))
    outcome = _run(bench, tmp_path)
    assert outcome.exit_code != 0, outcome
    assert "not what the server's catalogue listed" in outcome.failure, outcome
    assert f"scan {SCAN}, 1 of " in outcome.failure
    assert bench.scan(SCAN) == stored, "the earlier result stays"


@pytest.mark.parametrize("end", ["/sub-m01_T1map.nii.gz", "/report.html", "/provenance.json"])
def test_a_result_that_changed_on_the_disk_alone_is_made_again(bench, mapped, tmp_path, end):
    place = _on_disk(bench, tmp_path, end)
    if end == "/provenance.json":
        place.write_text(place.read_text().replace('"40001"', '"40002"'))
    else:
        _flip(place)
    outcome = _run(bench, tmp_path)
    assert (outcome.exit_code, outcome.skipped) == (0, False), outcome
    assert any("changed since it was made" in text and end[1:] in text
               for text in outcome.warnings), outcome.warnings  # fmt: skip
    assert _run(bench, tmp_path).skipped


@pytest.mark.parametrize("through_xnat", [True, False])
def test_an_edited_median_is_not_reported(bench, mapped, tmp_path, through_xnat):
    first = _run(bench, tmp_path)
    assert first.skipped
    place = _on_disk(bench, tmp_path, "/maps.json")
    name = _named(bench, "/maps.json")
    _edit_median(place)
    if through_xnat:
        sent = bench.served.put(
            _address(bench, name),
            params={"inbody": "true", "overwrite": "true"},
            data=place.read_bytes(),
        )
        assert sent.ok
    again = _run(bench, tmp_path)
    assert (again.exit_code, again.skipped) == (0, False), again
    assert _median(again) == _median(first)
    assert any("maps.json" in text for text in again.warnings)


@pytest.mark.parametrize("redo", ["", "true"])
def test_a_file_of_somebody_else_stays_and_is_named(bench, mapped, tmp_path, redo):
    folder = _named(bench, "/maps.json").removesuffix("maps.json")
    mine = _address(bench, f"{folder}my notes.txt")
    assert bench.served.put(mine, params={"inbody": "true"}, data=b"of a person").ok
    outcome = _run(bench, tmp_path, redo=redo)
    assert (outcome.exit_code, outcome.skipped) == (0, not redo), outcome
    assert any("my notes.txt" in text and "no run made" in text for text in outcome.warnings)
    assert bench.served.get(mine).content == b"of a person"


def test_what_an_interrupted_run_left_is_known_as_ours(bench, tmp_path):
    """Another version names its files differently: none of them stays beside the next result's."""

    def result(*names):
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        for one in (*names, "maps.json"):
            (folder / one).write_text(one)
        files = {one: [len(one), ""] for one in names}
        (folder / "provenance.json").write_text(json.dumps({"step": {"files": files}}))
        return folder

    scan = f"/data/experiments/{bench.mr}/scans/{SCAN}"
    location = ResultLocation(scan, "PROCESSED_T1_SR", "a-b")
    with RunClient(bench.access) as client:
        assert publish(client, location, result("one.nii", "both.nii"), "maps.json") == []
        bench.fault({"method": "PUT", "path": "*/maps.json", "status": 403, "count": 0})
        with pytest.raises(ServerError):
            publish(client, location, result("two.nii", "both.nii"), "maps.json")
        assert set(location.files(client)) == {"two.nii", "both.nii", "provenance.json"}
        bench.no_faults()
        bench.served.put(f"{location.address('theirs.txt')}", params={"inbody": "true"}, data=b"x")
        last = publish(client, location, result("three.nii"), "maps.json")
        assert last == ["theirs.txt"]
        there = {"three.nii", "maps.json", "provenance.json", "theirs.txt"}
        assert set(location.files(client)) == there


@pytest.mark.parametrize("refused", [False, True], ids=["computed", "read"])
def test_a_site_without_checksums(bench, tmp_path, refused):
    """They are computed by the server, or from the bytes where it computes none."""
    rules = [{**REFRESH, "status": 403}] if refused else []
    bench.fault(*rules)
    _forget_digests(tmp_path)
    assert _run(bench, tmp_path).exit_code == 0
    _forget_digests(tmp_path)
    assert _run(bench, tmp_path).skipped
    for end, code, skipped in (("/report.html", 0, False), ("", 0, True), (".dcm", 0, False)):
        _forget_digests(tmp_path)
        if end:
            _flip(_on_disk(bench, tmp_path, end))
        outcome = _run(bench, tmp_path)
        assert (outcome.exit_code, outcome.skipped) == (code, skipped), (end, outcome)


def test_a_map_that_was_edited_is_measured_with_a_word(bench, mapped, mouse_dicom, tmp_path):
    disc = draw(next(one for one in mouse_dicom.rglob(f"{SCAN}_*") if one.is_dir()))
    store(bench, "AIM", aim(disc), "R1")
    assert not any("not as the pipeline" in text
                   for text in _run(bench, tmp_path, "Mask_Average").warnings)  # fmt: skip
    assert _run(bench, tmp_path, "Mask_Average").skipped
    name = _named(bench, "/sub-m01_T1map.nii.gz")
    other = bench.served.get(_address(bench, name)).content
    data = bytearray(gzip.decompress(other))
    data[-4000:] = b"\0" * 4000
    sent = bench.served.put(
        _address(bench, name),
        params={"inbody": "true", "overwrite": "true"},
        data=gzip.compress(bytes(data)),
    )
    assert sent.ok
    outcome = _run(bench, tmp_path, "Mask_Average")
    assert (outcome.exit_code, outcome.skipped) == (0, False), outcome
    assert any("sub-m01_T1map.nii.gz is not as the pipeline made it" in text
               for text in outcome.warnings), outcome.warnings  # fmt: skip
