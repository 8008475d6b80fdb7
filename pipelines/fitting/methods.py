"""The table of maps: what each needs of its images, and the model that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..inputs.frames import Floats, SeriesRequirement
from ..models.result import FitResult
from .cest import fit_cest_map
from .data import FitInputs
from .diffusion import fit_diffusion_map, fit_ivim_map
from .relaxation import (
    fit_t1ir_map,
    fit_t1sr_map,
    fit_t1vfa_map,
    fit_t2_map,
    fit_t2star_map,
)


@dataclass(frozen=True)
class MapMethod:
    """One row of the table.

    Attributes
    ----------
    title : str
        For a person.
    requirement : SeriesRequirement
        Of the images.
    fit : callable
        From signal (n_voxels, n_samples) and inputs to a result.
    brightest : str
        Which sample the automatic mask takes: ``first``, ``last``, ``mean`` or ``reference``.
    models : tuple of str
        What ``--model`` may say.
    extra_inputs : tuple of str
        Extra inputs it takes: ``b0``, ``b1``, ``t1``, ``ph``; with ``t1:epg`` that model alone.
    rician : tuple of str
        Models that are fitted by the Rician likelihood, so that their residuals tell the noise;
        the empty word for the method's own choice.
    """

    title: str
    requirement: SeriesRequirement
    fit: Callable[[Floats, FitInputs], FitResult]
    brightest: str = "first"
    models: tuple[str, ...] = ()
    extra_inputs: tuple[str, ...] = ()
    rician: tuple[str, ...] = ()


MAP_METHODS: dict[str, MapMethod] = {
    "t2": MapMethod(
        "T2",
        SeriesRequirement("echo_time_ms", 3),
        fit_t2_map,
        models=("2p", "3p", "auto", "epg"),
        extra_inputs=("t1:epg",),
        rician=("", "2p", "3p", "auto"),
    ),
    "t1sr": MapMethod(
        "T1 by saturation recovery",
        SeriesRequirement("repetition_time_ms", 3),
        fit_t1sr_map,
        brightest="last",
        models=("2p", "3p"),
        rician=("", "2p", "3p"),
    ),
    "t1ir": MapMethod(
        "T1 by inversion recovery",
        SeriesRequirement("inversion_time_ms", 3, components="RM", per_slice=True),
        fit_t1ir_map,
        brightest="last",
        models=("2p", "3p"),
        rician=("", "2p", "3p"),
    ),
    "t1vfa": MapMethod(
        "T1 by variable flip angle",
        SeriesRequirement("flip_angle_deg", 2),
        fit_t1vfa_map,
        brightest="mean",
        extra_inputs=("b1",),
    ),
    "t2star": MapMethod(
        "T2*",
        SeriesRequirement("echo_time_ms", 3),
        fit_t2star_map,
        models=("2p", "3p", "auto"),
        rician=("", "2p", "3p", "auto"),
    ),
    "dwi": MapMethod(
        "Diffusion",
        SeriesRequirement("b_value", 2, sort=False),
        fit_diffusion_map,
        brightest="reference",
        models=("adc", "dti"),
    ),
    "ivim": MapMethod(
        "IVIM", SeriesRequirement("b_value", 6, sort=False), fit_ivim_map, brightest="reference"
    ),
    "cest": MapMethod(
        "CEST",
        SeriesRequirement("offset_ppm", 5, sort=False),
        fit_cest_map,
        brightest="reference",
        models=("mtr", "wasabi"),
        extra_inputs=("b0:mtr", "t1:mtr", "ph:mtr"),
    ),
}
