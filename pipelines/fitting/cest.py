"""CEST from images: contrasts of Z-spectra, B0 and B1 by WASABI, B0 of another scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xnat_pic.errors import NothingUsableError, WrongCallError

from ..inputs.frames import Doubles, Floats, Images
from ..models.cest import WINDOWS, Window, fit_cest
from ..models.cest_b0 import b0_by_symmetry
from ..models.cest_spectra import Spectra, z_spectra
from ..models.ph import PhCalibration
from ..models.result import FATAL, FitResult, Map
from ..models.wasabi import fit_wasabi
from .data import FitInputs

Bools = npt.NDArray[np.bool_]

DEFAULT_PPM = (3.5, 2.0)
_NO_OFFSET_PPM = 1000.0  # stands for a reference that was played without power
_NEAR_PPM = 1.0
_FAR_PPM = 20.0  # farther images serve as reference
_LEAST_NEAR = 4  # offsets near water that a Lorentzian line needs
_SHORT_PULSE_MS = 30.0  # WASABI plays one of about 5 ms, WASSR saturates for longer
_SAME_FIELD, _SAME_B1 = 0.05, 0.10  # relative, within which a pH calibration holds


def offsets_of(images: Images) -> Doubles:
    """Return the offset of each image in ppm, a far one for references, shape (n_samples,)."""
    offsets = images.one("offset_ppm")
    return np.where(images.reference & ~np.isfinite(offsets), _NO_OFFSET_PPM, offsets)


def spectra_of(
    images: Images, signal: Floats, mask: Bools | None = None, sigma: float | None = None
) -> Spectra:
    """Return the Z-spectra of images; arguments as `cest_spectra.z_spectra`."""
    return z_spectra(
        signal,
        offsets_of(images),
        mask=mask,
        sigma=sigma,
        is_reference=_references(images),
        working_frequency_mhz=images.frequency_mhz,
    )


def _references(images: Images) -> list[bool] | None:
    """Return which images are references; None where nothing marks them, so that offsets tell."""
    marks = [bool(mark) for mark in images.reference]
    return marks if any(marks) else None


def fit_cest_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Make the maps of a Z-spectrum, or with the model ``wasabi`` B0 and B1."""
    if inputs.options.model == "wasabi":
        return _fit_wasabi_map(signal, inputs)
    images = inputs.images
    windows = _windows(inputs.options.windows)
    calibration = inputs.ph
    notes = [] if calibration is None else _check_calibration(calibration, images)
    at_ppm = inputs.options.offsets_ppm or _default_ppm(calibration, windows)
    offsets = offsets_of(images)
    near = np.unique(np.round(offsets[np.abs(offsets) <= _NEAR_PPM + 1e-9], 6))
    lorentzian = len(near) >= _LEAST_NEAR
    if not lorentzian:
        reason = (
            f"Fewer than {_LEAST_NEAR} offsets lie within {_NEAR_PPM:g} ppm of water, so there is "
            "no Lorentzian difference"
        )
        if inputs.t1 is not None:
            raise NothingUsableError(
                f"{reason}, and no AREX.", hint="Leave --t1 out, or measure more offsets there."
            )
        notes.append(f"{reason}.")
    result = fit_cest(
        signal,
        offsets,
        mask=inputs.mask,
        sigma=inputs.sigma,
        is_reference=_references(images),
        working_frequency_mhz=images.frequency_mhz,
        b0_ppm=inputs.b0,
        at_ppm=at_ppm,
        windows=windows,
        lorentzian=lorentzian,
        t1_ms=inputs.t1,
        ph_calibration=calibration,
    )
    return replace(result, notes=(*result.notes, *notes))


def _default_ppm(
    calibration: PhCalibration | None, windows: tuple[Window, ...]
) -> tuple[float, ...]:
    if calibration is not None:
        return calibration.offsets_ppm
    return () if windows else DEFAULT_PPM


