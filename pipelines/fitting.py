"""From images to a result: mask, noise, fit."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .commands import COMMANDS, Command, Setup
from .errors import CallError, ModelInputError, NothingUsableError
from .fitted import Fitted
from .inputs.frames import Floats, Images
from .inputs.load import load_images
from .inputs.nifti import read_array
from .models.masks import automatic_mask
from .models.noise import sigma_from_background
from .models.result import FitResult, Map

Bools = npt.NDArray[np.bool_]
_GRID_TOLERANCE_MM = 0.01


@dataclass(frozen=True)
class Options:
    """What the command was asked for.

    Attributes
    ----------
    mask : Path or None
        NIfTI on the grid of the images, not 0 where to fit.
    sigma : float or "auto" or None
        Noise of one real channel; None for a fit without it.
    model : str
        Empty for the command's own choice.
    skip_echoes : int or "auto"
        Echoes left out at the start.
    offsets_ppm : tuple of float
        CEST offsets.
    b0, b1, t1 : Path or None
        Maps as NIfTI on the grid of the images.
    """

    mask: Path | None = None
    sigma: float | Literal["auto"] | None = "auto"
    model: str = ""
    skip_echoes: int | Literal["auto"] = "auto"
    offsets_ppm: tuple[float, ...] = ()
    b0: Path | None = None
    b1: Path | None = None
    t1: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what differs from the defaults is not told apart: every option by its name."""
        return {
            name: value.name if isinstance(value, Path) else value
            for name, value in vars(self).items()
        }


def fit_images(name: str, images: Images, options: Options) -> Fitted:
    """Fit one map.

    Parameters
    ----------
    name : str
        A key of `commands.COMMANDS`.
    images : Images
        From `inputs.load.load_images`.
    options : Options
        What was asked for.

    Returns
    -------
    Fitted

    Raises
    ------
    CallError
        For an option that does not go with the images.
    NothingUsableError
        Where the images cannot be fitted.
    """
    command = COMMANDS[name]
    _check_options(name, command, options)
    signal = images.signal()
    sigma, sigma_source = _sigma(options, images, signal)
    mask, mask_source = _mask(command, images, options)
    setup = Setup(
        mask=mask.ravel(),
        sigma=sigma,
        model=options.model,
        skip_echoes=options.skip_echoes,
        offsets_ppm=options.offsets_ppm,
        b0=_shift(options.b0, command, images),
        b1=_extra(options.b1, images),
        t1=_extra(options.t1, images),
    )
    try:
        result = _fit(command, images, signal, setup)
    except ModelInputError as error:
        raise NothingUsableError(error.message, hint=error.hint) from error
    return Fitted(
        command=name,
        variable=command.need.variable,
        images=images,
        result=result,
        mask=mask,
        mask_source=mask_source,
        sigma_source=sigma_source,
        options=options.as_json(),
        notes=[*images.notes, *result.notes],
    )


def _check_options(name: str, command: Command, options: Options) -> None:
    if options.model and options.model not in command.models:
        known = ", ".join(command.models) or "none"
        raise CallError(f"{name} has no model {options.model}.", hint=f"It knows these: {known}.")
    for extra in ("b0", "b1", "t1"):
        if getattr(options, extra) is not None and extra not in command.inputs:
            raise CallError(f"{name} does not use a {extra} map.", hint=f"Leave --{extra} out.")


def _sigma(options: Options, images: Images, signal: Floats) -> tuple[float | None, str]:
    if options.sigma is None:
        return None, "not asked for"
    if options.sigma != "auto":
        return float(options.sigma), "given by --sigma"
    if images.component != "M":
        return None, "not estimated: the images are not magnitudes"
    found = sigma_from_background(signal)
    return found.sigma, f"{found.source}: {found.reason}"


def _mask(command: Command, images: Images, options: Options) -> tuple[Bools, str]:
    if options.mask is None:
        volume = _brightest(command, images)
        try:
            found = automatic_mask(volume.transpose(1, 2, 0))
        except ModelInputError as error:
            raise NothingUsableError(error.message, hint=error.hint) from error
        return np.ascontiguousarray(found.transpose(2, 0, 1)), "automatic"
    mask = np.nan_to_num(_on_grid(options.mask, images)) != 0
    if not mask.any():
        raise CallError(
            f"The mask {options.mask.name} is empty.",
            path=options.mask,
            hint="Give one with at least one voxel that is not 0.",
        )
    return mask, options.mask.name


def _brightest(command: Command, images: Images) -> Floats:
    """Return the volume for the automatic mask, shape (n_slices, rows, columns)."""
    if command.brightest == "mean":
        return np.asarray(np.abs(images.data).mean(axis=0))
    if command.brightest == "reference":
        index = _reference(command, images)
    else:
        index = 0 if command.brightest == "first" else -1
    return np.asarray(np.abs(images.data[index]), dtype=np.float32)


