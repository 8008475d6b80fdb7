"""Run Pipeline in a real browser: the form, the run, its mail."""

import os
import re
from importlib import resources
from pathlib import Path

import pytest
from archive_server import serving
from engine_bench import Bench
from mouse_session import T1, T2, T2_AGAIN, fill_mouse, make_mouse
from playwright.sync_api import expect, sync_playwright
from programs import need_program

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 180_000

pytestmark = pytest.mark.tool


def test_maps_of_two_ticked_scans_from_the_page_of_a_session_and_by_rest(tmp_path, monkeypatch):
    program = need_program("chromium")
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    with serving(Archive(tmp_path / "archive")) as served, sync_playwright() as playwright:
        session = fill_mouse(served, make_mouse(tmp_path), again=True)
        made = Bench(served, session, catalog)
        made.use(catalog)
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(served.url + "/")
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill("admin")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        page.goto(f"{served.url}/experiments/{session}")
        page.get_by_role("link", name="Process T2", exact=True).click()
        ticks = page.locator("input[type=checkbox][name=scanids]")
        assert ticks.evaluate_all("all => all.map(one => one.value)") == [T2, T2_AGAIN, T1]
        models = page.locator("input[type=checkbox][name=model]")
        shown = models.evaluate_all("all => all.map(one => [one.value, one.checked])")
        assert shown[:2] == [["2p_default", False], ["3p_with_offset", False]]
        assert page.locator("[name=echoes_to_skip]").input_value() == "auto"
        for scan in (T2, T2_AGAIN):
            page.locator(f"input[value='{scan}']").check()
        page.locator("input[value='3p_with_offset']").check()
        _picture(page, "launch")
        page.get_by_role("button", name="Run").click()
        page.wait_for_url("**/runs/*")
        expect(page.locator("h2 .state")).to_have_text("Complete", timeout=PATIENCE_MS)
        assert "process_T2 on S1_MR: done" in page.locator("main").inner_text()
        shown = zip(*(page.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True)
        told = dict(shown)
        assert told["model"] == "3p_with_offset"
        assert {T2, T2_AGAIN} == set(re.findall(r"\d{5}", told["scanids"]))
        _picture(page, "run")
        browser.close()
        ended = made.end(made.launch("process_T2", scanids=f"[{T2},{T2_AGAIN}]", model="2p"))
        assert ended.status == "Complete", ended.fields
        for scan, results in ((T2, 2), (T2_AGAIN, 2), (T1, 0)):  # one of 3p, one of 2p
            assert sum(n.endswith("maps.json") for n in _files(served, session, scan)) == results


def _files(served, session, scan):
    path = f"/data/experiments/{session}/scans/{scan}/resources/PROCESSED_T2/files"
    answer = served.get(path)
    rows = answer.json()["ResultSet"]["Result"] if answer.status_code == 200 else []
    return [row["URI"] for row in rows]


def _picture(page, name):
    """Keep a picture of the page where XNAT_PIC_PICTURES names a folder for it."""
    folder = os.environ.get("XNAT_PIC_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")
