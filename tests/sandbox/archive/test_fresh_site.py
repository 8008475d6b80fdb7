"""What a site does by itself: pictures, separated studies, filters, reasons, workflows, delays."""

import io
import sqlite3
import time

import numpy as np
import pytest
from archive_server import ServeArchive, Served
from dicoms import Study, make_object, make_study
from PIL import Image
from study_calls import archive, contents, scans, send, sessions, states, study_site, waiting

from sandbox.archive import separating, thumbnails
from sandbox.archive.prearchive import Session

CONFIG = "/xapi/siteConfig"


@pytest.fixture
def site(server: Served) -> Served:
    return study_site(server)


def _set(site: Served, **preferences: object) -> None:
    answer = site.post(CONFIG, json=preferences)
    assert answer.status_code == 200, answer.text


def _session(site: Served) -> str:
    (row,) = site.rows("/data/projects/P1/experiments")
    return row["ID"]


class TestSnapshots:
    @pytest.mark.parametrize(
        "address",
        [
            "/xapi/experiments/{session}/scan/1/thumbnail",
            "/xapi/projects/P1/experiments/mouse1_MR1/scan/1/snapshot",
            "/experiments/{session}/scans/1/thumbnail.png",
        ],
    )
    def test_looking_at_a_scan_makes_them_once(self, site: Served, address: str) -> None:
        archive(site, make_study(Study(), 2, 3))
        session = _session(site)
        base = f"/data/experiments/{session}/scans"
        for _ in range(2):
            assert site.get(address.format(session=session)).status_code == 200
            rows = site.rows(f"{base}/ALL/files")
            made = {
                row["Name"]: row["file_content"] for row in rows if row["collection"] != "DICOM"
            }
            assert made == {
                f"{session}_1_qc.gif": "ORIGINAL",
                f"{session}_1_qc_t.gif": "THUMBNAIL",
            }
        (resource,) = site.rows(f"{base}/1/resources?file_format=GIF")[1:]
        assert (resource["label"], resource["format"]) == ("SNAPSHOTS", "GIF")
        picture = site.get(f"{base}/1/resources/SNAPSHOTS/files/{session}_1_qc.gif").content
        with Image.open(io.BytesIO(picture)) as image:
            assert image.size == (8, 8)
            pixels = np.asarray(image.convert("L")).astype(int)
        assert (pixels[0, 0], pixels[-1, -1]) == (0, 255)
        assert (np.diff(pixels.ravel()) >= 0).all()

    def test_what_has_no_picture_makes_none(self, site: Served) -> None:
        report = make_object(Study(), 1, 1, sop_class="1.2.840.10008.5.1.4.1.1.88.22", Rows=None)
        archive(site, [report])
        session = _session(site)
        for scan in ("1", "9"):
            assert site.get(f"/xapi/experiments/{session}/scan/{scan}/snapshot").status_code == 404
        assert site.get("/xapi/experiments/NONE/scan/1/snapshot").status_code == 404
        (row,) = site.rows(f"/data/experiments/{session}/scans/1/resources")
        assert row["label"] != "SNAPSHOTS"

    @pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7, 3), (64, 64)])
    def test_gif_holds_the_pixels(self, shape: tuple[int, ...]) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        with Image.open(io.BytesIO(thumbnails.gif(pixels))) as image:
            found = np.asarray(image.convert("RGB" if len(shape) == 3 else "L"))
        tolerance = 64 if len(shape) == 3 else 0
        np.testing.assert_allclose(found.astype(int), pixels.astype(int), atol=tolerance)


