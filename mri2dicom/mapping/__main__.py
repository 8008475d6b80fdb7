"""Print the mapping tables as a page: ``python -m mri2dicom.mapping``."""

import tomllib
from importlib import resources
from typing import Any

import click

HEAD = """# What becomes of ParaVision's parameters

Generated from the tables in `mri2dicom/mapping` by `python -m mri2dicom.mapping`; do not edit.
Parameters without a prefix are from the `visu_pars` beside the image. The first source that has a
value counts."""


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _load(name: str) -> dict[str, Any]:
    text = resources.files(__package__ or "mri2dicom.mapping").joinpath(f"{name}.toml")
    return tomllib.loads(text.read_text("utf-8"))


def _terms(values: dict[str, str]) -> str:
    return "; ".join(f"{'other' if k == '*' else k} → {v}" for k, v in values.items())


def page() -> str:
    """Return the page as Markdown."""
    main, cest = _load("paravision"), _load("paravision_cest")
    attributes = [
        [
            ", ".join(row["keyword"]),
            ", ".join(f"`{name}`" for name in row["from"]),
            _terms(row.get("values", {})) or row.get("transform", "text"),
            row.get("unit", ""),
            row.get("versions", ""),
            row["source"],
        ]
        for row in main["attribute"]
    ]
    loops = [[f"`{name}`", meaning] for name, meaning in main["loops"].items()]
    methods = [
        [row["name"], row.get("echo", ""), row.get("varies", ""), row["source"]]
        for row in _load("paravision_methods")["method"]
    ]
    saturation = [
        [
            row["keyword"],
            ", ".join(f"`{name}`" for name in row["from"]),
            row.get("unit", ""),
            row["source"],
        ]
        for row in cest["value"]
    ]
    offsets = [
        [
            f"`{row['from']}`",
            row["unit"] if ":" not in row["unit"] else f"as `{row['unit']}` says",
            "yes" if row.get("own") else "",
            row["source"],
        ]
        for row in cest["offsets"]
    ]
    parts = [
        HEAD,
        "## Attributes",
        _table(["DICOM", "from", "how", "unit", "versions", "source"], attributes),
        "## Loops",
        _table(["frame group", "what changes along it"], loops),
        "## Methods",
        _table(["method", "echo", "made for a series of", "source"], methods),
        "## Saturation",
        _table(["private attribute", "from", "unit", "source"], saturation),
        "## Offset lists, in order of trust",
        _table(["from", "unit", "laboratories' own", "source"], offsets),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    click.echo(page(), nl=False)
