"""From a path to the images of one map: find the series that varies what the map needs."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xnat_pic.errors import CorruptDataError, NothingUsableError

from . import dicom, grid
from .frames import Floats, Frame, Images, SeriesRequirement
from .nifti import find_nifti, load_nifti

_PLATEAU = 0.002  # share of pixels at the top of the scale above which they are cut off


def load_images(path: Path | str, requirement: SeriesRequirement) -> Images:
    """Read the images of one map that are one volume.

    Parameters
    ----------
    path : Path
        A folder with DICOM at any depth, one DICOM file, or NIfTI with its sidecar.
    requirement : SeriesRequirement
        What the map asks for.

    Returns
    -------
    Images

    Raises
    ------
    NothingUsableError
        Where no series serves, several do, it holds several packs of slices, or the values are
        not complete.
    CorruptDataError
        Where all files are damaged, or one of the chosen series is.
    """
    found = load_packs(path, requirement)
    if len(found) > 1:
        words = grid.packs_words([one.frames for one in found])
        raise NothingUsableError(
            f"The series is {words}.", path=Path(path), hint="Read them with load_packs."
        )
    return found[0]


def load_packs(
    path: Path | str, requirement: SeriesRequirement, *, assume_aligned: bool = False
) -> list[Images]:
    """Read the images of one map, each pack of slices that lies apart as a volume of its own.

    Parameters
    ----------
    path, requirement
        As of `load_images`.
    assume_aligned : bool
        Take series of several frames of reference, studies or animals for one, because a person
        says that they lie together.

    Returns
    -------
    list of Images
        In the order of acquisition.

    Raises
    ------
    NothingUsableError, CorruptDataError
        As of `load_images`, several packs apart.
    """
    path = Path(path)
    if not path.exists():
        raise NothingUsableError(f"There is no {path}.", path=path, hint="Check the path.")
    nifti = find_nifti(path)
    if nifti:
        return [load_nifti(nifti, requirement)]
    files, damaged = dicom.read_files(
        dicom.find_files(path), cest=requirement.variable == "offset_ppm"
    )
    if damaged:
        several = len(damaged) > 1
        which = f"{len(damaged)} files are damaged, such as" if several else "One file is damaged:"
        them = "them" if several else "it"
        raise CorruptDataError(
            f"{which} {damaged[0].name}.",
            path=damaged[0],
            hint=f"Get {them} again; a map without {them} could be wrong.",
        )
    frames = list(dicom.all_frames(files))
    if not frames:
        raise NothingUsableError(
            f"There is no MR image in {path.name}.",
            path=path,
            hint="Give a folder of DICOM files, or a NIfTI file with its sidecar.",
        )
    chosen, notes = choose(frames, requirement, assume_aligned=assume_aligned)
    if len(chosen) > 1:
        notes = [*notes, f"The series is {grid.packs_words([grid.by_slice(m) for m in chosen])}."]
    return [_assemble(members, requirement, files, notes) for members in chosen]


def choose(
    frames: Sequence[Frame], requirement: SeriesRequirement, *, assume_aligned: bool = False
) -> tuple[list[list[Frame]], list[str]]:
    """Return the frames that make the map, by pack, and what was rebuilt."""
    usable = [f for f in frames if f.component in requirement.components and not f.derived]
    notes: list[str] = []
    serving: dict[str, list[list[Frame]]] = defaultdict(list)
    for members in _packs_by_series(usable):
        pack = members
        if requirement.variable == "echo_time_ms":
            pack, note = grid.rebuild_echo_times(members)
            notes += [note] if note and note not in notes else []
        if grid.distinct(pack, requirement.variable) >= requirement.least:
            serving[pack[0].series_uid].append(pack)
    if not serving:
        serving = _join_series(usable, requirement, assume_aligned)
    for component in requirement.components:
        best = [m for m in serving.values() if m[0][0].component == component]
        if len(best) == 1:
            return best[0], notes
        if len(best) > 1:
            titles = ", ".join(sorted(m[0][0].title for m in best))
            raise NothingUsableError(
                f"Several series vary their {grid.plural_name(requirement.variable)}: {titles}.",
                hint="Give the folder of one of them.",
            )
    raise _no_series_error(frames, usable, requirement)


def _packs_by_series(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames of each pack of each series, series and packs in the order of frames."""
    by_series: dict[tuple[str, str], list[Frame]] = defaultdict(list)
    for frame in frames:
        by_series[(frame.series_uid, frame.component)].append(frame)
    return [pack for members in by_series.values() for pack in _packs_of(members)]