class TestSeparation:
    """A study of PET and MR is two sessions, as a site has it until 1.10."""

    def objects(self, study: Study) -> list[object]:
        return [
            make_object(study, 1, 1),
            make_object(study, 2, 1, modality="PT"),
            make_object(study, 2, 2, modality="PT"),
        ]

    def types(self, site: Served) -> dict[str, str]:
        rows = site.rows("/data/projects/P1/experiments", columns="ID,label,xsiType")
        return {row["label"]: row["xsiType"] for row in rows}

    def test_in_the_archive(self, site: Served) -> None:
        answer = archive(site, self.objects(Study()), session="X")
        base = "/data/archive/projects/P1/subjects/mouse1/experiments"
        assert answer.text.split() == [f"{base}/X_MR", f"{base}/X_PET"]
        assert self.types(site) == {"X_MR": "xnat:mrSessionData", "X_PET": "xnat:petSessionData"}
        assert (scans(site, "X_MR"), scans(site, "X_PET")) == ({"1": 1}, {"2": 2})
        assert (waiting(site), contents(site)) == ([], 3)

    def test_in_the_prearchive(self, site: Served) -> None:
        answer = send(site, self.objects(Study()), dest="/prearchive/projects/P1", session="X")
        assert [uri.rpartition("/")[2] for uri in answer.text.split()] == ["X_MR", "X_PET"]
        assert states(site) == ["READY", "READY"]
        for uri in answer.text.split():
            assert site.post(f"/data/services/archive?src={uri}").status_code == 303
        assert sorted(sessions(site)) == ["X_MR", "X_PET"]

    def test_where_the_site_keeps_them_together(self, site: Served, serve: ServeArchive) -> None:
        _set(site, sitewidePetMr="petmr")
        archive(site, self.objects(Study()), session="X")
        assert self.types(site) == {"X": "xnat:petmrSessionData"}
        newer = serve("newer", xnat="1.10")
        assert newer.get(f"{CONFIG}/sitewidePetMr").json() == "petmr"


class TestSeriesFilter:
    @pytest.mark.parametrize(
        ("mode", "lines", "kept"),
        [
            ("blacklist", "T2.series.1\nlocalizer", {"2": 2}),
            ("whitelist", "T2.series.1", {"1": 2}),
            ("blacklist", "series", {"1": 2, "2": 2}),
        ],
    )
    def test_series_left_out(
        self, site: Served, mode: str, lines: str, kept: dict[str, int]
    ) -> None:
        _set(
            site,
            enableSitewideSeriesImportFilter=True,
            sitewideSeriesImportFilterMode=mode,
            sitewideSeriesImportFilter=lines,
        )
        assert archive(site, make_study(Study(), 2, 2)).status_code == 200
        assert scans(site) == kept
        assert contents(site) == sum(kept.values())

    def test_all_of_them_left_out(self, site: Served) -> None:
        _set(site, enableSitewideSeriesImportFilter=True, sitewideSeriesImportFilter=".*")
        answer = archive(site, make_study(Study(), 2, 2))
        assert (answer.status_code, answer.text) == (200, "")
        assert (waiting(site), sessions(site), contents(site)) == ([], [], 0)

    def test_modes_that_are_not_followed_are_refused(self, site: Served) -> None:
        answer = site.post(CONFIG, json={"sitewideSeriesImportFilterMode": "modalityMap"})
        assert answer.status_code == 400


class TestJustification:
    def calls(self, site: Served) -> list[tuple[str, str]]:
        session = f"/data/experiments/{_session(site)}"
        return [
            ("PUT", "/data/projects/P1/subjects/S2"),
            ("PUT", f"{session}?xnat:mrSessionData/note=n"),
            ("PUT", f"{session}/scans/7?xsiType=xnat:mrScanData"),
            ("PUT", f"{session}/resources/NEW"),
            ("PUT", f"{session}/resources/NOTES/files/a.txt?inbody=true"),
            ("DELETE", f"{session}/scans/1/resources/DICOM"),
            ("PUT", f"{session}/projects/P2"),
            ("DELETE", session),
        ]

    def test_changes_without_a_reason_are_refused(self, site: Served) -> None:
        archive(site, make_study(Study(), 1, 1))
        for only in ("requireChangeJustification", "showChangeJustification"):
            _set(site, requireChangeJustification=False, showChangeJustification=False)
            _set(site, **{only: True})
            assert site.put("/data/projects/P1/subjects/S1").status_code < 300
        _set(site, requireChangeJustification=True, showChangeJustification=True)
        for method, address in self.calls(site):
            answer = site.request(method, address, data=b"x")
            assert answer.status_code == 403, address
            assert "Justification required." in answer.text
        assert site.put("/data/projects/P3").status_code == 200
        assert site.put("/data/projects/P3/resources/R").status_code == 200
        assert archive(site, make_study(Study("m2", "m2"), 1, 1)).status_code == 200
        site.delete("/data/projects/P1/subjects/m2", params={"event_reason": "tidy"})
        for method, address in self.calls(site):
            mark = "&" if "?" in address else "?"
            answer = site.request(method, f"{address}{mark}event_reason=why", data=b"x")
            assert answer.status_code in (200, 201), (address, answer.text)


