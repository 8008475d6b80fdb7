"""Pictures of maps: mosaics of all slices with a printed window."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .catalogue import entry, window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float32]
_MOST_SLICES = 30


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
) -> Figure:
    """Return the figure of a map.

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
    import matplotlib as mpl
    from matplotlib.figure import Figure

    picture = mosaic(values)
    height, width = picture.shape[0] * aspect, picture.shape[1]
    figure = Figure(figsize=(7.5, max(1.6, min(9.0, 6.3 * height / width)) + 0.4), layout="tight")
    axes = figure.add_subplot()
    axes.set_axis_off()
    if picture.ndim == 3:
        axes.imshow(np.clip(np.nan_to_num(picture), 0, 1), aspect=aspect, interpolation="nearest")
        axes.set_title(f"{name}: red left-right, green front-back, blue head-foot", fontsize=9)
        return figure
    low, high = shown or window(name, values)
    colours = mpl.colormaps[entry(name).colours].with_extremes(bad="black")
    drawn = axes.imshow(
        picture, cmap=colours, vmin=low, vmax=high, aspect=aspect, interpolation="nearest"
    )
    figure.colorbar(drawn, ax=axes, fraction=0.035, pad=0.01)
    axes.set_title(f"{name} ({unit}), window {low:g} to {high:g}", fontsize=9)
    return figure


def as_png(figure: Figure, dpi: int = 90) -> bytes:
    """Return a figure as PNG, without the date and program in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()
