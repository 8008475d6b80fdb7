"""Fill in the template of a page."""

from __future__ import annotations

from typing import Any

import jinja2

from xnat_pic.tables import read_text


def render_page(package: str, name: str, **values: Any) -> str:
    """Return a page whose values are all escaped; a missing one is an error.

    Parameters
    ----------
    package, name : str
        Where the template lies, such as ``pipelines.report`` and ``page.html``.
    values : Any
        What the template names.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(read_text(package, name)).render(**values)
