"""Look values up in a data set or in the functional groups of a frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xnat_pic.tables import load_table

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_B_PARTS = ("XX", "XY", "XZ", "YY", "YZ", "ZZ")


def table() -> dict[str, Any]:
    """Return ``attributes.toml``."""
    return load_table("pipelines.inputs", "attributes.toml")


def wanted_tags() -> list[int | str]:
    """Return every top-level element that `frame_value` may read."""
    rows = [*table()["value"], *table()["vector"]]
    tags: list[int | str] = [
        path.split("/")[0].split(":")[0] for row in rows for path in row["paths"]
    ]
    for row in table()["private"]:
        tags += [row["group"] << 16 | 0x10, row["group"] << 16 | 0x1000 | row["element"]]
    return tags


def _walk(place: Dataset, path: str) -> Any:
    """Follow sequences to a value; None where a step is missing."""
    *sequences, last = path.split("/")
    for keyword in sequences:
        items = place.get(keyword)
        if not items:
            return None
        place = items[0]
    if ":" not in last:
        return place.get(last)
    stem = last.partition(":")[0].removesuffix("XX")
    parts = [place.get(stem + part) for part in _B_PARTS]
    return None if any(part is None for part in parts) else parts


def _numbers(value: Any) -> list[float]:
    """Return the numbers of a value, none where it holds something else."""
    if value is None or value == "":
        return []
    items = (
        [value] if isinstance(value, str | int | float) or not hasattr(value, "__len__") else value
    )
    try:
        return [float(item) for item in items]
    except (TypeError, ValueError):
        return []


def _found(places: list[Dataset], name: str, kind: str) -> Iterator[tuple[list[float], str]]:
    """Yield what the standard attributes, then the vendors' own say."""
    for row in table()[kind]:
        if row["name"] == name:
            for path in row["paths"]:
                for place in places:
                    numbers = _numbers(_walk(place, path))
                    if numbers:
                        yield numbers, path.split("/")[-1].partition(":")[0]
    for row in table()["private"]:
        if row["name"] == name and "words" not in row:
            numbers = _numbers(_private(places[-1], row))
            if numbers:
                modulo = row.get("modulo")
                head = [numbers[0] % modulo] if modulo else numbers
                yield head, f"({row['group']:04X},{row['creator']},{row['element']:02X})"


def _private(ds: Dataset, row: dict[str, Any]) -> Any:
    if ds.get(row["group"] << 16 | 0x10) is None:
        return None
    try:
        element = ds.private_block(row["group"], row["creator"])[row["element"]]
    except KeyError:
        return None
    value = element.value
    if isinstance(value, bytes):
        return value.decode("ascii", "replace").strip("\0 ").split("\\")
    return value


def frame_value(places: list[Dataset], name: str) -> tuple[float, str] | None:
    """Return a number of a frame and the attribute it stands in, or None.

    Parameters
    ----------
    places : list of pydicom.Dataset
        The frame's functional groups, the shared ones, the data set; the last is the data set.
    name : str
        A ``value`` of the table.
    """
    for numbers, where in _found(places, name, "value"):
        return numbers[0], where
    return None


def frame_vector(places: list[Dataset], name: str) -> tuple[float, ...] | None:
    """Return the numbers of a ``vector`` of the table, or None where they are not all there."""
    length = next(row["length"] for row in table()["vector"] if row["name"] == name)
    for numbers, _ in _found(places, name, "vector"):
        if len(numbers) == length:
            return tuple(numbers)
    return None


def component(places: list[Dataset]) -> str:
    """Return M, P, R or I; magnitude where nothing says otherwise."""
    spellings_of = table()["components"]
    for row in table()["private"]:
        if "words" in row:
            code = _numbers(_private(places[-1], row))
            if code and 0 <= int(code[0]) < len(row["words"]):
                return str(row["words"][int(code[0])])
    components: list[str] = []
    for place in places:
        for item in place.get("MRImageFrameTypeSequence") or []:
            components += [str(item.get("ComplexImageComponent", ""))]
        components += [str(place.get("ComplexImageComponent", ""))]
        components += [str(word) for word in list(place.get("ImageType") or [])[2:]]
    for word in components:
        for name, spellings in spellings_of.items():
            if word.upper() in spellings:
                return str(name)
    return "M"
