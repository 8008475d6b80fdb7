"""Read the CEST block of an image: any creator, any block number, every layout in the wild."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from .cells import Cell, read_cell
from .cest import (
    CestParameters,
    make_parameters,
    repair_duration,
    repair_duty_cycle,
    repair_offset,
)
from .dictionary import Layout, PrivateDictionary, load

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IMAGING_FREQUENCY = 0x00180084
TRANSMITTER_FREQUENCY = 0x00189098
REPETITION_TIME = 0x00180080
ACQUISITION_DURATION = 0x00189073


@dataclass
class _Found:
    """Values of one block before the repairs that need more than one of them."""

    creator: str = ""
    layout: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def over(self, below: _Found | None) -> _Found:
        """Lay this block over another; what it does not say is taken from there."""
        if below is None:
            return self
        notes = below.notes + [note for note in self.notes if note not in below.notes]
        return _Found(self.creator, self.layout, below.values | self.values, notes)


def read_block(ds: Dataset, *, working_frequency_mhz: float | None = None) -> CestParameters | None:
    """Read the CEST attributes of a data set or of a functional-group item.

    Parameters
    ----------
    ds : pydicom.Dataset
        A whole classic image, or one item of a (Shared or Per-Frame) Functional Groups Sequence,
        in which the block may stand directly or in a private sequence. Not changed.
    working_frequency_mhz : float, optional
        f0, taken where neither the block nor the data set says it.

    Returns
    -------
    CestParameters or None
        None where no block is found. A creator other than this package's is accepted where the
        VRs of the elements fit one of the layouts.

    Notes
    -----
    Writers since 2019 differ; what was put right is listed in ``repairs``.
    """
    found = _find(ds)
    return None if found is None else _finish(found, [ds], working_frequency_mhz)


def read_frames(
    ds: Dataset, *, working_frequency_mhz: float | None = None
) -> list[CestParameters | None]:
    """Read the CEST attributes of every frame of an Enhanced MR image.

    Parameters
    ----------
    ds : pydicom.Dataset
        With a Per-Frame Functional Groups Sequence. Not changed.
    working_frequency_mhz : float, optional
        As in `read_block`.

    Returns
    -------
    list of CestParameters or None
        One per frame, empty without functional groups. What a frame does not say is taken from
        the shared functional groups, then from the data set itself.
    """
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])
    base = _find(ds)
    for item in shared:
        found = _find(item)
        base = base if found is None else found.over(base)
    frames: list[CestParameters | None] = []
    for item in ds.get("PerFrameFunctionalGroupsSequence") or []:
        own = _find(item)
        merged = base if own is None else own.over(base)
        frames.append(
            None if merged is None else _finish(merged, [item, *shared, ds], working_frequency_mhz)
        )
    return frames


@cache
def _dictionary() -> PrivateDictionary:
    book = load("cest")
    book.register()
    return book


def _creators(ds: Dataset, book: PrivateDictionary) -> list[tuple[int, str]]:
    """Return block and creator of every reservation, this dictionary's first."""
    base = book.group << 16
    rows = []
    for tag in ds.keys():  # noqa: SIM118  (iterating a Dataset would convert every element)
        if base + 0x10 <= tag <= base + 0xFF:
            cell = read_cell(ds, tag)
            if cell is not None and cell.text:
                rows.append((int(tag) & 0xFF, cell.text))
    return sorted(rows, key=lambda row: (row[1] != book.creator, row[0]))


def _find(ds: Dataset) -> _Found | None:
    """Find the block in a data set, else in its private sequences."""
    book = _dictionary()
    creators = _creators(ds, book)
    for block, creator in creators:
        found = _read(ds, block, creator, book)
        if found is not None:
            return found
    for item in _private_items(ds, book, dict(creators)):
        for block, creator in _creators(item, book):
            found = _read(item, block, creator, book)
            if found is not None:
                return found
    return None