def _reference(command: Command, images: Images) -> int:
    """Return the sample with the most signal: lowest b, no saturation, or the farthest offset."""
    if images.reference.any():
        return int(np.flatnonzero(images.reference)[0])
    values = images.one(command.need.variable)
    far = command.need.variable == "offset_ppm"
    return int(np.nanargmax(np.abs(values)) if far else np.nanargmin(values))


def _on_grid(path: Path, images: Images) -> Floats:
    """Return a volume on the grid of the images, shape (n_slices, rows, columns)."""
    if not path.is_file():
        raise CallError(f"There is no {path.name}.", path=path, hint="Check the path.")
    values, affine = read_array(path)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        values = values[..., None]
    slices, rows, columns = images.grid
    if values.shape != (columns, rows, slices):
        raise CallError(
            f"{path.name} has {'x'.join(map(str, values.shape))} voxels and the images "
            f"{columns}x{rows}x{slices}.",
            path=path,
            hint="Draw or resample it on these images.",
        )
    corners = np.array([[0, 0, 0, 1], [columns - 1, rows - 1, slices - 1, 1]]).T
    away = np.abs(affine @ corners - images.affine @ corners).max()
    if away > max(_GRID_TOLERANCE_MM, 0.1 * float(np.linalg.norm(images.affine[:3, 0]))):
        raise CallError(
            f"{path.name} lies {away:.2f} mm away from the images.",
            path=path,
            hint="Draw or resample it on these images.",
        )
    return np.ascontiguousarray(values.transpose(2, 1, 0))


def _extra(path: Path | None, images: Images) -> Floats | None:
    return None if path is None else _on_grid(path, images).ravel()


def _shift(path: Path | None, command: Command, images: Images) -> Floats | None:
    """Return the shift of water, ppm, shape (n_voxels,): a map, or from a WASSR series."""
    if path is None or (path.is_file() and path.name.endswith((".nii", ".nii.gz"))):
        return _extra(path, images)
    from .models.cest_b0 import b0_by_symmetry

    scan = load_images(path, command.need)
    if scan.grid != images.grid or not np.allclose(scan.affine, images.affine, atol=0.1):
        raise CallError(
            f"The series {path.name} does not lie on the grid of the images.",
            path=path,
            hint="Give a series of the same slices and matrix.",
        )
    offsets = scan.one(command.need.variable)
    near = np.isfinite(offsets) & ~scan.reference & (np.abs(offsets) < _FAR_PPM)
    order = np.flatnonzero(near)[np.argsort(offsets[near], kind="stable")]
    spectra = scan.signal()[:, order].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        spectra /= spectra.max(axis=1, keepdims=True)
    return np.asarray(b0_by_symmetry(spectra, offsets[order]), dtype=np.float32)


_FAR_PPM = 20.0  # farther images serve as reference


def _fit(command: Command, images: Images, signal: Floats, setup: Setup) -> FitResult:
    """Fit all slices at once, or one by one where their values differ."""
    variable = images.values[command.need.variable]
    if not command.need.per_slice or np.allclose(variable, variable[0], equal_nan=True):
        return command.fit(images, signal, setup)
    slices = images.grid[0]
    size = len(signal) // slices
    parts: list[FitResult | None] = []
    for index in range(slices):
        rows = slice(index * size, (index + 1) * size)
        if not setup.mask[rows].any():
            parts.append(None)
            continue
        own = replace(setup, mask=setup.mask[rows], slice_index=index)
        parts.append(command.fit(images, signal[rows], own))
    return _joined(parts, size)


def _joined(parts: list[FitResult | None], size: int) -> FitResult:
    """Put the results of slices together; a slice without mask has no values."""
    first = next(part for part in parts if part is not None)

    def join(rows: list[Any], fill: Any, kind: Any) -> Any:
        shape = next(row for row in rows if row is not None).shape[1:]
        empty = np.full((size, *shape), fill, kind)
        return np.concatenate([empty if row is None else row for row in rows])

    maps = {}
    for name, one in first.maps.items():
        values = [None if p is None else p.maps[name].values for p in parts]
        errors = [None if p is None else p.maps[name].error for p in parts]
        error = None if one.error is None else join(errors, np.nan, np.float32)
        maps[name] = Map(join(values, np.nan, np.float32), one.unit, error)
    chi2 = [None if p is None else p.chi2_red for p in parts]
    return replace(
        first,
        maps=maps,
        flags=join([None if p is None else p.flags for p in parts], 1, np.uint8),
        r2fit=join([None if p is None else p.r2fit for p in parts], np.nan, np.float32),
        chi2_red=None if first.chi2_red is None else join(chi2, np.nan, np.float32),
        residual_mean=np.mean([p.residual_mean for p in parts if p is not None], axis=0),
        residual_width=None,
        notes=tuple(dict.fromkeys(note for p in parts if p is not None for note in p.notes)),
    )
