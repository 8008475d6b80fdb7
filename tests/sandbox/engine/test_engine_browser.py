"""Run Pipeline in a real browser: the form, the run, its mail."""

import os
from importlib import resources
from pathlib import Path

import pytest
from archive_server import serving
from engine_bench import Bench
from mouse_session import T1, T2, fill_mouse, make_mouse
from playwright.sync_api import expect, sync_playwright

from sandbox.archive.archive import PASSWORD_VARIABLE, Archive

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE_MS = 180_000

pytestmark = pytest.mark.tool


def test_a_map_is_made_from_the_page_of_a_session(tmp_path, monkeypatch):
    if not CHROMIUM.exists():
        message = "The browser is missing: install the Debian package chromium."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    catalog = Path(str(resources.files("pipelines.catalog"))) / "engine"
    with serving(Archive(tmp_path / "archive")) as served, sync_playwright() as playwright:
        session = fill_mouse(served, make_mouse(tmp_path))
        made = Bench(served, session, catalog)
        made.use(catalog)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
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
        assert ticks.evaluate_all("all => all.map(one => one.value)") == [T2, T1]
        assert page.locator("select[name=model] option").all_inner_texts()[:2] == ["2p", "3p"]
        assert page.locator("[name=skip_echoes]").input_value() == "auto"
        page.locator(f"input[value='{T2}']").check()
        page.locator("select[name=model]").select_option("3p")
        _picture(page, "launch")
        page.get_by_role("button", name="Run").click()
        page.wait_for_url("**/runs/*")
        expect(page.locator("h2 .state")).to_have_text("Complete", timeout=PATIENCE_MS)
        assert "1 made, 0 there already" in page.locator("pre").first.inner_text()
        made.page(page.url.rpartition("/")[2], "process_T2 is done on S1_MR")
        page.reload()
        assert "process_T2 is done on S1_MR" in page.locator("main").inner_text()
        shown = zip(*(page.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True)
        assert {"scanids": T2, "model": "3p"}.items() <= dict(shown).items()
        _picture(page, "run")
        browser.close()


def _picture(page, name):
    """Keep a picture of the page where XNAT_PIC_PICTURES names a folder for it."""
    folder = os.environ.get("XNAT_PIC_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")
