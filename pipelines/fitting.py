"""From images to a result: mask, noise, fit."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .commands import COMMANDS, Command, Setup
from .errors import CallError, ModelInputError, NothingUsableError
from .fitted import Fitted
from .fitting_maps import EXTRAS, options_as_json, with_extras
from .fitting_noise import find_sigma
from .inputs.extra import read_mask
from .inputs.frames import Floats, Images
from .models.masks import automatic_mask
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
    windows : tuple of str
        CEST ranges, ``amide`` or ``3.2-3.8``.
    b0, b1, t1 : Path or None
        Maps on the grid of the images, NIfTI or Parametric Map; for B0 also a series.
    ph : Path or None
        Calibration of pH, TOML.
    """

    mask: Path | None = None
    sigma: float | Literal["auto"] | None = "auto"
    model: str = ""
    skip_echoes: int | Literal["auto"] = "auto"
    offsets_ppm: tuple[float, ...] = ()
    windows: tuple[str, ...] = ()
    b0: Path | None = None
    b1: Path | None = None
    t1: Path | None = None
    ph: Path | None = None


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
    check_options(name, options)
    signal = images.signal()
    mask, mask_source = _mask(command, images, options)
    setup = Setup(
        mask=mask.ravel(),
        sigma=None,
        model=options.model,
        skip_echoes=options.skip_echoes,
        offsets_ppm=options.offsets_ppm,
        windows=options.windows,
    )
    setup.sigma, sigma_source = find_sigma(options, command, images, signal, setup)
    setup, told = with_extras(setup, command, images, options)
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
        options=options_as_json(options),
        notes=[*images.notes, *told, *result.notes],
        b1=setup.b1,
    )


def check_options(name: str, options: Options) -> None:
    """Refuse options that do not go with a map, and files that are not there.

    Parameters
    ----------
    name : str
        A key of `commands.COMMANDS`.
    options : Options
        What was asked for.

    Raises
    ------
    CallError
    """
    command = COMMANDS[name]
    if options.model and options.model not in command.models:
        known = ", ".join(command.models) or "none"
        raise CallError(f"{name} has no model {options.model}.", hint=f"It knows these: {known}.")
    for extra in (*EXTRAS, "ph"):
        if getattr(options, extra) is None:
            continue
        takes = [one.partition(":") for one in command.inputs if one.partition(":")[0] == extra]
        if not takes:
            raise CallError(f"{name} has no use for --{extra}.", hint="Leave it out.")
        chosen = options.model or command.models[0] if command.models else ""
        model = takes[0][2]
        path: Path = getattr(options, extra)
        if not path.exists():
            raise CallError(f"There is no {path.name}.", path=path, hint="Check the path.")
        if model and chosen != model:
            raise CallError(
                f"{name} has no use for --{extra} with the model {chosen}.",
                hint=f"Leave it out, or give --model {model}.",
            )
    if (options.offsets_ppm or options.windows) and command.need.variable != "offset_ppm":
        raise CallError(f"{name} has no use for --offsets.", hint="Leave it out.")


def _mask(command: Command, images: Images, options: Options) -> tuple[Bools, str]:
    if options.mask is None:
        volume = _brightest(command, images)
        try:
            found = automatic_mask(volume.transpose(1, 2, 0))
        except ModelInputError as error:
            raise NothingUsableError(error.message, hint=error.hint) from error
        return np.ascontiguousarray(found.transpose(2, 0, 1)), "automatic"
    return read_mask(options.mask, images), options.mask.name


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
