"""What each map needs, and the model that makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import NothingUsableError
from .inputs.load import Need

if TYPE_CHECKING:
    from .inputs.frames import Images
    from .models.ph import PhCalibration
    from .models.result import FitResult

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass
class Setup:
    """What a model is given beside the images.

    Attributes
    ----------
    mask : ndarray of bool, shape (n_voxels,)
        Voxels to fit.
    sigma : float or None
        Noise of one real channel.
    model : str
        ``2p``, ``3p``, ``auto``, ``epg``, or empty for the model's own choice.
    skip_echoes : int or "auto"
        Echoes left out at the start.
    offsets_ppm : tuple of float
        CEST: where MTR asymmetry is wanted.
    windows : tuple of str
        CEST: ranges over which MTR asymmetry is averaged, ``amide`` or ``3.2-3.8``.
    b0, b1, t1 : ndarray of float32, shape (n_voxels,), or None
        Shift in ppm, relative flip angle, T1 in ms.
    ph : PhCalibration or None
        Calibration of pH.
    slice_index : int
        Whose values are taken.
    """

    mask: Bools
    sigma: float | None
    model: str = ""
    skip_echoes: Any = "auto"
    offsets_ppm: tuple[float, ...] = ()
    windows: tuple[str, ...] = ()
    b0: Floats | None = None
    b1: Floats | None = None
    t1: Floats | None = None
    ph: PhCalibration | None = None
    slice_index: int = 0


Fit = Callable[["Images", Floats, Setup], "FitResult"]


@dataclass(frozen=True)
class Command:
    """One row of the table.

    Attributes
    ----------
    title : str
        For a person.
    need : Need
        Of the images.
    fit : callable
        From images, signal (n_voxels, n_samples) and setup to a result.
    brightest : str
        Which sample the automatic mask takes: ``first``, ``last``, ``mean`` or ``reference``.
    models : tuple of str
        What ``--model`` may say.
    inputs : tuple of str
        Extra inputs it takes: ``b0``, ``b1``, ``t1``, ``ph``; with ``t1:epg`` that model alone.
    rician : tuple of str
        Models that are fitted by the Rician likelihood, so that their residuals tell the noise;
        the empty word for the command's own choice.
    """

    title: str
    need: Need
    fit: Fit
    brightest: str = "first"
    models: tuple[str, ...] = ()
    inputs: tuple[str, ...] = field(default=())
    rician: tuple[str, ...] = ()


def _one(images: Images, name: str, setup: Setup) -> npt.NDArray[np.float64]:
    return np.asarray(images.values[name][setup.slice_index])


def _t2(images: Images, signal: Floats, setup: Setup) -> FitResult:
    times = _one(images, "echo_time_ms", setup)
    if setup.model == "epg":
        from .models.epg import fit_t2_epg

        if setup.t1 is None:
            return fit_t2_epg(signal, times, mask=setup.mask, sigma=setup.sigma)
        # T2 hardly depends on it, so that one T1 serves all voxels.
        t1 = float(np.nanmedian(setup.t1[setup.mask & (setup.t1 > 0)]))
        found = fit_t2_epg(signal, times, mask=setup.mask, sigma=setup.sigma, t1_ms=t1)
        note = f"The phase graph has the median of the T1 map in the mask, {t1:.4g} ms."
        return replace(found, notes=(*found.notes, note))
    from .models.t2 import fit_t2

    found = fit_t2(
        signal,
        times,
        mask=setup.mask,
        sigma=setup.sigma,
        model=setup.model or "2p",  # type: ignore[arg-type]
        skip_echoes=setup.skip_echoes,
        rician=images.component == "M",
    )
    said = "These are gradient echoes: they decay with T2*, not T2."
    return _other_echoes(found, images, said, False)


def _t2star(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from .models.t2star import fit_t2star

    found = fit_t2star(
        signal,
        _one(images, "echo_time_ms", setup),
        mask=setup.mask,
        sigma=setup.sigma,
        model=setup.model or "2p",  # type: ignore[arg-type]
    )
    return _other_echoes(found, images, "These are spin echoes: they decay with T2, not T2*.", True)


def _other_echoes(found: FitResult, images: Images, note: str, spin: bool) -> FitResult:
    """Say it where the headers name the kind of echo that a model is not made for."""
    if images.scan.spin_echo is not spin:
        return found
    return replace(found, notes=(*found.notes, note))


def _t1sr(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from .models.t1 import fit_t1_sr

    repetition = _one(images, "repetition_time_ms", setup)
    echo, note = _recovery_delay(images, repetition, setup)
    found = fit_t1_sr(
        signal,
        repetition,
        echo_time_ms=echo,
        mask=setup.mask,
        sigma=setup.sigma,
        model=setup.model or "2p",  # type: ignore[arg-type]
        rician=images.component == "M",
    )
    return replace(found, notes=(*found.notes, *note))


_LONG_ECHO = 0.05  # of the shortest TR: above it TE / 2 is no longer small


def _recovery_delay(
    images: Images, repetition: npt.NDArray[np.float64], setup: Setup
) -> tuple[float, tuple[str, ...]]:
    """Return the echo time that saturation recovery has to count with, and what to say of it.

    The refocusing pulse of a spin echo starts the recovery anew at TE / 2. Where that is short
    beside every TR it is left out.
    """
    rows = images.values.get("echo_time_ms")
    if rows is None:
        return 0.0, ()
    echoes = rows[setup.slice_index]
    echo = float(echoes[0])
    if np.ptp(echoes) > 1e-3 * max(echo, 1e-3) or echo / 2 <= _LONG_ECHO * repetition.min():
        return 0.0, ()
    if images.scan.spin_echo:
        return echo, (f"The recovery was counted from TE / 2 = {echo / 2:g} ms on: a spin echo.",)
    if images.scan.spin_echo is None:
        return 0.0, (
            f"The echo time of {echo:g} ms is long beside the shortest repetition time. If these "
            "are spin echoes, T1 is somewhat too long: nothing says which they are.",
        )
    return 0.0, ()


def _t1ir(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from .models.inversion import fit_t1_ir

    times = _one(images, "inversion_time_ms", setup)
    repetition = images.values.get("repetition_time_ms")
    own = None if repetition is None else repetition[setup.slice_index]
    if own is not None and not np.all(own > times):
        own = None  # a TR that was written as the readout's own
    model = setup.model or ("3p" if len(times) >= _FEWEST_FOR_THREE else "2p")
    return fit_t1_ir(
        signal,
        times,
        repetition_times_ms=own,
        signed=images.component == "R",
        mask=setup.mask,
        sigma=setup.sigma,
        model=model,  # type: ignore[arg-type]
    )


_FEWEST_FOR_THREE = 6


def _t1vfa(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from .models.vfa import fit_t1_vfa

    if "repetition_time_ms" not in images.values:
        raise NothingUsableError(
            "The images do not say their repetition time.",
            hint="Give DICOM, or write RepetitionTime (seconds) into the sidecar.",
        )
    repetition = _one(images, "repetition_time_ms", setup)
    if np.ptp(repetition) > 1e-3 * repetition[0]:
        raise NothingUsableError(
            f"The repetition time goes from {repetition.min():g} to {repetition.max():g} ms.",
            hint="T1 by variable flip angle needs one for all images; give one series.",
        )
    return fit_t1_vfa(
        signal,
        _one(images, "flip_angle_deg", setup),
        float(repetition[0]),
        b1=setup.b1,
        mask=setup.mask,
        sigma=setup.sigma,
    )


def _dwi(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from . import commands_diffusion

    return commands_diffusion.fit(images, signal, setup)


def _ivim(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from . import commands_diffusion

    return commands_diffusion.fit_perfusion(images, signal, setup)


def _cest(images: Images, signal: Floats, setup: Setup) -> FitResult:
    from . import commands_cest

    return commands_cest.fit(images, signal, setup)


COMMANDS: dict[str, Command] = {
    "t2": Command(
        "T2",
        Need("echo_time_ms", 3),
        _t2,
        models=("2p", "3p", "auto", "epg"),
        inputs=("t1:epg",),
        rician=("", "2p", "3p", "auto"),
    ),
    "t1sr": Command(
        "T1 by saturation recovery",
        Need("repetition_time_ms", 3),
        _t1sr,
        brightest="last",
        models=("2p", "3p"),
        rician=("", "2p", "3p"),
    ),
    "t1ir": Command(
        "T1 by inversion recovery",
        Need("inversion_time_ms", 3, components="RM", per_slice=True),
        _t1ir,
        brightest="last",
        models=("2p", "3p"),
        rician=("", "2p", "3p"),
    ),
    "t1vfa": Command(
        "T1 by variable flip angle",
        Need("flip_angle_deg", 2),
        _t1vfa,
        brightest="mean",
        inputs=("b1",),
    ),
    "t2star": Command(
        "T2*",
        Need("echo_time_ms", 3),
        _t2star,
        models=("2p", "3p", "auto"),
        rician=("", "2p", "3p", "auto"),
    ),
    "dwi": Command(
        "Diffusion",
        Need("b_value", 2, sort=False),
        _dwi,
        brightest="reference",
        models=("adc", "dti"),
    ),
    "ivim": Command("IVIM", Need("b_value", 6, sort=False), _ivim, brightest="reference"),
    "cest": Command(
        "CEST",
        Need("offset_ppm", 5, sort=False),
        _cest,
        brightest="reference",
        models=("mtr", "wasabi"),
        inputs=("b0:mtr", "t1:mtr", "ph:mtr"),
    ),
}
