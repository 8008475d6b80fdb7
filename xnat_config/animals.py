"""What is known of an animal beside the variables of a study: the fields of ``animals.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from xnat_pic.tables import load_table

from .variables import Variable

WEIGHT = "weight_g"


@cache
def packaged_animals() -> dict[str, Any]:
    """Return the table of this package: the form, and the fields with what a site may change."""
    return load_table("xnat_config", "animals.toml")


def animal_field(table: Mapping[str, Any]) -> Variable:
    """Return a field of the animal from its table."""
    return Variable(
        name=table["name"],
        title=table.get("title", table["name"]),
        level="subject",
        datatype=table.get("datatype", "string"),
        aliases=tuple(table.get("aliases", ())),
        values=tuple(table.get("values", ())),
        source=table.get("source", ""),
    )


@cache
def animal_fields() -> dict[str, Variable]:
    """Return the fields by their names and by the other names that tables give them."""
    fields = [animal_field(table) for table in packaged_animals()["animal"]]
    return {name: one for one in fields for name in (one.name, *one.aliases)}
