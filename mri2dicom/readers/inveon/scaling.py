"""From stored to physical values: activity for PET and SPECT, Hounsfield units for CT."""

from dataclasses import dataclass

import numpy as np

from ...mapping.tables import load_mapping
from ...series.geometry import Floats
from .groups import FrameGroup
from .header import Header

BQML, COUNTS = "BQML", "CNTS"
HOUNSFIELD, UNSPECIFIED = "HU", "US"
_AIR_HU = (-1150.0, -850.0)
# Air around an animal is a good part of any micro-CT image; noise elsewhere is not.
_AIR_SHARE = 0.05


@dataclass(frozen=True)
class Scaling:
    """Value = stored * slope + offset, one of each per frame of the group.

    Attributes
    ----------
    unit : str
        ``BQML`` or ``CNTS`` for emission images, ``HU`` or ``US`` (unspecified) for CT.
    calibration : float
        Factor from scaled stored values to the unit; 0 where there is none.
    """

    slope: Floats
    offset: Floats
    unit: str
    calibration: float = 0.0
    warnings: tuple[str, ...] = ()


def frame_scales(header: Header, group: FrameGroup) -> tuple[Floats, list[str]]:
    """Return scale_factor of each frame of a group, shape (frames,); 1 where it is absent."""
    found = [header.frames[number].number("scale_factor") for number in group.frames]
    warnings = []
    if None in found:
        warnings.append("A frame has no scale_factor: 1 is used.")
    return np.array([1.0 if one is None else one for one in found]), warnings


def emission_scaling(header: Header, group: FrameGroup) -> Scaling:
    """Return the scaling of a PET or SPECT image.

    Notes
    -----
    v = stored * scale_factor * calibration_factor / isotope_branching_fraction, times 37 where
    calibration_units says nCi/cc. The scale factor includes the corrections for dead time and
    decay; they are not applied again. Without a unit the values are stored * scale_factor and
    are no activity.
    """
    scales, warnings = frame_scales(header, group)
    scope = header.scope(group.frames[0])
    units = load_mapping("inveon")["units"]["calibration"]
    unit = units.get(str(scope.integer("calibration_units")))
    factor = scope.number("calibration_factor")
    offset = np.zeros(len(scales))
    if not unit or not factor or factor < 0.0:
        what = "calibration_units" if not unit else "calibration_factor"
        warnings.append(
            f"The image is not calibrated (the header's {what} is "
            f"{scope.text(what) or 'absent'}): its values are counts and no activity."
        )
        return Scaling(scales, offset, COUNTS, 0.0, tuple(warnings))
    branching = scope.number("isotope_branching_fraction")
    if branching is None or not 0.0 < branching <= 1.0:
        warnings.append(
            "The header's isotope_branching_fraction is "
            f"{scope.text('isotope_branching_fraction') or 'absent'}: 1 is used."
        )
        branching = 1.0
    calibration = factor / branching * float(unit)
    return Scaling(scales * calibration, offset, BQML, calibration, tuple(warnings))


def ct_scaling(header: Header, group: FrameGroup, sample: Floats) -> Scaling:
    """Return the scaling of a CT image, with the unit that its own air proves.

    Parameters
    ----------
    sample : ndarray of float
        Stored values spread over the first frame of the group.

    Notes
    -----
    Readers take stored * scale_factor for Hounsfield units; whether ct_hounsfield_scale and
    ct_hounsfield_offset are in it already differs between releases. Air must lie near -1000: the
    first of both forms with at least 5 % of the voxels within 150 of it is written as HU, and
    without either the unit is left unspecified.
    """
    scales, warnings = frame_scales(header, group)
    offset = np.zeros(len(scales))
    values = sample[np.isfinite(sample)] * scales[0]
    if _has_air(values):
        return Scaling(scales, offset, HOUNSFIELD, 1.0, tuple(warnings))
    scope = header.scope(group.frames[0])
    factor = scope.number("ct_hounsfield_scale") or 0.0
    added = scope.number("ct_hounsfield_offset") or 0.0
    if factor > 0.0 and (factor, added) != (1.0, 0.0) and _has_air(values * factor + added):
        warnings.append(
            f"Air lies near -1000 only with ct_hounsfield_scale ({factor:g}) and "
            f"ct_hounsfield_offset ({added:g}): both are applied."
        )
        return Scaling(scales * factor, offset + added, HOUNSFIELD, factor, tuple(warnings))
    warnings.append(
        "No air near -1000 was found in the image: its values are not known to be Hounsfield "
        "units and are written without a unit."
    )
    return Scaling(scales, offset, UNSPECIFIED, 0.0, tuple(warnings))


def _has_air(values: Floats) -> bool:
    low, high = _AIR_HU
    inside = np.count_nonzero((values >= low) & (values <= high))
    return bool(values.size and inside >= _AIR_SHARE * values.size)
