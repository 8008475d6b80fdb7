"""Write a map as NIfTI with a sidecar."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt


def write_nifti(
    path: Path, values: npt.NDArray[Any], affine: npt.NDArray[np.float64], top: float | None = None
) -> None:
    """Write one map.

    Parameters
    ----------
    path : Path
        Ends in ``.nii.gz``.
    values : ndarray, shape (n_slices, rows, columns) or (n_slices, rows, columns, k)
        float32, or uint8 for flags.
    affine : ndarray of float64, shape (4, 4)
        From (column, row, slice) to RAS mm.
    top : float, optional
        Upper end of the window of display (``cal_max``).
    """
    axes = (2, 1, 0) if values.ndim == 3 else (2, 1, 0, 3)
    image: Any = nib.Nifti1Image(np.asfortranarray(values.transpose(axes)), affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    if top is not None:
        image.header["cal_max"] = top
    nib.save(image, path)


def write_sidecar(path: Path, content: dict[str, Any]) -> None:
    """Write a sidecar or any other JSON; numbers that are not finite become null."""
    text = json.dumps(jsonable(content), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


def jsonable(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple | set):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
