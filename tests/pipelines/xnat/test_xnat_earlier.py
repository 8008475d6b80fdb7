"""Results and images that were changed behind the catalogue, and files of other people."""

import gzip
import json
import re
import sqlite3
from pathlib import Path

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


def _cut(place):
    place.write_bytes(place.read_bytes()[:-9])


def _empty(place):
    place.write_bytes(b"")


def _lose(place):
    place.unlink()


def _on_the_disk(end, change):
    """Return a change in the store, of which no catalogue tells."""
    return lambda bench, tmp_path: change(_on_disk(bench, tmp_path, end))


def _through_xnat(end, change):
    """Return a change that a person makes, with a catalogue that is right."""

    def edit(bench, tmp_path):
        name = _named(bench, end)
        aside = tmp_path / "edited"
        aside.write_bytes(bench.served.get(_address(bench, name)).content)
        change(aside)
        params = {"inbody": "true", "overwrite": "true"}
        sent = bench.served.put(_address(bench, name), params=params, data=aside.read_bytes())
        assert sent.ok

    return edit


def _delete(end):
    return lambda bench, tmp_path: bench.served.delete(_address(bench, _named(bench, end)))


def _exchange(bench, tmp_path):
    first, second = sorted(_images(bench, tmp_path))[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def _images(bench, tmp_path):
    names = [one for one in bench.files(f"/data/experiments/{bench.mr}/scans/{SCAN}")
             if one.startswith("DICOM/")]  # fmt: skip
    return [_on_disk(bench, tmp_path, one) for one in names]


def _other_scan(place):
    text = place.read_text()
    assert '"40001"' in text
    place.write_text(text.replace('"40001"', '"40002"'))


def _nothing(bench, tmp_path):
    pass


MAP = "/sub-m01_T1map.nii.gz"
SKIPPED, AGAIN, REFUSED = "skipped", "made again", "refused"
CHANGED, LISTED = "changed since it was made", "not what the server's catalogue listed"
# What happens to images or a result, what a run makes of it, and the words it has for it.
SKIPS = {
    "nothing": (_nothing, SKIPPED, ""),
    "a bit of a map on the disk": (_on_the_disk(MAP, _flip), AGAIN, CHANGED),
    "a map cut on the disk": (_on_the_disk(MAP, _cut), AGAIN, CHANGED),
    "a map emptied on the disk": (_on_the_disk(MAP, _empty), AGAIN, CHANGED),
    "a map lost from the disk": (_on_the_disk(MAP, _lose), AGAIN, CHANGED),
    "a bit of a map's sidecar on the disk": (
        _on_the_disk("/sub-m01_T1map.json", _flip), AGAIN, CHANGED),
    "a bit of the report on the disk": (_on_the_disk("/report.html", _flip), AGAIN, CHANGED),
    "a bit of the arrays on the disk": (_on_the_disk("/results.mat", _flip), AGAIN, CHANGED),
    "the log cut on the disk": (_on_the_disk("/log.txt", _cut), AGAIN, CHANGED),
    "the median in maps.json on the disk": (
        _on_the_disk("/maps.json", _edit_median), AGAIN, CHANGED),
    "the scan in provenance.json on the disk": (
        _on_the_disk("/provenance.json", _other_scan), AGAIN, CHANGED),
    "a bit of a map through XNAT": (_through_xnat(MAP, _flip), AGAIN, CHANGED),
    "the median in maps.json through XNAT": (
        _through_xnat("/maps.json", _edit_median), AGAIN, CHANGED),
    "the scan in provenance.json through XNAT": (
        _through_xnat("/provenance.json", _other_scan), AGAIN, CHANGED),
    "a map deleted through XNAT": (_delete(MAP), AGAIN, CHANGED),
    "maps.json deleted through XNAT": (_delete("/maps.json"), AGAIN, ""),
    "provenance.json deleted through XNAT": (_delete("/provenance.json"), AGAIN, ""),
    "a bit of an image on the disk": (_on_the_disk(".dcm", _flip), REFUSED, LISTED),
    "an image cut on the disk": (_on_the_disk(".dcm", _cut), REFUSED, LISTED),
    "an image lost from the disk": (_on_the_disk(".dcm", _lose), REFUSED, LISTED),
    "two images exchanged on the disk": (_exchange, REFUSED, LISTED),
    "a pixel of an image through XNAT": (_through_xnat(".dcm", _flip), AGAIN, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SKIPS)
def test_a_result_is_done_where_it_and_its_images_are_as_they_were(
    bench, mapped, tmp_path, tell, name
):
    tamper, expected, words = SKIPS[name]
    stored = bench.scan(SCAN)
    tamper(bench, tmp_path)
    left = bench.scan(SCAN)
    outcome = _run(bench, tmp_path)
    said = [text for text in (outcome.failure, *outcome.warnings) if words and words in text]
    tell("skip", name, expected, *said)
    assert bool(said) == bool(words), outcome
    if expected == REFUSED:
        assert outcome.exit_code != 0, outcome
        assert f"scan {SCAN}, " in outcome.failure
        assert bench.scan(SCAN) == stored, "the earlier result stays"
        return
    assert (outcome.exit_code, outcome.skipped) == (0, expected == SKIPPED), outcome
    assert set(bench.scan(SCAN)) == set(stored) | set(left)
    assert _median(outcome) != 4321.0
    assert _run(bench, tmp_path).skipped


@pytest.mark.parametrize("redo", ["", "true"])
def test_a_file_of_somebody_else_stays_and_is_named(bench, mapped, tmp_path, tell, redo):
    folder = _named(bench, "/maps.json").removesuffix("maps.json")
    mine = _address(bench, f"{folder}my notes.txt")
    assert bench.served.put(mine, params={"inbody": "true"}, data=b"of a person").ok
    outcome = _run(bench, tmp_path, redo=redo)
    assert (outcome.exit_code, outcome.skipped) == (0, not redo), outcome
    said = [text for text in outcome.warnings if "my notes.txt" in text and "no run made" in text]
    assert said, outcome
    tell("skip", f"a person's file beside a result{', redo' if redo else ''}",
         AGAIN if redo else SKIPPED, *said)  # fmt: skip
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


def _edit_map(place):
    data = bytearray(gzip.decompress(place.read_bytes()))
    data[-4000:] = b"\0" * 4000
    place.write_bytes(gzip.compress(bytes(data)))


def _edit_mean(place):
    place.write_text(re.sub(r"\d+\.\d+", "4321.5", place.read_text()))


EDITED = "sub-m01_T1map.nii.gz is not as the pipeline made it"
MEASURED = {
    "a map replaced through XNAT": (_through_xnat(MAP, _edit_map), AGAIN, EDITED),
    "a map replaced on the disk": (_on_the_disk(MAP, _edit_map), REFUSED, LISTED),
    "an image it was drawn on changed on the disk": (
        _on_the_disk(".dcm", _flip), REFUSED, LISTED),
    "the statistics edited on the disk": (
        _on_the_disk("/statistics.csv", _edit_mean), AGAIN, CHANGED),
    "the statistics edited through XNAT": (
        _through_xnat("/statistics.csv", _edit_mean), AGAIN, CHANGED),
    "the table of contents edited on the disk": (
        _on_the_disk("/statistics.json", _edit_mean), AGAIN, CHANGED),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_statistics_are_done_where_map_image_and_they_are_as_they_were(
    bench, mapped, mouse_dicom, tmp_path, tell, name
):
    disc = draw(next(one for one in mouse_dicom.rglob(f"{SCAN}_*") if one.is_dir()))
    store(bench, "AIM", aim(disc), "R1")
    first = _run(bench, tmp_path, "Mask_Average")
    assert (first.exit_code, first.warnings) == (0, ()), first
    assert _run(bench, tmp_path, "Mask_Average").skipped
    tamper, expected, words = MEASURED[name]
    tamper(bench, tmp_path)
    outcome = _run(bench, tmp_path, "Mask_Average")
    said = [text for text in (outcome.failure, *outcome.warnings) if words in text]
    assert said, outcome
    tell("skip", name, expected, *said)
    if expected == REFUSED:
        assert outcome.exit_code != 0
        return
    assert (outcome.exit_code, outcome.skipped) == (0, False), outcome
    assert "4321.5" not in str(outcome.statistics)


def test_images_are_looked_at_once_for_all_collections(bench, mapped, mouse_dicom, tmp_path):
    disc = draw(next(one for one in mouse_dicom.rglob(f"{SCAN}_*") if one.is_dir()))
    for label in ("R1", "R2", "R3"):
        store(bench, "AIM", aim(disc), label)
    assert _run(bench, tmp_path, "Mask_Average").exit_code == 0
    listing = {"method": "GET", "path": f"*/scans/{SCAN}/resources/DICOM/files"}
    bench.fault({**listing, "delay_s": 0.001, "count": 0})
    assert _run(bench, tmp_path, "Mask_Average").skipped
    assert bench.faults()[0]["hits"] == 3 + 1, "listed for each, and once more to be compared"


def test_the_page_tells_of_each():
    page = Path(__file__).resolve().parents[3] / "docs/reference/right-animal-and-proof.md"
    text = page.read_text("utf-8")
    assert [name for name in {**SKIPS, **MEASURED} if f"| {name} |" not in text] == []
