"""Maps given beside the images: a mask, a field, T1; NIfTI or DICOM Parametric Map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError, WrongCallError
from xnat_pic.files import file_digest, new_digest

from ..images import grids
from .damage import (
    PYDICOM_ERRORS,
    damage_named,
    decode_pixels,
    require,
    require_item,
    require_numbers,
)
from .frames import Doubles, Floats, Images
from .nifti import read_array, read_shape

_PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])

# Factor from a unit as files write it to the unit of the product, by what the map is.
UNITS: dict[str, dict[str, float]] = {
    "t1": {"ms": 1.0, "s": 1000.0},
    "b1": {"1": 1.0, "%": 0.01, "percent": 0.01},
    "b0": {"[ppm]": 1.0, "ppm": 1.0},
}
# Without a unit the median tells: what it must lie between, and what to do otherwise.
_LIKELY = {
    "t1": (30.0, 20000.0, "ms"),
    "b1": (0.1, 5.0, "a fraction of the nominal flip angle, 1 where it is nominal"),
    "b0": (-20.0, 20.0, "ppm"),
}


def is_map(path: Path) -> bool:
    """Tell a map, 3-D NIfTI or Parametric Map, from a series."""
    if not path.is_file():
        return False
    if path.name.endswith((".nii", ".nii.gz")):
        return not any(size > 1 for size in read_shape(path)[3:])
    return _sop_class(path) == _PARAMETRIC_MAP


def read_extra(path: Path, kind: str, images: Images) -> Floats:
    """Return a map on the grid of the images in the unit of the product.

    Parameters
    ----------
    path : Path
        NIfTI, whose sidecar may say ``Units``, or a DICOM Parametric Map.
    kind : str
        ``t1`` (ms), ``b1`` (1 is nominal) or ``b0`` (ppm; Hz is divided by the working frequency).
    images : Images
        Whose grid it must have.

    Returns
    -------
    ndarray of float32, shape (n_voxels,)
        Voxels by slice, row, column.

    Raises
    ------
    WrongCallError
        For another grid or unit, and values that cannot be in the unit expected.
    """
    values, unit = _on_grid(path, images)
    factors = UNITS[kind]
    if kind == "b0" and unit == "Hz":
        if not images.frequency_mhz:
            raise WrongCallError(
                f"{path.name} is in Hz, and the images do not say their working frequency.",
                path=path,
                hint="Divide the map by the frequency in MHz, to give it in ppm.",
            )
        return np.asarray(values / np.float32(images.frequency_mhz)).ravel()
    if unit and unit not in factors:
        raise WrongCallError(
            f"{path.name} is in {unit}, and --{kind} needs {' or '.join(factors)}.",
            path=path,
            hint="Convert it, or correct Units in its sidecar.",
        )
    _check_likely(values, path, kind, unit)
    return np.asarray(values * np.float32(factors.get(unit, 1.0))).ravel()


def _check_likely(values: Floats, path: Path, kind: str, unit: str) -> None:
    """Refuse a map without a unit whose values are those of another unit."""
    low, high, meant = _LIKELY[kind]
    known = values[np.isfinite(values) & (values != 0)]
    if not known.size:
        raise WrongCallError(
            f"{path.name} has no value.", path=path, hint="Give a map that covers the subject."
        )
    middle = float(np.median(known))
    if not unit and not low <= middle <= high:
        raise WrongCallError(
            f"The median of {path.name} is {middle:.4g}, and --{kind} needs {meant}.",
            path=path,
            hint="Convert it, or write its unit as Units into its sidecar.",
        )


def read_mask(path: Path, images: Images) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return a mask on the grid of the images, shape (n_slices, rows, columns).

    Raises
    ------
    WrongCallError
        For another grid, and an empty mask.
    """
    values, _ = _on_grid(path, images)
    mask = np.nan_to_num(values) != 0
    if not mask.any():
        raise WrongCallError(
            f"The mask {path.name} is empty.",
            path=path,
            hint="Give one with at least one voxel that is not 0.",
        )
    return np.asarray(mask)


def _on_grid(path: Path, images: Images) -> tuple[Floats, str]:
    """Return a volume on the grid of the images, (n_slices, rows, columns), and its unit."""
    if not path.is_file():
        raise WrongCallError(f"There is no {path.name}.", path=path, hint="Check the path.")
    if _is_parametric(path):
        values, affine, unit = _read_parametric(path)
    else:
        from .sidecar import read_sidecar

        values, affine = read_array(path)
        unit = str(read_sidecar(path).get("Units", ""))
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3:
        raise WrongCallError(
            f"{path.name} has {values.ndim} axes.", path=path, hint="Give a volume of three."
        )
    stored = np.ascontiguousarray(values.transpose(2, 1, 0))
    found = grids.on_grid(stored, affine, images.affine, images.grid)
    if found is None:
        raise WrongCallError(
            f"{path.name} {_otherwise(stored.shape, affine, images)}.",
            path=path,
            hint="Draw or resample it on these images.",
        )
    return np.asarray(found), unit


