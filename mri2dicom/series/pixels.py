"""Stored pixels of a series, read from disk when they are asked for."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PixelSource:
    """Stored pixels of a series, read from disk when asked for and not before.

    Attributes
    ----------
    path : Path
        File without header or padding before the planes.
    dtype : dtype
        Stored type with its byte order.
    shape : tuple of int
        (planes, rows, columns).
    transposed : tuple of int
        Planes stored with rows and columns exchanged; they are turned back on reading.
    block_offsets : tuple of int
        Bytes before each of the blocks of equally many planes that the planes lie in; empty where
        they follow each other from the beginning of the file.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, int, int]
    transposed: tuple[int, ...] = field(default=(), repr=False)
    block_offsets: tuple[int, ...] = field(default=(), repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes of all planes."""
        planes, rows, columns = self.shape
        return planes * rows * columns * self.dtype.itemsize

    @property
    def array(self) -> npt.NDArray[Any]:
        """The planes as a read-only memory map with axes (plane, row, column).

        Nothing is loaded until it is touched, unless planes must be turned back or lie apart.
        """
        size = self.nbytes // max(1, len(self.block_offsets))
        first = self.block_offsets[0] if self.block_offsets else 0
        apart = any(o != first + k * size for k, o in enumerate(self.block_offsets))
        if self.transposed or apart:
            return self.read_planes(0, self.shape[0])
        return np.memmap(self.path, dtype=self.dtype, mode="r", offset=first, shape=self.shape)

    def read_planes(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read planes from `start` up to `stop`, shape (stop - start, rows, columns)."""
        planes, rows, columns = self.shape
        if self.block_offsets:
            per_block = planes // len(self.block_offsets)
            bounds = [start, *range((start // per_block + 1) * per_block, stop, per_block), stop]
            parts = [
                self._read_run(
                    first, last, self.block_offsets[first // per_block], first % per_block
                )
                for first, last in itertools.pairwise(bounds)
            ]
            return np.concatenate(parts) if len(parts) != 1 else parts[0]
        block = self._read_run(start, stop, 0, start)
        for plane in self.transposed:
            if start <= plane < stop:
                block[plane - start] = block[plane - start].reshape(columns, rows).T
        return block

    def _read_run(self, start: int, stop: int, offset: int, skipped: int) -> npt.NDArray[Any]:
        """Read planes that follow each other, `skipped` planes after a byte of the file."""
        _, rows, columns = self.shape
        size = rows * columns
        first_byte = offset + skipped * size * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, (stop - start) * size, offset=first_byte)
        return values.reshape(stop - start, rows, columns)
