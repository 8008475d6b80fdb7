"""A private dictionary in the forms other tools read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict

from .dictionary import FIRST_BLOCK, PrivateDictionary, PrivateElement


def to_dcmtk(dictionary: PrivateDictionary) -> str:
    """Return the dictionary in the syntax of DCMTK's data dictionary files.

    Parameters
    ----------
    dictionary : PrivateDictionary

    Returns
    -------
    str
        ASCII; one line per element, its fields separated by one tab. Name the file in
        ``DCMDICTPATH`` beside DCMTK's own.
    """
    lines = [
        f"# {dictionary.title}: private creator {dictionary.creator}",
        "# Tag\tVR\tName\tVM\tVersion",
    ]
    lines += [
        f'({dictionary.group:04x},"{dictionary.creator}",{row.element:02x})'
        f"\t{row.vr}\t{row.keyword}\t{row.vm}\tPrivateTag"
        for row in dictionary.elements
    ]
    return "\n".join(lines) + "\n"


def to_json(dictionary: PrivateDictionary) -> str:
    """Return the dictionary as JSON.

    Parameters
    ----------
    dictionary : PrivateDictionary

    Returns
    -------
    str
        An object with ``name``, ``group``, ``creator``, ``elements`` and ``layouts``; group and
        elements are hexadecimal texts.
    """
    content = {
        "name": dictionary.name,
        "title": dictionary.title,
        "group": f"{dictionary.group:04X}",
        "creator": dictionary.creator,
        "source": dictionary.source,
        "elements": [
            asdict(row) | {"element": f"{row.element:02X}"} for row in dictionary.elements
        ],
        "layouts": [
            {
                "name": layout.name,
                "period": layout.period,
                "sign": layout.sign,
                "source": layout.source,
                "rows": [[f"{element:02X}", vr, field] for element, vr, field in layout.rows],
            }
            for layout in dictionary.layouts
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=True) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") or "-" for cell in cells) + " |"

    columns = list(head)
    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _tag(dictionary: PrivateDictionary, element: int) -> str:
    return f"({dictionary.group:04X},xx{element:02X})"


def _elements_table(dictionary: PrivateDictionary) -> str:
    def unit(row: PrivateElement) -> str:
        return row.unit or ", ".join(row.values)

    return _table(
        ("Tag", "Keyword", "VR", "VM", "Unit or values", "Level", "Definition", "Read as"),
        (
            (
                _tag(dictionary, row.element),
                _code(row.keyword),
                row.vr,
                row.vm,
                unit(row),
                row.level,
                row.definition,
                _code(row.field),
            )
            for row in dictionary.elements
        ),
    )


def _layout_section(dictionary: PrivateDictionary) -> str:
    parts = []
    for layout in dictionary.layouts[:-1]:
        current = {element: name for element, _, name in dictionary.layouts[-1].rows}
        rows = [row for row in layout.rows if current.get(row[0]) != row[2]]
        parts.append(
            f"### Layout {layout.name}\n\n"
            f"{layout.period}. Told by: {layout.sign}. Source: {layout.source}. "
            "Elements that differ from the table above:\n\n"
            + _table(
                ("Tag", "VR", "Read as"),
                ((_tag(dictionary, element), vr, _code(name)) for element, vr, name in rows),
            )
        )
    return "\n\n".join(parts)


def _tools_table(dictionary: PrivateDictionary) -> str:
    export = f"python -m private_dictionaries export {dictionary.name}"
    return _table(
        ("Tool", "How"),
        (
            (
                "pydicom",
                f'`private_dictionaries.register("{dictionary.name}")` before reading: names are '
                "printed, and files in implicit VR are decoded",
            ),
            (
                "DCMTK",
                f"`{export} --format dcmtk --output {dictionary.name}.dic`, then name that file in "
                "`DCMDICTPATH` after DCMTK's own `dicom.dic`",
            ),
            ("anything else", f"`{export} --format json`"),
        ),
    )


def to_markdown(dictionary: PrivateDictionary) -> str:
    """Return the dictionary as a page of documentation.

    Parameters
    ----------
    dictionary : PrivateDictionary

    Returns
    -------
    str
        Markdown with one table each for the attributes, where their values come from, and the
        layouts of earlier files.
    """
    group, creator = f"{dictionary.group:04X}", dictionary.creator
    first, data = f"{group},00{FIRST_BLOCK:02X}", f"{group},{FIRST_BLOCK:02X}00"
    sources = _table(
        ("Keyword", "ParaVision 360", "ParaVision 6 and 7", "ParaVision 5"),
        ((_code(e.keyword), e.pv360, e.pv6, e.pv5) for e in dictionary.elements if e.field),
    )
    origins = _table(
        ("Keyword", "Formula", "Source"),
        ((_code(row.keyword), row.formula, row.source) for row in dictionary.elements),
    )
    return f"""# {dictionary.title}

<!-- Generated: python -m private_dictionaries export {dictionary.name} --format markdown -->

Private creator `{creator}`, group {group}. The creator stands in ({first}) and
reserves the elements from ({data}) on; it may stand in another block, and then `xx` below is that
block's number. Element numbers are hexadecimal. A reader finds the creator first, then the
elements.

Level: `ser` is constant in the series, `img` differs per image. An attribute whose value is not
known is absent. Source of the whole: {dictionary.source}.

## Attributes

{_elements_table(dictionary)}

## Where the values come from

Parameters marked † belong to laboratories' own sequences. tp is the length of one pulse, td the
gap between two, N their number, tp2 the second pulse, n the readouts per saturation, Tsat the
saturation length, TR the repetition time, RT the readout time, f0 the working frequency.

{sources}

{origins}

## Files of other writers

Any creator is accepted where the VRs of the elements fit one of these layouts. An offset in ppm
that was multiplied by f0, a duty cycle given as a fraction, decimal strings of more than 16
characters, angle brackets around names and an Acquisition Duration in milliseconds are put right
on reading, and each repair is reported.

{_layout_section(dictionary)}

## Other tools

{_tools_table(dictionary)}
"""


FORMATS: dict[str, Callable[[PrivateDictionary], str]] = {
    "dcmtk": to_dcmtk,
    "json": to_json,
    "markdown": to_markdown,
}
