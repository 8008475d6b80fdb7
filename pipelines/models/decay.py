"""Mono-exponential decays, S = S0 exp(-TE / T) with or without an offset: T2 and T2*."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from . import selection
from .checks import as_signal, as_times, check_falling
from .outcome import ARBITRARY, Noise, conclude_search
from .result import FitResult, Flag, Map
from .varpro import Columns, Model, Solution, tabulate

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint8]
Choice = Literal["2p", "3p", "auto"]

_LARGEST_OFFSET = 0.5  # of the first sample
_FIRST_ECHO = 0.01  # deviation of the first echo that is worth leaving it out
_ERRORS = 3.0
_SOME = 20_000  # voxels that a typical noise is taken from
_STIMULATED = 3.0  # noise widths by which the first echo may be off in the mean


@dataclass(frozen=True)
class Train:
    """A train of echoes as it is fitted.

    Attributes
    ----------
    signal : ndarray of float64, shape (n_voxels, n_samples)
        Sorted by time.
    times : ndarray of float64, shape (n_samples,)
        Milliseconds.
    skipped : int
        Echoes left out at the start.
    notes : tuple of str
        Notes about it.
    """

    signal: Doubles
    times: Doubles
    skipped: int = 0
    notes: tuple[str, ...] = ()

    def without(self, skipped: int) -> "Train":
        """Return it with so many echoes left out at the start."""
        if not skipped:
            return self
        kept = np.ascontiguousarray(self.signal[:, skipped:])
        return replace(self, signal=kept, times=self.times[skipped:], skipped=skipped)


def _as_echo_times(values: npt.ArrayLike) -> Doubles:
    return as_times(values, "echo times", least=1.0, most=10_000.0, needed=3, distinct=True)


def as_train(signal: npt.ArrayLike, echo_times_ms: npt.ArrayLike) -> Train:
    """Check images and echo times and sort them by time.

    Raises
    ------
    ModelInputError
        For fewer than three echoes, equal or missing times, another unit, another shape.
    """
    times = _as_echo_times(echo_times_ms)
    array = as_signal(signal, len(times))
    order = np.argsort(times)
    if np.any(np.diff(order) != 1):
        array = np.ascontiguousarray(array[:, order])
    return Train(array, times[order])


def columns(times: Doubles, offset: bool) -> Columns:
    """Return the columns exp(-t/T), after a constant one where an offset is fitted."""

    def value(decay: Doubles) -> Doubles:
        falling = np.exp(-times / decay[:, None])
        parts = [np.ones_like(falling), falling] if offset else [falling]
        return np.stack(parts, axis=-1)

    return value


def bounds(times: Doubles) -> tuple[float, float]:
    """Return the bounds of T in ms: a quarter of the echo spacing, and ten times the last echo."""
    return 0.25 * float(np.median(np.diff(times))), 10.0 * float(times[-1])


def skip_first(train: Train, active: Bools, noise: Noise) -> Train:
    """Leave the first echo out where it does not fit to the others.

    It is predicted from the others in every voxel. It is left out where the mean of what it misses
    is beyond three standard errors and one per cent of its own mean (Milford,
    doi:10.1371/journal.pone.0145255: refocusing below 180 degrees makes it too low). The others are
    fitted as all will be: least squares alone take the floor of late magnitudes for slow decay and
    would miss the first echo of a perfect train.
    """
    if len(train.times) < 5 or not active.any():
        return train
    rest = train.without(1)
    model = tabulate(columns(rest.times, offset=False), *bounds(rest.times), sign=1.0)
    found = noise.solve(model, rest.signal, active, False)
    good = found.status == 0
    if not good.any():
        return train
    first = train.signal[good, 0]
    predicted = found.amplitude[good, 0] * np.exp(-train.times[0] / found.parameter[good])
    off = first - predicted
    mean = float(off.mean())
    scatter = float(off.std()) / np.sqrt(off.size)
    if abs(mean) <= max(_ERRORS * scatter, _FIRST_ECHO * float(first.mean())):
        return train
    width = float(np.median(found.noise[good]))
    notes = [
        f"The first echo is off by {100 * mean / float(first.mean()):+.1f} % in the mean and was "
        "left out."
    ]
    if width > 0 and abs(mean) > _STIMULATED * width:
        notes.append(
            "It is off by more than three times the noise, so the refocusing is imperfect: "
            "the EPG model takes this into account."
        )
    return replace(rest, notes=tuple(notes))


def prepare(
    train: Train,
    skip: int | Literal["auto"],
    flags: Flags,
    noise: Noise,
    *,
    refocused: bool = True,
) -> Train:
    """Leave out the echoes wanted, and check that the signal falls.

    The first spin echo may be lower than the second, because refocusing below 180 degrees feeds
    the later echoes only; with `refocused` the check begins at the second.

    Raises
    ------
    ModelInputError
        Where fewer than three echoes stay or the mean signal rises.
    """
    active = flags == 0
    train = skip_first(train, active, noise) if skip == "auto" else train.without(int(skip))
    _as_echo_times(train.times)
    free = 1 if refocused and train.skipped == 0 and len(train.times) > 3 else 0
    notes = check_falling(train.signal[:, free:], train.times[free:], active, "echo times")
    return replace(train, notes=(*train.notes, *notes))


@dataclass(frozen=True)
class Decay:
    """A fitted decay: model, solution, and flags that come from the offset."""

    model: Model
    found: Solution
    offset: bool
    flags: Flags


def fit_one(train: Train, active: Bools, noise: Noise, offset: bool) -> Decay:
    """Fit with or without an offset.

    Where the best offset is negative the offset is 0, its bound, and the fit is that without it.
    """
    model = tabulate(columns(train.times, offset), *bounds(train.times), sign=1.0)
    found = noise.solve(model, train.signal, active, False)
    return Decay(model, found, offset, np.zeros(len(train.signal), np.uint8))


def bound_offset(with_offset: Decay, without: Decay, train: Train) -> Decay:
    """Put the offset inside its bounds: 0, where the other fit holds, and half the first sample."""
    found, plain = with_offset.found, without.found
    low = (found.status == 0) & (found.amplitude[:, 0] < 0)
    high = (found.status == 0) & (found.amplitude[:, 0] > _LARGEST_OFFSET * train.signal[:, 0])
    zero = np.zeros_like(plain.parameter)
    blank = np.full_like(plain.parameter, np.nan)
    chosen = replace(
        found,
        parameter=np.where(low, plain.parameter, found.parameter),
        parameter_error=np.where(low, plain.parameter_error, found.parameter_error),
        amplitude=np.where(
            low[:, None], np.stack([zero, plain.amplitude[:, 0]], axis=1), found.amplitude
        ),
        amplitude_error=np.where(
            low[:, None],
            np.stack([blank, plain.amplitude_error[:, 0]], axis=1),
            found.amplitude_error,
        ),
        sse=np.where(low, plain.sse, found.sse),
        status=np.where(low, plain.status, found.status),
    )
    if found.chi2_red is not None and plain.chi2_red is not None:
        chosen = replace(chosen, chi2_red=np.where(low, plain.chi2_red, found.chi2_red))
    flags = np.where(high, Flag.AT_BOUND, 0).astype(np.uint8)
    return replace(with_offset, found=chosen, flags=flags)


def criterion(decay: Decay, both: Bools) -> float:
    """Return the sum of AICc over voxels that both models fitted."""
    n, p = decay.model.n_samples, decay.model.n_parameters
    if decay.found.log_likelihood is not None:
        values = selection.aicc_likelihood(decay.found.log_likelihood[both], n, p)
    else:
        values = selection.aicc(decay.found.sse[both], n, p)
    return float(values[np.isfinite(values)].sum())


def choose(train: Train, active: Bools, noise: Noise, model: Choice) -> tuple[Decay, list[str]]:
    """Fit the model wanted; with ``auto`` the one whose AICc, summed over all voxels, is smaller.

    An offset that cannot be told from the decay is not fitted with ``auto``, and told of otherwise.
    """
    plain = fit_one(train, active, noise, offset=False)
    if model == "2p":
        return plain, []
    free = fit_one(train, active, noise, offset=True)
    # An offset makes the decay time of the fit without it too long to judge by.
    good = free.found.status == 0
    typical = float(np.median(free.found.parameter[good])) if good.any() else float("inf")
    notes = []
    if not selection.offset_identifiable(train.times, typical):
        notes.append("The offset is not identifiable with these echo times.")
        if model == "auto":
            return plain, notes
    if model == "auto":
        both = good & (plain.found.status == 0)
        if not criterion(free, both) < criterion(plain, both):
            return plain, ["AICc prefers the model without an offset."]
        notes = ["AICc prefers the model with an offset."]
    return bound_offset(free, plain, train), notes


def finish(
    name: str, train: Train, decay: Decay, flags: Flags, noise: Noise, notes: list[str]
) -> FitResult:
    """Make the result; the maps are `name`, S0map, and Cmap where an offset was fitted."""
    found = decay.found
    maps = {
        f"{name}map": Map(found.parameter, "ms", found.parameter_error),
        "S0map": Map(found.amplitude[:, -1].copy(), ARBITRARY, found.amplitude_error[:, -1].copy()),
    }
    if decay.offset:
        error = found.amplitude_error[:, 0].copy()
        maps["Cmap"] = Map(found.amplitude[:, 0].copy(), ARBITRARY, error)
    low, high = bounds(train.times)
    settings: dict[str, object] = {
        "echo_times_ms": train.times.tolist(),
        "skipped_samples": train.skipped,
        "bounds_ms": [low, high],
        "noise_model": "Rician" if noise.rician and noise.sigma is not None else "Gaussian",
        "estimation_reference": "doi:10.1137/0710036",
    }
    model = f"{name} {'3p' if decay.offset else '2p'}"
    return conclude_search(
        model,
        decay.model,
        train.signal,
        found,
        maps,
        flags | decay.flags,
        noise,
        [*train.notes, *notes],
        settings,
    )


def alternation(result: FitResult) -> float:
    """Return the mean alternating residual over the noise: large where echoes are stimulated."""
    width = result.residual_width
    residual = result.residual_mean
    if width is None or not np.isfinite(residual).all():
        return 0.0
    some = width[:: 1 + len(width) // _SOME]
    noise = float(np.sqrt(np.mean(np.square(some[np.isfinite(some)])))) if some.size else 0.0
    signs = np.where(np.arange(len(residual)) % 2 == 0, 1.0, -1.0)
    return float(abs(np.mean(signs * residual))) / noise if noise > 0 else 0.0
