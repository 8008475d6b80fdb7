"""Read DICOM Segmentations: binary, fractional and label map, frames in any order.

Frames are placed by their positions in the patient, never by the images they name: the viewer's
writer may name an object that existed only in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from private_dictionaries.decoders import decode_dataset
from xnat_pic.errors import NothingUsableError

from ...images import stacks
from ...images.tolerances import PARALLEL, SAME_PLACE
from ..geometry import nearest_slice
from ..headers import FAULTS, FramePlace, places_of, read_dataset, unreadable
from ..model import DrawnMask, ImageGrid, Region, RegionSet
from ..overlap import crop
from ..volume import lines, stack

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"})
_TYPES = frozenset({"BINARY", "FRACTIONAL", "LABELMAP"})
_WHITE_D50 = np.array([0.96422, 1.0, 0.82521])
_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def read_seg(path: Path, image: ImageGrid) -> RegionSet:
    """Read a segmentation.

    Parameters
    ----------
    path : Path
        The file.
    image : ImageGrid
        The image it belongs to; only the thickness of its slices is taken from it.

    Returns
    -------
    RegionSet
        One region for each segment, overlapping ones too; a background segment is left out.

    Raises
    ------
    CorruptDataError
        For a file that breaks off or does not hold the frames it announces.
    NothingUsableError
        For a type of segmentation that does not exist in the standard.
    """
    ds = read_dataset(path, fuss="segmentation")
    try:
        kind = str(ds.get("SegmentationType") or "").upper()
    except FAULTS as error:
        raise unreadable(path, "segmentation", error) from error
    if kind not in _TYPES:
        raise NothingUsableError(
            f'{path.name} is a segmentation of type "{kind}", which is not known.',
            path=path,
            hint="Export it as a binary, fractional or label map segmentation.",
        )
    try:
        return RegionSet(
            path=path,
            name=str(ds.get("SeriesDescription") or "").strip(),
            regions=tuple(_regions(ds, kind, path, image)),
            files=(path,),
            series_uids=references(ds),
            software=tuple(
                str(ds.get(word) or "")
                for word in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")
            ),
        )
    except FAULTS as error:
        raise unreadable(path, "segmentation", error) from error


def references(ds: Dataset) -> frozenset[str]:
    """Return the Series Instance UIDs a segmentation names."""
    series = ds.get("ReferencedSeriesSequence") or []
    return frozenset({str(one.get("SeriesInstanceUID") or "") for one in series} - {""})


def _pixels(ds: Dataset) -> npt.NDArray[Any]:
    """Return the stored values, shape (n_frames, rows, columns)."""
    frames = int(ds.get("NumberOfFrames") or 1)
    shape = (frames, int(ds.Rows), int(ds.Columns))
    count = frames * shape[1] * shape[2]
    bits = int(ds.BitsAllocated)
    if str(ds.file_meta.get("TransferSyntaxUID", "")) not in _NATIVE:
        return np.asarray(decode_dataset(ds)).reshape(shape)
    data = np.frombuffer(ds.PixelData, dtype=np.uint8)
    if data.size * 8 < count * bits:
        raise ValueError(f"{count * bits // 8} bytes of pixels announced, {data.size} there")
    if bits == 1:
        # Bits run on from frame to frame, least significant first (DICOM PS3.5 8.1.1).
        return np.unpackbits(data, count=count, bitorder="little").reshape(shape)
    return data[: count * bits // 8].view(f"<u{bits // 8}").reshape(shape)


def _segment_of(place: FramePlace) -> int:
    for group in place.groups:
        items = group.get("SegmentIdentificationSequence")
        if items:
            return int(items[0].ReferencedSegmentNumber)
    return 0


def _regions(ds: Dataset, kind: str, path: Path, image: ImageGrid) -> Iterator[Region]:
    pixels = _pixels(ds)
    found = places_of(ds)
    if len(found) != len(pixels):
        raise ValueError(f"{len(pixels)} frames, but positions of {len(found)}")
    places = [place for place in found if place is not None]
    lost = {"frames without a position": len(found) - len(places)} if None in found else {}
    top = float(ds.get("MaximumFractionalValue") or 1) if kind == "FRACTIONAL" else 1.0
    listed = {int(one.SegmentNumber): one for one in ds.get("SegmentSequence") or []}
    if kind == "LABELMAP":
        padding = ds.get("PixelPaddingValue")
        present = set(np.unique(pixels).tolist()) - {0, None if padding is None else int(padding)}
        numbers = sorted((set(listed) | present) - {0})
    else:
        segments = {place.index: _segment_of(place) for place in places}
        numbers = sorted(set(listed) | set(segments.values()))
    for number in numbers:
        if kind == "LABELMAP":
            own = [place for place in places if (pixels[place.index] == number).any()]
            planes: list[npt.NDArray[Any]] = [pixels[place.index] == number for place in own]
        else:
            own = [place for place in places if segments[place.index] == number]
            planes = [pixels[place.index] for place in own]
        mask, aside = _mask(own, planes, top, image)
        region = _region(ds, number, listed.get(number), path)
        lost_frames = {**lost, **{what: count for what, count in aside.items() if count}}
        remarks = (_fraction_remark(ds),) if kind == "FRACTIONAL" else ()
        yield replace(region, mask=mask, lost=lost_frames, warnings=(*region.warnings, *remarks))


def _fraction_remark(ds: Dataset) -> str:
    meaning = str(ds.get("SegmentationFractionalType") or "unstated").lower()
    return f"It is fractional ({meaning}); what is at least one half counts as inside."


def _mask(
    places: list[FramePlace], planes: list[npt.NDArray[Any]], top: float, image: ImageGrid
) -> tuple[DrawnMask | None, dict[str, int]]:
    """Return the frames of a segment on their own grid, and how many do not lie on it, by why."""
    if not places:
        return None, {}
    first = places[0].orientation
    alike = np.array([stacks.are_parallel(place.orientation, first) for place in places])
    kept = [(p, v) for p, v, one in zip(places, planes, alike, strict=True) if one]
    # Of packs side by side that which most of the segment lies in.
    line = max(lines([place for place, _ in kept]), key=len)
    lost = {
        "frames turned another way": int(np.count_nonzero(~alike)),
        "frames of another pack of slices": len(kept) - len(line),
    }
    kept = [kept[k] for k in line]
    grid, index = stack([place for place, _ in kept], planes[0].shape)
    share = np.zeros(grid.shape, dtype=np.float32)
    for (_, values), k in zip(kept, index, strict=True):
        np.maximum(share[k], values / np.float32(top), out=share[k])
    box, small = crop(share, replace(grid, step_mm=_step(grid, places[0], image), notes=()))
    return DrawnMask(small, box), lost


def _step(grid: ImageGrid, place: FramePlace, image: ImageGrid) -> float:
    """Return the thickness of a slice: that of the image where the frames lie on its planes.

    Only slices that hold the segment have frames, so that their distances say little.
    """
    off = [nearest_slice(image, position[None])[1] for position in grid.positions]
    across = bool(np.linalg.norm(np.cross(grid.normal, image.normal)) <= PARALLEL)
    if across and max(off) <= SAME_PLACE * image.step_mm:
        return image.step_mm
    gaps = np.diff(grid.depths)
    known = [value for value in (place.thickness_mm, gaps.min() if gaps.size else 0) if value > 0]
    return float(min(known)) if known else 1.0


def _region(ds: Dataset, number: int, segment: Dataset | None, path: Path) -> Region:
    label = str(segment.get("SegmentLabel") or "").strip() if segment is not None else ""
    return Region(
        number=number,
        name=label or f"Segment {number}",
        uid=f"{ds.get('SOPInstanceUID', '')}#{number}",
        source="SEG",
        path=path,
        colour=_colour(segment),
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID") or ""),
        warnings=() if segment is not None else ("The file does not describe this segment.",),
    )


def _colour(segment: Dataset | None) -> tuple[int, int, int] | None:
    value = segment.get("RecommendedDisplayCIELabValue") if segment is not None else None
    if value is None or isinstance(value, str | int) or len(value) != 3:
        return None
    return rgb_of_cielab((int(value[0]), int(value[1]), int(value[2])))


def rgb_of_cielab(stored: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return 8-bit sRGB of a Recommended Display CIELab Value.

    L* = 100 v / 65535, a* and b* = 255 v / 65535 - 128 (DICOM PS3.3 C.10.7.1.1); CIELab of white
    point D50 to XYZ (CIE 15:2004, doi:10.25039/TR.015.2018), to linear sRGB by the Bradford
    matrix of that white point, and its transfer curve (IEC 61966-2-1).
    """
    lightness = stored[0] / 65535 * 100
    a, b = (value / 65535 * 255 - 128 for value in stored[1:])
    y = (lightness + 16) / 116
    curve = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(curve > 6 / 29, curve**3, 3 * (6 / 29) ** 2 * (curve - 4 / 29)) * _WHITE_D50
    linear = np.clip(_TO_SRGB @ xyz, 0, 1)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
    red, green, blue = (int(v) for v in np.rint(encoded * 255))
    return red, green, blue
