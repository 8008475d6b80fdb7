"""The pages in a real browser, by keyboard where people would use it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_server import Served
from filled import fill, use_pipeline, write_catalog
from playwright.sync_api import Browser, Page, expect, sync_playwright
from programs import need_program

# Its own sandbox needs rights that a test machine may not give; the rest keeps it off the network.
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.tool


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser that is installed here; playwright itself would download one."""
    program = need_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A new window without memory; it fails the test for any error a page meets."""
    faults: list[str] = []
    context = chromium.new_context(accept_downloads=True)
    window = context.new_page()
    window.on("pageerror", lambda error: faults.append(str(error)))
    window.on("console", lambda one: faults.append(one.text) if one.type == "error" else None)
    window.on("request", lambda one: None if "127.0.0.1" in one.url else faults.append(one.url))
    yield window
    context.close()
    assert faults == []


def _log_in(page: Page, served: Served) -> None:
    page.goto(served.url + "/")
    # A browser gives the focus with the first picture of a page, which may be after its loading.
    expect(page.locator("#username")).to_be_focused()
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type("admin")
    with page.expect_navigation():
        page.keyboard.press("Enter")


def test_log_in_look_and_download(served: Served, page: Page, tmp_path: Path) -> None:
    session = fill(served)
    _log_in(page, served)
    assert page.locator(".notice").inner_text().startswith("This is the XNAT-PIC sandbox")
    page.get_by_role("link", name="P1", exact=True).click()
    page.get_by_role("link", name="S1_MR", exact=True).click()
    page.wait_for_url(f"**/experiments/{session}")
    pictures = page.locator("td.picture img")
    assert pictures.count() == 2
    pictures.first.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(one => one.complete)")
    sizes = page.evaluate("[...document.images].map(one => [one.naturalWidth, one.naturalHeight])")
    assert sizes == [[80, 160], [80, 160]]
    page.get_by_role("link", name="Manage Files").click()
    row = served.rows(f"/data/experiments/{session}/scans/1/files")[0]
    with page.expect_download() as waiting:
        page.get_by_role("link", name=row["Name"]).first.click()
    target = tmp_path / "download"
    waiting.value.save_as(target)
    assert hashlib.md5(target.read_bytes()).hexdigest() == row["digest"]


def test_pipeline_is_run_by_keyboard(served: Served, page: Page, tmp_path: Path) -> None:
    session = fill(served)
    use_pipeline(served, write_catalog(tmp_path / "catalog"))
    _log_in(page, served)
    page.goto(f"{served.url}/experiments/{session}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    _tab_to(page, "Process T2")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    for box in ("2", "3p"):
        _tab_to(page, box)
        page.keyboard.press("Space")
    _tab_to(page, "Run")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.wait_for_url("**/runs/1")
    text = page.locator("main").inner_text()
    assert "State: Failed" in text
    assert "no runner for pipelines" in text
    shown = dict(zip(*(page.locator(tag).all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert shown == {"scanids": "2", "model": "3p"}


def _tab_to(page: Page, text: str) -> None:
    """Press Tab until what has the focus bears a text, or a tick box the value."""
    for _ in range(40):
        page.keyboard.press("Tab")
        read = "document.activeElement.value || document.activeElement.textContent.trim()"
        if page.evaluate(read) == text:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError(f"the keyboard does not reach {text}")


def test_pages_fit_a_narrow_window(served: Served, page: Page) -> None:
    session = fill(served)
    _log_in(page, served)
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/", "/projects/P1", f"/experiments/{session}", f"/experiments/{session}/files"):
        page.goto(served.url + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path} is {width} wide"
