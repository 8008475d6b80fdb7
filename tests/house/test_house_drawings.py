"""The drawings are what their script draws, and the arrows are the imports that there are."""

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"


def _script():
    spec = importlib.util.spec_from_file_location("make_drawings", IMAGES / "make_drawings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()


@pytest.mark.parametrize("name", SCRIPT.DRAWINGS)
def test_the_drawing_is_current(name):
    written = (IMAGES / name).read_text("utf-8")
    assert written == SCRIPT.DRAWINGS[name](), "run: python docs/images/make_drawings.py"


def _part(module):
    inside = module == "uploader.gui" or module.startswith("uploader.gui.")
    return "uploader.gui" if inside else module.split(".")[0]


def imports(packages):
    """Which parts import which, by the code itself."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    found = {
        (_part(one), _part(other))
        for one in graph.modules
        for other in graph.find_modules_directly_imported_by(one)
    }
    return {(one, other) for one, other in found if one != other}


def test_the_architecture_shows_the_packages_and_their_imports(packages):
    drawing = ET.fromstring((IMAGES / "architecture.svg").read_text("utf-8"))
    elements = list(drawing.iter())
    boxes = {one.get("data-name") for one in elements if one.get("data-name")}
    assert boxes == {*packages, "uploader.gui"}
    arrows = {(one.get("data-from"), one.get("data-to")) for one in elements if one.get("data-to")}
    (floor,) = SCRIPT.layers()[-1]
    real = imports(packages)
    assert {pair for pair in real if pair[0] != "sandbox" and pair[1] != floor} == arrows
    assert not any(other == "sandbox" or one == floor for one, other in real)


def test_arrows_lead_down(packages):
    height = {name: n for n, row in enumerate(SCRIPT.layers()) for name in row}
    assert set(height) == set(packages)
    height["uploader.gui"] = 0.5
    assert all(height[one] < height[other] for one, other in SCRIPT.ARROWS)
