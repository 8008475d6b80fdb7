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
    """Read the images of one map.

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
        Where no series serves, several do, or the values are not complete.
    CorruptDataError
        Where all files are damaged, or one of the chosen series is.
    """
    path = Path(path)
    if not path.exists():
        raise NothingUsableError(f"There is no {path}.", path=path, hint="Check the path.")
    nifti = find_nifti(path)
    if nifti:
        return load_nifti(nifti, requirement)
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
    chosen, notes = choose(frames, requirement)
    return _assemble(chosen, requirement, files, notes)


def choose(
    frames: Sequence[Frame], requirement: SeriesRequirement
) -> tuple[list[Frame], list[str]]:
    """Return the frames that make the map, and what was rebuilt."""
    usable = [f for f in frames if f.component in requirement.components and not f.derived]
    series: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in usable:
        series[(frame.series_uid, *grid.geometry_key(frame))].append(frame)
    notes: list[str] = []
    if requirement.variable == "echo_time_ms":
        for key, members in series.items():
            series[key], note = grid.rebuild_echo_times(members)
            notes += [note] if note else []
    serving = [
        m for m in series.values() if grid.distinct(m, requirement.variable) >= requirement.least
    ]
    if not serving:
        serving = _join_series(usable, requirement)
    for component in requirement.components:
        best = [m for m in serving if m[0].component == component]
        if len(best) == 1:
            return best[0], notes
        if len(best) > 1:
            titles = ", ".join(sorted(m[0].title for m in best))
            raise NothingUsableError(
                f"Several series vary their {grid.plural_name(requirement.variable)}: {titles}.",
                hint="Give the folder of one of them.",
            )
    raise _no_series_error(frames, usable, requirement)


def _join_series(frames: Sequence[Frame], requirement: SeriesRequirement) -> list[list[Frame]]:
    """Return series that only together vary the variable, such as one for each inversion time."""
    found = []
    for members in grid.group(frames).values():
        if grid.distinct(members, requirement.variable) >= requirement.least:
            found.append(members)
    return found


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
    most = max(
        grid.distinct(members, requirement.variable) for members in grid.group(usable).values()
    )
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
