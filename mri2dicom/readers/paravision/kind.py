"""Say what a series is to a person, from what was measured and never from its name alone."""

from ...geometry import PARALLEL_TOLERANCE
from ...mapping.tables import load_mapping
from ...model import Dimension, Floats, Ints, Kind, Loop
from .reco import Reco
from .transforms import method_name


def method_row(reco: Reco) -> dict[str, str]:
    """Return the row of the method table for this series; empty for an unknown method."""
    name = method_name(str(reco.first("method:Method", "VisuAcqSequenceName") or "")).lower()
    rows: list[dict[str, str]] = load_mapping("paravision_methods")["method"]
    return next((row for row in rows if row["name"].lower() == name), {})


def is_derived(reco: Reco, dimensions: tuple[Dimension, ...]) -> bool:
    """Tell whether the series was computed from another one."""
    identifier = str(reco.first("VisuSeriesTypeId") or "")
    maps = any(dimension.loop is Loop.MAP for dimension in dimensions)
    return identifier.startswith("DERIVED") or maps


def classify(
    reco: Reco,
    dimensions: tuple[Dimension, ...],
    orientation: Floats,
    stack: Ints,
    *,
    spectrum: bool,
    parts: bool,
) -> Kind:
    """Return what a series is.

    Parameters
    ----------
    orientation : ndarray of float, shape (n_planes, 3, 3)
    stack : ndarray of int, shape (n_planes,)
    spectrum : bool
        Saturation at two offsets or more.
    parts : bool
        Real, imaginary or phase images.
    """
    row = method_row(reco)
    loops = {d.loop: d.length for d in dimensions}
    if is_derived(reco, dimensions):
        return Kind.DERIVED
    if row.get("varies") == "field":
        return Kind.FIELD_MAP
    if spectrum:
        return Kind.CEST
    if Loop.DIFFUSION in loops:
        return Kind.DIFFUSION
    if loops.get(Loop.REPETITION_TIME, 0) > 1 or loops.get(Loop.INVERSION, 0) > 1:
        return Kind.T1_SERIES
    if loops.get(Loop.ECHO, 0) > 2:
        gradient = (_echo(reco) or row.get("echo")) == "GRADIENT"
        return Kind.T2STAR_SERIES if gradient else Kind.T2_SERIES
    if Loop.CARDIAC in loops or Loop.RESPIRATORY in loops:
        return Kind.CINE
    if loops.get(Loop.TIME, 0) > 1:
        return Kind.TIME_SERIES
    normals = orientation[:, 2]
    if stack.max(initial=0) > 0 and (abs(normals - normals[0]) > PARALLEL_TOLERANCE).any():
        return Kind.LOCALIZER
    return Kind.PHASE if parts else Kind.ANATOMY


def _echo(reco: Reco) -> str:
    word = str(reco.first("VisuAcqEchoSequenceType") or "")
    return {"GradientEcho": "GRADIENT", "SpinEcho": "SPIN"}.get(word, "")
