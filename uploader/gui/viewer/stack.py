"""A series as the viewer wants it: planes by slice and step, and their headers. Imports no Qt."""

import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from mri2dicom import Overrides, RawSeries, encode_series
from private_dictionaries import register
from private_dictionaries.decoders import find_decoder
from xnat_pic.text import printable

from .steps import StackSteps, find_steps, raw_steps, rules, saturation_offsets

Plane = npt.NDArray[np.float32]
HeaderRow = tuple[str, str, str]

_LONGEST_VALUE = 300
_MOST_ROWS = 4000


_SIDE = 96  # of a thumbnail


@dataclass
class Stack:
    """A series to look at.

    Attributes
    ----------
    planes : list of list of int
        Plane number by step and slice.
    steps : StackSteps
        What the steps are: echoes, offsets, times.
    spacing_mm : tuple of float
        Between rows, and between columns.
    axes : list of ndarray of float, shape (2, 3)
        For each plane the directions (patient LPS) of increasing column and of increasing row.
    read : callable
        Plane number to values, shape (rows, columns).
    header : callable
        Plane number to rows of tag, name and value.
    """

    title: str
    planes: list[list[int]]
    steps: StackSteps
    spacing_mm: tuple[float, float]
    axes: list[npt.NDArray[np.float64]]
    read: Callable[[int], Plane]
    header: Callable[[int], list[HeaderRow]]


def raw_stack(series: RawSeries, title: str) -> Stack:
    """Return a scanner's series as the viewer wants it."""
    planes = _arranged(series.position_mm, series.orientation[:, 2])

    def read(plane: int) -> Plane:
        stored = series.pixels.read_planes(plane, plane + 1)[0]
        return np.asarray(stored * series.slope[plane] + series.offset[plane], dtype=np.float32)

    def header(plane: int) -> list[HeaderRow]:
        files = encode_series(series, Overrides(), enhanced=False)
        number = min(plane, len(files.names) - 1)
        ((_, parts),) = files.files(number, number + 1)
        whole = io.BytesIO(b"".join(parts))
        return header_rows(pydicom.dcmread(whole, stop_before_pixels=True))

    axes = [series.orientation[k, :2] for k in range(series.plane_count)]
    steps = raw_steps(series, [step[0] for step in planes])
    return Stack(title, planes, steps, series.spacing_mm, axes, read, header)


def dicom_stack(folder: Path, title: str) -> Stack:
    """Return a converted series, one folder of DICOM files, as the viewer wants it.

    Raises
    ------
    FileNotFoundError
        If the folder holds no DICOM file.
    """
    frames: list[tuple[Path, int]] = []
    values: list[dict[str, Any]] = []
    syntaxes: dict[Path, str] = {}
    for path in sorted(folder.glob("*.dcm")):
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        syntaxes[path] = ds.file_meta.get("TransferSyntaxUID", "")
        count = int(ds.get("NumberOfFrames") or 1)
        for number, offsets in enumerate(saturation_offsets(ds, count)):
            frames.append((path, number))
            values.append(_frame_values(ds, number) | offsets)
    if not frames:
        raise FileNotFoundError(2, "no DICOM file", str(folder))
    axes = [np.array(v["ImageOrientationPatient"], dtype=float).reshape(2, 3) for v in values]
    normals = np.array([np.cross(a[0], a[1]) for a in axes])
    positions = np.array([v["ImagePositionPatient"] for v in values], dtype=float)
    planes = _arranged(positions, normals)
    spacing = values[0]["PixelSpacing"]

    def read(plane: int) -> Plane:
        path, number = frames[plane]
        pixels = pixel_array(path, index=number, decoding_plugin=find_decoder(syntaxes[path]))
        if pixels.ndim == 3:
            pixels = pixels.mean(axis=-1)
        slope, offset = values[plane]["slope"], values[plane]["offset"]
        return np.asarray(pixels * slope + offset, dtype=np.float32)

    def header(plane: int) -> list[HeaderRow]:
        return header_rows(pydicom.dcmread(frames[plane][0], stop_before_pixels=True))

    steps = find_steps([values[step[0]] for step in planes])
    return Stack(title, planes, steps, (float(spacing[0]), float(spacing[1])), axes, read, header)


