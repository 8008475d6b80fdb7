"""Read the CEST block of an image: any creator, any block number, every layout in the wild."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from .cest import (
    CestParameters,
    make_parameters,
    repair_duration,
    repair_duty_cycle,
    repair_offset,
)
from .dictionary import Layout, PrivateDictionary, load
from .raw_element import RawElement, read_raw_element

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IMAGING_FREQUENCY = 0x00180084
TRANSMITTER_FREQUENCY = 0x00189098
REPETITION_TIME = 0x00180080
ACQUISITION_DURATION = 0x00189073


@dataclass
class _Block:
    """Values of one block before the repairs that need more than one of them."""

    creator: str = ""
    layout: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def merged_over(self, below: _Block | None) -> _Block:
        """Merge this block over another, whose values stand where this one has none."""
        if below is None:
            return self
        notes = below.notes + [note for note in self.notes if note not in below.notes]
        return _Block(self.creator, self.layout, below.values | self.values, notes)


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
    Writers since 2019 differ; what was corrected is listed in ``repairs``.
    """
    found = _find_block(ds)
    return None if found is None else _make_parameters(found, [ds], working_frequency_mhz)


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
    base = _find_block(ds)
    for item in shared:
        found = _find_block(item)
        base = base if found is None else found.merged_over(base)
    frames: list[CestParameters | None] = []
    for item in ds.get("PerFrameFunctionalGroupsSequence") or []:
        own = _find_block(item)
        merged = base if own is None else own.merged_over(base)
        frames.append(
            None
            if merged is None
            else _make_parameters(merged, [item, *shared, ds], working_frequency_mhz)
        )
    return frames


@cache
def _dictionary() -> PrivateDictionary:
    dictionary = load("cest")
    dictionary.register()
    return dictionary


def _creators(ds: Dataset, dictionary: PrivateDictionary) -> list[tuple[int, str]]:
    """Return block and creator of every reservation, this dictionary's first."""
    base = dictionary.group << 16
    rows = []
    for tag in ds.keys():  # noqa: SIM118  (iterating a Dataset would convert every element)
        if base + 0x10 <= tag <= base + 0xFF:
            raw = read_raw_element(ds, tag)
            if raw is not None and raw.text:
                rows.append((int(tag) & 0xFF, raw.text))
    return sorted(rows, key=lambda row: (row[1] != dictionary.creator, row[0]))


def _find_block(ds: Dataset) -> _Block | None:
    """Find the block in a data set, else in its private sequences."""
    dictionary = _dictionary()
    creators = _creators(ds, dictionary)
    for block, creator in creators:
        found = _decode_block(ds, block, creator, dictionary)
        if found is not None:
            return found
    for item in _private_items(ds, dictionary, dict(creators)):
        for block, creator in _creators(item, dictionary):
            found = _decode_block(item, block, creator, dictionary)
            if found is not None:
                return found
    return None


def _private_items(
    ds: Dataset, dictionary: PrivateDictionary, creators: dict[int, str]
) -> Iterator[Dataset]:
    """Yield the items of every private sequence of a data set."""
    ours = {row.element for row in dictionary.elements if row.vr == "SQ"}
    for tag in list(ds.keys()):
        if not (tag >> 16) & 1 or tag & 0xFFFF < 0x1000:
            continue
        element = ds.get_item(tag)
        vr = getattr(element, "VR", None)
        named = (
            tag >> 16 == dictionary.group
            and tag & 0xFF in ours
            and creators.get((tag >> 8) & 0xFF) == dictionary.creator
        )
        # Implicit VR gives none: only a sequence of our own is known to be one.
        if vr == "SQ" or (vr in (None, "UN") and named):
            converted = ds[tag]
            if converted.VR == "SQ":
                yield from converted.value


def _decode_block(
    ds: Dataset, block: int, creator: str, dictionary: PrivateDictionary
) -> _Block | None:
    """Read one block; None where its elements fit no layout."""
    base = dictionary.group << 16 | block << 8
    raw_elements = {
        int(tag) & 0xFF: raw
        for tag in ds.keys()  # noqa: SIM118
        if base <= tag <= base | 0xFF and (raw := read_raw_element(ds, tag)) is not None
    }
    layout = _find_layout(raw_elements, creator, dictionary)
    if layout is None:
        return None
    found = _Block(creator, layout.name)
    integral = {row.field for row in dictionary.elements if row.integral}
    for element, vr, name in layout.rows:
        raw = raw_elements.get(element)
        if raw is None:
            continue
        tag = f"({dictionary.group:04X},{block:02X}{element:02X})"
        value, note = raw.convert(vr, integral=name in integral, label=tag)
        if note:
            found.notes.append(note)
        if value is not None:
            found.values[name] = value
    if "is_reference" in found.values:
        found.values["is_reference"] = found.values["is_reference"] == "YES"
    return found if found.values else None


def _find_layout(
    raw_elements: dict[int, RawElement], creator: str, dictionary: PrivateDictionary
) -> Layout | None:
    """Tell the layout by creator and VRs; None for somebody else's elements."""

    def any_number(*elements: int) -> bool:
        return any(
            element in raw_elements and raw_elements[element].is_number for element in elements
        )

    if creator == dictionary.creator:
        return dictionary.layouts[-1]
    if 0x01 not in raw_elements or raw_elements[0x01].is_number:
        return None
    if any_number(0x03):
        return dictionary.layout("2019-11") if any_number(0x09, 0x10, 0x11) else None
    if not (any_number(0x04) and any_number(0x13, 0x14, 0x15)):
        return None
    mechanism = raw_elements[0x02].text.strip("<> ").upper() if 0x02 in raw_elements else ""
    return dictionary.layout("2021-01" if mechanism in dictionary.words else "2020-04")


def _standard_number(datasets: list[Dataset], tag: int) -> float | None:
    """Return a standard numeric attribute from the first data set that has it."""
    for ds in datasets:
        raw = read_raw_element(ds, tag)
        value = None if raw is None else raw.number()
        if value is not None:
            return value
    return None


def _frequency(datasets: list[Dataset]) -> float | None:
    """Return the working frequency of the standard attributes, MHz."""
    modifiers = [item for ds in datasets for item in ds.get("MRImagingModifierSequence") or []]
    return _standard_number(datasets, IMAGING_FREQUENCY) or _standard_number(
        [*modifiers, *datasets], TRANSMITTER_FREQUENCY
    )


def _make_parameters(
    found: _Block, datasets: list[Dataset], working_frequency_mhz: float | None
) -> CestParameters:
    """Apply the repairs that need several values, and freeze."""
    values = dict(found.values)
    if values.get("working_frequency_mhz") is None:
        values["working_frequency_mhz"] = _frequency(datasets) or working_frequency_mhz
    duration = _standard_number(datasets, ACQUISITION_DURATION)
    notes = [*found.notes, repair_offset(values)]
    if found.creator == _dictionary().creator:
        values["acquisition_duration_s"] = duration
    else:
        repetition_time_ms = _standard_number(datasets, REPETITION_TIME)
        notes.append(repair_duty_cycle(values))
        notes.append(
            repair_duration(values, duration=duration, repetition_time_ms=repetition_time_ms)
        )
    repairs = tuple(note for note in notes if note)
    return make_parameters(values, creator=found.creator, layout=found.layout, repairs=repairs)
