"""The images of a click: one uncompressed grey page, read by Pillow within bounds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError
from xnat_pic.warning_filters import ignore_warnings

from ...series.pixels import PixelSource
from .table import limit

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow's names of the pixel types that the vendor writes.
_TYPES = {"L": "u1", "I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2", "F": "<f4"}


@dataclass(frozen=True)
class TiffSource(PixelSource):
    """The one plane of a TIFF file."""

    @property
    def array(self) -> npt.NDArray[Any]:
        """The plane, shape (1, rows, columns)."""
        return self.read_planes(0, 1)

    def read_planes(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read the plane, shape (1, rows, columns)."""
        return read_tiff(self.path)[None][start:stop].astype(self.dtype, copy=False)


@contextmanager
def _open_tiff(path: Path) -> "Iterator[Image]":
    from PIL import Image

    with _pillow(path):
        image = Image.open(path, formats=["TIFF"])
    with image:
        _check(path, image)
        yield image


@contextmanager
def _pillow(path: Path) -> Iterator[None]:
    """Name what Pillow raises for a damaged file; calls of Pillow alone belong inside."""
    from PIL import Image

    try:
        # What Pillow warns of (odd tags, a large image) is checked here in its own words.
        with ignore_warnings():
            yield
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, IndexError) as error:
        raise CorruptDataError(
            f"{path.name} is no whole TIFF image ({_error_text(error)}).",
            path=path,
            hint="Copy the click again from the instrument.",
        ) from error
    except (Image.DecompressionBombError, ArithmeticError, EOFError, MemoryError) as error:
        raise CorruptDataError(
            f"{path.name} announces more pixels than any camera has, or is damaged.", path=path
        ) from error


def _error_text(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return text.replace(str(getattr(error, "filename", "") or "\0"), "").strip(" '") or "damaged"


def _check(path: Path, image: "Image") -> None:
    columns, rows = image.size
    if not 0 < rows * columns <= limit("image_pixels"):
        raise CorruptDataError(
            f"{path.name} announces {columns} x {rows} pixels, more than any camera has.", path=path
        )
    compression = image.info.get("compression", "raw")
    if compression != "raw":
        raise CorruptDataError(
            f"{path.name} is compressed ({compression}), which the instrument never writes.",
            path=path,
            hint="It was saved by another program: take the original.",
        )
    if image.mode not in _TYPES:
        raise CorruptDataError(
            f"{path.name} is no grey image (mode {image.mode}).",
            path=path,
            hint="It was saved by another program: take the original.",
        )
    with _pillow(path):
        try:
            image.seek(1)
        except EOFError:
            return
    raise CorruptDataError(
        f"{path.name} has several pages, and which one is the image is not known.",
        path=path,
        hint="It was saved by another program: take the original.",
    )


def read_tiff(path: Path) -> npt.NDArray[Any]:
    """Read the pixels.

    Returns
    -------
    ndarray of uint8, uint16 or float32, shape (rows, columns)

    Raises
    ------
    CorruptDataError
        If the file is no whole, uncompressed grey image of one page and of a camera's size.
    """
    with _open_tiff(path) as image:
        kind = np.dtype(_TYPES[image.mode])
        with _pillow(path):
            image.load()
            pixels = np.asarray(image)
        if pixels.ndim != 2:
            raise CorruptDataError(f"{path.name} is no grey image.", path=path)
        return np.ascontiguousarray(pixels.astype(kind.newbyteorder("<"), copy=False))


def tiff_source(path: Path) -> TiffSource:
    """Describe a file's pixels without reading them; the file's length is checked.

    Raises
    ------
    CorruptDataError
        As `read_tiff`.
    """
    with _open_tiff(path) as image:
        columns, rows = image.size
        kind = np.dtype(_TYPES[image.mode]).newbyteorder("<")
    if path.stat().st_size < rows * columns * kind.itemsize:
        raise CorruptDataError(
            f"{path.name} announces {columns} x {rows} pixels and is too short for them.",
            path=path,
            hint="Copy the click again from the instrument.",
        )
    return TiffSource(path, kind, (1, rows, columns))
