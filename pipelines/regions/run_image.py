"""Pixels of the image that regions were drawn on, for pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError

from ..inputs.damage import PYDICOM_ERRORS, damage_named, decode_pixels
from ..inputs.nifti import read_array
from .model import ImageGrid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Floats = npt.NDArray[np.float32]


def read_slices(image: ImageGrid, wanted: Iterable[int]) -> tuple[dict[int, Floats], list[str]]:
    """Read some slices of an image, as stored times slope plus intercept.

    Parameters
    ----------
    image : ImageGrid
        Says where the pixels of each slice are.
    wanted : iterable of int
        Slices, from 0.

    Returns
    -------
    slices : dict of int to ndarray of float32, shape (rows, columns)
        Those whose pixels can be read.
    notes : list of str
        Notes about the others.
    """
    found: dict[int, Floats] = {}
    lost: list[str] = []
    opened: dict[Path, Any] = {}
    for index in sorted(set(wanted)):
        if index >= len(image.planes):
            continue
        plane = image.planes[index]
        try:
            if plane.path not in opened:
                opened = {plane.path: _open(plane.path)}
            found[index] = _plane(plane.path, opened[plane.path], plane.frame)
        except (OSError, CorruptDataError):
            lost.append(plane.path.name)
        if index in found and found[index].shape != image.shape[1:]:
            lost.append(plane.path.name)
            del found[index]
    notes = []
    if lost:
        notes.append(
            f"The pixels of {len(lost)} images, such as {lost[0]}, cannot be read, so the pictures "
            "of these slices show the map alone; the numbers do not need them."
        )
    return found, notes


def _open(path: Path) -> tuple[Any, npt.NDArray[Any]]:
    """Return what says the scale, and stored values (n_frames, rows, columns)."""
    if path.name.endswith((".nii", ".nii.gz")):
        values, _ = read_array(path)
        while values.ndim > 3:
            values = values[..., 0]
        values = values[..., None] if values.ndim == 2 else values
        return None, np.ascontiguousarray(values.transpose(2, 1, 0))
    import pydicom

    try:
        ds: Dataset = pydicom.dcmread(path)
    except PYDICOM_ERRORS as error:
        raise CorruptDataError(str(error), path=path) from error
    return ds, decode_pixels(ds)


def _plane(path: Path, opened: tuple[Any, npt.NDArray[Any]], frame: int) -> Floats:
    ds, stored = opened
    if frame >= len(stored):
        raise CorruptDataError(f"{path.name} has {len(stored)} frames.", path=path)
    raw: Floats = np.asarray(stored[frame], dtype=np.float32)
    if ds is None:
        return raw
    with damage_named(path, ds):
        slope, intercept = _scale(ds, frame)
    real: Floats = np.asarray(raw * slope + intercept, dtype=np.float32)
    return real


def _scale(ds: Dataset, frame: int) -> tuple[float, float]:
    """Return slope and intercept of a frame."""
    groups = ds.get("PerFrameFunctionalGroupsSequence")
    places = [
        *([groups[frame]] if groups else []),
        *(ds.get("SharedFunctionalGroupsSequence") or []),
    ]
    row = ds
    for one in places:
        if one.get("PixelValueTransformationSequence"):
            row = one.PixelValueTransformationSequence[0]
            break
    return float(row.get("RescaleSlope") or 1), float(row.get("RescaleIntercept") or 0)
