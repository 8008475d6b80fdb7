"""Make the pictures of the pipelines: ``python docs/images/make_pipelines.py``.

A study of digital mice is uploaded into a sandbox, pipelines are launched there from its pages in
a browser, and the pages are photographed. Needs chromium and the extras ``all`` and ``test``; the
pictures are made by hand, not by a test. It takes about two minutes of computing.
"""

import io
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

import mri2dicom
from pipelines.catalog.files import write_files
from sandbox.archive.archive import Archive, Settings
from sandbox.mouse import MouseOptions, write_mice
from uploader import Journal, UploadOptions, build_plan, scan_folder, upload
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login

OUT = Path(__file__).parent
TESTS = OUT.parents[1] / "tests"
for name in ("sandbox/archive", "pipelines/regions", "pipelines/xnat", "pipelines/project"):
    sys.path.insert(0, str(TESTS / name))

from archive_server import serving  # noqa: E402
from cohort import Bench, Cohort, bench_of, break_session, collection  # noqa: E402

PROJECT, BROKEN, SHOWN = "P1", "m04_post1w_MR", "m01_post1w_MR"
CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_S = 300.0
WIDTH = 1000


def study(folder: Path) -> Cohort:
    """Write, convert and upload three animals in each of three arms, before and after."""
    studies = write_mice(folder / "raw", MouseOptions(size="SMALL", matrix=64, seed=2, traps=False))
    mri2dicom.convert(folder / "raw", folder / "dicom", jobs=2)
    config = load_config(environ={"XNAT_PIC_HOME": str(folder / "home")})
    (folder / "home").mkdir()
    with serving(Archive(folder / "data", Settings(faults=True))) as served:
        served.put(f"/data/projects/{PROJECT}")
        plan = build_plan(scan_folder(folder / "dicom", config), PROJECT, config)
        login = password_login("admin", "admin")
        with (
            Journal(folder / "home/j") as journal,
            XnatClient(Connection(served.url), login) as client,
        ):
            upload(plan, client, journal, config, UploadOptions(settle_s=30))
    labels = {f"{one.subject}_{one.timepoint}_MR": one for one in studies}
    return Cohort(folder / "data", folder / "dicom", labels)


def picture(page: Page, name: str, height: float, top: float = 0.0) -> None:
    """Keep what the page shows between two heights."""
    clip = {"x": 0.0, "y": top, "width": WIDTH, "height": height}
    data = page.screenshot(full_page=True, clip=clip)
    image = Image.open(io.BytesIO(data)).convert("RGB").quantize(128)
    image.save(OUT / f"{name}.png", optimize=True)


def launch(page: Page, bench: Bench, label: str, pipeline: str, form: str = "") -> None:
    """Launch a pipeline from the page of a session and wait until its mail is there."""
    page.goto(f"{bench.served.url}/experiments/{bench.sessions[label]}")
    page.get_by_role("link", name=pipeline, exact=True).click()
    if form:
        page.locator("input[name=scanids][value='30001']").check()
        picture(page, form, 960)
    page.get_by_role("button", name="Run").click()
    page.wait_for_url("**/runs/*")
    deadline = time.monotonic() + PATIENCE_S
    while page.locator("h2 .state").inner_text() not in ("Complete", "Failed"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{pipeline} did not end.")
        time.sleep(0.5)
        page.reload()
    time.sleep(1.0)
    page.reload()


def photograph(page: Page, bench: Bench, folder: Path) -> None:
    """Go through the pages as an analyst does."""
    url, session = bench.served.url, f"experiments/{bench.sessions[SHOWN]}"
    page.goto(url)
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill("admin")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.goto(f"{url}/{session}")
    picture(page, "pipelines-session", 450)
    launch(page, bench, SHOWN, "Process T2", form="pipelines-form")
    picture(page, "pipelines-run", 650)
    launch(page, bench, SHOWN, "Process T2 project")
    picture(page, "pipelines-failed", 1010)
    launch(page, bench, SHOWN, "Mask Average project")
    names = bench.files(f"/data/projects/{PROJECT}")
    (name,) = [one for one in names if "Mask" in one and one.endswith("/summary.html")]
    resource, _, path = name.partition("/")
    address = f"/data/projects/{PROJECT}/resources/{resource}/files/{path}"
    (folder / "summary.html").write_bytes(bench.served.get(address).content)
    page.goto((folder / "summary.html").as_uri())
    tumour = page.get_by_role("heading", name="T2map, tumour", exact=True)
    picture(page, "pipelines-summary", 640, top=_top(tumour) - 12)
    page.goto(f"{url}/{session}/files")
    results = page.locator("section").filter(has_text="Scan 30001: PROCESSED_T2")
    results.get_by_text("Files", exact=True).click()
    picture(page, "pipelines-files", 640, top=_top(results) - 12)
    page.goto(f"{url}/projects/{PROJECT}/pipelines")
    picture(page, "pipelines-project", 620)


def _top(part: Locator) -> float:
    """Return how far below the top of the page a part of it begins."""
    return float(part.evaluate("one => one.getBoundingClientRect().top + window.scrollY"))


def main() -> None:
    """Make all pictures."""
    with ExitStack() as stack, sync_playwright() as playwright:
        folder = Path(tempfile.gettempdir()) / "sandbox"  # pages show it
        folder.mkdir()
        stack.callback(shutil.rmtree, folder)
        made = study(folder)
        write_files(folder / "catalog")
        with serving(Archive(made.folder, Settings(faults=True))) as served:
            bench = bench_of(served, made)
            for label in bench.sessions:
                if label != BROKEN:
                    collection(bench, label, folder)
            break_session(bench, BROKEN)
            catalog = {"folder": str(folder / "catalog" / "engine"), "project": PROJECT}
            served.post("/sandbox/pipelines", params=catalog)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": 700})
            photograph(page, bench, folder)
            browser.close()


if __name__ == "__main__":
    main()
