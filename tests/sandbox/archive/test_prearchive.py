"""The prearchive: listings, actions, services and what the clock does."""

import hashlib
import json
import time

import pytest
from archive_server import ServeArchive, Served
from dicoms import Study, encode, make_object, make_study
from study_calls import (
    IMPORT,
    archive,
    contents,
    heading,
    scans,
    send,
    sessions,
    set_code,
    states,
    study_site,
    waiting,
)

from sandbox.archive import accounts
from sandbox.archive.clock import finish_all_idle


@pytest.fixture
def site(server: Served) -> Served:
    return study_site(server)


class TestPrearchive:
    @pytest.fixture
    def uri(self, site: Served) -> str:
        return str(
            send(site, make_study(Study(), 1, 2), dest="/prearchive/projects/P1").text.strip()
        )

    def test_listings_have_no_title(self, site: Served, uri: str) -> None:
        for path in (
            "/data/prearchive",
            "/data/prearchive/projects",
            "/data/prearchive/projects/P2,P1",
        ):
            result = site.get(path).json()["ResultSet"]
            assert list(result) == ["Result"]
            assert len(result["Result"]) == 1
        lines = site.get("/data/prearchive/projects?format=csv").text.splitlines()
        assert lines[0].startswith("project,timestamp,lastmod,")
        assert len(lines) == 2

    def test_actions(self, site: Served, uri: str) -> None:
        for action in ("build", "reset"):
            answer = site.post(uri, data={"action": action})
            assert (answer.status_code, answer.text) == (200, uri + "\r\n")
        assert site.post(uri + "?action=dance").status_code == 400
        assert site.post(uri + "?action=move").status_code == 400
        assert site.post(uri + "?action=move&newProject=NONE").status_code == 404
        moved = site.post(uri + "?action=move&newProject=P2")
        assert moved.status_code == 301
        assert moved.text == uri.replace("/P1/", "/P2/")
        assert site.get(uri).status_code == 404
        body = json.dumps({"action": "commit", "auto-archive": "true"})
        headers = {"Content-Type": "application/json"}
        assert site.post(moved.text, data=body, headers=headers).status_code == 301
        assert sessions(site, "P2") == ["mouse1_MR1"]

    def test_delete(self, site: Served, uri: str) -> None:
        assert site.delete(uri).status_code == 200
        assert site.delete(uri).status_code == 500
        assert (waiting(site), contents(site)) == ([], 0)

    def test_services(self, site: Served, uri: str) -> None:
        base = "/data/services/prearchive"
        plain = uri.removeprefix("/data")
        rebuilt = site.post(f"{base}/rebuild?src={plain}").json()["ResultSet"]["Result"]
        assert [row["status"] for row in rebuilt] == ["READY"]
        moved = site.post(f"{base}/move?src={uri}&newProject=P2&async=false").json()
        (row,) = moved["ResultSet"]["Result"]
        assert row["project"] == "P2"
        assert site.post(f"{base}/move?src={uri}&newProject=P2").status_code == 404
        assert site.post(f"{base}/rebuild").status_code == 400
        assert site.post(f"{base}/rebuild?src=/elsewhere").status_code == 400
        form = {"src": row["url"], "async": "false"}
        deleted = site.post(f"{base}/delete?format=csv", data=form)
        assert deleted.status_code == 200
        assert deleted.text.startswith("project,timestamp,")
        assert waiting(site) == []

    def test_archive_as_something_else(self, site: Served, uri: str) -> None:
        params = {"src": uri, "project": "P2", "subject": "S9", "session": "E9"}
        answer = site.post("/data/services/archive", params=params)
        assert answer.status_code == 303
        assert answer.headers["location"] == (
            f"{site.url}/data/archive/projects/P2/subjects/S9/experiments/E9"
        )
        assert site.post("/data/services/archive", params=params).status_code == 404

    @pytest.mark.parametrize("code", ["0", "4", "5"])
    def test_projects_that_archive_by_themselves_answer_with_a_redirect(
        self, site: Served, code: str
    ) -> None:
        set_code(site, code)
        preferences = {"siteUrl": "https://xnat.example.org"}
        assert site.post("/xapi/siteConfig", json=preferences).status_code == 200
        uri = send(site, make_study(Study(), 1, 2), dest="/prearchive/projects/P1").text.strip()
        params = {"src": uri, "auto-archive": "false"}
        answer = site.post("/data/services/archive", params=params)
        place = "/data/archive/projects/P1/subjects/mouse1/experiments/mouse1_MR1"
        if code == "0":
            assert (answer.status_code, answer.text) == (200, f"{place}\r\n")
        else:
            assert (answer.status_code, answer.text) == (303, "")
            assert answer.headers["location"] == f"https://xnat.example.org{place}"
        assert (waiting(site), scans(site)) == ([], {"1": 2})

    def test_redirect_to_what_was_archived(self, site: Served, uri: str) -> None:
        answer = site.post(f"/data/services/archive?src={uri}&redirect=true")
        assert answer.status_code == 303
        assert answer.headers["location"].endswith("/experiments/mouse1_MR1")

    def test_several_at_once(self, site: Served, uri: str) -> None:
        other = send(site, make_study(Study("m2", "m2_MR1"), 1, 1), dest="/prearchive/projects/P1")
        answer = site.post("/data/services/archive", params={"src": [uri, other.text.strip()]})
        rows = answer.json()["ResultSet"]["Result"]
        assert [row["status"] for row in rows] == ["ARCHIVING", "ARCHIVING"]
        assert sorted(sessions(site)) == ["m2_MR1", "mouse1_MR1"]

    @pytest.mark.parametrize("status", ["ARCHIVING", "BUILDING", "MOVING", "_DELETING"])
    def test_busy_sessions_are_left_alone(self, site: Served, uri: str, status: str) -> None:
        with site.archive.database.write() as connection:
            connection.execute("UPDATE prearchive SET status = ?", (status,))
        for answer in (
            site.post(f"/data/services/archive?src={uri}"),
            site.post(f"/data/services/prearchive/rebuild?src={uri}"),
            site.post(f"/data/services/prearchive/delete?src={uri}"),
            site.post(uri + "?action=commit"),
            site.post(uri + "?action=move&newProject=P2"),
            site.delete(uri),
        ):
            assert answer.status_code == 403
            assert heading(answer) == "Operation already in progress on this prearchive entry."
        assert states(site) == [status]

    def test_unassigned_sessions_can_be_given_a_project(self, site: Served) -> None:
        uri = send(site, make_study(Study(), 1, 1), dest="/prearchive").text.strip()
        assert "/Unassigned/" in uri
        answer = site.post(f"/data/services/archive?src={uri}")
        assert answer.status_code == 500
        assert "unable to identify destination project" in heading(answer)
        assert states(site) == ["ERROR"]
        assert site.post(f"/data/services/archive?src={uri}&project=P1").status_code == 200


