"""How far numbers may lie apart and still mean the same: parts of the data's own voxels."""

from __future__ import annotations

from xnat_pic.tables import load_table

_TABLE = load_table("pipelines.images", "tolerances.toml")


def _value(name: str) -> float:
    return float(_TABLE[name]["value"])


SAME_PLACE = _value("same_place")
"""Part of a voxel's shortest edge within which two places are one."""
SAME_GRID = _value("same_grid")
"""Part of a voxel within which the corners of two grids are one."""
DRIFT = _value("drift")
"""Part of a voxel's shortest edge by which a slice may lie aside of the one before it."""
EVEN = _value("even")
"""Part of the distance between slices by which a plane may lie beside its even place."""
PARALLEL = _value("parallel")
"""Difference of direction cosines within which planes are parallel."""
ALIKE = _value("alike")
"""Part of a size within which two sizes are one."""
RIGHT_ANGLE = _value("right_angle")
"""Cosine within which two directions are at right angles."""
CONTOUR_IN_PLANE = _value("contour_in_plane")
"""Part of the distance between slices within which a contour lies in a plane."""
ON_CENTRE = _value("on_centre")
"""Part of a pixel within which a coordinate is its centre."""
