"""The table ``ivis.toml``: images, keys and limits."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from ...mapping.tables import load_mapping


@dataclass(frozen=True)
class ImageRow:
    """One kind of image of a click.

    Attributes
    ----------
    role : str
        Such as ``luminescent``.
    procno : int
        Number of the image in its click.
    sections : tuple of str
        Begins of the names of the section that describes it.
    files : tuple of str
        File names, the usual one first.
    """

    role: str
    procno: int
    sections: tuple[str, ...]
    files: tuple[str, ...]
    protocol: str


def limit(name: str) -> int:
    """Return a bound or constant of the table."""
    return int(load_mapping("ivis")["limits"][name])


@cache
def image_rows() -> tuple[ImageRow, ...]:
    """Return the kinds of image."""
    return tuple(
        ImageRow(
            row["role"],
            row["procno"],
            tuple(row["sections"]),
            (row["file"], *row.get("other_files", ())),
            row["protocol"],
        )
        for row in load_mapping("ivis")["image"]
    )


def image_row(role: str) -> ImageRow:
    """Return one kind of image."""
    return next(row for row in image_rows() if row.role == role)


def value_rows() -> list[dict[str, Any]]:
    """Return the rows of values."""
    rows: list[dict[str, Any]] = load_mapping("ivis")["value"]
    return rows
