"""Offsets of a Z-spectrum: units, mirrored pairs and the unsaturated reference M0.

Offsets in Hz or ppm from the working frequency f0 (MHz). Every function takes keywords only, and
returns None, or nothing found, where an input is None or the quantity is not defined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

M0_PPM = 100.0
M0_SINGLE_PPM = 20.0
M0_SINGLE_RATIO = 3.0


def _known(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)


def ppm_from_hz(*, offset_hz: float | None, working_frequency_mhz: float | None) -> float | None:
    """Return an offset in parts per million of the working frequency.

    Parameters
    ----------
    offset_hz : float or None
    working_frequency_mhz : float or None
        f0, above 0; the frequency of the scan, not nominal field times gyromagnetic ratio.

    Returns
    -------
    float or None
        ppm = Hz / f0[MHz].
    """
    if offset_hz is None or working_frequency_mhz is None:
        return None
    if not _known(offset_hz, working_frequency_mhz) or working_frequency_mhz <= 0:
        return None
    return offset_hz / working_frequency_mhz


def hz_from_ppm(*, offset_ppm: float | None, working_frequency_mhz: float | None) -> float | None:
    """Return an offset in Hz.

    Parameters
    ----------
    offset_ppm : float or None
    working_frequency_mhz : float or None
        f0, above 0.

    Returns
    -------
    float or None
        Hz = ppm f0[MHz].
    """
    if offset_ppm is None or working_frequency_mhz is None:
        return None
    if not _known(offset_ppm, working_frequency_mhz) or working_frequency_mhz <= 0:
        return None
    return offset_ppm * working_frequency_mhz


def mirror_tolerance_ppm(*, working_frequency_mhz: float | None = None) -> float:
    """Return how far two offsets may differ and still count as equal.

    Parameters
    ----------
    working_frequency_mhz : float or None
        f0.

    Returns
    -------
    float
        max(0.002, 0.6 / f0): a list in whole Hz limits the offsets to 0.5 / f0.
    """
    if working_frequency_mhz is None or not working_frequency_mhz > 0:
        return 0.002
    return max(0.002, 0.6 / working_frequency_mhz)


def mirrored_pairs(
    *, offsets_ppm: Sequence[float | None] | None, working_frequency_mhz: float | None = None
) -> tuple[tuple[int, int], ...]:
    """Return the images at +offset and -offset, nearest first choice, each used once.

    Parameters
    ----------
    offsets_ppm : sequence of float or None
        One per image.
    working_frequency_mhz : float or None
        f0, for the tolerance.

    Returns
    -------
    tuple of (int, int)
        Index of the positive and of the negative offset, by ascending offset; equal offsets pair
        in the order given.
    """
    tolerance = mirror_tolerance_ppm(working_frequency_mhz=working_frequency_mhz)
    known = [(ppm, i) for i, ppm in enumerate(offsets_ppm or ()) if ppm is not None and _known(ppm)]
    negative = [(-ppm, i) for ppm, i in known if ppm < 0]
    pairs = []
    for ppm, index in sorted(row for row in known if row[0] > 0):
        near = [row for row in negative if abs(row[0] - ppm) <= tolerance]
        if near:
            best = min(near, key=lambda row: (abs(row[0] - ppm), row[1]))
            negative.remove(best)
            pairs.append((index, best[1]))
    return tuple(pairs)


def find_m0_images(
    *,
    offsets_ppm: Sequence[float | None] | None,
    is_reference: Sequence[bool | None] | None = None,
    working_frequency_mhz: float | None = None,
) -> tuple[int, ...]:
    r"""Return the images that serve as unsaturated reference M0.

    Parameters
    ----------
    offsets_ppm : sequence of float or None
        One per image, in acquisition order.
    is_reference : sequence of bool or None, optional
        One per image: played with zero power.
    working_frequency_mhz : float or None
        f0, for the tolerance.

    Returns
    -------
    tuple of int
        Indices in the order given; empty where no image qualifies.

    Notes
    -----
    An image qualifies if it is a reference scan or \|ppm\| >= 100 (within the tolerance of
    `mirror_tolerance_ppm`, because a list in whole Hz misses 100 ppm a little). If none does: the
    single largest \|ppm\|, where it is >= 20 and >= 3 times the next; every pass through the list
    has one, so equal offsets count as one. A mirrored pair is not single.
    """
    offsets = [ppm if ppm is not None and _known(ppm) else None for ppm in offsets_ppm or ()]
    tolerance = mirror_tolerance_ppm(working_frequency_mhz=working_frequency_mhz)
    marks = list(is_reference or ())
    marks += [None] * (len(offsets) - len(marks))
    sure = tuple(
        index
        for index, ppm in enumerate(offsets)
        if marks[index] or (ppm is not None and abs(ppm) >= M0_PPM - tolerance)
    )
    known = [ppm for ppm in offsets if ppm is not None]
    if sure or not known:
        return sure
    largest = max(known, key=abs)
    others = [abs(ppm) for ppm in known if abs(ppm - largest) > tolerance]
    if not others or abs(largest) < max(M0_SINGLE_PPM, M0_SINGLE_RATIO * max(others)):
        return ()
    return tuple(
        index
        for index, ppm in enumerate(offsets)
        if ppm is not None and abs(ppm - largest) <= tolerance
    )
