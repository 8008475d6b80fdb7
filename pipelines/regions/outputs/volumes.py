"""Masks and masked maps as NIfTI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...outputs.nifti import write_nifti, write_sidecar
from ..run_maps import MapVolume
from ..run_result import MaskAverageResult
from ..statistics import WHOLE, Voxels

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_volumes(folder: Path, result: MaskAverageResult) -> dict[str, Any]:
    """Write label maps on every grid, and every map inside the regions alone.

    Parameters
    ----------
    folder : Path
        There.
    result : MaskAverageResult
        What was found.

    Returns
    -------
    dict
        ``labels``: file on the image's grid; ``maps``: for each map its name, its label map and
        its masked map. Regions that overlap have ``masks_...`` beside ``labels_...``: one volume
        for each region.
    """
    names = {roi.number: roi.region.name for roi in result.rois}
    written: dict[str, Any] = {"labels": "", "maps": []}
    drawn = {roi.number: roi.drawn for roi in result.labels}
    if drawn:
        affine = result.image.affine_ras
        written["labels"] = _labels(folder, "image", drawn, result.image.shape, affine, names)
    for place, one in enumerate(result.maps):
        inside = {roi.number: roi.maps[place].inside for roi in result.rois if roi.maps}
        stem = map_stem(result, place)
        affine = _TO_RAS @ one.affine
        shape = one.values.shape
        row = {"map": one.name, "labels": _labels(folder, stem, inside, shape, affine, names)}
        row["masked"] = f"masked_{stem}.nii.gz"
        write_nifti(folder / row["masked"], _masked(one, inside), affine)
        content = {"Name": one.name, "Units": one.unit, "Sources": [one.source]}
        content["Description"] = "Inside the regions; NaN elsewhere and where a voxel is left out"
        write_sidecar(folder / f"masked_{stem}.json", content)
        written["maps"].append(row)
    return written


def map_stem(result: MaskAverageResult, place: int) -> str:
    """Return a name for files of a map: its own, with its place where two have the same."""
    name = "".join(
        c if c.isascii() and (c.isalnum() or c == "-") else "" for c in result.maps[place].name
    )
    names = [one.name for one in result.maps]
    return name if name and names.count(result.maps[place].name) == 1 else f"{name}{place + 1}"


def _masked(one: MapVolume, inside: dict[int, Voxels]) -> npt.NDArray[np.float32]:
    out = np.full(one.values.shape, np.nan, np.float32)
    for voxels in inside.values():
        index = voxels.index[voxels.share >= WHOLE]
        out.ravel()[index] = one.values.ravel()[index]
    if one.flags is not None:
        out[one.flags] = np.nan
    return out


def _labels(
    folder: Path,
    stem: str,
    regions: dict[int, Voxels],
    shape: tuple[int, ...],
    affine: npt.NDArray[np.float64],
    names: dict[int, str],
) -> str:
    """Write one label map with its names; return the name of the file."""
    labels = np.zeros(shape, np.uint8 if max(regions, default=0) < 256 else np.uint16)
    taken = 0
    for number, voxels in regions.items():
        index = voxels.index[voxels.share >= WHOLE]
        taken += int(np.count_nonzero(labels.ravel()[index]))
        labels.ravel()[index] = number
    file = f"labels_{stem}.nii.gz"
    write_nifti(folder / file, labels, affine)
    content: dict[str, Any] = {"Labels": {str(key): names[key] for key in regions}}
    content["OverlapVoxels"] = taken
    if taken:
        stack = np.stack(
            [one.at_least(WHOLE).astype(np.uint8) for one in regions.values()], axis=-1
        )
        content["Masks"] = f"masks_{stem}.nii.gz"
        content["Volumes"] = list(regions)
        write_nifti(folder / content["Masks"], stack, affine)
    write_sidecar(folder / f"labels_{stem}.json", content)
    return file