def _packs_of(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Return the frames of each pack: those of one orientation, size and stack of slices."""
    found: list[list[Frame]] = []
    for members in grid.group(frames):
        if grid.is_placed(members[0]):
            found += [[frame for one in pack for frame in one] for pack in grid.packs(members)]
        else:
            found.append(members)  # where they are chosen, they are refused
    return found


def _join_series(
    frames: Sequence[Frame], requirement: SeriesRequirement, assume_aligned: bool
) -> dict[str, list[list[Frame]]]:
    """Return series that only together vary the variable, such as one for each inversion time.

    Raises
    ------
    NothingUsableError
        Where they do not lie together, or nothing says that they do.
    """
    found: dict[str, list[list[Frame]]] = {}
    for members in _packs_of(frames):
        if grid.distinct(members, requirement.variable) >= requirement.least:
            if not assume_aligned:
                _check_together(members)
            found[f"{len(found)} {members[0].series_uid}"] = [members]
    if found:
        return found
    for members in filter(lambda one: grid.is_placed(one[0]), grid.group(frames)):
        # Together they would serve; they lie in several places.
        if grid.distinct(members, requirement.variable) >= requirement.least:
            packs = grid.packs(members)
            titles = ", ".join(sorted({one[0][0].title for one in packs}))
            raise NothingUsableError(
                f"The series do not lie in one place: {titles} are {grid.packs_words(packs)}.",
                hint="Give series that were acquired with one geometry.",
            )
    return {}


_TOGETHER = (
    ("frame_of_reference_uid", "frames of reference"),
    ("study_uid", "studies"),
    ("patient_id", "patients"),
)


def _check_together(members: Sequence[Frame]) -> None:
    """Refuse series of several frames of reference, studies or animals."""
    for attribute, words in _TOGETHER:
        told = {getattr(f, attribute): f for f in members if getattr(f, attribute)}
        if len(told) > 1:
            titles = ", ".join(sorted({f.title for f in told.values()}))
            raise NothingUsableError(
                f"The series {titles} are of {len(told)} {words}.",
                hint="Give the series of one scan session, or say --assume-aligned where you know "
                "that they lie together.",
            )


def _no_series_error(
    frames: Sequence[Frame], usable: Sequence[Frame], requirement: SeriesRequirement
) -> NothingUsableError:
    words = grid.plural_name(requirement.variable)
    if not usable:
        kinds = {"P": "phase", "R": "real", "I": "imaginary", "M": "magnitude"}
        have = " and ".join(sorted({kinds[f.component] for f in frames}))
        return NothingUsableError(
            f"There are only {have} images that cannot be used, or maps.",
            hint="Give the magnitude images.",
        )
    most = max(grid.distinct(members, requirement.variable) for members in grid.group(usable))
    if not most:
        return NothingUsableError(
            f"No image says its {words}.",
            hint="Give the series that was measured for this map, or NIfTI with a sidecar.",
        )
    count = "one value" if most == 1 else f"{most} different values"
    return NothingUsableError(
        f"The {words} of these images have {count}; at least {requirement.least} are needed.",
        hint="Give the series that was measured for this map.",
    )


def _assemble(
    chosen: list[Frame],
    requirement: SeriesRequirement,
    files: list[dicom.DicomFile],
    notes: list[str],
) -> Images:
    slices = grid.match_samples(grid.by_slice(chosen), requirement.variable, requirement.sort)
    affine, uneven = grid.affine_of(slices)
    times = grid.repetitions(slices[0], requirement.variable)
    if times > 1:
        uneven.append(
            f"The {len(slices[0])} images of each slice are {times} repetitions of "
            f"{len(slices[0]) // times} different ones; all of them went into one fit."
        )
    values = grid.value_table(slices)
    reference = np.array([f.reference for f in slices[0]])
    if requirement.variable == "offset_ppm":
        rows = [[f.values.get("offset_ppm", np.nan) for f in one] for one in slices]
        values["offset_ppm"] = np.array(rows)
    _check_slices_agree(values[requirement.variable], requirement)
    used = {f.path for one in slices for f in one}
    members = [one for one in files if one.path in used]
    _check_bits(members)
    data, cut = _fill(slices, dicom.pixels(members))
    if cut:
        uneven.append(f"{cut} images reach the top of their scale; those samples were left out.")
    directions, matrices = grid.directions_of(slices[0])
    origin = {name: where for one in reversed(members) for name, where in one.origin.items()}
    if notes:
        origin["echo_time_ms"] = "rebuilt from EchoNumbers and one EchoTime"
    return Images(
        data=data,
        affine=affine,
        values=values,
        directions=directions,
        b_matrices=matrices,
        reference=reference,
        component=chosen[0].component,
        frames=slices,
        files=sorted(used),
        origin=origin,
        rebuilt=["EchoTime"] if notes else [],
        notes=[*notes, *uneven],
        frequency_mhz=next((m.frequency_mhz for m in members if m.frequency_mhz), None),
        scan=next((m.scan for m in members if m.scan.b1_ut), members[0].scan),
        is_even=grid.is_even(slices),
    )


def _check_slices_agree(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], requirement: SeriesRequirement
) -> None:
    if requirement.per_slice:
        return
    scale = np.nanmax(np.abs(values)) or 1.0
    if np.nanmax(np.abs(values - values[0])) > 1e-3 * scale:
        raise NothingUsableError(
            f"The slices do not have the same {grid.plural_name(requirement.variable)}.",
            hint="Images are missing, or two series are mixed; give the folder of one series.",
        )


def _check_bits(files: list[dicom.DicomFile]) -> None:
    shallow = next((one for one in files if one.bits <= 8), None)
    if shallow is not None:
        raise NothingUsableError(
            "These are 8-bit images, pictures for the screen, whose values are no measurements.",
            path=shallow.path,
            hint="Give the images that the scanner reconstructed.",
        )


def _fill(
    slices: list[list[Frame]], where: dict[tuple[Path, int], tuple[dicom.DicomFile, int]]
) -> tuple[Floats, int]:
    """Return values (n_samples, n_slices, rows, columns), and how many images were cut off."""
    rows, columns = slices[0][0].shape
    data = np.empty((len(slices[0]), len(slices), rows, columns), np.float32)
    factors = _factors(slices)
    cut = 0
    for k, one in enumerate(slices):
        for n, frame in enumerate(one):
            file, index = where[(frame.path, frame.index)]
            stored = file.stored(index)
            slope = frame.values.get("slope", 1.0)
            np.multiply(stored, np.float32(slope), out=data[n, k], casting="unsafe")
            data[n, k] += np.float32(frame.values.get("intercept", 0.0))
            if factors is not None:
                data[n, k] *= factors[k, n]
            full = stored >= file.top
            if np.count_nonzero(full) > _PLATEAU * full.size:
                data[n, k][full] = np.nan
                cut += 1
    return data, cut


def _factors(slices: list[list[Frame]]) -> Floats | None:
    """Return what makes frames comparable whose second scale differs, (n_slices, n_samples).

    One maker rescales for the screen and keeps the scale of the signal in an element of its own
    (doi:10.1593/tlo.13811). None where no frame has it, or all have the same.
    """
    both = [
        [f.values.get("slope", 1.0) * f.values.get("scale_slope", np.nan) for f in one]
        for one in slices
    ]
    scales = np.array(both, dtype=np.float64)
    if not np.all(np.isfinite(scales) & (scales > 0)) or np.ptp(scales) <= 1e-6 * scales.max():
        return None
    return np.asarray(scales[0, 0] / scales, dtype=np.float32)
