"""Pictures of maps: mosaics of all slices with a printed window."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .catalogue import colours, entry, window

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import ImageFont
    from PIL.Image import Image

Floats = npt.NDArray[np.float32]
_MOST_SLICES = 30
_WIDTH, _HEIGHT = 640, 860  # of the mosaic, pixels, where it is enlarged
_WIDEST = 1400  # beyond which it is made smaller
_MARGIN, _TITLE, _BAR, _GAP = 8, 22, 14, 8
_TEXT, _SMALL_TEXT = 13, 11
_TICKS = 5
_COMPRESSION = 4  # of PNG: higher levels take longer and gain little


def mosaic(values: Floats) -> Floats:
    """Return slices side by side.

    Parameters
    ----------
    values : ndarray, shape (n_slices, rows, columns) or (n_slices, rows, columns, 3)
        At most 30 slices are taken, evenly.

    Returns
    -------
    ndarray, shape (rows of tiles, columns of tiles[, 3])
        NaN in empty tiles.
    """
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), _MOST_SLICES)).astype(int))
    tiles = values[chosen]
    _, rows, columns = tiles.shape[:3]
    across = max(1, int(np.ceil(np.sqrt(len(tiles) * 1.6 * rows / columns))))
    across = min(across, len(tiles))
    down = -(-len(tiles) // across)
    out = np.full((down * rows, across * columns, *tiles.shape[3:]), np.nan, np.float32)
    for index, tile in enumerate(tiles):
        y, x = divmod(index, across)
        out[y * rows : (y + 1) * rows, x * columns : (x + 1) * columns] = tile
    return out


def map_figure(
    name: str, values: Floats, unit: str, aspect: float, shown: tuple[float, float] | None = None
) -> Image:
    """Return the picture of a map.

    Drawn pixel by pixel, since a plotting library takes a second for the pictures of one map.

    Parameters
    ----------
    name : str
        Of the map.
    values : ndarray, shape (n_slices, rows, columns) or with 3 colours
        NaN is drawn black.
    unit : str
        UCUM.
    aspect : float
        Height over width of a voxel.
    shown : tuple of float, optional
        The window; by default the map's own.
    """
    from PIL import Image, ImageDraw

    picture = mosaic(values)
    if picture.ndim == 3:
        title = f"{name}: red left-right, green front-back, blue head-foot"
        low = high = 0.0
        pixels = (np.clip(np.nan_to_num(picture), 0, 1) * 255 + 0.5).astype(np.uint8)
    else:
        low, high = shown or window(name, values)
        title = f"{name} ({unit}), window {low:g} to {high:g}"
        pixels = _coloured(picture, low, high, name)
    tiles = _sized(Image.fromarray(pixels), aspect)
    labels = 0.0 if picture.ndim == 3 else _label_width(low, high)
    right = 0 if picture.ndim == 3 else _GAP + _BAR + 5 + int(np.ceil(labels))
    least = int(np.ceil(_font(_TEXT).getlength(title)))
    width = max(tiles.width + right, least) + 2 * _MARGIN
    sheet = Image.new("RGB", (width, tiles.height + _TITLE + 2 * _MARGIN), "white")
    ImageDraw.Draw(sheet).text((_MARGIN, _MARGIN), title, fill="black", font=_font(_TEXT))
    corner = (_MARGIN, _MARGIN + _TITLE)
    sheet.paste(tiles, corner)
    if right:
        _draw_bar(
            sheet, (corner[0] + tiles.width + _GAP, corner[1]), tiles.height, (low, high), name
        )
    return sheet


def _coloured(picture: Floats, low: float, high: float, name: str) -> npt.NDArray[np.uint8]:
    """Return red, green and blue of values in a window; NaN black, others clipped to its ends."""
    with np.errstate(invalid="ignore"):
        part = np.clip((picture - low) / max(high - low, 1e-30), 0, 1)
    index = np.where(np.isfinite(part), np.minimum(part * 256, 255), 0).astype(np.uint8)
    painted = _table(name)[index]
    painted[np.isnan(picture)] = 0
    return painted


def _table(name: str) -> npt.NDArray[np.uint8]:
    """Return the 256 colours of a map, shape (256, 3)."""
    return colours(entry(name).colours)


def _sized(tiles: Image, aspect: float) -> Image:
    """Return the mosaic with square millimetres, enlarged by whole numbers where it is small."""
    from PIL.Image import Resampling

    width, height = tiles.width, tiles.height * aspect
    factor: float = max(1, int(min(_WIDTH / width, _HEIGHT / height)))
    if width > _WIDEST:
        factor = _WIDEST / width
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return tiles.resize(size, Resampling.BOX if factor < 1 else Resampling.NEAREST)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _ticks(low: float, high: float) -> list[str]:
    return [f"{value:.4g}" for value in np.linspace(low, high, _TICKS)]


def _label_width(low: float, high: float) -> float:
    return max(_font(_SMALL_TEXT).getlength(text) for text in _ticks(low, high))


def _draw_bar(
    sheet: Image, corner: tuple[int, int], height: int, shown: tuple[float, float], name: str
) -> None:
    """Draw the colours of the window, the highest on top, with their values."""
    from PIL import Image, ImageDraw

    x, y = corner
    rows = _table(name)[np.linspace(255, 0, height).round().astype(int)]
    bar = np.repeat(rows[:, None], _BAR, axis=1)
    sheet.paste(Image.fromarray(np.ascontiguousarray(bar)), (x, y))
    draw = ImageDraw.Draw(sheet)
    for k, text in enumerate(_ticks(*shown)):
        level = y + height - 1 - round(k * (height - 1) / (_TICKS - 1))
        draw.line((x + _BAR, level, x + _BAR + 3, level), fill="black")
        anchor = "ls" if k == 0 else "lt" if k == _TICKS - 1 else "lm"
        draw.text((x + _BAR + 5, level), text, fill="black", font=_font(_SMALL_TEXT), anchor=anchor)


def as_png(figure: Figure | Image, dpi: int = 90) -> bytes:
    """Return a figure or picture as PNG, without the date and program in it."""
    from PIL import Image

    if isinstance(figure, Image.Image):
        picture = figure
    else:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure.set_dpi(dpi)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # once; a figure that is saved is drawn twice
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    out = io.BytesIO()
    picture.save(out, format="png", compress_level=_COMPRESSION)
    return out.getvalue()
