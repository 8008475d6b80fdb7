"""What a run found: every region, in every map."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .curves import Curve
from .model import ImageGrid, Region, RegionSet
from .run_maps import MapVolume
from .statistics import RegionStatistics, Voxels


@dataclass(frozen=True, eq=False)
class MapResult:
    """One region in one map.

    Attributes
    ----------
    map : MapVolume
        The map.
    inside : Voxels
        Part of each voxel of the map inside the region.
    same_grid : bool
        The map has the grid of the image.
    covered : float
        Share of the region's volume inside the field of view of the map, 0 to 1.
    own : RegionStatistics
        Of the map.
    reciprocal : RegionStatistics or None
        Of one over the map, where that is a rate.
    unusable : str
        Why there is no value; empty where there is one.
    warnings : tuple of str
        Messages for a person.
    """

    map: MapVolume
    inside: Voxels
    same_grid: bool
    covered: float
    own: RegionStatistics
    reciprocal: RegionStatistics | None
    unusable: str
    warnings: tuple[str, ...] = ()

    @property
    def quantities(self) -> tuple[RegionStatistics, ...]:
        """The map, and its reciprocal where there is one."""
        return (self.own,) if self.reciprocal is None else (self.own, self.reciprocal)


@dataclass(frozen=True, eq=False)
class RegionResult:
    """One region.

    Attributes
    ----------
    number : int
        Place in the results, from 1.
    region : Region
        As drawn.
    drawn : Voxels
        On the grid of the image.
    volume_mm3 : float
        Voxels of the image inside, times the volume of one.
    drawn_mm3 : float or None
        As the viewer counts; None for masks.
    contour_mm3 : float or None
        Of the contours themselves, holes taken off; None for masks and where contours cross.
    unusable : str
        Why the region gave no value in any map; empty where it did.
    warnings : tuple of str
        Messages for a person.
    maps : tuple of MapResult
        Empty where there is no voxel of the image inside.
    is_partial : bool
        Parts of what was drawn were left out, or nothing says that it belongs to the image.
    """

    number: int
    region: Region
    drawn: Voxels
    volume_mm3: float
    drawn_mm3: float | None
    contour_mm3: float | None
    unusable: str
    warnings: tuple[str, ...] = ()
    maps: tuple[MapResult, ...] = ()
    is_partial: bool = False

    @property
    def image_voxels(self) -> int:
        """Voxels of the image inside."""
        return len(self.drawn.index)

    @property
    def slug(self) -> str:
        """Number and name for a file: ASCII letters, digits and single underscores."""
        plain = "".join(c if c.isascii() and c.isalnum() else " " for c in self.region.name)
        return "_".join([f"{self.number:02d}", *plain.split()])[:60]


@dataclass(frozen=True, eq=False)
class MaskAverageResult:
    """Everything a run found.

    Attributes
    ----------
    image : ImageGrid
        What the regions were drawn on.
    image_path : Path
        Where it was read.
    regions : RegionSet
        As read.
    maps : tuple of MapVolume
        As read.
    rois : tuple of RegionResult
        One for each region of the set.
    rasterizer : str
        ``ours`` or ``dcmrtstruct2nii``.
    assume_aligned : bool
        Another frame of reference was allowed.
    keep_flagged : bool
        Voxels with a flag count too.
    warnings : tuple of str
        Notes about the run as a whole.
    curves : tuple of Curve
        Of every region that was measured in a series that varies along an axis.
    """

    image: ImageGrid
    image_path: Path
    regions: RegionSet
    maps: tuple[MapVolume, ...]
    rois: tuple[RegionResult, ...]
    rasterizer: str
    assume_aligned: bool
    keep_flagged: bool
    warnings: tuple[str, ...] = field(default=())
    curves: tuple[Curve, ...] = ()

    def __repr__(self) -> str:
        """Show how many regions were measured, and in which maps."""
        maps = ", ".join(one.name for one in self.maps)
        return f"<MaskAverageResult {self.usable} of {len(self.rois)} ROIs in {maps}>"

    @property
    def usable(self) -> int:
        """How many regions gave a value."""
        return sum(not roi.unusable for roi in self.rois)

    @property
    def labels(self) -> tuple[RegionResult, ...]:
        """The regions that have voxels of the image."""
        return tuple(roi for roi in self.rois if roi.image_voxels)
