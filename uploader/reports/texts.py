"""Text of a report, safe in a page."""

from __future__ import annotations

import html

from xnat_pic.text import printable


def escape_text(value: str) -> str:
    """Return a text as it may stand in a page."""
    return html.escape("\n".join(printable(line, "?") for line in value.split("\n")))
