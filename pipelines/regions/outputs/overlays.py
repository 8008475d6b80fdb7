"""Pictures of what was measured: every region on every slice, on the image and on the maps."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...outputs import catalogue
from ..statistics import CORE, WHOLE, Voxels

if TYPE_CHECKING:
    from ..model import ImageGrid
    from ..run_result import MaskAverageResult, RegionResult

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_PANEL = 300  # pixels of the longer side
_GAP = 10
_HEAD = 20
_FOOT = 24
_ACROSS = 3
_MARGIN = 0.35  # of the region's size, around it
_LEAST_MM_OF_PIXELS = 24
_PAPER, _INK, _NOTHING = (255, 255, 255), (20, 20, 20), (70, 70, 70)
_DRAWN, _WHOLE, _CORE = (255, 214, 0), (255, 255, 255), (255, 0, 170)
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))


@dataclass(frozen=True, eq=False)
class View:
    """The part of a slice that a panel shows.

    Attributes
    ----------
    image : ImageGrid
        Of the slice.
    left, top : float
        Column and row of the upper left corner of the panel; -0.5 is the edge of the image.
    width, height : int
        Of the panel, in its own pixels.
    per_column, per_row : float
        Pixels of the panel for a column and a row of the image.
    """

    image: ImageGrid
    left: float
    top: float
    width: int
    height: int
    per_column: float
    per_row: float

    @property
    def columns(self) -> Doubles:
        """Column of the image at the centre of each pixel of a row of the panel, shape (width,)."""
        places = self.left + (np.arange(self.width) + 0.5) / self.per_column
        return np.asarray(places, dtype=np.float64)

    @property
    def rows(self) -> Doubles:
        """Row of the image at the centre of each pixel of a column, shape (height,)."""
        places = self.top + (np.arange(self.height) + 0.5) / self.per_row
        return np.asarray(places, dtype=np.float64)

    def point(self, column: float, row: float) -> tuple[float, float]:
        """Return where a place of the image is in the panel."""
        return (column - self.left) * self.per_column, (row - self.top) * self.per_row


def view_of(image: ImageGrid, drawn: Voxels) -> View:
    """Return the view of a region: all its slices in one frame, with a margin."""
    _, rows, columns = image.shape
    place = drawn.index % (rows * columns)
    low = np.array([(place % columns).min(), (place // columns).min()], dtype=np.float64)
    high = np.array([(place % columns).max(), (place // columns).max()], dtype=np.float64)
    mm = np.array([image.spacing[1], image.spacing[0]])
    half = ((high - low + 1) * mm).max() * (0.5 + _MARGIN)
    half = max(half, _LEAST_MM_OF_PIXELS / 2 * mm.min())
    centre = (low + high) / 2
    edge = np.array([columns, rows]) - 0.5
    begin = np.maximum(centre - half / mm, -0.5)
    end = np.minimum(centre + half / mm, edge)
    scale = _PANEL / ((end - begin) * mm).max()
    size = np.maximum(np.rint((end - begin) * mm * scale), 8).astype(int)
    per = size / (end - begin)
    return View(
        image=image,
        left=float(begin[0]),
        top=float(begin[1]),
        width=int(size[0]),
        height=int(size[1]),
        per_column=float(per[0]),
        per_row=float(per[1]),
    )


def draw(
    result: MaskAverageResult,
    roi: RegionResult,
    view: View,
    index: int,
    pixels: Floats | None,
    grey: tuple[float, float],
) -> bytes:
    """Return a PNG of one region on one slice.

    Parameters
    ----------
    result : MaskAverageResult
        What was found.
    roi : RegionResult
        The region.
    view : View
        From `view_of`.
    index : int
        The slice of the image.
    pixels : ndarray of float32, shape (rows, columns), or None
        Of the image.
    grey : tuple of float
        Window of the image.
    """
    title = f"{roi.number} {roi.region.name}, slice {index + 1} of {result.image.shape[0]}"
    panels = [_image_panel(result, roi, view, index, pixels, grey)]
    panels += [_map_panel(roi, place, view, index) for place in range(len(roi.maps))]
    return _page(panels, title, view)


@dataclass(frozen=True, eq=False)
class _Panel:
    picture: Any
    title: str
    bar: tuple[Bytes, str, str] | None


def _image_panel(
    result: MaskAverageResult,
    roi: RegionResult,
    view: View,
    index: int,
    pixels: Floats | None,
    grey: tuple[float, float],
) -> _Panel:
    from PIL import Image, ImageDraw

    if pixels is None:
        colours = np.full((view.height, view.width, 3), _NOTHING, np.uint8)
    else:
        rows = _nearest(view.rows, pixels.shape[0])
        columns = _nearest(view.columns, pixels.shape[1])
        shown = (pixels[np.ix_(rows, columns)] - grey[0]) / max(grey[1] - grey[0], 1e-30)
        level = (np.clip(np.nan_to_num(shown), 0, 1) * 255).astype(np.uint8)
        colours = np.repeat(level[..., None], 3, axis=2)
    lines = _lines(roi, view, index)
    if not lines:
        mask = _sample(roi.drawn, WHOLE, view, index, result.image.affine)
        colours = _outlined(colours, mask, _DRAWN)
    picture = Image.fromarray(colours)
    pen = ImageDraw.Draw(picture)
    for line in lines:
        pen.line(line, fill=(0, 0, 0), width=4, joint="curve")
    for line in lines:
        pen.line(line, fill=_DRAWN, width=2, joint="curve")
    _letters(pen, view)
    return _Panel(picture, "image, as drawn", None)


def _nearest(places: Doubles, size: int) -> npt.NDArray[np.int64]:
    return np.clip(np.floor(places + 0.5), 0, size - 1).astype(np.int64)


def _lines(roi: RegionResult, view: View, index: int) -> list[list[tuple[float, float]]]:
    """Return the contours of a slice, closed, in pixels of the panel."""
    image = view.image
    lines = []
    for contour in roi.region.contours:
        depth = float(contour.points_mm.mean(axis=0) @ image.normal)
        if int(np.argmin(np.abs(image.depths - depth))) != index:
            continue
        away = contour.points_mm - image.positions[index]
        columns = away @ image.row / image.spacing[1]
        rows = away @ image.column / image.spacing[0]
        line = [view.point(float(x), float(y)) for x, y in zip(columns, rows, strict=True)]
        lines.append([*line, line[0]])
    return lines


def _map_panel(roi: RegionResult, place: int, view: View, index: int) -> _Panel:
    from PIL import Image

    row = roi.maps[place]
    table = _table(catalogue.entry(row.map.name).colours)
    low, high = row.own.histogram.edges[0], row.own.histogram.edges[-1]
    where, inside = _places(row.map.affine, row.map.values.shape, view, index)
    values = np.where(inside, row.map.values.ravel()[where], np.nan)
    level = (np.clip(np.nan_to_num((values - low) / max(high - low, 1e-30)), 0, 1) * 255).astype(
        int
    )
    colours = table[level]
    colours[~np.isfinite(values)] = _NOTHING
    core = _shrunk(_shrunk(_sample(row.inside, CORE, view, index, row.map.affine)))
    colours[core & ~_shrunk(core)] = _CORE  # a little inside, so that it is seen beside the whole
    colours = _outlined(colours, _sample(row.inside, WHOLE, view, index, row.map.affine), _WHOLE)
    unit = f" ({row.map.unit})" if row.map.unit else ""
    bar = (table, f"{low:g}", f"{high:g}")
    return _Panel(Image.fromarray(colours), f"{row.map.name}{unit}", bar)


@cache
def _table(name: str) -> Bytes:
    import matplotlib as mpl

    return np.asarray(mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255, dtype=np.uint8)


def _places(
    affine: Doubles, shape: tuple[int, ...], view: View, index: int
) -> tuple[npt.NDArray[np.int64], Bools]:
    """Return the voxel of a grid at each pixel of the panel, and whether there is one."""
    image = view.image
    there = np.linalg.inv(affine)
    start = there[:3, :3] @ image.positions[index] + there[:3, 3]
    along = there[:3, :3] @ (image.row * image.spacing[1])
    down = there[:3, :3] @ (image.column * image.spacing[0])
    found = []
    inside = np.ones((view.height, view.width), np.bool_)
    for axis, size in enumerate((shape[2], shape[1], shape[0])):
        place = np.floor(
            start[axis] + 0.5 + along[axis] * view.columns + (down[axis] * view.rows)[:, None]
        )
        inside &= (place >= 0) & (place < size)
        found.append(np.clip(place, 0, size - 1).astype(np.int64))
    return (found[2] * shape[1] + found[1]) * shape[2] + found[0], inside


def _sample(voxels: Voxels, part: float, view: View, index: int, affine: Doubles) -> Bools:
    """Return which pixels of the panel lie in voxels of which at least a part is inside."""
    where, inside = _places(affine, voxels.shape, view, index)
    chosen = voxels.index[voxels.share >= part]
    if not len(chosen):
        return np.zeros(where.shape, np.bool_)
    found = np.minimum(np.searchsorted(chosen, where), len(chosen) - 1)
    return np.asarray(inside & (chosen[found] == where))


def _outlined(colours: Bytes, mask: Bools, colour: tuple[int, int, int]) -> Bytes:
    """Return the picture with the inner edge of a mask in a colour, and a dark line outside it."""
    out = colours.copy()
    out[~_shrunk(~mask) & ~mask] = 0
    out[mask & ~_shrunk(mask)] = colour
    return out


def _shrunk(mask: Bools) -> Bools:
    """Return a mask without the pixels at its edge; the edge of the panel is none."""
    padded = np.pad(mask, 1, mode="edge")
    out = mask.copy()
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        out &= padded[row : row + mask.shape[0], column : column + mask.shape[1]]
    return out


def _letters(pen: Any, view: View) -> None:
    """Write towards which side of the patient the edges of the panel lie."""
    for direction, (near, far) in (
        (view.image.row, ((3, view.height / 2 - 8), (view.width - 12, view.height / 2 - 8))),
        (view.image.column, ((view.width / 2 - 4, 1), (view.width / 2 - 4, view.height - 16))),
    ):
        axis = int(np.argmax(np.abs(direction)))
        ahead, behind = _LETTERS[axis] if direction[axis] > 0 else _LETTERS[axis][::-1]
        for place, letter in ((near, behind), (far, ahead)):
            pen.text(place, letter, fill=_WHOLE, font=_font(12), stroke_width=1, stroke_fill=0)


@cache
def _font(size: int) -> Any:
    import matplotlib as mpl
    from PIL import ImageFont

    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)


def _page(panels: Sequence[_Panel], title: str, view: View) -> bytes:
    """Return the panels side by side, with titles and colour bars, as PNG."""
    from PIL import Image, ImageDraw

    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    wide, high = max(view.width, 150) + _GAP, view.height + _HEAD + _FOOT
    page = Image.new("RGB", (across * wide + _GAP, down * high + _HEAD + 4), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_GAP, 4), title, fill=_INK, font=_font(13))
    for number, panel in enumerate(panels):
        x = _GAP + number % across * wide
        y = _HEAD + number // across * high
        pen.text((x, y + 4), panel.title, fill=_INK, font=_font(11))
        page.paste(panel.picture, (x, y + _HEAD))
        foot = y + _HEAD + view.height + 4
        if panel.bar is None:
            _scale(pen, view, x, foot)
        else:
            _bar(page, pen, panel.bar, (x, foot, view.width))
    out = io.BytesIO()
    page.save(out, format="PNG", compress_level=2)
    return out.getvalue()


def _scale(pen: Any, view: View, x: float, y: float) -> None:
    """Draw a bar of a round number of millimetres."""
    per_mm = view.per_column / view.image.spacing[1]
    longest = view.width * 0.5 / per_mm
    size = 10.0 ** np.floor(np.log10(longest))
    length = max(step * size for step in (1, 2, 5) if step * size <= longest)
    pen.line([(x, y + 6), (x + length * per_mm, y + 6)], fill=_INK, width=3)
    pen.text((x + length * per_mm + 6, y - 1), f"{length:g} mm", fill=_INK, font=_font(11))


def _bar(page: Any, pen: Any, bar: tuple[Bytes, str, str], place: tuple[int, int, int]) -> None:
    """Draw a colour bar with the ends of the window."""
    from PIL import Image

    table, low, high = bar
    x, y, width = place
    left = pen.textlength(low, font=_font(11)) + 5
    right = pen.textlength(high, font=_font(11)) + 5
    length = max(int(width - left - right), 20)
    strip = table[np.linspace(0, 255, length).astype(int)]
    page.paste(Image.fromarray(np.repeat(strip[None], 9, axis=0)), (int(x + left), y + 2))
    pen.text((x, y - 1), low, fill=_INK, font=_font(11))
    pen.text((x + left + length + 5, y - 1), high, fill=_INK, font=_font(11))
