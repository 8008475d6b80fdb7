"""Images from NIfTI with sidecars: BIDS, lists of the product's own, or FSL's b-value files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from xnat_pic.errors import CorruptDataError, NothingUsableError, WrongCallError

from ..images import grids
from .frames import Doubles, Floats, Images, SeriesRequirement
from .grid import plural_name
from .sidecar import (
    KEYWORDS,
    component_of,
    read_sidecar,
    scan_of,
    scan_origin,
    sidecar_of,
    stem_of,
    values_of,
)

_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class NiftiVolumes:
    """One file and what is beside it; `values` has shape (n_samples,) or (n_slices, n_samples)."""

    path: Path
    data: Floats
    affine: Doubles
    values: dict[str, Doubles]
    origin: dict[str, str]
    files: list[Path]
    content: dict[str, Any]

    @property
    def component(self) -> str:
        """M, R, P or I."""
        return component_of(self.path, self.content)


def find_nifti(path: Path) -> list[Path]:
    """Return the image where the input is NIfTI: the file, or those of a folder."""
    names = (".nii", ".nii.gz")
    if path.is_file():
        return [path] if path.name.endswith(names) else []
    return [p for p in sorted(path.iterdir()) if p.name.endswith(names)]


def read_shape(path: Path) -> tuple[int, ...]:
    """Return the size of an image along its axes, without reading its values."""
    try:
        image: Any = nib.load(path)
        return tuple(int(size) for size in image.shape)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise CorruptDataError(
            f"{path.name} cannot be read as NIfTI ({error}).", path=path, hint="Get it again."
        ) from error


def read_array(path: Path) -> tuple[Floats, Doubles]:
    """Return the values of an image, float32, and its affine, (4, 4)."""
    try:
        image: Any = nib.load(path)
        return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, np.float64)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise CorruptDataError(
            f"{path.name} cannot be read as NIfTI ({error}).", path=path, hint="Get it again."
        ) from error


def load_nifti(paths: list[Path], requirement: SeriesRequirement) -> Images:
    """Read one 4-D image, axes (column, row, slice, sample), or a 3-D image for each sample.

    Parameters
    ----------
    paths : list of Path
        ``.nii`` or ``.nii.gz``; beside each ``.json``, and for diffusion ``.bval`` and ``.bvec``.
        Phase images and other components among them are left out.
    requirement : SeriesRequirement
        What the map asks for.

    Returns
    -------
    Images
        With the samples sorted where the map asks for it.

    Raises
    ------
    NothingUsableError
        For too few volumes or values, several 4-D images, and images of phase alone.
    WrongCallError
        For a list of another length, and 3-D images on different grids.
    CorruptDataError
        For a file that breaks off.
    """
    one = _concatenate(_choose_component([_read(path) for path in paths], requirement), requirement)
    count = one.data.shape[3]
    if requirement.variable not in one.values:
        keyword = KEYWORDS[requirement.variable][0]
        raise NothingUsableError(
            f"Nothing beside {one.path.name} says its {plural_name(requirement.variable)}.",
            path=one.path,
            hint=f"Put a list {keyword} with {count} values into {stem_of(one.path)}.json.",
        )
    slices = one.data.shape[2]
    table = {name: np.broadcast_to(row, (slices, count)) for name, row in one.values.items()}
    _check_values(table[requirement.variable], one.path, requirement)
    order = (
        np.argsort(table[requirement.variable][0], kind="stable")
        if requirement.sort
        else np.arange(count)
    )
    directions = _directions(one)
    known = values_of(one.content, count)
    return Images(
        data=np.ascontiguousarray(one.data.transpose(3, 2, 1, 0)[order]),
        affine=one.affine,
        values={name: np.ascontiguousarray(row[:, order]) for name, row in table.items()},
        directions=None if directions is None else directions[order],
        b_matrices=None,
        reference=np.zeros(count, np.bool_),
        component="R"
        if "R" in requirement.components and np.nanmin(one.data) < 0
        else one.component,
        frames=[],
        files=one.files,
        origin={**one.origin, **scan_origin(one.content, sidecar_of(one.path))},
        frequency_mhz=known.frequency_mhz,
        scan=scan_of(one.content),
    )


def _read(path: Path) -> NiftiVolumes:
    data, affine = read_array(path)
    if data.ndim not in (3, 4):
        raise NothingUsableError(
            f"{path.name} has {data.ndim} axes.", path=path, hint="Give a 3-D or 4-D image."
        )
    data = data[..., None] if data.ndim == 3 else data
    content = read_sidecar(path)
    files = [path, *([sidecar_of(path)] if content else [])]
    count = data.shape[3]
    found = values_of(content, count)
    table = found.table
    origin = {name: f"{KEYWORDS[name][0]} of {sidecar_of(path).name}" for name in table}
    bvals = path.with_name(stem_of(path) + ".bval")
    if bvals.is_file():
        table["b_value"] = _numbers(bvals).ravel()
        origin["b_value"] = bvals.name
        files.append(bvals)
    for name, row in table.items():
        if row.shape not in ((count,), (data.shape[2], count)):
            raise WrongCallError(
                f"{origin[name]} lists {row.size} values for {count} volumes.",
                path=path,
                hint="List one value for each volume, or for each slice a list of them.",
            )
    return NiftiVolumes(path, data, affine, table, origin, files, content)


def _choose_component(
    found: list[NiftiVolumes], requirement: SeriesRequirement
) -> list[NiftiVolumes]:
    """Return the files of the best component that serves."""
    for component in requirement.components:
        serving = [one for one in found if one.component == component]
        if serving:
            return serving
    raise NothingUsableError(
        f"{found[0].path.name} is no magnitude image.",
        path=found[0].path,
        hint="Give the magnitude images.",
    )


def _concatenate(found: list[NiftiVolumes], requirement: SeriesRequirement) -> NiftiVolumes:
    """Return the one 4-D image, or 3-D images put together."""
    first = found[0]
    if len(found) > 1 and any(one.data.shape[3] > 1 for one in found):
        raise NothingUsableError(
            f"There are {len(found)} NIfTI files in {first.path.parent.name}.",
            path=first.path.parent,
            hint="Name one of them; only 3-D images, one for each sample, are put together.",
        )
    count = sum(one.data.shape[3] for one in found)
    if count < requirement.least:
        raise NothingUsableError(
            f"{first.path.name} has {count} volumes; at least {requirement.least} are needed.",
            path=first.path,
            hint="Give the series that was measured for this map.",
        )
    if len(found) == 1:
        return first
    for one in found[1:]:
        slices, rows, columns = first.data.shape[2::-1]
        step = grids.voxel_map(one.affine, first.affine, (slices, rows, columns))
        same = step is not None and np.array_equal(step, np.eye(4))
        if one.data.shape != first.data.shape or not same:
            raise WrongCallError(
                f"{one.path.name} and {first.path.name} are not on the same grid.",
                path=one.path,
                hint="Give the images of one scan.",
            )
    names = set.intersection(*(set(one.values) for one in found))
    values = {name: np.concatenate([one.values[name] for one in found], -1) for name in names}
    return NiftiVolumes(
        path=first.path,
        data=np.concatenate([one.data for one in found], axis=3),
        affine=first.affine,
        values=values,
        origin={name: f"{KEYWORDS[name][0]} of {count} sidecars" for name in names},
        files=[path for one in found for path in one.files],
        content=first.content,
    )


def _check_values(
    rows: npt.NDArray[np.float64], path: Path, requirement: SeriesRequirement
) -> None:
    if not requirement.per_slice and not np.allclose(rows, rows[0], equal_nan=True):
        raise WrongCallError(
            f"The slices of {path.name} do not have the same {plural_name(requirement.variable)}.",
            path=path,
            hint="List one value for each volume.",
        )
    if len(set(rows[0].round(6).tolist())) < requirement.least:
        raise NothingUsableError(
            f"The {plural_name(requirement.variable)} beside {path.name} have fewer than "
            f"{requirement.least} different values.",
            path=path,
            hint="Correct the sidecar.",
        )


def _numbers(path: Path) -> Doubles:
    try:
        return np.loadtxt(path, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise CorruptDataError(
            f"{path.name} holds something that is no number.", path=path, hint="Correct it."
        ) from error


def _directions(one: NiftiVolumes) -> Doubles | None:
    """Return the directions of a ``.bvec`` file in patient LPS, shape (n, 3).

    FSL's are along the image axes, with the first one turned over where the affine keeps
    handedness.
    """
    source = one.path.with_name(stem_of(one.path) + ".bvec")
    if not source.is_file():
        return None
    one.files.append(source)
    vectors = _numbers(source)
    vectors = vectors.T if vectors.shape[0] == 3 else vectors
    if vectors.shape != (one.data.shape[3], 3):
        raise WrongCallError(
            f"{source.name} lists {vectors.size} numbers for {one.data.shape[3]} volumes.",
            path=source,
            hint="List three for each volume.",
        )
    axes = one.affine[:3, :3] / np.linalg.norm(one.affine[:3, :3], axis=0)
    if np.linalg.det(axes) > 0:
        vectors = vectors * np.array([-1.0, 1.0, 1.0])
    directions = vectors @ axes.T @ _LPS
    return np.where(np.any(directions != 0, axis=1, keepdims=True), directions, np.nan)
