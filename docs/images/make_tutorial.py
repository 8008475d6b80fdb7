"""Take the pictures of docs/tutorial.md: ``python docs/images/make_tutorial.py FOLDER URL``.

FOLDER is where the commands of the tutorial were typed, URL the sandbox that still runs there.
Needs playwright and chromium; the pictures are made by hand, not by a test.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
CHROMIUM = "/usr/bin/chromium"


def main() -> None:
    """Take the pictures."""
    folder, url = Path(sys.argv[1]).resolve(), sys.argv[2].rstrip("/")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1000, "height": 620})
        page = context.new_page()
        page.goto(f"{url}/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", "admin")
        page.keyboard.press("Enter")
        page.wait_for_load_state()
        page.goto(f"{url}/projects/MICE")
        page.screenshot(path=HERE / "tutorial-project.png")
        page.goto((folder / "T2" / "report.html").as_uri())
        page.screenshot(path=HERE / "tutorial-report.png")
        browser.close()


if __name__ == "__main__":
    main()