def _windows(wanted: tuple[str, ...]) -> tuple[Window, ...]:
    """Return ranges by name, ``amide``, or by their ends, ``3.2-3.8``."""
    found = []
    for text in wanted:
        if text in WINDOWS:
            found.append(WINDOWS[text])
            continue
        low, _, high = text.partition("-")
        try:
            ends = float(low), float(high)
        except ValueError as error:
            raise WrongCallError(
                f"There is no range of offsets {text}.",
                hint=f"Give ends such as 3.2-3.8, or one of {', '.join(WINDOWS)}.",
            ) from error
        if not 0 < ends[0] < ends[1]:
            raise WrongCallError(
                f"The range {text} does not go up from above 0.", hint="Write it as 3.2-3.8."
            )
        found.append(Window(f"{ends[0]:g}-{ends[1]:g}ppm", *ends))
    return tuple(found)


def _check_calibration(calibration: PhCalibration, images: Images) -> list[str]:
    """Refuse a pH calibration of another field or B1; say what could not be compared."""
    notes = [f"pH by the calibration of {calibration.source}."]
    rows = [
        ("field", "T", calibration.field_t, images.scan.field_t, _SAME_FIELD),
        ("B1", "uT", calibration.b1_ut, images.scan.b1_ut, _SAME_B1),
    ]
    for name, unit, wanted, found, tolerance in rows:
        if found is None:
            notes.append(f"The images do not say their {name}; the calibration is of {wanted:g}.")
        elif abs(found - wanted) > tolerance * wanted:
            raise WrongCallError(
                f"The pH calibration is of a {name} of {wanted:g} {unit}, and the images are of "
                f"{found:g} {unit}.",
                hint="Give a calibration measured as these images were.",
            )
    notes.append(f"The calibration holds at {calibration.temperature_c:g} degrees Celsius.")
    return notes


def _fit_wasabi_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit B0 and B1 to a scan of one short pulse."""
    images = inputs.images
    scan, frequency = images.scan, images.frequency_mhz
    if not (scan.pulse_ms and scan.b1_ut and frequency):
        raise NothingUsableError(
            "WASABI needs length and amplitude of the pulse and the working frequency, and the "
            "images do not say them.",
            hint="Give DICOM with the CEST attributes, or SaturationPulseLength (seconds), "
            "SaturationB1 (uT) and ImagingFrequency (MHz) in the sidecar.",
        )
    spectra = spectra_of(images, signal, inputs.mask, inputs.sigma)
    result = fit_wasabi(
        spectra.z,
        spectra.offsets_ppm,
        pulse_ms=scan.pulse_ms,
        b1_ut=scan.b1_ut,
        working_frequency_mhz=frequency,
        flags=spectra.flags,
    )
    m0 = spectra.m0.astype(np.float32)
    m0[(result.flags & np.uint8(FATAL)) != 0] = np.nan
    result.maps["M0map"] = Map(m0, "[arb'U]")
    result.settings["m0_images"] = list(spectra.m0_images)
    return replace(result, notes=(*result.notes, *spectra.notes), sigma=inputs.sigma)


def is_wasabi(images: Images) -> bool:
    """Tell a WASABI scan, one short pulse, from one with weak and long saturation (WASSR)."""
    scan = images.scan
    return (
        scan.pulse_ms is not None and scan.pulse_ms < _SHORT_PULSE_MS and scan.pulses in (None, 1)
    )


def field_of(inputs: FitInputs) -> tuple[Floats, str]:
    """Return the shift of water in ppm, shape (n_voxels,), from a scan made for it, and how.

    Parameters
    ----------
    inputs : FitInputs
        Images of WASSR or WASABI, on the grid of the images to correct, and the mask.
    """
    images = inputs.images
    signal = images.signal()
    if is_wasabi(images):
        found = _fit_wasabi_map(signal, inputs)
        return found.maps["B0map"].values, "WASABI"
    offsets = images.one("offset_ppm")
    near = np.isfinite(offsets) & ~images.reference & (np.abs(offsets) < _FAR_PPM)
    ordered, place = np.unique(np.round(offsets[near], 6), return_inverse=True)
    samples = signal[:, near].astype(np.float64)
    count = np.bincount(place)
    mean = [samples[:, place == k].sum(axis=1) for k in range(len(ordered))]
    spectra = np.stack(mean, axis=1) / count
    top = spectra.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        spectra = np.where(top > 0, spectra / top, np.nan)
    spectra[~inputs.mask] = np.nan
    return b0_by_symmetry(spectra, ordered).astype(np.float32), "WASSR"
