"""A private dictionary as frozen values, loaded from its TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any

from xnat_pic.tables import load_table, typed_rows

FIRST_BLOCK = 0x10


@dataclass(frozen=True, slots=True)
class PrivateElement:
    """One private attribute.

    Parameters
    ----------
    element : int
        Low byte of the element number; the high byte is the block's.
    keyword, name : str
        Identifier, and the name shown to people.
    vr, vm : str
        Value representation and multiplicity.
    definition, source : str
        Meaning, and where the fact is from.
    field : str
        Name of the value when read, with its unit; empty for a sequence.
    unit : str
        Empty for text.
    level : str
        ``ser`` constant in the series, ``img`` differs per image, ``ser/img`` either.
    pv360, pv6, pv5 : str
        ParaVision parameters the value comes from.
    formula : str
        Empty unless the value is computed.
    values : tuple of str
        The values allowed; empty where any is.
    integral : bool
        A decimal string that holds a whole number.
    """

    element: int
    keyword: str
    name: str
    vr: str
    vm: str
    definition: str
    source: str
    field: str = ""
    unit: str = ""
    level: str = "ser"
    pv360: str = ""
    pv6: str = ""
    pv5: str = ""
    formula: str = ""
    values: tuple[str, ...] = ()
    integral: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Meaning of the elements in files of one period.

    Parameters
    ----------
    name, period, sign, source : str
        Identifier, period, how to tell it, where the fact is from.
    rows : tuple of (int, str, str)
        Low byte of the element, VR, field.
    """

    name: str
    period: str
    sign: str
    source: str
    rows: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class PrivateDictionary:
    """All attributes of one private creator.

    Parameters
    ----------
    name, title, source : str
        Identifier, heading, where the facts are from.
    group : int
        Odd group number.
    creator : str
        Private creator written in files.
    elements : tuple of PrivateElement
        In tag order.
    layouts : tuple of Layout
        Oldest first; the last is this dictionary's own.
    words : frozenset of str
        Values in upper case that tell one layout from another.
    """

    name: str
    title: str
    source: str
    group: int
    creator: str
    elements: tuple[PrivateElement, ...]
    layouts: tuple[Layout, ...] = ()
    words: frozenset[str] = frozenset()

    @cached_property
    def by_keyword(self) -> Mapping[str, PrivateElement]:
        """The elements by keyword."""
        return {element.keyword: element for element in self.elements}

    @cached_property
    def by_element(self) -> Mapping[int, PrivateElement]:
        """The elements by the low byte of their number."""
        return {element.element: element for element in self.elements}

    def layout(self, name: str) -> Layout:
        """Return the layout of that name.

        Parameters
        ----------
        name : str

        Returns
        -------
        Layout
        """
        for layout in self.layouts:
            if layout.name == name:
                return layout
        raise KeyError(f"No layout {name!r}; there are {[row.name for row in self.layouts]}.")

    def tag(self, keyword: str, block: int = FIRST_BLOCK) -> int:
        """Return the full tag of an attribute.

        Parameters
        ----------
        keyword : str
        block : int
            The block the private creator reserves, 0x10 to 0xFF.

        Returns
        -------
        int
            0xGGGGBBEE.
        """
        return self.group << 16 | block << 8 | self.by_keyword[keyword].element

    def register(self) -> None:
        """Tell pydicom the names and VRs, for printing and for implicit VR. Harmless twice."""
        from pydicom.datadict import add_private_dict_entries

        add_private_dict_entries(
            self.creator,
            {self.tag(row.keyword): (row.vr, row.vm, row.name, "") for row in self.elements},
        )


def _layouts(
    rows: list[dict[str, Any]], elements: tuple[PrivateElement, ...]
) -> tuple[Layout, ...]:
    current = {row.element: (row.element, row.vr, row.field) for row in elements if row.field}
    layouts = []
    for row in rows:
        changed = {element: (element, vr, field) for element, vr, field in row["rows"]}
        merged = changed if row["complete"] else current | changed
        layouts.append(
            Layout(row["name"], row["period"], row["sign"], row["source"], tuple(merged.values()))
        )
    return tuple(layouts)


@cache
def load(name: str = "cest") -> PrivateDictionary:
    """Load a dictionary that ships with this package.

    Parameters
    ----------
    name : str
        Name of the TOML file without its suffix.

    Returns
    -------
    PrivateDictionary

    Raises
    ------
    ValueError
        No such dictionary.
    """
    folder = resources.files(__package__)
    known = sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in known:
        raise ValueError(f"There is no private dictionary {name!r}; choose one of {known}.")
    table = load_table(__package__, f"{name}.toml")
    elements = typed_rows(table["element"], PrivateElement, f"{name}.toml [[element]]")
    return PrivateDictionary(
        name=table["name"],
        title=table["title"],
        source=table["source"],
        group=table["group"],
        creator=table["creator"],
        elements=elements,
        layouts=_layouts(table.get("layout", []), elements),
        words=frozenset(table.get("transfer_mechanisms", {}).get("words", ())),
    )


def register(name: str = "cest") -> None:
    """Tell pydicom the names and VRs of a dictionary, for printing and for implicit VR.

    Parameters
    ----------
    name : str
        As in `load`.
    """
    load(name).register()
