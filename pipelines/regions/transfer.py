"""Carry a region from the image it was drawn on to the grid of a map."""

from __future__ import annotations

import numpy as np

from xnat_pic.errors import WrongCallError

from .geometry import same_grid
from .model import ImageGrid, Mask, RegionMask, Transferred
from .overlap import overlap, volume_mm3


def transfer(
    mask: RegionMask | Mask,
    image: ImageGrid,
    target: ImageGrid,
    *,
    assume_aligned: bool = False,
) -> Transferred:
    """Return the share of each voxel of a map that lies inside a region.

    Each voxel of the mask is a box of tissue, one step thick; the share is the part of the map's
    voxel that these boxes fill (see `overlap.overlap`). On the same grid, the mask itself.

    Parameters
    ----------
    mask : RegionMask or ndarray of bool, shape ``image.shape``
        The region on the grid of the image.
    image, target : ImageGrid
        Grids of the image and of the map.
    assume_aligned : bool
        Take another frame of reference as the same one.

    Returns
    -------
    Transferred
        With `covered` 0 where the map does not reach the region.

    Raises
    ------
    WrongCallError
        For another frame of reference without `assume_aligned`.
    """
    voxels = mask.mask if isinstance(mask, RegionMask) else mask
    note = alignment(image, target, assume_aligned=assume_aligned)
    share = voxels.astype(np.float32)
    if same_grid(image, target):
        return Transferred(share, same_grid=True, covered=1.0 if voxels.any() else 0.0, note=note)
    fraction = overlap(share, image, target)
    whole = volume_mm3(share, image)
    covered = min(1.0, volume_mm3(fraction, target) / whole) if whole > 0 else 0.0
    return Transferred(fraction, same_grid=False, covered=covered, note=note)


def alignment(image: ImageGrid, target: ImageGrid, *, assume_aligned: bool = False) -> str:
    """Return what is assumed about the positions of two grids, empty where they share a frame.

    Raises
    ------
    WrongCallError
        For two different frames of reference without `assume_aligned`.
    """
    ours, theirs = image.frame_of_reference_uid, target.frame_of_reference_uid
    if ours and ours == theirs:
        return ""
    if not ours or not theirs:
        which = "map" if ours else "image"
        return (
            f"The {which} names no frame of reference; its positions are assumed to be those of "
            f"the {'image' if ours else 'map'}."
        )
    if not assume_aligned:
        raise WrongCallError(
            f"Image and map have different frames of reference ({ours} and {theirs}): their "
            "positions cannot be compared.",
            hint="Register them first, or say --assume-aligned if nothing moved between them.",
        )
    return (
        f"Image and map have different frames of reference ({ours} and {theirs}); they were taken "
        "as aligned, as asked."
    )
