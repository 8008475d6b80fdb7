"""Print the mapping tables as a page: ``python -m mri2dicom.mapping [inveon]``."""

import click

from .tables import load_mapping

HEAD = """# What becomes of ParaVision's parameters

Generated from the tables in `mri2dicom/mapping` by `python -m mri2dicom.mapping`; do not edit.
Parameters without a prefix are from the `visu_pars` beside the image. The first source that has a
value counts."""


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join("---" for _ in heads) + " |"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _terms(values: dict[str, str]) -> str:
    return "; ".join(f"{'other' if k == '*' else k} → {v}" for k, v in values.items())


def page() -> str:
    """Return the page as Markdown."""
    main, cest = load_mapping("paravision"), load_mapping("paravision_cest")
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
        for row in load_mapping("paravision_methods")["method"]
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


INVEON_HEAD = """# What becomes of the keys in an Inveon header

Generated from the tables in `mri2dicom/mapping` by `python -m mri2dicom.mapping inveon`; do not
edit. The first key that has a value counts. Frames, values, times and geometry are told in
[the page on the format](../vendors/inveon.md)."""


def inveon_page() -> str:
    """Return the page about Inveon headers as Markdown."""
    table = load_mapping("inveon")
    attributes = [
        [
            ", ".join(row["keyword"]),
            ", ".join(f"`{name}`" for name in row["from"]),
            row.get("transform", "text"),
            row.get("unit", ""),
            row["source"],
        ]
        for row in table["attribute"]
    ]
    meanings = [
        [f"`{key}`", "; ".join(f"{number} → {word}" for number, word in words.items())]
        for key, words in table["words"].items()
    ]
    factors = [
        [f"`{key}`", "; ".join(f"{number} → {factor:g}" for number, factor in units.items())]
        for key, units in table["units"].items()
    ]
    codes = [
        [f"{row['name']}-{row['mass']}", " ".join(row["code"][:2]), row["source"]]
        for row in table["isotope"]
    ]
    codes += [
        [row["words"][0], " ".join(row["code"][:2]), row["source"]] for row in table["compound"]
    ]
    parts = [
        INVEON_HEAD,
        "## Attributes",
        _table(["DICOM", "from", "how", "unit", "source"], attributes),
        "## Numbers with a meaning",
        _table(["key", "meaning"], meanings),
        "## Units, as factors to Bq, kg, m and Bq/mL",
        _table(["key", "factor"], factors),
        "## Radionuclides and compounds",
        _table(["name", "code", "source"], codes),
    ]
    return "\n\n".join(parts) + "\n"


@click.command()
@click.argument("vendor", type=click.Choice(["paravision", "inveon"]), default="paravision")
def main(vendor: str) -> None:
    """Print the page of one vendor's tables."""
    click.echo({"paravision": page, "inveon": inveon_page}[vendor](), nl=False)


if __name__ == "__main__":
    main()