class TestClock:
    def age(self, site: Served) -> None:
        with site.archive.database.write() as connection:
            connection.execute("UPDATE prearchive SET lastmod = lastmod - 301")
        finish_all_idle(site.archive)

    def test_idle_sessions_are_built(self, site: Served) -> None:
        set_code(site, "0")
        send(site, make_study(Study(), 1, 1), project="P1")
        finish_all_idle(site.archive)
        assert states(site) == ["RECEIVING"]
        self.age(site)
        assert states(site) == ["READY"]

    def test_automatic_archiving_leaves_conflicts(self, site: Served) -> None:
        objects = make_study(Study(), 1, 2)
        send(site, objects, project="P1")
        assert waiting(site)[0]["autoarchive"] == "AutoArchive"
        self.age(site)
        assert (waiting(site), scans(site)) == ([], {"1": 2})
        send(site, objects, project="P1")
        self.age(site)
        assert states(site) == ["CONFLICT"]

    def test_automatic_archiving_that_overwrites(self, site: Served) -> None:
        set_code(site, "5")
        objects = make_study(Study(), 1, 2)
        for _ in range(2):
            send(site, objects, project="P1")
            self.age(site)
        assert (waiting(site), scans(site)) == ([], {"1": 2})

    @pytest.mark.parametrize(
        "params", [{"prevent_auto_commit": "true"}, {"SOURCE": "uploader"}, {"dest": "/prearchive"}]
    )
    def test_what_its_sender_builds_is_left_alone(
        self, site: Served, params: dict[str, str]
    ) -> None:
        send(site, make_study(Study(), 1, 2), project="P1", **params)
        (before,) = waiting(site)
        self.age(site)
        (after,) = waiting(site)
        assert after["status"] == before["status"] == ("READY" if "dest" in params else "RECEIVING")
        assert after["prevent_auto_commit"] == params.get("prevent_auto_commit", "false")

    def test_the_object_may_say_otherwise(self, site: Served) -> None:
        study = Study(values={"PatientComments": "AA:false"})
        send(site, make_study(study, 1, 1), project="P1")
        self.age(site)
        assert states(site) == ["READY"]

    def test_the_server_looks_by_itself(self, serve: ServeArchive) -> None:
        site = serve("short", idle_s=0.2)
        site.put("/data/projects/P1")
        set_code(site, "0")
        send(site, make_study(Study(), 1, 1), project="P1")
        deadline = time.monotonic() + 10
        while states(site) != ["READY"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_restart_keeps_everything(serve: ServeArchive) -> None:
    site = serve("kept")
    site.put("/data/projects/P1")
    archive(site, make_study(Study(), 1, 2))
    send(site, make_study(Study("m2", "m2"), 1, 2), project="P1")
    stray = site.archive.folder / "blobs" / "aa" / "stray" / "x"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left by a killed process")
    again = serve("kept")
    assert scans(again) == {"1": 2}
    assert states(again) == ["RECEIVING"]
    assert not stray.exists()
    for row in again.rows("/data/projects/P1/experiments/mouse1_MR1/scans/ALL/files"):
        assert hashlib.md5(again.get(row["URI"]).content).hexdigest() == row["digest"]


class TestWhatXnatsOwnTestsSay:
    """Facts of NRG's integration tests about importing and archiving."""

    def test_folder_is_as_named_and_the_label_as_told(self, site: Served) -> None:
        dest = "/prearchive/projects/P1/20240108_101112123/FOLDER"
        answer = send(site, make_study(Study(), 1, 1), dest=dest, session="E1")
        assert answer.text.strip() == "/data" + dest
        (row,) = waiting(site)
        assert (row["folderName"], row["name"]) == ("FOLDER", "E1")

    def test_member_builds_and_moves_what_is_unassigned(self, site: Served) -> None:
        with site.archive.database.write() as connection:
            accounts.set_user(connection, "member", "pw")
            connection.execute("INSERT INTO member VALUES ('P1', 'member', 'Members')")
        member = site.as_user("member", "pw")
        uri = send(site, make_study(Study(), 1, 1), dest="/prearchive").text.strip()
        assert member.get(uri).status_code == 403
        assert member.post(uri + "?action=build").status_code == 200
        moved = member.post(uri + "?action=move&newProject=P1")
        assert (moved.status_code, moved.text) == (301, uri.replace("Unassigned", "P1"))

    def test_one_object_of_another_study_may_join_a_folder(self, site: Served) -> None:
        uri = send(site, make_study(Study(), 1, 1), dest="/prearchive/projects/P1").text.strip()
        other = make_object(Study(), 2, 1)
        refused = send(site, [other], dest=uri)
        assert refused.status_code == 400
        params = {"import-handler": "gradual-DICOM", "dest": uri}
        headers = {"Content-Type": "application/dicom"}
        answer = site.post(IMPORT, params=params, data=encode(other), headers=headers)
        assert (answer.status_code, answer.text.strip()) == (200, uri)

    def test_values_by_path_are_set_when_it_is_archived(self, site: Served) -> None:
        uri = send(site, make_study(Study(), 1, 1), dest="/prearchive/projects/P1").text.strip()
        params = {
            "src": uri,
            "xnat:mrSessionData/label": "E7",
            "xnat:mrSessionData/subject_ID": "S7",
            "xnat:mrSessionData/note": "by hand",
        }
        answer = site.post("/data/services/archive", params=params)
        assert answer.headers["location"].endswith("/projects/P1/subjects/S7/experiments/E7")
        row = site.rows("/data/projects/P1/experiments", columns="label,note")[0]
        assert (row["label"], row["note"]) == ("E7", "by hand")

    def test_value_by_path_that_is_none_changes_nothing(self, site: Served) -> None:
        uri = send(site, make_study(Study(), 1, 1), dest="/prearchive/projects/P1").text.strip()
        params = {"src": uri, "xnat:mrSessionData/date": "no day"}
        assert site.post("/data/services/archive", params=params).status_code == 400
        assert (states(site), sessions(site)) == (["READY"], [])

    def test_merge_is_noted_as_a_workflow(self, site: Served) -> None:
        study = Study()
        asked = {"experiment": "mouse1_MR1", "project": "P1"}
        archive(site, [make_object(study, 1, 1)])
        assert site.get("/data/services/workflows/Merged", params=asked).status_code == 404
        archive(site, [make_object(study, 2, 1)])
        answer = site.get("/data/services/workflows/Merged", params=asked)
        found = answer.json()["items"][0]["data_fields"]
        assert (found["pipeline_name"], found["status"]) == ("Merged", "Complete")
        assert site.get("/data/services/workflows/Other", params=asked).status_code == 404

    def test_session_has_what_the_objects_say(self, site: Served) -> None:
        values = {"MagneticFieldStrength": 3, "PatientBirthDate": "20231101"}
        archive(site, make_study(Study(values=values), 1, 1))
        item = site.get("/data/projects/P1/experiments/mouse1_MR1?format=json").json()["items"][0]
        found = item["data_fields"]
        assert (str(found["fieldStrength"]), found["modality"]) == ("3.0", "MR")
        assert found["dcmPatientBirthDate"] == "2023-11-01"
        columns = {"columns": "ID,xnat:mrScanData/fieldStrength"}
        (scan,) = site.rows("/data/projects/P1/experiments/mouse1_MR1/scans", **columns)
        assert scan["xnat:mrscandata/fieldstrength"] == "3.0"
