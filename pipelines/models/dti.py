"""The diffusion tensor: ln S = ln S0 - sum_ij b_ij D_ij, by weighted linear least squares."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import ModelInputError
from . import kernels_dti as kernels
from .diffusion import PER_B, UNIT, as_b_values, as_directions, check_order, prepare
from .outcome import ARBITRARY, Noise, conclude, first_flags
from .result import FATAL, FitResult, Flag, Map

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.uint8]

_WORST_CONDITION = 1e4
_PASSES = 1
_FLOOR = 0.1


def b_matrices(b_values: npt.ArrayLike, directions: npt.ArrayLike) -> Doubles:
    """Return b-matrices b g g', shape (n_samples, 3, 3), s/mm2.

    Parameters
    ----------
    b_values : array_like of float, shape (n_samples,)
        s/mm2, not negative.
    directions : array_like of float, shape (n_samples, 3)
        Any length and sign; zeros or NaN where b is 0. A matrix has no sign of g.

    Raises
    ------
    ModelInputError
        For missing values, another unit, or a weighted image without direction.
    """
    b = as_b_values(b_values)
    g = as_directions(directions, b)
    return np.asarray(b[:, None, None] * g[:, :, None] * g[:, None, :])


def design_matrix(b_matrix: npt.ArrayLike) -> tuple[Doubles, float]:
    """Return the design matrix, and its condition number with columns of equal length.

    Parameters
    ----------
    b_matrix : array_like of float, shape (n_samples, 3, 3)
        s/mm2, symmetric.

    Returns
    -------
    design : ndarray of float64, shape (n_samples, 7)
        (-b_xx, -b_yy, -b_zz, -2 b_xy, -2 b_xz, -2 b_yz, 1), b in ms/um2.
    condition : float
        Largest over smallest singular value.

    Raises
    ------
    ModelInputError
        Where fewer than seven unknowns are determined: fewer than six directions that do not lie
        on one cone, or no low b.
    """
    m = np.asarray(b_matrix, dtype=np.float64)
    if m.ndim != 3 or m.shape[1:] != (3, 3) or not np.all(np.isfinite(m)):
        raise ModelInputError(
            f"The b-matrices have shape {m.shape} or missing values.",
            hint="Give one matrix of 3 x 3 numbers in s/mm2 for each image.",
        )
    b = PER_B * (m + np.swapaxes(m, 1, 2)) / 2
    columns = [b[:, 0, 0], b[:, 1, 1], b[:, 2, 2], 2 * b[:, 0, 1], 2 * b[:, 0, 2], 2 * b[:, 1, 2]]
    design = np.stack([*(-c for c in columns), np.ones(len(b))], axis=1)
    lengths = np.linalg.norm(design, axis=0)
    singular = np.linalg.svd(design / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
    determined = int(np.count_nonzero(singular > singular[0] / _WORST_CONDITION))
    if determined < kernels.UNKNOWNS:
        raise ModelInputError(
            f"The images determine {determined} of the seven unknowns of a tensor.",
            hint="It needs six or more different directions and one image of low b; for three "
            "directions fit the mean ADC.",
        )
    return np.ascontiguousarray(design), float(singular[0] / singular[-1])


def fit_dti(
    signal: npt.ArrayLike,
    b_values: npt.ArrayLike,
    directions: npt.ArrayLike | None = None,
    *,
    b_matrix: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    sigma: float | None = None,
    saturation: npt.ArrayLike | None = None,
) -> FitResult:
    """Fit a diffusion tensor.

    Weighted linear least squares of ln S with weights S^2: of the measured signal first, then
    once of the predicted one. FA = sqrt(3/2) |D - MD I| / |D| from the tensor as it is, with its
    negative eigenvalues: they are flagged as `Flag.MISFIT` and counted in a note, never clipped.

    Parameters
    ----------
    signal : array_like of float, shape (n_voxels, n_samples)
        Magnitude, arbitrary units, each image scaled by its own slope. Samples of 0 or less get no
        weight.
    b_values : array_like of float, shape (n_samples,)
        Effective b-values in s/mm2.
    directions : array_like of float, shape (n_samples, 3), optional
        Gradient directions, which give the axes of eigenvectors and colours; zeros at b = 0.
    b_matrix : array_like of float, shape (n_samples, 3, 3), optional
        s/mm2, in place of `directions`: with the cross terms of the imaging gradients.
    mask, sigma, saturation
        As `adc.fit_adc`. Sigma serves flags and errors; the weights need none.

    Returns
    -------
    FitResult
        float32: ``MD``, ``FA``, ``AD``, ``RD`` (um2/ms, FA 1) and ``S0map`` with standard errors;
        ``tensor`` shape (n_voxels, 6) as xx, yy, zz, xy, xz, yz; ``V1``, ``V2``, ``V3`` unit
        eigenvectors shape (n_voxels, 3), of any sign, by falling eigenvalue; ``eigenvalues``
        (n_voxels, 3); ``color`` (n_voxels, 3), |V1| FA as red, green, blue. NaN as `fit_adc`, and
        where fewer than seven samples have weight. `settings` holds ``condition_number`` and
        ``negative_eigenvalues``.

    Raises
    ------
    ModelInputError
        As `adc.fit_adc`, and for fewer than six directions or no low b.

    References
    ----------
    Basser, doi:10.1016/S0006-3495(94)80775-1; Veraart, doi:10.1016/j.neuroimage.2013.05.028.
    """
    b = as_b_values(b_values)
    if b_matrix is None:
        if directions is None:
            raise ModelInputError(
                "A tensor needs directions or b-matrices.",
                hint="Look the gradient directions up, or fit an ADC.",
            )
        b_matrix = b_matrices(b, directions)
    samples = prepare(signal, b)
    design, condition = design_matrix(b_matrix)
    if len(design) != len(b):
        raise ModelInputError(
            f"There are {len(design)} b-matrices and {len(b)} b-values.",
            hint="Give one matrix for each image.",
        )
    flags = first_flags(samples, mask, sigma, saturation)
    check_order(samples, b, flags == 0)
    floor = _FLOOR * sigma if sigma is not None else 0.0
    out = blank(len(samples))
    totals = kernels.fit(design, _products(design), samples, flags == 0, floor, _PASSES, out)
    return _conclude(samples, b, totals, out, flags, sigma, condition)


def blank(voxels: int) -> kernels.Tensors:
    """Return tensors of NaN."""

    def empty(*shape: int) -> Doubles:
        return np.full((voxels, *shape), np.nan)

    return kernels.Tensors(
        solution=empty(kernels.UNKNOWNS),
        values=empty(3),
        vectors=empty(3, 3),
        scalars=empty(4),
        variance=empty(5),
        sums=empty(2),
        status=np.full(voxels, -1, np.int8),
    )


def _products(design: Doubles) -> Doubles:
    rows, cols = np.triu_indices(design.shape[1])
    return np.ascontiguousarray(design[:, rows] * design[:, cols])


def _conclude(
    samples: Doubles,
    b: Doubles,
    totals: Doubles,
    out: kernels.Tensors,
    flags: Flags,
    sigma: float | None,
    condition: float,
) -> FitResult:
    few = np.uint8(Flag.TOO_FEW_SAMPLES)
    flags = flags | np.where(out.status == kernels.SINGULAR, few, np.uint8(0))
    freedom = len(b) - kernels.UNKNOWNS
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if sigma is not None:
            width = np.full(len(samples), sigma)
        else:
            width = np.sqrt(out.sums[:, 0] / freedom) if freedom else np.full(len(samples), np.nan)
        error = (width[:, None] * np.sqrt(out.variance)).astype(np.float32)
        s0 = np.exp(out.solution[:, 6])
        negative = (out.values[:, 2] < 0) & ((flags & FATAL) == 0)
    flags[negative] |= np.uint8(Flag.MISFIT)
    fitted = int(np.count_nonzero(out.status == kernels.DONE))
    maps = {
        name: Map(out.scalars[:, k].astype(np.float32), unit, error[:, k].copy())
        for name, k, unit in [("MD", 1, UNIT), ("FA", 0, "1"), ("AD", 2, UNIT), ("RD", 3, UNIT)]
    }
    s0_error = (s0 * error[:, 4]).astype(np.float32)
    maps["S0map"] = Map(s0.astype(np.float32), ARBITRARY, s0_error)
    count = int(np.count_nonzero(negative))
    notes = [f"{count} voxels have a negative eigenvalue."] if count else []
    result = conclude(
        name="DTI",
        maps=maps,
        flags=flags,
        sse=out.sums[:, 0].astype(np.float32),
        sst=out.sums[:, 1].astype(np.float32),
        freedom=freedom,
        noise=Noise(sigma),
        chi2=None,
        residual_mean=totals / fitted if fitted else np.full(len(b), np.nan),
        notes=notes,
        settings={
            "b_values_s_per_mm2": b.tolist(),
            "condition_number": condition,
            "negative_eigenvalues": count,
            "noise_model": "weights S^2",
            "estimation_reference": "doi:10.1016/j.neuroimage.2013.05.028",
        },
    )
    return replace(result, maps={**result.maps, **_vectors(out, result)})


def _vectors(out: kernels.Tensors, result: FitResult) -> dict[str, Map]:
    """Return the maps with several numbers per voxel, NaN where the others are."""
    lost = (result.flags & FATAL) != 0

    def several(values: Doubles, unit: str) -> Map:
        array = values.astype(np.float32)
        array[lost] = np.nan
        return Map(array, unit)

    maps = {
        "tensor": several(out.solution[:, :6], UNIT),
        "eigenvalues": several(out.values, UNIT),
    }
    for k in range(3):
        maps[f"V{k + 1}"] = several(out.vectors[:, k], "1")
    fa = np.clip(out.scalars[:, 0], 0.0, 1.0)
    maps["color"] = several(np.abs(out.vectors[:, 0]) * fa[:, None], "1")
    return maps
