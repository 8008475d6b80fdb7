"""Maps given beside the images, and a field made of a series that was measured for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .commands import Command, Setup
from .commands_cest import field_of
from .errors import CallError, ModelInputError, NothingUsableError
from .inputs.extra import fingerprint, is_map, read_extra
from .inputs.load import load_images

if TYPE_CHECKING:
    from .fitting import Options
    from .inputs.frames import Floats, Images

EXTRAS = ("b0", "b1", "t1")
_FILES = ("mask", *EXTRAS, "ph")


def with_extras(
    setup: Setup, command: Command, images: Images, options: Options
) -> tuple[Setup, list[str]]:
    """Return the setup with B0, B1, T1 and the pH calibration, and what to tell of them.

    Parameters
    ----------
    setup : Setup
        With its mask.
    command : Command
        What a series for B0 must vary.
    images : Images
        Whose grid counts.
    options : Options
        Paths.

    Raises
    ------
    CallError
        For a map of another grid or unit, and values that miss the mask.
    """
    found: dict[str, Any] = {}
    notes: list[str] = []
    for kind in EXTRAS:
        path = getattr(options, kind)
        if path is None:
            continue
        if kind == "b0" and not is_map(path):
            found[kind], note = _from_series(path, command, images, setup)
            notes.append(note)
        else:
            found[kind] = read_extra(path, kind, images)
        notes += _coverage(found[kind], kind, path, setup)
    if options.ph is not None:
        from .inputs.calibration import read_calibration

        found["ph"] = read_calibration(options.ph)
    return replace(setup, **found), notes


def _from_series(path: Path, command: Command, images: Images, setup: Setup) -> tuple[Floats, str]:
    """Return B0 in ppm of a WASSR or WASABI series on the grid of the images."""
    scan = load_images(path, command.need)
    if scan.grid != images.grid or not np.allclose(scan.affine, images.affine, atol=0.1):
        raise CallError(
            f"The series {path.name} does not lie on the grid of the images.",
            path=path,
            hint="Give a series of the same slices and matrix.",
        )
    try:
        shift, method = field_of(scan, setup)
    except ModelInputError as error:
        raise NothingUsableError(
            f"B0 cannot be found in {path.name}: {error.message}", path=path, hint=error.hint
        ) from error
    return shift, f"B0 was measured by {method} in {path.name}."


def _coverage(values: Floats, kind: str, path: Path, setup: Setup) -> list[str]:
    """Refuse a map without a value in the mask; say how many voxels it leaves out."""
    good = np.isfinite(values[setup.mask])
    if kind != "b0":
        good &= values[setup.mask] > 0
    lacking = int(good.size - np.count_nonzero(good))
    if lacking == good.size:
        raise CallError(
            f"{path.name} has no value inside the mask.",
            path=path,
            hint=f"Give a map that covers the subject as --{kind}.",
        )
    if not lacking:
        return []
    return [f"{path.name} has no value in {lacking} of the {good.size} voxels of the mask."]


def options_as_json(options: Options) -> dict[str, Any]:
    """Return every option by its name; files by name and SHA-256, so that contents count."""
    said = dict(vars(options))
    for name in _FILES:
        if said.get(name) is not None:
            said[name] = fingerprint(said[name])
    return said
