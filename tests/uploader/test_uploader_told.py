"""The page on wrong animals and proofs tells of every case that the tests try."""

from pathlib import Path

import pytest
from tampering import TAMPERINGS
from test_uploader_clean_projects import PROJECTS
from test_uploader_faults import COMPLETE_AT_ONCE
from test_uploader_spoilt_plans import EDITS, WHOLE

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/right-animal-and-proof.md"


@pytest.mark.parametrize("cases", [EDITS, WHOLE, PROJECTS, TAMPERINGS, COMPLETE_AT_ONCE],
                         ids=["edits", "whole", "projects", "tamperings", "faults"])  # fmt: skip
def test_page_tells_of_each(cases):
    text = PAGE.read_text("utf-8")
    assert [name for name in cases if f"| {name} |" not in text] == []
