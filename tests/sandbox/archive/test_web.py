"""The pages for people, without a browser."""

import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import requests
from archive_server import ServeArchive, Served
from database_work import database_work
from dicoms import Study, encode, make_object
from filled import DESCRIPTOR, add_user, fill, use_pipeline, write_catalog

from sandbox.archive import items, thumbnails, workflows

BROWSER = {"User-Agent": "Mozilla/5.0"}
NOTICE = "This is the <strong>XNAT-PIC sandbox</strong>"


def _log_in(served: Served, user: str = "admin", password: str = "admin") -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.update(BROWSER)
    form = {"username": user, "password": password, "next": "/"}
    answer = session.post(served.url + "/login", data=form, timeout=20, allow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/"
    return session


class _Page(HTMLParser):
    """Checks that elements close in order, and gathers what they hold."""

    _VOID = ("meta", "link", "input", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.assets: list[str] = []
        self.labelled: set[str] = set()
        self.inputs: list[dict[str, str | None]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in self._VOID:
            self.open.append(tag)
        if tag == "a":
            self.links.append(values["href"] or "")
        if tag in ("img", "link", "script"):
            self.assets.append(values.get("src") or values.get("href") or "")
        if tag == "label":
            self.labelled.add(values.get("for") or "")
        in_label = "label" in self.open
        if tag in ("input", "select") and values.get("type") != "hidden" and not in_label:
            self.inputs.append(values)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def check(self) -> None:
        """No foreign assets; every input has a label."""
        assert all(one.startswith("/") for one in self.assets)
        assert {one.get("id") for one in self.inputs} <= self.labelled


def _page(session: requests.Session, url: str) -> _Page:
    answer = session.get(url, timeout=20, allow_redirects=False)
    assert answer.status_code == 200, answer.text
    assert NOTICE in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    page = _Page(answer.text)
    page.check()
    return page


def test_every_page_says_what_it_is_and_leads_on(served: Served, tmp_path: Path) -> None:
    session_id = fill(served)
    use_pipeline(served, write_catalog(tmp_path / "catalog"))
    served.post(f"/data/projects/P1/pipelines/process_T2/experiments/{session_id}")
    browser = _log_in(served)
    waiting, seen = ["/"], {"/"}
    while waiting:
        path = waiting.pop()
        page = _page(browser, served.url + path)
        for link in page.links:
            target = link.partition("#")[0]
            if link.startswith("/data/"):
                answer = browser.head(served.url + link, timeout=20)
                assert answer.status_code == 200, link
            elif target not in ("", *seen):
                seen.add(target)
                waiting.append(target)
    plain = {re.sub(r"XNATPIC_\w+", "ID", one).partition("?")[0] for one in seen}
    assert plain == {
        "/",
        "/runs",
        "/runs/1",
        "/projects/P1",
        "/projects/P1/subjects/ID",
        "/projects/P1/pipelines",
        "/experiments/ID",
        "/experiments/ID/files",
        "/experiments/ID/pipelines/process_T2",
    }


def test_pages_need_a_login(served: Served) -> None:
    fill(served)
    for path in ("/", "/projects/P1", "/runs"):
        answer = requests.get(served.url + path, headers=BROWSER, timeout=20, allow_redirects=False)
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/app/template/Login.vm")
    page = requests.get(served.url + "/projects/P1", headers=BROWSER, timeout=20)
    assert 'name="next" value="/projects/P1"' in page.text


def test_wrong_password_is_said_and_log_out_ends_it(served: Served) -> None:
    form = {"username": "admin", "password": "wrong"}
    answer = requests.post(served.url + "/login", data=form, timeout=20, allow_redirects=False)
    assert answer.status_code == 401
    assert "Name and password do not fit." in answer.text
    browser = _log_in(served)
    token = browser.cookies["JSESSIONID"]
    browser.post(served.url + "/logout", timeout=20)
    cookies = {"JSESSIONID": token}
    assert requests.get(served.url + "/data/auth", cookies=cookies, timeout=20).status_code == 401


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_log_in_leads_nowhere_else(served: Served, target: str) -> None:
    form = {"username": "admin", "password": "admin", "next": target}
    answer = requests.post(served.url + "/login", data=form, timeout=20, allow_redirects=False)
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_pages_of_other_sites_change_nothing(served: Served, origin: str) -> None:
    browser = _log_in(served)
    headers = {"Origin": origin}
    answer = browser.put(served.url + "/data/projects/P1", headers=headers, timeout=20)
    assert answer.status_code == 403
    assert served.rows("/data/projects") == []
    own = {"Origin": served.url}
    assert browser.put(served.url + "/data/projects/P1", headers=own, timeout=20).ok


def test_variables_are_shown_and_text_is_escaped(served: Served) -> None:
    session_id = fill(served)
    evil = "<script>alert(1)</script>"
    served.put("/data/projects/P1", params={"name": evil})
    field = "xnat:mrSessionData/fields/field[name=week]/field"
    served.put(f"/data/experiments/{session_id}", params={field: evil})
    browser = _log_in(served)
    for path in ("/", "/projects/P1", f"/experiments/{session_id}"):
        text = browser.get(served.url + path, timeout=20).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
    page = _page(browser, served.url + "/projects/P1")
    for word in ("S1", "dose", "low", "week", "MR Session", "2024-01-31", "female"):
        assert word in page.text


def test_stranger_sees_nothing(served: Served) -> None:
    session_id = fill(served)
    add_user(served, "stranger")
    browser = _log_in(served, "stranger", "secret")
    assert "/projects/P1" not in _page(browser, served.url + "/").links
    for path in (
        "/projects/P1",
        "/projects/P1/subjects/S1",
        f"/experiments/{session_id}",
        f"/experiments/{session_id}/files",
        f"/experiments/{session_id}/scans/1/thumbnail.png",
    ):
        assert browser.get(served.url + path, timeout=20).status_code == 404


def test_reader_cannot_launch(served: Served, tmp_path: Path) -> None:
    session_id = fill(served)
    use_pipeline(served, write_catalog(tmp_path / "catalog"))
    add_user(served, "reader", "Collaborators")
    browser = _log_in(served, "reader", "secret")
    page = _page(browser, f"{served.url}/experiments/{session_id}")
    assert not any("/pipelines/" in link for link in page.links)
    address = f"{served.url}/experiments/{session_id}/pipelines/process_T2"
    assert browser.post(address, timeout=20).status_code == 403
    assert browser.get(served.url + "/projects/P1/pipelines", timeout=20).status_code == 403


def test_form_launches(served: Served, tmp_path: Path) -> None:
    session_id = fill(served)
    use_pipeline(served, write_catalog(tmp_path / "catalog"))
    browser = _log_in(served)
    address = f"{served.url}/experiments/{session_id}/pipelines/process_T2"
    form = {"scanids": ["1", "2"], "model": "3p", "other": "x"}
    answer = browser.post(address, data=form, timeout=20, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/runs/1")
    page = _page(browser, served.url + "/runs/1")
    for word in ("Failed", "1, 2", "3p"):
        assert word in page.text
    assert "other" not in page.text


def test_the_launch_form_is_that_of_xnat(served: Served, tmp_path: Path) -> None:
    """One value is a text, of several none is ticked, and nothing is explained."""
    session_id = fill(served)
    text = DESCRIPTOR.replace("<csv>2p,3p</csv>", "<csv>auto</csv>", 1)
    catalog = write_catalog(tmp_path / "catalog", text)
    use_pipeline(served, catalog)
    browser = _log_in(served)
    address = f"{served.url}/experiments/{session_id}/pipelines/process_T2"
    shown = browser.get(address, headers=BROWSER, timeout=20).text
    boxes = re.findall(r'<input type="checkbox" name="scanids" value="(.)"> . *</label>', shown)
    assert boxes == ["1", "2"]
    assert re.search(r'<input type="text" id="field-2" name="model" value="auto">', shown)
    for absent in ("Scans to fit", "Model", "checked", "<select", "None ticked"):
        assert absent not in shown
    assert served.delete(f"/data/experiments/{session_id}/scans/2").status_code == 200
    shown = browser.get(address, headers=BROWSER, timeout=20).text
    assert re.search(r'<input type="text" id="field-1" name="scanids" value="1">', shown)
    browser.post(address, data={"model": "auto"}, timeout=20)
    with served.archive.database.read() as connection:
        run = workflows.find(connection, {"id": session_id}, limit=1)[0]
    assert run.parameters == {"model": ["auto"]}


@pytest.mark.parametrize("state", ["Queued", "Running", "Awaiting Action", "Complete", "Failed"])
def test_pipelines_wait_for_the_latest_run_of_the_session(
    served: Served, tmp_path: Path, state: str
) -> None:
    session_id = fill(served)
    use_pipeline(served, write_catalog(tmp_path / "catalog"))
    values = {
        "id": session_id,
        "data_type": "xnat:mrSessionData",
        "pipeline_name": "theirs",
        "launch_time": "2024-01-31",
        "status": state,
    }
    with served.archive.database.write() as connection:
        workflows.save(connection, values, "admin")
    address = f"{served.url}/experiments/{session_id}"
    shown = _log_in(served).get(address, headers=BROWSER, timeout=20).text
    free = state in ("Complete", "Failed")
    assert ("/pipelines/process_T2" in shown) == free
    assert ('<button class="first" disabled>' in shown) != free
    assert ("wait until it is over" in shown) != free


@pytest.mark.parametrize("kind", ["experiment", "project"])
def test_form_launches_a_container(served: Served, kind: str) -> None:
    session_id = fill(served)
    root = {"name": "root", "type": "Session" if kind == "experiment" else "Project"}
    context = "xnat:mrSessionData" if kind == "experiment" else "xnat:projectData"
    wrapper = {"name": "w", "contexts": [context], "external-inputs": [root]}
    flag = {"name": "flag", "type": "boolean", "default-value": True, "required": True}
    command = {"name": "c", "image": "i", "inputs": [flag], "xnat": [wrapper]}
    number = served.post("/xapi/commands", json=command).json()
    for scope in ("", "/projects/P1"):
        served.put(f"/xapi{scope}/commands/{number}/wrappers/w/enabled")
    browser = _log_in(served)
    item = session_id if kind == "experiment" else "P1"
    pages = {"experiment": f"/experiments/{session_id}", "project": "/projects/P1"}
    for other, path in pages.items():
        page = _page(browser, served.url + path)
        assert any("/wrappers/" in link for link in page.links) is (other == kind)
    page = _page(browser, served.url + pages[kind])
    links = [link for link in page.links if "/wrappers/" in link]
    assert len(links) == 1
    assert "flag" in _page(browser, served.url + links[0]).text
    browser.post(served.url + links[0], data={"flag": "false"}, timeout=20)
    with served.archive.database.read() as connection:
        run = workflows.find(connection, {})[0]
    assert run.parameters == {"flag": ["false"], "root": [f"/archive/{kind}s/{item}"]}
    assert (run.id, run.externalid) == (item, "P1")


def test_owner_takes_a_pipeline_into_use(served: Served, tmp_path: Path) -> None:
    fill(served)
    served.post("/sandbox/pipelines", params={"folder": str(write_catalog(tmp_path / "c"))})
    browser = _log_in(served)
    address = served.url + "/projects/P1/pipelines"
    for use, count in (("true", 1), ("false", 0)):
        form = {"path": "process_T2/process_T2.xml", "use": use}
        browser.post(address, data=form, timeout=20)
        assert len(served.rows("/data/projects/P1/pipelines")) == count


def test_open_run_asks_again(served: Served) -> None:
    session_id = fill(served)
    values = {"id": session_id, "data_type": "x", "pipeline_name": "p", "launch_time": "2024-01-31"}
    browser = _log_in(served)
    for status, again in (("Running", True), ("Complete", False)):
        with served.archive.database.write() as connection:
            workflows.save(connection, {**values, "status": status}, "admin")
        text = browser.get(served.url + "/runs/1", timeout=20).text
        assert ('http-equiv="refresh"' in text) is again


def test_large_project_is_shown_in_pages(serve: ServeArchive) -> None:
    served = serve()
    with served.archive.database.write() as connection:
        common = {"project": "BIG", "user": "admin"}
        project = items.create(
            connection,
            "project",
            label="BIG",
            xsi_type="xnat:projectData",
            identifier="BIG",
            project="",
            parent=None,
            user="admin",
        )
        for number in range(2000):
            subject = items.create(
                connection,
                "subject",
                label=f"s{number:04d}",
                xsi_type="xnat:subjectData",
                parent=project,
                **common,
            )
            items.create(
                connection,
                "experiment",
                label=f"s{number:04d}_MR",
                xsi_type="xnat:mrSessionData",
                parent=subject,
                **common,
            )
    browser = _log_in(served)
    with database_work() as work:
        page = _page(browser, served.url + "/projects/BIG")
    work.assert_one_pass(4_000)
    assert "Subjects (2000)" in page.text
    further = [link for link in page.links if "experiment=100" in link]
    second = _page(browser, served.url + further[0].partition("#")[0])
    assert "s0100_MR" in second.text
    assert "s0099_MR" not in second.text
    found = _page(browser, served.url + "/projects/BIG?label=1999_")
    assert "s1999_MR" in found.text
    assert "Sessions (1)" in found.text


def _decode(png: bytes) -> npt.NDArray[np.uint8]:
    """Read a PNG of filter type 0."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    position, data, columns, rows, colour = 8, b"", 0, 0, 0
    while position < len(png):
        length, name = struct.unpack(">I4s", png[position : position + 8])
        body = png[position + 8 : position + 8 + length]
        check = png[position + 8 + length : position + 12 + length]
        assert zlib.crc32(name + body) == struct.unpack(">I", check)[0]
        if name == b"IHDR":
            columns, rows, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8
        data += body if name == b"IDAT" else b""
        position += 12 + length
    depth = 3 if colour == 2 else 1
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(rows, 1 + columns * depth)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(rows, columns, depth).squeeze()


def test_thumbnail_is_the_image(served: Served) -> None:
    session_id = fill(served)
    address = f"/experiments/{session_id}/scans/1/thumbnail.png"
    answer = served.get(address)
    assert answer.headers["Content-Type"] == "image/png"
    picture = _decode(answer.content)
    # 8 x 8 pixels of 0.2 mm by 0.1 mm, of values that grow along the rows.
    assert picture.shape == (160, 80)
    assert picture[0, 0] == 0
    assert picture[-1, -1] == 255
    assert (np.diff(picture[::20, ::10].astype(int).ravel()) >= 0).all()
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert served.get(address, headers=tag).status_code == 304
    assert served.get(f"/experiments/{session_id}/scans/9/thumbnail.png").status_code == 404


def _thumbnail(tmp_path: Path, **values: object) -> npt.NDArray[np.uint8]:
    path = tmp_path / "image.dcm"
    path.write_bytes(encode(make_object(Study(), **values)))  # type: ignore[arg-type]
    return _decode(thumbnails.thumbnail(path))


def test_inverted_and_many_frames_and_colours(tmp_path: Path) -> None:
    plain = _thumbnail(tmp_path)
    inverted = _thumbnail(tmp_path, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(inverted, 255 - plain.astype(int), atol=1)
    stack = np.zeros((3, 8, 8), np.uint16)
    stack[1, :, 4:] = 100
    middle = _thumbnail(tmp_path, NumberOfFrames=3, PixelData=stack.tobytes())
    assert (middle[:, 40:] == 255).all()
    assert not middle[:, :40].any()
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    colours = {
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "PhotometricInterpretation": "RGB",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelData": red.tobytes(),
    }
    assert (_thumbnail(tmp_path, **colours) == (200, 0, 0)).all()


@pytest.mark.parametrize("content", [b"", b"no DICOM", encode(make_object(Study()))[:-40]])
def test_what_is_no_picture_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(content)
    with pytest.raises(thumbnails.NoPictureError, match="cannot be shown"):
        thumbnails.thumbnail(path)
