"""Relaxation times from images: protocol values in, the model's fit, notes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xnat_pic.errors import NothingUsableError

from ..inputs.frames import Doubles, Floats, Images
from ..models.epg import fit_t2_epg
from ..models.inversion import fit_t1_ir
from ..models.result import FitResult
from ..models.selection import FEWEST_FOR_THREE
from ..models.t1 import fit_t1_sr
from ..models.t2 import fit_t2, fit_t2star
from ..models.vfa import fit_t1_vfa
from .data import FitInputs

_LONG_ECHO = 0.05  # of the shortest TR: above it TE / 2 is no longer small


def fit_t2_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit T2 to spin echoes."""
    times = inputs.protocol_values("echo_time_ms")
    if inputs.options.model == "epg":
        if inputs.t1 is None:
            return fit_t2_epg(signal, times, mask=inputs.mask, sigma=inputs.sigma)
        # T2 hardly depends on it, so that one T1 serves all voxels.
        t1 = float(np.nanmedian(inputs.t1[inputs.mask & (inputs.t1 > 0)]))
        found = fit_t2_epg(signal, times, mask=inputs.mask, sigma=inputs.sigma, t1_ms=t1)
        note = f"The phase graph has the median of the T1 map in the mask, {t1:.4g} ms."
        return replace(found, notes=(*found.notes, note))
    found = fit_t2(
        signal,
        times,
        mask=inputs.mask,
        sigma=inputs.sigma,
        model=inputs.options.model or "2p",  # type: ignore[arg-type]
        skip_echoes=inputs.options.skip_echoes,
        rician=inputs.images.component == "M",
    )
    note = "These are gradient echoes: they decay with T2*, not T2."
    return _note_echo_kind(found, inputs.images, note, spin=False)


def fit_t2star_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit T2* to gradient echoes."""
    note = "These are spin echoes: they decay with T2, not T2*."
    found = fit_t2star(
        signal,
        inputs.protocol_values("echo_time_ms"),
        mask=inputs.mask,
        sigma=inputs.sigma,
        model=inputs.options.model or "2p",  # type: ignore[arg-type]
    )
    return _note_echo_kind(found, inputs.images, note, spin=True)


def _note_echo_kind(found: FitResult, images: Images, note: str, *, spin: bool) -> FitResult:
    """Add a note where the headers name the kind of echo that the model is not made for."""
    if images.scan.spin_echo is not spin:
        return found
    return replace(found, notes=(*found.notes, note))


def fit_t1sr_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit T1 to saturation recovery."""
    repetition = inputs.protocol_values("repetition_time_ms")
    echo, note = _recovery_delay(repetition, inputs)
    found = fit_t1_sr(
        signal,
        repetition,
        echo_time_ms=echo,
        mask=inputs.mask,
        sigma=inputs.sigma,
        model=inputs.options.model or "2p",  # type: ignore[arg-type]
        rician=inputs.images.component == "M",
    )
    return replace(found, notes=(*found.notes, *note))


def _recovery_delay(repetition: Doubles, inputs: FitInputs) -> tuple[float, tuple[str, ...]]:
    """Return the echo time that saturation recovery has to count with, and what to say of it.

    The refocusing pulse of a spin echo starts the recovery anew at TE / 2. Where that is short
    beside every TR it is left out.
    """
    rows = inputs.images.values.get("echo_time_ms")
    if rows is None:
        return 0.0, ()
    echoes = rows[inputs.slice_index]
    echo = float(echoes[0])
    if np.ptp(echoes) > 1e-3 * max(echo, 1e-3) or echo / 2 <= _LONG_ECHO * repetition.min():
        return 0.0, ()
    if inputs.images.scan.spin_echo:
        return echo, (f"The recovery was counted from TE / 2 = {echo / 2:g} ms on: a spin echo.",)
    if inputs.images.scan.spin_echo is None:
        return 0.0, (
            f"The echo time of {echo:g} ms is long beside the shortest repetition time. If these "
            "are spin echoes, T1 is somewhat too long: nothing says which they are.",
        )
    return 0.0, ()


def fit_t1ir_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit T1 to inversion recovery."""
    times = inputs.protocol_values("inversion_time_ms")
    repetition = inputs.images.values.get("repetition_time_ms")
    own = None if repetition is None else repetition[inputs.slice_index]
    if own is not None and not np.all(own > times):
        own = None  # a TR that was written as the readout's own
    model = inputs.options.model or ("3p" if len(times) >= FEWEST_FOR_THREE else "2p")
    return fit_t1_ir(
        signal,
        times,
        repetition_times_ms=own,
        signed=inputs.images.component == "R",
        mask=inputs.mask,
        sigma=inputs.sigma,
        model=model,  # type: ignore[arg-type]
    )


def fit_t1vfa_map(signal: Floats, inputs: FitInputs) -> FitResult:
    """Fit T1 to variable flip angles."""
    if "repetition_time_ms" not in inputs.images.values:
        raise NothingUsableError(
            "The images do not say their repetition time.",
            hint="Give DICOM, or write RepetitionTime (seconds) into the sidecar.",
        )
    repetition = inputs.protocol_values("repetition_time_ms")
    if np.ptp(repetition) > 1e-3 * repetition[0]:
        raise NothingUsableError(
            f"The repetition time goes from {repetition.min():g} to {repetition.max():g} ms.",
            hint="T1 by variable flip angle needs one for all images; give one series.",
        )
    return fit_t1_vfa(
        signal,
        inputs.protocol_values("flip_angle_deg"),
        float(repetition[0]),
        b1=inputs.b1,
        mask=inputs.mask,
        sigma=inputs.sigma,
    )
