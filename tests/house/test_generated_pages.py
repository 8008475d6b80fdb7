"""Pages that are generated from data tables say what the tables say."""

from pathlib import Path

from mri2dicom.mapping.__main__ import inveon_page, page

ROOT = Path(__file__).parents[2]


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
