"""Pictures of scans: the middle frame of a DICOM file as PNG or GIF."""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from private_dictionaries.decoders import find_decoder
from xnat_pic.warning_filters import ignore_warnings

EDGE = 160  # pixels along the longer edge
_DARKEST, _LIGHTEST = 1.0, 99.5  # percentiles
_HEADER = (
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelSpacing",
    "PlanarConfiguration",
    "Rows",
    "Columns",
)


class NoPictureError(Exception):
    """The file holds no picture that can be shown."""


def thumbnail(path: Path) -> bytes:
    """Return the middle frame of a DICOM file as a small PNG; raise as `middle_frame`."""
    pixels, aspect, inverted = middle_frame(path)
    return png(to_bytes(shrink(pixels, aspect), inverted))


def middle_frame(path: Path) -> tuple[npt.NDArray[np.generic], float, bool]:
    """Return the middle frame of a DICOM file, its pixels' height over width, and if 0 is white.

    Raises
    ------
    NoPictureError
        For a file without pixels, or in a compression that nothing here can read.
    """
    try:
        with ignore_warnings():
            about = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_HEADER))
            syntax = about.file_meta.get("TransferSyntaxUID", "")
            frames = int(about.get("NumberOfFrames") or 1)
            pixels = np.asarray(
                pixel_array(path, index=frames // 2, decoding_plugin=find_decoder(syntax))
            )
    except Exception as error:
        # The file is anybody's: pydicom and its decoders raise of every kind for broken ones.
        raise NoPictureError(f"{path.name} cannot be shown: {error}") from error
    inverted = str(about.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    return pixels, _aspect(about), inverted


def _aspect(about: Dataset) -> float:
    """Return height of a pixel over its width."""
    spacing = about.get("PixelSpacing")
    try:
        ratio = float(spacing[0]) / float(spacing[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return 1.0
    return ratio if 0.05 < ratio < 20 else 1.0


def shrink(pixels: npt.NDArray[np.generic], aspect: float = 1.0) -> npt.NDArray[np.generic]:
    """Return an image of at most `EDGE` pixels along an edge, by nearest neighbour.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
    aspect : float
        Height of a pixel over its width; the result's pixels are square.
    """
    rows, columns = pixels.shape[:2]
    scale = EDGE / max(rows * aspect, columns)
    height, width = max(1, round(rows * aspect * scale)), max(1, round(columns * scale))
    y = (np.arange(height) + 0.5) * rows / height
    x = (np.arange(width) + 0.5) * columns / width
    small: npt.NDArray[np.generic] = pixels[y.astype(int)[:, None], x.astype(int)[None, :]]
    return small


def to_bytes(pixels: npt.NDArray[np.generic], inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Return grey values spread over 0..255; colours as they are.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
        NaN is shown black.
    """
    if pixels.ndim == 3:
        return np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)
    values = pixels.astype(np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(finite, (_DARKEST, _LIGHTEST))
    spread = high - low if high > low else 1.0
    grey = np.nan_to_num(np.clip((values - low) / spread, 0, 1), nan=0.0) * 255
    return np.asarray(255 - grey if inverted else grey, dtype=np.uint8)


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return an image as PNG.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns) for grey or (rows, columns, 3) for RGB
    """
    rows, columns = pixels.shape[:2]
    colour = 2 if pixels.ndim == 3 else 0
    lines = pixels.reshape(rows, -1)
    raw = np.concatenate([np.zeros((rows, 1), np.uint8), lines], axis=1)  # filter type 0
    header = struct.pack(">IIBBBBB", columns, rows, 8, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(raw.tobytes(), 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def gif(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return an image as GIF; colours are rounded to 8 x 8 x 4 of them.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (rows, columns) for grey or (rows, columns, 3) for RGB
    """
    rows, columns = pixels.shape[:2]
    index = np.arange(256)
    palette = np.stack([index, index, index], axis=1)
    if pixels.ndim == 3:
        shades = (index >> 5) * 255 // 7, (index >> 2 & 7) * 255 // 7, (index & 3) * 85
        palette = np.stack(shades, axis=1)
        red, green, blue = (pixels[..., channel] for channel in range(3))
        pixels = np.asarray((red & 0xE0) | (green >> 3 & 0x1C) | (blue >> 6), np.uint8)
    screen = struct.pack("<HHBBB", columns, rows, 0xF7, 0, 0)
    image = struct.pack("<BHHHHB", 0x2C, 0, 0, columns, rows, 0)
    data = _uncompressed_codes(pixels.ravel())
    blocks = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"".join(
        (
            *(b"GIF89a", screen, palette.astype(np.uint8).tobytes(), image, b"\x08"),
            *(bytes([len(block)]) + block for block in blocks),
            b"\0;",
        )
    )


def _uncompressed_codes(values: npt.NDArray[np.uint8]) -> bytes:
    """Return values as LZW codes of nine bits: the table is cleared before it could grow to ten."""
    clear, end, run = 256, 257, 254
    codes: list[npt.NDArray[np.uint16]] = []
    for start in range(0, values.size, run):
        codes += [np.array([clear], np.uint16), values[start : start + run].astype(np.uint16)]
    every = np.concatenate([*codes, np.array([end], np.uint16)])
    bits = (every[:, None] >> np.arange(9)) & 1
    return np.packbits(bits.astype(np.uint8).ravel(), bitorder="little").tobytes()
