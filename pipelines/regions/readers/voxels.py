"""Turn a volume of labels or shares into regions: what NIfTI and NRRD masks have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError

from ..model import DrawnMask, ImageGrid, Region
from ..overlap import crop

_MOST_LABELS = 1000
_MOST_VOXELS = 2**31


def check_size(shape: tuple[int, ...], path: Path) -> None:
    """Refuse a volume that announces more voxels than any mask has."""
    if min(shape) < 1 or np.prod(np.array(shape, dtype=np.float64)) > _MOST_VOXELS:
        raise NothingUsableError(
            f"{path.name} announces {' x '.join(map(str, shape))} voxels.",
            path=path,
            hint="Give a mask of the size of the image.",
        )


def regions_of_volume(
    values: npt.NDArray[Any],
    grid: ImageGrid,
    path: Path,
    source: str,
    names: Mapping[int, str] | None = None,
) -> tuple[Region, ...]:
    """Return one region for each whole number above 0, or one where the values are shares.

    Parameters
    ----------
    values : ndarray, shape ``grid.shape``
        Labels; or shares from 0 to 1; NaN is outside.
    grid : ImageGrid
        Its grid.
    path : Path
        The file; its stem names a region without a name.
    source : str
        NIFTI or NRRD.
    names : mapping of int to str, optional
        Names of labels.

    Raises
    ------
    NothingUsableError
        For negative values, shares above 1, and more than 1000 labels: that is no mask.
    """
    warnings: tuple[str, ...] = ()
    if np.issubdtype(values.dtype, np.floating):
        broken = ~np.isfinite(values)
        if broken.any():
            warnings = (f"Voxels without a value, taken as outside: {np.count_nonzero(broken)}.",)
            values = np.where(broken, 0, values)
    found = np.unique(values)
    stem = path.name.split(".")[0]
    if not np.array_equal(found, np.rint(found)):
        if found[0] < 0 or found[-1] > 1:
            raise _no_mask(path, f"values from {found[0]:g} to {found[-1]:g}")
        region = Region(1, stem, f"{path.name}#1", source, path, warnings=warnings)
        return (_with_mask(region, values, grid),)
    labels = [int(label) for label in found if label != 0]
    if found[0] < 0 or len(labels) > _MOST_LABELS:
        raise _no_mask(path, f"{len(labels)} different values from {found[0]:g} to {found[-1]:g}")
    known = names or {}
    for label in known:
        if label not in labels and label != 0:
            labels.append(label)
    if not labels:
        return (Region(1, stem, f"{path.name}#1", source, path, warnings=warnings),)
    alone = len(labels) == 1
    return tuple(
        _with_mask(
            Region(
                number=label,
                name=known.get(label) or (stem if alone else f"{stem} {label}"),
                uid=f"{path.name}#{label}",
                source=source,
                path=path,
                warnings=warnings,
            ),
            values == label,
            grid,
        )
        for label in sorted(labels)
    )


def _no_mask(path: Path, what: str) -> NothingUsableError:
    return NothingUsableError(
        f"{path.name} is no mask: it holds {what}.",
        path=path,
        hint="Give whole numbers from 0, one for each region, or shares from 0 to 1.",
    )


def _with_mask(region: Region, share: npt.NDArray[Any], grid: ImageGrid) -> Region:
    box, small = crop(share, grid)
    return replace(region, mask=DrawnMask(small, box))