def _private_items(
    ds: Dataset, book: PrivateDictionary, creators: dict[int, str]
) -> Iterator[Dataset]:
    """Yield the items of every private sequence of a data set."""
    ours = {row.element for row in book.elements if row.vr == "SQ"}
    for tag in list(ds.keys()):
        if not (tag >> 16) & 1 or tag & 0xFFFF < 0x1000:
            continue
        element = ds.get_item(tag)
        vr = getattr(element, "VR", None)
        named = (
            tag >> 16 == book.group
            and tag & 0xFF in ours
            and creators.get((tag >> 8) & 0xFF) == book.creator
        )
        # Implicit VR gives none: only a sequence of our own is known to be one.
        if vr == "SQ" or (vr in (None, "UN") and named):
            converted = ds[tag]
            if converted.VR == "SQ":
                yield from converted.value


def _read(ds: Dataset, block: int, creator: str, book: PrivateDictionary) -> _Found | None:
    """Read one block; None where its elements fit no layout."""
    base = book.group << 16 | block << 8
    cells = {
        int(tag) & 0xFF: cell
        for tag in ds.keys()  # noqa: SIM118
        if base <= tag <= base | 0xFF and (cell := read_cell(ds, tag)) is not None
    }
    layout = _layout(cells, creator, book)
    if layout is None:
        return None
    found = _Found(creator, layout.name)
    integral = {row.field for row in book.elements if row.integral}
    for element, vr, name in layout.rows:
        cell = cells.get(element)
        if cell is None:
            continue
        tag = f"({book.group:04X},{block:02X}{element:02X})"
        value, note = cell.convert(vr, integral=name in integral, label=tag)
        if note:
            found.notes.append(note)
        if value is not None:
            found.values[name] = value
    if "is_reference" in found.values:
        found.values["is_reference"] = found.values["is_reference"] == "YES"
    return found if found.values else None


def _layout(cells: dict[int, Cell], creator: str, book: PrivateDictionary) -> Layout | None:
    """Tell the layout by creator and VRs; None for somebody else's elements."""

    def any_number(*elements: int) -> bool:
        return any(element in cells and cells[element].is_number for element in elements)

    if creator == book.creator:
        return book.layouts[-1]
    if 0x01 not in cells or cells[0x01].is_number:
        return None
    if any_number(0x03):
        return book.layout("2019-11") if any_number(0x09, 0x10, 0x11) else None
    if not (any_number(0x04) and any_number(0x13, 0x14, 0x15)):
        return None
    mechanism = cells[0x02].text.strip("<> ").upper() if 0x02 in cells else ""
    return book.layout("2021-01" if mechanism in book.words else "2020-04")


def _number(places: list[Dataset], tag: int) -> float | None:
    """Return a standard numeric attribute from the first data set that has it."""
    for ds in places:
        cell = read_cell(ds, tag)
        value = None if cell is None else cell.number()
        if value is not None:
            return value
    return None


def _frequency(places: list[Dataset]) -> float | None:
    """Return the working frequency of the standard attributes, MHz."""
    modifiers = [item for ds in places for item in ds.get("MRImagingModifierSequence") or []]
    return _number(places, IMAGING_FREQUENCY) or _number(
        [*modifiers, *places], TRANSMITTER_FREQUENCY
    )


def _finish(
    found: _Found, places: list[Dataset], working_frequency_mhz: float | None
) -> CestParameters:
    """Apply the repairs that need several values, and freeze."""
    values = dict(found.values)
    if values.get("working_frequency_mhz") is None:
        values["working_frequency_mhz"] = _frequency(places) or working_frequency_mhz
    duration = _number(places, ACQUISITION_DURATION)
    notes = [*found.notes, repair_offset(values)]
    if found.creator == _dictionary().creator:
        values["acquisition_duration_s"] = duration
    else:
        repetition_time_ms = _number(places, REPETITION_TIME)
        notes.append(repair_duty_cycle(values))
        notes.append(
            repair_duration(values, duration=duration, repetition_time_ms=repetition_time_ms)
        )
    repairs = tuple(note for note in notes if note)
    return make_parameters(values, creator=found.creator, layout=found.layout, repairs=repairs)
