"""Load the mapping tables, and the codes that stand in them."""

from typing import Any

from xnat_pic.tables import load_table


def load_mapping(name: str) -> dict[str, Any]:
    """Return one of the tables, by its file name without suffix."""
    return load_table(__package__, f"{name}.toml")


def code_item(scheme: str, value: str, meaning: str) -> dict[str, str]:
    """Return a code sequence item."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


def species_code(species: str) -> list[dict[str, str]]:
    """Return the standard's code of a species that people name; empty for any other text."""
    wanted = species.strip().lower()
    for row in load_mapping("species")["species"]:
        if wanted in row["words"]:
            return [code_item(*row["code"])]
    return []


def species_names() -> tuple[str, ...]:
    """Return the usual name of each species that the standard has a code of."""
    return tuple(row["words"][0] for row in load_mapping("species")["species"])
