"""Make the picture of the demonstration: ``make demo``, then ``python docs/images/make_demo.py``.

Photographs the tumour's T2 on the page of the study that the demonstration left in the folder
demo, or in the folder named. Needs chromium and the extra ``test``; made by hand, not by a test.
"""

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent
CHROMIUM = Path("/usr/bin/chromium")
WIDTH, HEIGHT = 900, 640
FIRST = "T2map, tumour"


def main() -> None:
    """Write ``demo-summary.png``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((folder / "summary" / "summary.html").absolute().as_uri())
        box = page.get_by_role("heading", name=FIRST, exact=True).bounding_box()
        assert box is not None
        clip = {"x": 0.0, "y": box["y"] - 8, "width": WIDTH, "height": HEIGHT}
        data = page.screenshot(full_page=True, clip=clip)
        browser.close()
    image = Image.open(io.BytesIO(data)).convert("RGB").quantize(128)
    image.save(OUT / "demo-summary.png", optimize=True)


if __name__ == "__main__":
    main()
