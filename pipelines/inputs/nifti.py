"""Images from NIfTI with a sidecar: BIDS, lists of the product's own, or FSL's b-value files."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import CallError, CorruptInputError, NothingUsableError
from .frames import Doubles, Floats, Images
from .grid import in_words
from .load import Need

# Sidecar keyword and the factor from BIDS units (seconds) to the product's.
KEYWORDS = {
    "echo_time_ms": ("EchoTime", 1000.0),
    "repetition_time_ms": ("RepetitionTime", 1000.0),
    "inversion_time_ms": ("InversionTime", 1000.0),
    "flip_angle_deg": ("FlipAngle", 1.0),
    "b_value": ("bValues", 1.0),
    "offset_ppm": ("SaturationOffsetPpm", 1.0),
}
_LPS = np.diag([-1.0, -1.0, 1.0])


def find_nifti(path: Path) -> Path | None:
    """Return the image where the input is NIfTI: the file, or the only one of a folder."""
    names = (".nii", ".nii.gz")
    if path.is_file():
        return path if path.name.endswith(names) else None
    found = [p for p in sorted(path.iterdir()) if p.name.endswith(names)]
    if len(found) > 1:
        raise NothingUsableError(
            f"There are {len(found)} NIfTI files in {path.name}.", hint="Name one of them."
        )
    return found[0] if found else None


def stem_of(path: Path) -> str:
    """Return a file's name without ``.nii`` or ``.nii.gz``."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def read_array(path: Path) -> tuple[Floats, Doubles]:
    """Return the values of an image, float32, and its affine, (4, 4)."""
    try:
        image: Any = nib.load(path)
        return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, np.float64)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise CorruptInputError(
            f"{path.name} cannot be read as NIfTI ({error}).", path=path, hint="Get it again."
        ) from error


def load_nifti(path: Path, need: Need) -> Images:
    """Read a 4-D image, axes (column, row, slice, sample), and the values of its samples.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; beside it ``.json``, and for diffusion ``.bval`` and ``.bvec``.
    need : Need
        What the map asks for.

    Returns
    -------
    Images
        With the samples sorted where the map asks for it.
    """
    values, affine = read_array(path)
    if values.ndim != 4 or values.shape[3] < need.least:
        raise NothingUsableError(
            f"{path.name} has {values.shape[3] if values.ndim == 4 else 1} volumes; at least "
            f"{need.least} are needed.",
            path=path,
            hint="Give the series that was measured for this map.",
        )
    count = values.shape[3]
    table, origin, files = _values(path, count)
    if need.variable not in table:
        keyword = KEYWORDS[need.variable][0]
        raise NothingUsableError(
            f"Nothing beside {path.name} says its {in_words(need.variable)}.",
            path=path,
            hint=f"Put a list {keyword} with {count} values into {stem_of(path)}.json.",
        )
    if len(set(table[need.variable].round(6).tolist())) < need.least:
        raise NothingUsableError(
            f"The {in_words(need.variable)} beside {path.name} have fewer than {need.least} "
            "different values.",
            path=path,
            hint="Correct the sidecar.",
        )
    order = np.argsort(table[need.variable], kind="stable") if need.sort else np.arange(count)
    data = np.ascontiguousarray(values.transpose(3, 2, 1, 0)[order])
    directions = _directions(path, affine, files)
    slices = data.shape[1]
    return Images(
        data=data,
        affine=affine,
        values={name: np.tile(row[order], (slices, 1)) for name, row in table.items()},
        directions=None if directions is None else directions[order],
        b_matrices=None,
        reference=np.zeros(count, np.bool_),
        component="M" if not np.nanmin(data) < 0 or "R" not in need.components else "R",
        frames=[],
        files=files,
        origin=origin,
    )


def _values(path: Path, count: int) -> tuple[dict[str, Doubles], dict[str, str], list[Path]]:
    sidecar = path.with_name(stem_of(path) + ".json")
    files, content = [path], {}
    if sidecar.is_file():
        files.append(sidecar)
        try:
            content = json.loads(sidecar.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CorruptInputError(
                f"{sidecar.name} is no JSON.", path=sidecar, hint="Correct it."
            ) from error
    table, origin = {}, {}
    for name, (keyword, factor) in KEYWORDS.items():
        found = _listed(content, keyword, count)
        if found is not None:
            table[name] = found * factor
            origin[name] = f"{keyword} of {sidecar.name}"
    bvals = path.with_name(stem_of(path) + ".bval")
    if bvals.is_file():
        table["b_value"] = _numbers(bvals).ravel()
        origin["b_value"] = bvals.name
        files.append(bvals)
    for name, row in table.items():
        if row.shape != (count,):
            raise CallError(
                f"{origin[name]} lists {row.size} values for {count} volumes.",
                path=path,
                hint="List one value for each volume.",
            )
    return table, origin, files


def _listed(content: dict[str, Any], keyword: str, count: int) -> Doubles | None:
    """Return a value per volume: a list, one number for all, or one of each volume's entries."""
    value = content.get(keyword)
    volumes = content.get("volume_ids") or content.get("Volumes")
    if value is None and isinstance(volumes, list):
        rows = [row.get(keyword) for row in volumes if isinstance(row, dict)]
        value = rows if rows and None not in rows else None
    if value is None:
        return None
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return np.full(count, float(found)) if found.ndim == 0 else found


def _numbers(path: Path) -> Doubles:
    try:
        return np.loadtxt(path, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise CorruptInputError(
            f"{path.name} holds something that is no number.", path=path, hint="Correct it."
        ) from error


def _directions(path: Path, affine: Doubles, files: list[Path]) -> Doubles | None:
    """Return the directions of a ``.bvec`` file in patient LPS, shape (n, 3).

    FSL's are along the image axes, with the first one turned over where the affine keeps
    handedness.
    """
    source = path.with_name(stem_of(path) + ".bvec")
    if not source.is_file():
        return None
    files.append(source)
    vectors = _numbers(source)
    vectors = vectors.T if vectors.shape[0] == 3 else vectors
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.linalg.det(axes) > 0:
        vectors = vectors * np.array([-1.0, 1.0, 1.0])
    directions = vectors @ axes.T @ _LPS
    return np.where(np.any(directions != 0, axis=1, keepdims=True), directions, np.nan)