def _frame_values(ds: Dataset, number: int) -> dict[str, Any]:
    """Return what the viewer needs of one frame, wherever the object keeps it."""
    places = [ds]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = ds.get(name) or []
        if groups:
            item = groups[min(number, len(groups) - 1)]
            places += [
                e.value[0] for e in item if e.VR == "SQ" and e.value and not e.tag.is_private
            ]
    wanted = {
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [0, 0, 0],
        "PixelSpacing": [1, 1],
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        **{rule.keyword: None for rule in rules() if not rule.private},
    }
    found: dict[str, Any] = {}
    for key, default in wanted.items():
        values = [place[key].value for place in places if key in place]
        found[key] = values[-1] if values and values[-1] is not None else default
    found["slope"], found["offset"] = float(found["RescaleSlope"]), float(found["RescaleIntercept"])
    return found


def _arranged(
    positions: npt.NDArray[np.float64], normals: npt.NDArray[np.float64]
) -> list[list[int]]:
    """Return plane numbers by step and slice: planes at one place follow each other as steps."""
    places: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for plane, (position, normal) in enumerate(zip(positions, normals, strict=True)):
        places[tuple(np.round([*position, *normal], 3))].append(plane)
    slices = list(places.values())
    count = max(len(steps) for steps in slices)
    return [[steps[min(k, len(steps) - 1)] for steps in slices] for k in range(count)]


def header_rows(ds: Dataset) -> list[HeaderRow]:
    """Return tag, name and value of every element, the items of sequences set in.

    Private CEST elements have the names of `private_dictionaries`.
    """
    register("cest")
    rows: list[HeaderRow] = []
    _add_rows(ds, 0, rows)
    return rows


def _add_rows(ds: Dataset, depth: int, rows: list[HeaderRow]) -> None:
    for element in ds:
        if len(rows) >= _MOST_ROWS:
            return
        tag = f"{'  ' * depth}({element.tag.group:04X},{element.tag.element:04X})"
        if element.VR == "SQ":
            rows.append((tag, element.name, ""))
            for item in element.value:
                _add_rows(item, depth + 1, rows)
        else:
            raw = element.value
            text = f"{len(raw)} bytes" if isinstance(raw, bytes) else str(raw)
            shown = printable(text[:_LONGEST_VALUE])
            rows.append((tag, element.name.strip("[]"), shown))


def window_of(values: Plane) -> tuple[float, float]:
    """Return centre and width of grey that suit a plane: its 1st to 99.5th percentile."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (1, 99.5)))
    return (low + high) / 2, max(high - low, 1e-6)


def grey(values: Plane, centre: float, width: float) -> npt.NDArray[np.uint8]:
    """Return values as 8-bit grey: linear from centre - width/2 (0) to centre + width/2 (255)."""
    scaled = (np.nan_to_num(values) - (centre - width / 2)) * (255.0 / width)
    return np.ascontiguousarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def thumbnail(plane: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return a plane as a small grey picture, its longer side at most 96."""
    step = max(1, -(-max(plane.shape) // _SIDE))
    values = np.asarray(plane[::step, ::step], dtype=np.float32)
    return grey(values, *window_of(values))


def file_thumbnail(path: Path) -> npt.NDArray[np.uint8] | None:
    """Return the middle frame of a DICOM file as a small grey picture; None where it has none."""
    try:
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        syntax = ds.file_meta.get("TransferSyntaxUID", "")
        middle = int(ds.get("NumberOfFrames") or 1) // 2
        pixels = pixel_array(path, index=middle, decoding_plugin=find_decoder(syntax))
    except Exception:  # whatever is wrong with it, its row says so; here there is just no picture
        return None
    return thumbnail(pixels.mean(axis=-1) if pixels.ndim == 3 else pixels)


def letters(axis: npt.NDArray[np.float64]) -> tuple[str, str]:
    """Return the letters at the beginning and the end of a direction (patient LPS).

    The largest component comes first; one below a tenth is left out.
    """
    order = np.argsort(-np.abs(axis))
    kept = [k for k in order if abs(axis[k]) >= 0.1][:2]
    end = "".join("LPS"[k].replace("S", "H") if axis[k] > 0 else "RAF"[k] for k in kept)
    start = "".join("RAF"[k] if axis[k] > 0 else "LPH"[k] for k in kept)
    return start, end
