"""Read NRRD masks, Slicer's segmentations among them.

Format: teem.sourceforge.net/nrrd/format.html. Axes run fastest first.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError, NothingUsableError

from ..geometry import grid_of_affine
from ..headers import FAULTS
from ..model import Region, RegionSet
from .voxels import check_size, regions_of_volume

_MAGIC = b"NRRD000"
_MOST_HEADER = 1024 * 1024
_TYPES = {
    "signed char": "i1", "int8": "i1", "int8_t": "i1", "uchar": "u1", "unsigned char": "u1",
    "uint8": "u1", "uint8_t": "u1", "short": "i2", "short int": "i2", "signed short": "i2",
    "int16": "i2", "int16_t": "i2", "ushort": "u2", "unsigned short": "u2", "uint16": "u2",
    "uint16_t": "u2", "int": "i4", "signed int": "i4", "int32": "i4", "int32_t": "i4",
    "uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4", "float": "f4",
    "double": "f8",
}  # fmt: skip
# Signs that turn each space into RAS.
_SPACES = {
    "right-anterior-superior": (1.0, 1.0, 1.0), "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0), "las": (-1.0, 1.0, 1.0),
    "left-posterior-superior": (-1.0, -1.0, 1.0), "lps": (-1.0, -1.0, 1.0),
}  # fmt: skip


def is_nrrd(path: Path) -> bool:
    """Tell whether a file begins as NRRD does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_nrrd_mask(path: Path) -> RegionSet:
    """Read a mask with one or more labels, and the names Slicer gives them.

    Raises
    ------
    CorruptDataError
        For a header that contradicts itself, and data that break off.
    NothingUsableError
        For data in another file, another type or encoding, or without a place in the patient.
    """
    content = path.read_bytes()
    end, gap = min(
        ((at, len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if (at := content.find(mark)) >= 0),
        default=(-1, 0),
    )
    if end < 0 or end > _MOST_HEADER:
        raise _corrupt(path, "its header does not end")
    fields, pairs = _header(content[:end].decode("utf-8", "replace"))
    try:
        values, axes = _values(content[end + gap :], fields, path)
        affine = _affine(fields, axes, path)
    except FAULTS as error:
        raise _corrupt(path, str(error) or type(error).__name__) from error
    grid = grid_of_affine(affine, (values.shape[1], values.shape[2], values.shape[3]))
    regions: list[Region] = []
    for layer, volume in enumerate(values):
        names = _names(pairs, layer)
        regions += regions_of_volume(volume, grid, path, "NRRD", names)
    return RegionSet(path, "", tuple(regions), (path,))


def _corrupt(path: Path, why: str) -> CorruptDataError:
    return CorruptDataError(
        f"{path.name} cannot be read as NRRD ({why}).", path=path, hint="Get the file again."
    )


def _refused(path: Path, what: str, hint: str) -> NothingUsableError:
    return NothingUsableError(f"{path.name} {what}.", path=path, hint=hint)


def _header(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return fields (lower case) and key/value pairs."""
    fields: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        if line.startswith("#"):
            continue
        field, is_pair, value = line.partition(":=")
        if is_pair:
            pairs[field] = value
            continue
        field, found, value = line.partition(":")
        if found:
            fields[field.strip().lower()] = value.strip()
    return fields, pairs


def _values(data: bytes, fields: dict[str, str], path: Path) -> tuple[npt.NDArray[Any], list[int]]:
    """Return the voxels, shape (layers, slices, rows, columns), and the three axes of space."""
    if "data file" in fields or "datafile" in fields:
        raise _refused(path, "keeps its voxels in another file", "Save it as one file (.nrrd).")
    kind = _TYPES.get(fields["type"].lower())
    if kind is None:
        raise _refused(path, f"has voxels of type {fields['type'][:30]}", "Save it with integers.")
    sizes = [int(word) for word in fields["sizes"].split()]
    if len(sizes) != int(fields["dimension"]) or len(sizes) not in (3, 4):
        raise _refused(path, f"has {len(sizes)} axes", "Give a mask in 3-D.")
    check_size(tuple(sizes), path)
    directions = _vectors(fields.get("space directions", ""))
    axes = [k for k, vector in enumerate(directions) if vector is not None]
    if len(directions) != len(sizes) or len(axes) != 3:
        raise _refused(path, "does not say where its voxels lie", "Save it with space and origin.")
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    dtype = np.dtype(order + kind)
    count = int(np.prod(sizes))
    flat = np.frombuffer(_decoded(data, fields, count * dtype.itemsize, path), dtype, count)
    array = flat.reshape(sizes[::-1]).transpose()
    layers = [k for k in range(len(sizes)) if k not in axes]
    array = array.transpose([*layers, *axes[::-1]])
    return (array if layers else array[None]), axes


def _decoded(data: bytes, fields: dict[str, str], wanted: int, path: Path) -> bytes:
    """Return the bytes of the voxels, never more than announced."""
    encoding = fields["encoding"].lower()
    if int(fields.get("line skip", fields.get("lineskip", "0"))):
        raise _refused(path, "skips lines before its data", "Save it again as NRRD.")
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    if encoding == "raw":
        plain = data[-wanted:] if skip == -1 else data[max(skip, 0) :]
    elif encoding in ("gzip", "gz"):
        plain = zlib.decompressobj(wbits=31).decompress(data[max(skip, 0) :], wanted)
    elif encoding in ("bzip2", "bz2"):
        plain = bz2.BZ2Decompressor().decompress(data[max(skip, 0) :], wanted)
    else:
        raise _refused(path, f"is encoded as {encoding[:30]}", "Save it raw or with gzip.")
    if len(plain) < wanted:
        raise EOFError(f"{wanted} bytes announced, {len(plain)} there")
    return plain[:wanted]


def _vectors(text: str) -> list[tuple[float, ...] | None]:
    """Return the vectors of a field, None for an axis that is not in space."""
    found: list[tuple[float, ...] | None] = []
    for part in text.replace("none", "(none)").split(")"):
        inner = part.rpartition("(")[2].strip()
        if not inner:
            continue
        if inner == "none":
            found.append(None)
            continue
        vector = tuple(float(word) for word in inner.split(","))
        found.append(None if np.isnan(vector).all() else vector)
    return found


def _affine(fields: dict[str, str], axes: list[int], path: Path) -> npt.NDArray[np.float64]:
    """Return the matrix from (column, row, slice) to RAS mm."""
    signs = _SPACES.get(fields.get("space", "").lower())
    if signs is None:
        raise _refused(
            path,
            f'lies in the space "{fields.get("space", "")[:40]}"',
            "Save it in left-posterior-superior space.",
        )
    directions = _vectors(fields["space directions"])
    matrix = np.eye(4)
    for column, axis in enumerate(axes):
        matrix[:3, column] = directions[axis]
    origin = _vectors(fields.get("space origin", ""))
    if len(origin) != 1 or origin[0] is None or len(origin[0]) != 3:
        raise _refused(path, "does not say where it begins", "Save it with a space origin.")
    matrix[:3, 3] = origin[0]
    return np.asarray(np.diag([*signs, 1.0]) @ matrix, dtype=np.float64)


def _segments(pairs: dict[str, str]) -> Iterator[tuple[int, int, str]]:
    """Yield layer, label and name of each segment Slicer lists."""
    for number in range(len(pairs)):
        head = f"Segment{number}_"
        if head + "LabelValue" not in pairs:
            return
        label = int(pairs[head + "LabelValue"])
        yield int(pairs.get(head + "Layer", "0")), label, pairs.get(head + "Name", "").strip()


def _names(pairs: dict[str, str], layer: int) -> dict[int, str]:
    try:
        return {label: name for its, label, name in _segments(pairs) if its == layer}
    except ValueError:
        return {}
