"""The tables of ``mapping/inveon.toml``."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def load_table() -> dict[str, Any]:
    """Load the Inveon tables: attributes, words of numbered keys, orientations, isotopes."""
    text = resources.files("mri2dicom.mapping").joinpath("inveon.toml").read_text("utf-8")
    return tomllib.loads(text)


def words(key: str, number: int | None) -> str:
    """Return what a number of an enumerated key means; empty where nothing is known."""
    meanings: dict[str, str] = load_table()["words"].get(key, {})
    return meanings.get(str(number), "")
