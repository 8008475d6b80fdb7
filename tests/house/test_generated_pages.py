"""Pages that are generated from data tables say what the tables say."""

import importlib.util
import re
from pathlib import Path

import pytest

from mri2dicom.mapping.__main__ import inveon_page, page

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def _generator():
    spec = importlib.util.spec_from_file_location("generate", REFERENCE / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


def test_mapping_page_is_current():
    written = (ROOT / "docs/reference/paravision-mapping.md").read_text("utf-8")
    assert written == page(), (
        "run: python -m mri2dicom.mapping > docs/reference/paravision-mapping.md"
    )


def test_inveon_page_is_current():
    written = (ROOT / "docs/reference/inveon-mapping.md").read_text("utf-8")
    assert written == inveon_page(), (
        "run: python -m mri2dicom.mapping inveon > docs/reference/inveon-mapping.md"
    )


@pytest.mark.parametrize("name", GENERATOR.PAGES)
def test_reference_page_is_current(name):
    written = (REFERENCE / name).read_text("utf-8")
    assert written == GENERATOR.PAGES[name](), "run: python docs/reference/generate.py"


def test_every_reference_page_has_a_maker():
    """Except those that people write: on the digital mouse, and for Python."""
    for path in REFERENCE.glob("*.md"):
        made = re.search(r"Generated\b[^.]*\bpython ", path.read_text("utf-8"))
        assert made or path.name in ("digital-mouse.md", "python.md"), path.name


def test_every_flag_and_pipeline_is_told():
    """By other means than the generator's: the words stand in tables of the page."""
    flags = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", (REFERENCE / "maps.md").read_text(), re.M)
    assert [int(number) for number, _ in flags] == [2**k for k in range(8)]
    catalog = ROOT / "pipelines" / "catalog" / "engine" / "xnat_pic"
    names = {path.stem for path in catalog.glob("*.xml")}
    page = (REFERENCE / "pipelines.md").read_text("utf-8")
    assert names
    assert names == set(re.findall(r"^\| `(\w+)` \| (?:Process|Mask) ", page, re.M))