def _otherwise(shape: tuple[int, ...], affine: Doubles, images: Images) -> str:
    """Say how a volume differs from the grid of the images."""
    slices, rows, columns = images.grid
    if sorted(shape) != sorted(images.grid):
        has = "x".join(str(size) for size in shape[::-1])
        return f"has {has} voxels and the images {columns}x{rows}x{slices}"
    own = (affine @ grids.corners((shape[0], shape[1], shape[2])))[:3]
    theirs = (images.affine @ grids.corners(images.grid))[:3]
    apart = np.linalg.norm(own[:, :, None] - theirs[:, None], axis=0)
    return f"lies {apart.min(axis=0).max():.3g} mm away from the images"


def _is_parametric(path: Path) -> bool:
    kind = _sop_class(path)
    if kind not in ("", _PARAMETRIC_MAP):
        raise WrongCallError(
            f"{path.name} is a DICOM image, not a map.",
            path=path,
            hint="Give a Parametric Map or NIfTI.",
        )
    return bool(kind)


def _sop_class(path: Path) -> str:
    """Return the kind of a DICOM object, empty for other files."""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ""
    import pydicom

    return str(pydicom.dcmread(path, specific_tags=["SOPClassUID"]).get("SOPClassUID", ""))


def _read_parametric(path: Path) -> tuple[Floats, Doubles, str]:
    """Return values with axes (column, row, slice), the affine to RAS mm, and the unit."""
    import pydicom

    what, hint = "cannot be read as a Parametric Map", "Get it again, or give NIfTI."
    try:
        ds = pydicom.dcmread(path)
    except PYDICOM_ERRORS as error:
        raise CorruptDataError(f"{path.name} {what} ({error}).", path=path, hint=hint) from error
    with damage_named(path, ds, what, hint):
        return _read_planes(ds)


def _read_planes(ds: Any) -> tuple[Floats, Doubles, str]:
    frames = decode_pixels(ds).astype(np.float64)
    shared = require_item(ds, "SharedFunctionalGroupsSequence")
    require_item(ds, "PerFrameFunctionalGroupsSequence")
    groups = [[item, shared] for item in ds.PerFrameFunctionalGroupsSequence]
    where = [_of(group, "PlanePosition") for group in groups]
    places = np.array([require_numbers(one, "ImagePositionPatient", 3) for one in where])
    turned = _of(groups[0], "PlaneOrientation")
    axes = np.array(require_numbers(turned, "ImageOrientationPatient", 6))
    measures = _of(groups[0], "PixelMeasures")
    spacing = require_numbers(measures, "PixelSpacing", 2)
    mapping = _of(groups[0], "RealWorldValueMapping")
    unit = str(require(require_item(mapping, "MeasurementUnitsCodeSequence"), "CodeValue"))
    scale, offset = mapping.get("RealWorldValueSlope"), mapping.get("RealWorldValueIntercept")
    scale, offset = 1.0 if scale is None else float(scale), float(offset or 0.0)
    thickness = float(measures.get("SliceThickness") or 1.0)
    row, column = axes[:3], axes[3:]
    normal = np.cross(row, column)
    order = np.argsort(places @ normal, kind="stable")
    places, frames = places[order], frames[order]
    step = (places[-1] - places[0]) / (len(places) - 1) if len(places) > 1 else normal * thickness
    affine = np.eye(4)
    steps = np.stack([row * spacing[1], column * spacing[0], step], axis=1)
    affine[:3, :3] = _LPS_TO_RAS @ steps
    affine[:3, 3] = _LPS_TO_RAS @ places[0]
    return (frames * scale + offset).astype(np.float32).transpose(2, 1, 0), affine, unit


def _of(groups: list[Any], name: str) -> Any:
    """Return the item of a functional group: the frame's own, else the shared one."""
    for group in groups:
        items = group.get(f"{name}Sequence")
        if items:
            return items[0]
    raise CorruptDataError(f"{name}Sequence is missing")


def fingerprint(path: Path) -> dict[str, str]:
    """Return name and SHA-256 of a file, or of all files of a folder in order of their names."""
    if path.is_file():
        return {"file": path.name, "sha256": file_digest(path)}
    total = new_digest()
    for one in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(bytes.fromhex(file_digest(one)))
    return {"file": path.name, "sha256": total.hexdigest()}
