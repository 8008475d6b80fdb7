"""Read regions from files: AIM v4, RTSTRUCT, DICOM SEG, NIfTI and NRRD masks.

What a file is, its content says; names decide nothing but NIfTI, which has no mark at its
beginning when compressed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path

from xnat_pic.errors import CorruptDataError, NothingUsableError, XnatPicError

from ..complete import check_complete
from ..headers import FAULTS, is_dicom, is_part_10, named, read_dataset, unreadable, unwarned
from ..model import ImageGrid, Problem, RegionSet
from . import aim, nrrd, rtstruct, seg
from .nifti import read_nifti_mask
from .twins import Comparison, Twin, compare

__all__ = ["Kind", "read_regions", "referenced_instances", "sniff"]

_NIFTI = (".nii", ".nii.gz")
_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_HINT = "Give AIM v4, RTSTRUCT, DICOM SEG, NIfTI or NRRD."
_MEASUREMENTS = b'"imageMeasurements"'
_LOOK = 64 * 1024


class Kind(Enum):
    """What a file holds."""

    AIM = "AIM"
    RTSTRUCT = "RTSTRUCT"
    SEG = "SEG"
    NIFTI = "NIFTI"
    NRRD = "NRRD"
    MEASUREMENTS = "measurement collection"
    OTHER = "other"


_READERS: dict[Kind, Callable[[Path, ImageGrid], RegionSet]] = {
    Kind.AIM: aim.read_aim,
    Kind.RTSTRUCT: lambda path, _: rtstruct.read_rtstruct(path),
    Kind.SEG: seg.read_seg,
    Kind.NIFTI: lambda path, _: read_nifti_mask(path),
    Kind.NRRD: lambda path, _: nrrd.read_nrrd_mask(path),
}


def sniff(path: Path) -> Kind:
    """Return what a file is, by its beginning.

    Raises
    ------
    CorruptDataError
        For a DICOM file whose header breaks off.
    """
    if path.name.endswith(_NIFTI):
        return Kind.NIFTI
    if nrrd.is_nrrd(path):
        return Kind.NRRD
    if is_dicom(path):
        return _sniff_dicom(path)
    with path.open("rb") as file:
        start = file.read(_LOOK)
    # XML in UTF-16 begins with a byte order mark and a zero beside the bracket.
    if start.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<"):
        return Kind.AIM
    return Kind.MEASUREMENTS if _MEASUREMENTS in start else Kind.OTHER


def _sniff_dicom(path: Path) -> Kind:
    ds = read_dataset(path, ("SOPClassUID", "Modality"), pixels=False, fuss="file")
    try:
        uid, modality = str(ds.get("SOPClassUID") or ""), str(ds.get("Modality") or "")
    except FAULTS as error:
        raise unreadable(path, "file", error) from error
    if uid == _RTSTRUCT or modality == "RTSTRUCT":
        return Kind.RTSTRUCT
    return Kind.SEG if uid in _SEGMENTATIONS or modality == "SEG" else Kind.OTHER


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise NothingUsableError(f"{path.name} does not exist.", path=path, hint="Check the path.")
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


@unwarned()
def referenced_instances(path: Path) -> frozenset[str]:
    """Return the SOP Instance and Series Instance UIDs that the regions of a path name.

    For `volume.read_image`, to choose among the series of a folder. A file that cannot be read
    names none; `read_regions` says what is wrong with it.
    """
    uids: frozenset[str] = frozenset()
    for one in _files(path):
        try:
            kind = sniff(one)
            if kind is Kind.AIM:
                uids |= aim.references(one)
            elif kind is Kind.RTSTRUCT:
                uids |= rtstruct.references(read_dataset(one, fuss="structure set"))
            elif kind is Kind.SEG:
                tags = ("ReferencedSeriesSequence",)
                uids |= seg.references(read_dataset(one, tags, pixels=False, fuss="segmentation"))
        except (XnatPicError, *FAULTS):
            continue
    return uids


@unwarned()
def read_regions(path: Path, image: ImageGrid) -> RegionSet:
    """Read the regions of a file, or of every file below a folder.

    In a folder, an RTSTRUCT that holds the drawing of an AIM file beside it, shifted by half a
    pixel or not, is left out, since the viewer stores the AIM; a warning says so.

    Parameters
    ----------
    path : Path
        AIM v4, RTSTRUCT, DICOM SEG, NIfTI or NRRD; or a folder of such files.
    image : ImageGrid
        The image the regions were drawn on.

    Returns
    -------
    RegionSet
        In a folder, files that give nothing are its `problems`.

    Raises
    ------
    CorruptDataError
        For a single file that is damaged.
    NothingUsableError
        For a single file that is of another kind, and a folder without files of these kinds.
    """
    if path.is_file():
        return _checked(path, _read_one(path, sniff(path), image), image)
    sets: list[RegionSet] = []
    problems: list[Problem] = []
    for one in _files(path):
        try:
            kind = sniff(one)
            if kind is not Kind.OTHER:
                sets.append(_read_one(one, kind, image))
        except (NothingUsableError, CorruptDataError) as error:
            corrupt = isinstance(error, CorruptDataError)
            problems.append(Problem(one, error.sentence(), corrupt=corrupt))
    if not sets and not problems:
        raise NothingUsableError(f"{path.name} holds no file of regions.", path=path, hint=_HINT)
    return _joined(path, sets, problems, image)


def _read_one(path: Path, kind: Kind, image: ImageGrid) -> RegionSet:
    if is_part_10(path):
        check_complete(path)
    if kind is Kind.MEASUREMENTS:
        raise NothingUsableError(
            f"{path.name} is a measurement collection; its lines and ellipses are no regions.",
            path=path,
            hint="Draw the region as a contour or a mask in the viewer.",
        )
    if kind is Kind.OTHER:
        raise NothingUsableError(f"{path.name} holds no regions.", path=path, hint=_HINT)
    with named(path):
        found = _READERS[kind](path, image)
    elsewhere = (
        found.series_uids and image.series_uids and not found.series_uids & image.series_uids
    )
    if elsewhere:
        note = f"{path.name} names another series than that of the image."
        found = replace(found, warnings=(*found.warnings, note))
    return found


def _checked(path: Path, found: RegionSet, image: ImageGrid) -> RegionSet:
    """Compare a single structure set with the AIM file that an archive keeps near it."""
    if not found.regions or found.regions[0].source != Kind.RTSTRUCT.value:
        return found
    name = path.with_suffix(".xml").name
    for near in (path.with_name(name), path.parent.parent / Kind.AIM.value / name):
        if not near.is_file():
            continue
        try:
            drawn = aim.read_aim(near, image)
        except (NothingUsableError, CorruptDataError):
            continue
        result = compare(drawn, found, image)
        if result.twin is not Twin.EQUAL and result.compared:
            advice = f"{result.sentence(near.name, path.name)} Give {near.name} instead."
            return replace(found, warnings=(*found.warnings, advice))
    return found


def _joined(
    path: Path, sets: list[RegionSet], problems: list[Problem], image: ImageGrid
) -> RegionSet:
    kept, warnings = _without_twins(sets, image)
    words = [word for one in kept for word in one.software if word]
    return RegionSet(
        path=path,
        name=kept[0].name if len(kept) == 1 else "",
        regions=tuple(region for one in kept for region in one.regions),
        files=tuple(file for one in kept for file in one.files),
        series_uids=frozenset[str]().union(*(one.series_uids for one in kept)),
        software=tuple(dict.fromkeys(words)),
        warnings=(*(text for one in kept for text in one.warnings), *warnings),
        problems=tuple(problems),
    )


def _without_twins(sets: list[RegionSet], image: ImageGrid) -> tuple[list[RegionSet], list[str]]:
    """Return the sets without structure sets that repeat an AIM file, and what was found."""
    drawn = [one for one in sets if one.regions and one.regions[0].source == Kind.AIM.value]
    kept: list[RegionSet] = []
    warnings: list[str] = []
    for one in sets:
        partner = _partner(one, drawn, image)
        if partner is None:
            kept.append(one)
            continue
        own, result = partner
        message = result.sentence(own.path.name, one.path.name)
        warnings.append(f"{message} The AIM file was used.")
    return kept, warnings


def _partner(
    one: RegionSet, drawn: list[RegionSet], image: ImageGrid
) -> tuple[RegionSet, Comparison] | None:
    """Return the AIM file a structure set repeats: by content, or by the archive's label."""
    if not one.regions or one.regions[0].source != Kind.RTSTRUCT.value:
        return None
    for other in drawn:
        result = compare(other, one, image)
        if result.twin is not Twin.DIFFERENT or other.path.stem == one.path.stem:
            return other, result
    return None