def test_workflow_after_archiving_is_open_for_its_time(site: Served) -> None:
    _set(site, sandboxAutoRunSeconds=3600)
    study = Study()
    archive(site, make_study(study, 1, 1))
    asked = {"experiment": _session(site), "display": "ALL"}
    (row,) = site.rows("/data/services/workflows/AutoRun", **asked)
    assert row["status"] == "Running"
    answer = archive(site, [make_object(study, 2, 1)])
    assert answer.status_code == 400
    assert "already be in progress: xnat_tools/AutoRun.xml." in answer.text
    _set(site, sandboxAutoRunSeconds=0.001)
    time.sleep(0.01)
    answer = archive(site, [make_object(study, 2, 1)], overwrite="append")
    assert answer.status_code == 200
    assert scans(site) == {"1": 1, "2": 1}


def test_session_is_being_received_until_it_is_described(
    site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks between the objects' arrival and the new description sees RECEIVING."""
    seen: list[str] = []
    original = separating.build

    def build(connection: sqlite3.Connection, session: Session) -> list[Session]:
        other = sqlite3.connect(site.archive.folder / "archive.sqlite")
        seen.extend(row[0] for row in other.execute("SELECT status FROM prearchive"))
        other.close()
        return original(connection, session)

    monkeypatch.setattr(separating, "build", build)
    study = Study()
    for series in (1, 2):
        send(site, [make_object(study, series, 1)], dest="/prearchive/projects/P1")
        assert states(site) == ["READY"]
    assert seen == ["RECEIVING", "RECEIVING"]


def test_each_import_describes_the_session_anew(site: Served) -> None:
    study = Study()
    for series in (1, 2, 3):
        answer = send(site, [make_object(study, series, 1)], dest="/prearchive/projects/P1")
    log = site.rows(answer.text.strip() + "/logs")
    assert sum("built" in line["entry"] for line in log) == 3


def test_real_numbers_come_back_as_xnat_writes_them(site: Served) -> None:
    subject = "/data/projects/P1/subjects/S1"
    values = {"weight": "42", "height": "1.75", "birth_weight": "0.00001"}
    answer = site.put(subject, params=values)
    assert answer.status_code == 201, answer.text
    (row,) = site.rows("/data/projects/P1/subjects", columns=",".join(["ID", *values]))
    assert {name: row[name] for name in values} == {
        "weight": "42.0",
        "height": "1.75",
        "birth_weight": "1.0E-5",
    }
    archive(site, make_study(Study(), 1, 1))
    scan = f"/data/experiments/{_session(site)}/scans/1"
    found = site.get(scan, params={"format": "json"}).json()["items"][0]["data_fields"]
    assert str(found["parameters/tr"]) == "2500.0"
    assert site.put(subject, params={"weight": "heavy"}).status_code == 400


def test_answers_come_later_where_the_way_is_long(serve: ServeArchive) -> None:
    site = serve("far", latency_s=0.3)
    start = time.monotonic()
    assert site.get("/data/projects").status_code == 200
    assert time.monotonic() - start > 0.3
