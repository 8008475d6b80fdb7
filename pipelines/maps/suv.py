"""SUV from PET images to files: read, check, compute, write, report."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError
from xnat_pic.files import replacing_folder
from xnat_pic.version import version

from ..errors import ModelInputError
from ..fitting.data import FitInputs, FittedMap
from ..inputs.extra import fingerprint, read_mask
from ..inputs.pet import PetFrame, load_pet
from ..models import suv
from ..models.masks import automatic_mask
from ..models.result import FitResult, Flag, Map
from ..outputs.pictures import as_png, map_figure
from ..outputs.write import FORMATS, write_contents, write_maps
from ..report.template import render_page
from .run import MapSummary, subject_stem, without_nifti

Floats = npt.NDArray[np.float32]
NAME, UNIT = "SUVbw", "{SUVbw}g/ml"
_REFERENCE = "doi:10.1053/j.sult.2010.10.001"


@dataclass(frozen=True)
class SuvOptions:
    """What a person gives where the header is silent or wrong.

    Attributes
    ----------
    weight_g : float or None
    dose_mbq : float or None
        At the time of injection.
    injected : datetime or None
        By the scanner's clock.
    frame : int or None
        Of a dynamic series, from 1; None takes the last.
    mask : Path or None
        NIfTI or Parametric Map on the grid of the images: what the numbers are of. By default the
        animal, found by its activity.
    """

    weight_g: float | None = None
    dose_mbq: float | None = None
    injected: datetime | None = None
    frame: int | None = None
    mask: Path | None = None

    def apply(self, study: suv.Uptake) -> suv.Uptake:
        """Return the study with these values in the place of the header's."""
        return replace(
            study,
            weight_g=self.weight_g if self.weight_g is not None else study.weight_g,
            dose_bq=1e6 * self.dose_mbq if self.dose_mbq is not None else study.dose_bq,
            injected=self.injected or study.injected,
        )


