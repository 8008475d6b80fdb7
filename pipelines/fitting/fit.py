"""From images to a fitted map: mask, noise, maps given beside the images, fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError, WrongCallError

from ..errors import ModelInputError
from ..images import grids
from ..inputs.calibration import read_calibration
from ..inputs.extra import fingerprint, is_map, read_extra, read_mask
from ..inputs.frames import Floats, Images
from ..inputs.load import load_images
from ..models.masks import automatic_mask
from ..models.noise import NoiseEstimate, sigma_from_background
from ..models.noise_fit import sigma_from_fits
from ..models.result import FitResult, Map
from .cest import field_of
from .data import Bools, FitInputs, FittedMap, MapOptions
from .methods import MAP_METHODS, MapMethod

_EXTRAS = ("b0", "b1", "t1")
_FILES = ("mask", *_EXTRAS, "ph")


def fit_images(name: str, images: Images, options: MapOptions) -> FittedMap:
    """Fit one map.

    Parameters
    ----------
    name : str
        A key of `methods.MAP_METHODS`.
    images : Images
        From `inputs.load.load_images`.
    options : MapOptions
        What was chosen.

    Returns
    -------
    FittedMap

    Raises
    ------
    WrongCallError
        For an option that does not go with the images.
    NothingUsableError
        Where the images cannot be fitted.
    """
    method = MAP_METHODS[name]
    check_options(name, options)
    signal = images.signal()
    mask, mask_source = _mask(method, images, options)
    inputs = FitInputs(images, mask.ravel(), options)
    sigma, sigma_source = find_sigma(method, signal, inputs)
    inputs, notes = with_extra_inputs(replace(inputs, sigma=sigma), method)
    try:
        result = _fit(method, signal, inputs)
    except ModelInputError as error:
        raise NothingUsableError(error.message, hint=error.hint) from error
    return FittedMap(
        command=name,
        variable=method.requirement.variable,
        inputs=inputs,
        result=result,
        mask_source=mask_source,
        sigma_source=sigma_source,
        options=options_as_json(options),
        notes=[*images.notes, *notes, *result.notes],
    )


def check_options(name: str, options: MapOptions) -> None:
    """Refuse options that do not go with a map, and files that are not there.

    Parameters
    ----------
    name : str
        A key of `methods.MAP_METHODS`.
    options : MapOptions
        What was chosen.

    Raises
    ------
    WrongCallError
    """
    method = MAP_METHODS[name]
    if options.model and options.model not in method.models:
        known = ", ".join(method.models) or "none"
        raise WrongCallError(
            f"{name} has no model {options.model}.", hint=f"It knows these: {known}."
        )
    for extra in (*_EXTRAS, "ph"):
        if getattr(options, extra) is None:
            continue
        takes = [
            one.partition(":") for one in method.extra_inputs if one.partition(":")[0] == extra
        ]
        if not takes:
            raise WrongCallError(f"{name} has no use for --{extra}.", hint="Leave it out.")
        chosen = options.model or method.models[0] if method.models else ""
        model = takes[0][2]
        path: Path = getattr(options, extra)
        if not path.exists():
            raise WrongCallError(f"There is no {path.name}.", path=path, hint="Check the path.")
        if model and chosen != model:
            raise WrongCallError(
                f"{name} has no use for --{extra} with the model {chosen}.",
                hint=f"Leave it out, or give --model {model}.",
            )
    if (options.offsets_ppm or options.windows) and method.requirement.variable != "offset_ppm":
        raise WrongCallError(f"{name} has no use for --offsets.", hint="Leave it out.")


def _mask(method: MapMethod, images: Images, options: MapOptions) -> tuple[Bools, str]:
    if options.mask is None:
        volume = _brightest(method, images)
        try:
            found = automatic_mask(volume.transpose(1, 2, 0))
        except ModelInputError as error:
            raise NothingUsableError(error.message, hint=error.hint) from error
        return np.ascontiguousarray(found.transpose(2, 0, 1)), "automatic"
    return read_mask(options.mask, images), options.mask.name


def _brightest(method: MapMethod, images: Images) -> Floats:
    """Return the volume for the automatic mask, shape (n_slices, rows, columns)."""
    if method.brightest == "mean":
        return np.asarray(np.abs(images.data).mean(axis=0))
    if method.brightest == "reference":
        index = _reference(method, images)
    else:
        index = 0 if method.brightest == "first" else -1
    return np.asarray(np.abs(images.data[index]), dtype=np.float32)


def _reference(method: MapMethod, images: Images) -> int:
    """Return the sample with the most signal: lowest b, no saturation, or the farthest offset."""
    if images.reference.any():
        return int(np.flatnonzero(images.reference)[0])
    values = images.one(method.requirement.variable)
    far = method.requirement.variable == "offset_ppm"
    return int(np.nanargmax(np.abs(values)) if far else np.nanargmin(values))


def _fit(method: MapMethod, signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit all slices at once, or one by one where their values differ."""
    images = inputs.images
    variable = images.values[method.requirement.variable]
    if not method.requirement.per_slice or np.allclose(variable, variable[0], equal_nan=True):
        return method.fit(signal, inputs)
    slices = images.grid[0]
    size = len(signal) // slices
    parts: list[FitResult | None] = []
    for index in range(slices):
        rows = slice(index * size, (index + 1) * size)
        if not inputs.mask[rows].any():
            parts.append(None)
            continue
        own = replace(inputs, mask=inputs.mask[rows], slice_index=index)
        parts.append(method.fit(signal[rows], own))
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


