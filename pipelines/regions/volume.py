"""Read the grid of an image: classic or Enhanced DICOM, or NIfTI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnat_pic.errors import CorruptDataError, NothingUsableError, WrongCallError

from ..images import stacks
from .complete import check_complete
from .geometry import axes_of, grid_of_affine, same_grid, typical_step, uneven_note
from .headers import (
    FAULTS,
    FramePlace,
    is_dicom,
    is_part_10,
    named,
    places_of,
    read_dataset,
    unreadable,
    unwarned,
)
from .model import ImageGrid, Plane

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["grid_of_affine", "lines", "read_image", "stack"]

_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "Modality", "SeriesNumber", "SeriesDescription", "Rows", "Columns",
    "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_NO_PIXELS = frozenset({"RTSTRUCT", "SEG", "SR", "RWV", "PR", "KO", "RTDOSE", "RTPLAN", "REG"})
_NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True, eq=False)
class _Frame:
    path: Path
    place: FramePlace
    ds: Dataset

    @property
    def uid(self) -> str:
        return str(self.ds.get("SOPInstanceUID", ""))

    @property
    def series(self) -> str:
        return str(self.ds.get("SeriesInstanceUID", ""))

    @property
    def kind(self) -> tuple[object, ...]:
        size = (int(self.ds.Rows), int(self.ds.Columns))
        return (self.series, str(self.ds.get("FrameOfReferenceUID", "")), size)


@unwarned()
def read_image(path: Path, wanted: Collection[str] = ()) -> ImageGrid:
    """Read where the voxels of an image lie.

    Parameters
    ----------
    path : Path
        A DICOM file, a folder of DICOM files, or a NIfTI file.
    wanted : collection of str
        SOP Instance and Series Instance UIDs that regions refer to; they decide where the folder
        holds several series.

    Returns
    -------
    ImageGrid
        Slices in the order of their position along row x column for DICOM, as stored for NIfTI.
        Several images of one place, as echoes are, share a slice.

    Raises
    ------
    NothingUsableError
        Where there is no image with a place in the patient.
    CorruptDataError
        Where the only file is damaged.
    WrongCallError
        Where the folder holds series on different grids and nothing says which one is meant.
    """
    with named(path):
        return _read_image(path, frozenset(wanted))


def _read_image(path: Path, wanted: frozenset[str]) -> ImageGrid:
    if path.name.endswith(_NIFTI):
        return _read_nifti(path)
    frames, damaged = _read_frames(path)
    if not frames:
        if damaged:
            raise damaged[0]
        raise NothingUsableError(
            f"{path.name} holds no image with positions.",
            path=path,
            hint="Give the folder of the DICOM images the regions were drawn on, or a NIfTI file.",
        )
    image = _choose([_grid_of(one) for one in _alike(frames)], wanted, path)
    if damaged:
        lost = ", ".join(sorted(error.path.name for error in damaged if error.path))[:200]
        image = replace(
            image,
            notes=(*image.notes, f"Damaged files, left out: {lost}."),
        )
    return image


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise NothingUsableError(f"{path.name} does not exist.", path=path, hint="Check the path.")
    if path.is_file():
        yield path
        return
    yield from sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


def _read_frames(path: Path) -> tuple[list[_Frame], list[CorruptDataError]]:
    frames: list[_Frame] = []
    damaged: list[CorruptDataError] = []
    for one in _files(path):
        if not is_dicom(one):
            continue
        try:
            ds = read_dataset(one, _TAGS, pixels=False)
            for tag in _TAGS:
                ds.get(tag)  # values are decoded here, where a damaged one can be told
            if str(ds.get("Modality", "")) in _NO_PIXELS or not ds.get("Rows"):
                if is_part_10(one):
                    check_complete(one)
                continue
            if min(int(ds.Rows), int(ds.Columns)) < 1:
                raise ValueError("no rows or columns")
            places = places_of(ds)
        except CorruptDataError as error:
            damaged.append(error)
            continue
        except FAULTS as error:
            damaged.append(unreadable(one, "image", error))
            continue
        frames += [_Frame(one, place, ds) for place in places if place is not None]
    return frames, damaged


def _alike(frames: list[_Frame]) -> list[list[_Frame]]:
    """Return the frames in groups of one series, size, orientation, spacing and line of slices."""
    groups: dict[tuple[object, ...], list[list[_Frame]]] = defaultdict(list)
    for frame in frames:
        known = groups[frame.kind]
        for group in known:
            if stacks.have_one_shape(group[0].place, frame.place):
                group.append(frame)
                break
        else:
            known.append([frame])
    return [
        [group[k] for k in pack]
        for known in groups.values()
        for group in known
        for pack in lines([frame.place for frame in group])
    ]


def lines(places: Sequence[FramePlace]) -> list[list[int]]:
    """Return planes of one orientation and size that lie above each other, by their numbers.

    Packs side by side are lines of their own: their slices may be at one depth.
    """
    return [sorted(k for group in pack.members for k in group) for pack in _arrange(places)]


def _arrange(places: Sequence[FramePlace]) -> list[stacks.Pack]:
    first = places[0]
    row, column = axes_of(first.orientation)
    return stacks.arrange(
        [place.position for place in places],
        np.cross(row, column),
        stacks.edge_mm(first.spacing, first.thickness_mm),
        split_gaps=False,
    )


def _choose(grids: list[ImageGrid], wanted: frozenset[str], path: Path) -> ImageGrid:
    """Return the grid that most references point to, with the series that share it."""
    scores = [
        sum(uid in wanted for uid, _ in grid.instances) + bool(grid.series_uids & wanted)
        for grid in grids
    ]
    best = max(range(len(grids)), key=lambda k: scores[k])
    chosen = grids[best]
    twins = [one for one in grids if one is not chosen and _on_one_grid(one, chosen)]
    if not scores[best] and len(twins) + 1 < len(grids):
        titles = ", ".join(sorted({f'"{grid.title}"' for grid in grids}))[:300]
        raise WrongCallError(
            f"{path.name} holds images on {len(grids)} different grids ({titles}), and the "
            "regions do not say which one they belong to.",
            path=path,
            hint="Give the folder of one series.",
        )
    instances = dict(chosen.instances)
    series = chosen.series_uids
    for one in twins:
        for key, index in one.instances.items():
            instances.setdefault(key, index)
        series |= one.series_uids
    return replace(chosen, instances=instances, series_uids=series)


def _on_one_grid(one: ImageGrid, other: ImageGrid) -> bool:
    return one.frame_of_reference_uid == other.frame_of_reference_uid and same_grid(one, other)


def _grid_of(frames: list[_Frame]) -> ImageGrid:
    ds = frames[0].ds
    grid, index = stack([frame.place for frame in frames], (int(ds.Rows), int(ds.Columns)))
    instances: dict[tuple[str, int], int] = {}
    planes: dict[int, Plane] = {}
    for frame, k in zip(frames, index, strict=True):
        instances.setdefault((frame.uid, frame.place.index + 1), k)
        planes.setdefault(
            k, Plane(frame.path, frame.place.index, frame.uid, str(frame.ds.get("SOPClassUID", "")))
        )
    return replace(
        grid,
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        study_uid=str(ds.get("StudyInstanceUID", "")),
        modality=str(ds.get("Modality", "")),
        title=f"{ds.get('SeriesNumber') or ''} {ds.get('SeriesDescription') or ''}".strip(),
        series_uids=frozenset({frames[0].series} - {""}),
        instances=instances,
        planes=tuple(planes[k] for k in range(grid.shape[0])),
    )


def stack(places: list[FramePlace], size: tuple[int, int]) -> tuple[ImageGrid, list[int]]:
    """Put frames of one orientation on a grid.

    Parameters
    ----------
    places : list of Place
        Frames with equal orientation and spacing, in any order, of one line (see `lines`); several
        may share a position.
    size : tuple of int
        Rows and columns.

    Returns
    -------
    grid : ImageGrid
        Without identity.
    index : list of int
        The slice of each frame.
    """
    first = places[0]
    row, column = axes_of(first.orientation)
    pack, *more = _arrange(places)
    if more:
        raise ValueError("planes of several lines")
    index = np.empty(len(places), dtype=np.intp)
    for k, group in enumerate(pack.members):
        index[list(group)] = k
    depths = pack.positions @ np.cross(row, column)
    note = uneven_note(depths)
    grid = ImageGrid(
        shape=(len(pack.members), *size),
        row=row,
        column=column,
        spacing=first.spacing,
        positions=pack.positions,
        step_mm=typical_step(depths, first.thickness_mm),
        notes=(note,) if note else (),
    )
    return grid, index.tolist()


def _read_nifti(path: Path) -> ImageGrid:
    image = _load_nifti(path)
    shape = tuple(int(n) for n in image.shape[:3])
    if len(shape) < 3:
        raise NothingUsableError(
            f"{path.name} has {len(shape)} axes.", path=path, hint="Give an image in 3-D."
        )
    columns, rows, slices = shape
    grid = grid_of_affine(image.affine, (slices, rows, columns))
    planes = tuple(Plane(path, k, "", "") for k in range(slices))
    return replace(grid, title=path.name, planes=planes)


def _load_nifti(path: Path) -> Any:
    import nibabel as nib

    if not path.is_file():
        raise NothingUsableError(f"{path.name} does not exist.", path=path, hint="Check the path.")
    try:
        return nib.load(path)
    except (nib.filebasedimages.ImageFileError, *FAULTS) as error:
        raise CorruptDataError(
            f"{path.name} cannot be read as NIfTI ({error}).", path=path, hint="Get it again."
        ) from error
