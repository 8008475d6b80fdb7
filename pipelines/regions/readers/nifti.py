"""Read NIfTI masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError, NothingUsableError

from ..geometry import grid_of_affine
from ..headers import FAULTS
from ..model import RegionSet
from .voxels import check_size, regions_of_volume


def read_nifti_mask(path: Path) -> RegionSet:
    """Read a mask with one or more labels; the affine is the sform's, else the qform's.

    Raises
    ------
    CorruptDataError
        For a file that breaks off.
    NothingUsableError
        For a file without a mask in 3-D.
    """
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        shape = tuple(int(n) for n in image.shape)
        check_size(shape, path)
        if len(shape) < 3 or any(n != 1 for n in shape[3:]):
            raise NothingUsableError(
                f"{path.name} has the shape {' x '.join(map(str, shape))}.",
                path=path,
                hint="Give one mask in 3-D, with a number for each region.",
            )
        values = np.asarray(image.dataobj).reshape(shape[:3]).transpose(2, 1, 0)
    except (nib.filebasedimages.ImageFileError, *FAULTS) as error:
        raise CorruptDataError(
            f"{path.name} cannot be read as NIfTI ({error}).", path=path, hint="Get it again."
        ) from error
    code = image.header["sform_code"], image.header["qform_code"]
    if not any(int(one) for one in code):
        raise NothingUsableError(
            f"{path.name} does not say where its voxels lie (no sform, no qform).",
            path=path,
            hint="Export it with the position of the image.",
        )
    grid = grid_of_affine(image.affine, (values.shape[0], values.shape[1], values.shape[2]))
    return RegionSet(path, "", regions_of_volume(values, grid, path, "NIFTI"), (path,))