def make_suv(
    source: Path | str,
    out: Path | str,
    options: SuvOptions | None = None,
    *,
    formats: tuple[str, ...] = FORMATS,
    overwrite: bool = False,
    subject: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> MapSummary:
    """Make the SUV map of one PET series, or of one frame of a dynamic one.

    Parameters
    ----------
    source : Path
        A folder with PET images, or one image.
    out : Path
        Folder of the results; it appears complete or not at all.
    options : SuvOptions, optional
    formats : tuple of str
        Some of ``nifti``, ``dicom``, ``report``.
    overwrite : bool
        Replace earlier maps in `out`.
    subject : str
        As in `make_maps`.
    progress : callable
        Called with a short text on each step.

    Returns
    -------
    MapSummary

    Raises
    ------
    XnatPicError
        With what to do; nothing is left behind.
    """
    source, out = Path(source), Path(out)
    chosen = options or SuvOptions()
    begin, started = time.perf_counter(), datetime.now(UTC)
    with replacing_folder(out, overwrite, "maps.json") as folder:
        progress("reading")
        pet = load_pet(source, chosen.frame)
        study, mended = suv.correct_units(chosen.apply(pet.uptake))
        fitted = compute(pet, study, chosen, mended)
        progress("writing")
        formats = formats if pet.images.is_even else without_nifti(formats)
        stem = subject_stem(fitted, subject)
        written = write_maps(folder, fitted, formats, stem, started)
        _drop_fit_quality(folder, written.maps)
        if "report" in formats:
            progress("reporting")
            _write_report(folder, fitted, study, written.maps, stem.removeprefix("sub-"))
            written.report = "report.html"
        write_contents(folder, fitted, written.maps, written.report)
        text = [*_facts(fitted, study), *(f"note: {note}" for note in fitted.notes)]
        log = folder / "log.txt"
        log.write_text("\n".join(text) + "\n", encoding="utf-8", newline="\n")
    seconds = {"all": time.perf_counter() - begin}
    return MapSummary(out, written.maps, written.report, list(fitted.notes), seconds)


def compute(
    pet: PetFrame, study: suv.Uptake, options: SuvOptions, mended: Sequence[str] = ()
) -> FittedMap:
    """Return the SUV of every voxel, with what is odd about the study.

    Raises
    ------
    ModelInputError
        If no SUV can be computed.
    """
    notes = [*pet.images.notes, *mended, *suv.check(study)]
    values, dose, made_from, said = _values(pet, study)
    notes += said
    if pet.count > 1:
        notes.append(f"The map is of frame {pet.number} of {pet.count}.")
    finite = np.isfinite(values)
    if not finite.any() or not values[finite].any():
        raise NothingUsableError("The images hold no activity at all.", hint="Look at them.")
    flags = np.where(finite, 0, int(Flag.NOT_FINITE)).astype(np.uint8)
    settings: dict[str, object] = {
        "estimation_reference": _REFERENCE,
        "made_from": made_from,
        "reference_dose_Bq": dose,
        "decay_correction": study.decay_correction,
        "half_life_s": suv.half_life(study),
        "body_weight_g": study.weight_g,
        "dose_MBq": (study.dose_bq or 0.0) / 1e6,
        "injected": str(study.injected or ""),
        "scan_start": str(study.scan_start or ""),
    }
    result = FitResult(
        maps={NAME: Map(values, UNIT)},
        flags=flags,
        r2fit=np.full(values.shape, np.nan, np.float32),
        chi2_red=None,
        residual_mean=np.zeros(1),
        model="SUV by body weight",
        settings=settings,
    )
    given = {k: str(v) if isinstance(v, datetime) else v for k, v in asdict(options).items()}
    if options.mask is None:
        del given["mask"]
    else:
        given["mask"] = fingerprint(options.mask)
    mask, mask_source = _mask(pet, values, options.mask)
    inputs = FitInputs(pet.images, mask)
    return FittedMap(
        command="suv",
        variable="frame_start_s",
        inputs=inputs,
        result=result,
        mask_source=mask_source,
        sigma_source="not needed",
        options=given,
        notes=notes,
    )


def _values(pet: PetFrame, study: suv.Uptake) -> tuple[Floats, float | None, str, list[str]]:
    """Return the SUV of every voxel, the dose (Bq) of the first slice, its source, and notes."""
    direct = suv.direct_factor(study)
    if direct is not None:
        return (pet.values * direct[0]).astype(np.float32).ravel(), None, direct[1], []
    assert study.weight_g is not None  # `check` refuses without
    doses = suv.reference_doses(study, len(pet.values))
    dose = float(doses[0])
    notes = suv.check_total(pet.values * (dose / doses[:, None, None]), pet.voxel_ml, dose)
    if np.ptp(doses) > 0:
        notes.append("Each slice was corrected for decay from its own time of acquisition.")
    values = suv.suv_body_weight(pet.values, study.weight_g, doses[:, None, None]).ravel()
    return values, dose, "activity in Bq/mL", notes


def _mask(pet: PetFrame, values: Floats, path: Path | None) -> tuple[npt.NDArray[np.bool_], str]:
    """Return the voxels that the numbers are of, and how they were found: the animal, not air."""
    if path is not None:
        return read_mask(path, pet.images).ravel(), path.name
    volume = values.reshape(pet.values.shape).transpose(1, 2, 0)
    try:
        found = automatic_mask(np.maximum(volume, 0.0))
    except ModelInputError:
        return np.isfinite(values), "none: no animal stands out"
    return np.ascontiguousarray(found.transpose(2, 0, 1)).ravel(), "automatic: where activity is"


def _drop_fit_quality(folder: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Remove the map of a fit's quality: nothing was fitted."""
    for row in rows.values():
        name = row.pop("r2fit", None)
        if name:
            (folder / name).unlink(missing_ok=True)


def _facts(fitted: FittedMap, study: suv.Uptake) -> list[str]:
    settings = fitted.result.settings
    values = fitted.result.maps[NAME].values
    inside = values[fitted.mask.ravel() & np.isfinite(values)]
    facts = [f"the values are made from: {settings['made_from']}"]
    if settings["reference_dose_Bq"] is not None:
        dose, period = settings["reference_dose_Bq"], settings["half_life_s"]
        facts = [
            f"SUV = C w / D; w = {study.weight_g:g} g, D = {dose:.6g} Bq",
            f"dose {settings['dose_MBq']:g} MBq at {study.injected}, half-life {period:g} s",
            f"values refer to: {study.decay_correction} (scan start {study.scan_start})",
        ]
    if inside.size:
        facts.append(
            f"in {inside.size} voxels ({fitted.mask_source}): smallest {inside.min():.4g}, median "
            f"{np.median(inside):.4g}, largest {inside.max():.4g} g/mL"
        )
    return [*facts, f"largest SUV {float(np.nanmax(values)):.4g} g/mL"]


def _write_report(
    folder: Path,
    fitted: FittedMap,
    study: suv.Uptake,
    rows: dict[str, dict[str, Any]],
    subject: str,
) -> None:
    values = fitted.result.maps[NAME].values
    affine = fitted.images.affine
    aspect = float(np.linalg.norm(affine[:3, 1]) / np.linalg.norm(affine[:3, 0]))
    figure = as_png(map_figure(NAME, fitted.volume(values), "g/mL", aspect))
    (folder / "png").mkdir()
    (folder / "png" / f"{NAME}.png").write_bytes(figure)
    rows[NAME]["png"] = f"png/{NAME}.png"
    settings = fitted.result.settings
    volume = fitted.volume(values)
    text = render_page(
        "pipelines.report",
        "suv.html",
        subject=subject,
        facts=_facts(fitted, study),
        notes=fitted.notes,
        settings=[(k.replace("_", " "), v) for k, v in settings.items()],
        picture=base64.b64encode(figure).decode("ascii"),
        slices=[
            (k + 1, f"{np.nanmax(plane):.4g}", f"{np.nanmean(plane):.4g}")
            for k, plane in enumerate(volume)
        ],
        software=f"xnat-pic {version()}",
        inputs=len(fitted.images.files),
    )
    (folder / "report.html").write_text(text, encoding="utf-8", newline="\n")
