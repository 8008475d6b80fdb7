"""How the planes of a series are dealt out to multi-frame objects."""

from dataclasses import dataclass

import numpy as np

from .. import geometry
from ..model import Ints, Loop, RawSeries

# Java readers (XNAT's among them) hold pixel data in one array of at most 2 GiB; a larger object
# becomes a concatenation.
MAX_PIXEL_BYTES = 2**31 - 2**24


@dataclass(frozen=True)
class MultiFrame:
    """One multi-frame object.

    Attributes
    ----------
    name : str
        Tells it from the other objects of its series.
    planes : ndarray of int
        Planes of the series, in the scanner's order.
    part, parts, first : int
        Number in its concatenation, how many there are, and frames in those before it.
    number : int
        Instance Number; the parts of a concatenation have one.
    """

    name: str
    planes: Ints
    part: int = 1
    parts: int = 1
    first: int = 0
    number: int = 1


def deal(
    series: RawSeries, itemsize: int, *, by_map: bool, limit: int = MAX_PIXEL_BYTES
) -> list[MultiFrame]:
    """Deal the planes out.

    Packages that are not parallel (a tripilot), complex parts and, if `by_map`, the maps of a
    series become objects of their own, because few readers can tell them apart within one.

    Parameters
    ----------
    itemsize : int
        Bytes of a stored pixel.
    limit : int
        Most pixel bytes of one object.
    """
    keys = np.zeros((series.planes, 3), dtype=np.intp)
    axes = series.orientation
    if not np.allclose(axes, axes[0], atol=geometry.PARALLEL_TOLERANCE, rtol=0) or _apart(series):
        keys[:, 0] = series.stack
    for column, loop in ((1, Loop.COMPLEX), (2, Loop.MAP)):
        dimension = series.dimension(loop)
        if dimension is not None and (loop is Loop.COMPLEX or by_map):
            keys[:, column] = dimension.index
    distinct, group = np.unique(keys, axis=0, return_inverse=True)
    _, rows, columns = series.pixels.shape
    most = max(1, limit // (rows * columns * itemsize))
    result = []
    for number, key in enumerate(distinct):
        planes = np.flatnonzero(group.reshape(-1) == number)
        name = "stack {} part {} map {}".format(*key)
        parts = -(-len(planes) // most)
        for part in range(parts):
            chosen = planes[part * most : (part + 1) * most]
            result.append(MultiFrame(name, chosen, part + 1, parts, part * most, number + 1))
    return result


def _apart(series: RawSeries) -> bool:
    """Tell whether parallel planes lie in stacks that are no stack together."""
    count = int(series.stack.max(initial=0)) + 1
    slices = series.dimension(Loop.SLICE)
    return count > 1 and slices is not None and count == slices.length
