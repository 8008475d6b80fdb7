"""Let dcmrtstruct2nii turn a structure set into masks, for those who must repeat older results.

The library fills each contour on the plane its first point rounds to, joins contours by exclusive
or, wraps planes below the volume to its end and drops an ROI with a contour above it; that is
what older results contain, and nothing of it is mended here. What it drops is named.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from xnat_pic.errors import CorruptDataError, WrongCallError

from .geometry import same_grid
from .model import ImageGrid, Mask, Region, RegionMask, RegionSet
from .overlap import overlap
from .volume import read_image

__all__ = ["rasterize_with_dcmrtstruct2nii"]

_BANNER = "dcmrtstruct2nii"


@contextlib.contextmanager
def _library() -> Iterator[tuple[Any, Any]]:
    """Give the library's function and its rule for file names.

    It prints a banner at import and calls a function that pydicom 3 no longer has, which is put
    back as long as it runs.
    """
    import pydicom

    with contextlib.redirect_stdout(io.StringIO()):
        try:
            facade = import_module("dcmrtstruct2nii.facade.dcmrtstruct2nii")
            names = import_module("dcmrtstruct2nii.adapters.convert.filenameconverter")
        except ImportError as error:
            raise WrongCallError(
                f"dcmrtstruct2nii cannot be loaded ({error}).",
                hint="Choose ours, or install it with: pip install 'xnat-pic[rasterizer]'.",
            ) from error
        missing = not hasattr(pydicom, "read_file")
        if missing:
            pydicom.read_file = pydicom.dcmread  # type: ignore[attr-defined]
        try:
            yield facade.dcmrtstruct2nii, names.FilenameConverter().convert
        finally:
            if missing:
                del pydicom.read_file  # type: ignore[attr-defined]


def rasterize_with_dcmrtstruct2nii(
    path: Path, image_folder: Path, regions: RegionSet, image: ImageGrid
) -> list[RegionMask]:
    """Return the masks dcmrtstruct2nii makes of a structure set.

    Parameters
    ----------
    path : Path
        The RTSTRUCT file.
    image_folder : Path
        The folder of the classic DICOM series it was drawn on.
    regions : RegionSet
        From `readers.read_regions` of the same file; gives names and colours.
    image : ImageGrid
        From `volume.read_image` of the same folder.

    Returns
    -------
    list of RegionMask
        One for each region, in their order; `unusable` where the library made none.

    Raises
    ------
    WrongCallError
        For an image or regions that the library cannot read, and where it is not installed.
    CorruptDataError
        Where the library breaks down on the file.
    """
    if not image_folder.is_dir() or any(plane.frame for plane in image.planes):
        raise WrongCallError(
            f"dcmrtstruct2nii reads folders of single-frame DICOM only, and {image_folder.name} is "
            "none.",
            hint="Leave --rasterizer out.",
        )
    others = sorted({one.source for one in regions.regions} - {"RTSTRUCT"})
    if others:
        raise WrongCallError(
            f"dcmrtstruct2nii reads RTSTRUCT only, and {path.name} is {', '.join(others)}.",
            hint="Give the RTSTRUCT file, or leave --rasterizer out.",
        )
    series = next(iter(image.series_uids), None) if len(image.series_uids) == 1 else None
    with tempfile.TemporaryDirectory() as folder, _library() as (convert, file_name):
        return [
            _one(region, regions, convert, file_name, (path, image_folder, series), folder, image)
            for region in regions.regions
        ]


def _one(
    region: Region,
    regions: RegionSet,
    convert: Any,
    file_name: Any,
    source: tuple[Path, Path, str | None],
    folder: str,
    image: ImageGrid,
) -> RegionMask:
    """Run the library for one name; equal names overwrite each other's file there."""
    path, image_folder, series = source
    repeated = sum(file_name(one.name) == file_name(region.name) for one in regions.regions) > 1
    made = Path(folder) / f"mask_{region.number}" / f"{file_name('mask_' + region.name)}.nii.gz"
    try:
        convert(
            str(path),
            str(image_folder),
            str(made.parent),
            structures=[region.name],
            mask_foreground_value=1,
            convert_original_dicom=False,
            series_id=series,
        )
    except Exception as error:
        # The library raises whatever its own libraries do; nothing of it may end a batch.
        raise CorruptDataError(
            f"dcmrtstruct2nii stopped at {path.name} ({type(error).__name__}: {error}).",
            path=path,
            hint="Leave --rasterizer out.",
        ) from error
    warnings = [*region.warnings, f"Filled by {_BANNER}, which follows rules of its own."]
    if repeated:
        warnings.append("Several ROIs share its name; the library kept the last one for all.")
    empty = np.zeros(image.shape, dtype=np.bool_)
    if not made.is_file():
        why = f'{_BANNER} made no mask of "{region.name}": no contours, or one above the volume.'
        return RegionMask(region, empty, unusable=why, warnings=tuple(warnings))
    mask = _mask(made, image)
    why = "" if mask.any() else f'{_BANNER} filled no voxel of "{region.name}".'
    return RegionMask(region, mask, len(region.contours), unusable=why, warnings=tuple(warnings))


def _mask(path: Path, image: ImageGrid) -> Mask:
    """Return the library's mask in the order of the image's slices and axes."""
    import nibabel as nib

    grid = read_image(path)
    loaded: Any = nib.load(path)
    values = np.asarray(loaded.dataobj, dtype=np.float32).transpose(2, 1, 0)
    share = values if same_grid(grid, image) else overlap(values, grid, image)
    return np.asarray(share >= 0.5, dtype=np.bool_)