def find_sigma(method: MapMethod, signal: Floats, inputs: FitInputs) -> tuple[float | None, str]:
    """Return sigma of one real channel, and where it is from.

    Unless it is given it is measured in the background; where that is blanked, filtered, of several
    channels or not there, in what Rician fits of the mask leave over; and where that is more than
    noise it is not known, and the text says why.

    Parameters
    ----------
    method : MapMethod
        Whose fit it is for.
    signal : ndarray of float32, shape (n_voxels, n_samples)
        All voxels.
    inputs : FitInputs
        Images, mask and options.

    Returns
    -------
    sigma : float or None
        In the unit of the signal.
    source : str
        As text.
    """
    options, images = inputs.options, inputs.images
    if options.sigma is None:
        return None, "not asked for"
    if options.sigma != "auto":
        return float(options.sigma), "given by --sigma"
    if images.component != "M":
        return None, "not estimated: the images are not magnitudes"
    found = sigma_from_background(signal)
    if found.sigma is None and options.model in method.rician:
        left = _sigma_from_residuals(method, signal, inputs)
        reason = f"{found.reason} {left.reason}"
        return left.sigma, f"{left.source}: {reason}"
    return found.sigma, f"{found.source}: {found.reason}"


def _sigma_from_residuals(method: MapMethod, signal: Floats, inputs: FitInputs) -> NoiseEstimate:
    """Measure it in fits of some of the mask; of one slice where slices have their own values."""
    chosen = inputs.mask & np.isfinite(signal).all(axis=1)
    if method.requirement.per_slice:
        per_slice = chosen.reshape(inputs.images.grid[0], -1)
        inputs = replace(inputs, slice_index=int(np.argmax(per_slice.sum(axis=1))))
        others = np.arange(len(per_slice)) != inputs.slice_index
        chosen = np.where(others[:, None], False, per_slice).ravel()

    def fit(samples: npt.NDArray[np.float64], sigma: float | None) -> FitResult:
        every = np.ones(len(samples), np.bool_)
        kept = samples.astype(np.float32)
        return method.fit(kept, replace(inputs, mask=every, sigma=sigma))

    rows = signal[chosen].astype(np.float64)
    return sigma_from_fits(fit, rows)


def with_extra_inputs(inputs: FitInputs, method: MapMethod) -> tuple[FitInputs, list[str]]:
    """Return the inputs with B0, B1, T1 and the pH calibration, and notes about them.

    Parameters
    ----------
    inputs : FitInputs
        With mask, images whose grid counts, and options with the paths.
    method : MapMethod
        What a series for B0 must vary.

    Raises
    ------
    WrongCallError
        For a map of another grid or unit, and values that miss the mask.
    """
    found: dict[str, Any] = {}
    notes: list[str] = []
    for kind in _EXTRAS:
        path = getattr(inputs.options, kind)
        if path is None:
            continue
        if kind == "b0" and not is_map(path):
            found[kind], note = _b0_from_series(path, method, inputs)
            notes.append(note)
        else:
            found[kind] = read_extra(path, kind, inputs.images)
        notes += _coverage_notes(found[kind], kind, path, inputs.mask)
    if inputs.options.ph is not None:
        found["ph"] = read_calibration(inputs.options.ph)
    return replace(inputs, **found), notes


def _b0_from_series(path: Path, method: MapMethod, inputs: FitInputs) -> tuple[Floats, str]:
    """Return B0 in ppm of a WASSR or WASABI series on the grid of the images."""
    images = inputs.images
    scan = load_images(path, method.requirement)
    same = grids.voxel_map(scan.affine, images.affine, images.grid)
    if scan.grid != images.grid or same is None or not np.array_equal(same, np.eye(4)):
        raise WrongCallError(
            f"The series {path.name} does not lie on the grid of the images.",
            path=path,
            hint="Give a series of the same slices and matrix.",
        )
    try:
        shift, technique = field_of(replace(inputs, images=scan))
    except ModelInputError as error:
        raise NothingUsableError(
            f"B0 cannot be found in {path.name}: {error.message}", path=path, hint=error.hint
        ) from error
    return shift, f"B0 was measured by {technique} in {path.name}."


def _coverage_notes(values: Floats, kind: str, path: Path, mask: Bools) -> list[str]:
    """Refuse a map without a value in the mask; say how many voxels it leaves out."""
    good = np.isfinite(values[mask])
    if kind != "b0":
        good &= values[mask] > 0
    lacking = int(good.size - np.count_nonzero(good))
    if lacking == good.size:
        raise WrongCallError(
            f"{path.name} has no value inside the mask.",
            path=path,
            hint=f"Give a map that covers the subject as --{kind}.",
        )
    if not lacking:
        return []
    return [f"{path.name} has no value in {lacking} of the {good.size} voxels of the mask."]


def options_as_json(options: MapOptions) -> dict[str, Any]:
    """Return every option by its name; files by name and SHA-256, so that contents count."""
    content = dict(vars(options))
    if not options.assume_aligned:
        del content["assume_aligned"]  # said where it was said
    for name in _FILES:
        if content.get(name) is not None:
            content[name] = fingerprint(content[name])
    return content
