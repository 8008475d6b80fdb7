"""One map from input to files: read, fit, write, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom

from xnat_pic.errors import NothingUsableError, WrongCallError
from xnat_pic.files import replacing_folder

from ..fitting.data import FittedMap, MapOptions
from ..fitting.fit import check_options, fit_images
from ..fitting.methods import MAP_METHODS
from ..inputs.frames import Images
from ..inputs.load import load_packs
from ..inputs.sidecar import stem_of
from ..outputs.write import FORMATS, WrittenMaps, join_packs, write_contents, write_maps
from ..report.page import write_report

_PATHS: tuple[str, ...] = ("nifti", "dicom", "secondary", "error")
_LIFTED = ("t2", "t2star")
Progress = Callable[[str], None]


@dataclass
class MapSummary:
    """What a run made.

    Attributes
    ----------
    out : Path
        The folder.
    maps : dict
        Rows of ``maps.json``.
    report : str
        Name of the report in the folder, or empty.
    warnings : list of str
        Messages for a person.
    seconds : dict
        Time of each part.
    """

    out: Path
    maps: dict[str, dict[str, Any]]
    report: str
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Show the folder and the medians of the maps."""
        medians = [
            f"{name} {row['median']:.4g} {row['unit']}"
            for name, row in self.maps.items()
            if row["median"] is not None
        ]
        return f"<MapSummary {self.out.name}: {', '.join(medians) or 'no median'}>"

    def as_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        rows: dict[str, dict[str, Any]] = {}
        for name, row in self.maps.items():
            paths = {kind: str(self.out / row[kind]) for kind in _PATHS if kind in row}
            rows[name] = {**paths, **{k: row[k] for k in ("unit", "median", "valid")}}
        report = str(self.out / self.report) if self.report else None
        return {
            "maps": rows,
            "report": report,
            "warnings": self.warnings,
            "seconds": {part: round(value, 3) for part, value in self.seconds.items()},
        }


def make_maps(
    command: str,
    source: Path | str,
    out: Path | str,
    options: MapOptions | None = None,
    *,
    formats: tuple[str, ...] = FORMATS,
    overwrite: bool = False,
    subject: str = "",
    progress: Progress = lambda _: None,
) -> MapSummary:
    """Make the maps of one series.

    Parameters
    ----------
    command : str
        A key of `methods.MAP_METHODS`, such as ``t2``.
    source : Path
        A folder with DICOM, a DICOM file, or NIfTI with its sidecar.
    out : Path
        Folder of the results; it appears complete or not at all.
    options : MapOptions, optional
        Mask, noise, model.
    formats : tuple of str
        Some of ``nifti``, ``dicom``, ``report``.
    overwrite : bool
        Replace earlier maps in `out`.
    subject : str
        Names the files; empty takes PatientID, which many servers replace by the session's label.
    progress : callable
        Called with a short text on each step.

    Returns
    -------
    MapSummary

    Raises
    ------
    XnatPicError
        With what to do; nothing is left behind.
    """
    if command not in MAP_METHODS:
        raise WrongCallError(
            f"There is no map {command}.", hint=f"There are {', '.join(MAP_METHODS)}."
        )
    source, out = Path(source), Path(out)
    options = options or MapOptions()
    check_options(command, options)
    run = _Run(command, options, formats, subject, progress)
    with replacing_folder(out, overwrite, "maps.json") as folder:
        progress("reading")
        packs = run.timed(
            "read",
            lambda: load_packs(
                source, MAP_METHODS[command].requirement, assume_aligned=options.assume_aligned
            ),
        )
        written, fitted = run.make_all(folder, packs)
        write_contents(folder, fitted, written.maps, written.report)
        _write_log(folder / "log.txt", fitted, run.warnings, run.times)
    return MapSummary(out, written.maps, written.report, run.warnings, run.times)


@dataclass
class _Run:
    """What the packs of a run share."""

    command: str
    options: MapOptions
    formats: tuple[str, ...]
    subject: str
    progress: Progress
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    times: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def timed(self, part: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        self.times[part] = self.times.get(part, 0.0) + time.perf_counter() - start
        return result

    def make_all(self, folder: Path, packs: list[Images]) -> tuple[WrittenMaps, FittedMap]:
        """Make the maps of every pack, each in a folder of its own where there are several."""
        if len(packs) == 1:
            return self.make(folder, packs[0])
        made: dict[str, WrittenMaps] = {}
        fits: list[FittedMap] = []
        for number, images in enumerate(packs, 1):
            name = f"pack-{number}"
            (folder / name).mkdir()
            made[name], fitted = self.make(folder / name, images, number)
            fits.append(fitted)
        return join_packs(folder, made), fits[0]

    def make(self, folder: Path, images: Images, pack: int = 0) -> tuple[WrittenMaps, FittedMap]:
        """Make the maps of one volume.

        Raises
        ------
        NothingUsableError
            Where no voxel has a value.
        """
        of_pack = f" pack {pack}" if pack else ""
        self.progress(f"fitting{of_pack}")
        fitted = self.timed("fit", lambda: fit_images(self.command, images, self.options))
        if not fitted.valid.any():
            raise NothingUsableError(
                f"No voxel{f' of{of_pack}' * bool(pack)} has a value that can be defended.",
                hint="Look at the images: are they the right series, is the mask on the subject?",
            )
        formats = self.formats if images.is_even else without_nifti(self.formats)
        self.progress(f"writing{of_pack}")
        stem = subject_stem(fitted, self.subject) + (f"_chunk-{pack}" if pack else "")
        written = self.timed(
            "write", lambda: write_maps(folder, fitted, formats, stem, self.started, pack)
        )
        new = [note for note in _warnings(fitted, self.formats) if note not in self.warnings]
        self.warnings += new
        if "report" in formats:
            self.progress(f"reporting{of_pack}")
            self.timed("report", lambda: write_report(folder, fitted, written.maps))
            written.report = "report.html"
        return written, fitted


def without_nifti(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Return what can be written of slices that are not evenly far apart."""
    return tuple(one for one in formats if one != "nifti")


def subject_stem(fitted: FittedMap, subject: str = "") -> str:
    """Return the begin of file names, ``sub-<subject>``, letters and digits alone."""
    frames = fitted.images.frames
    if subject:
        text = subject
    elif frames:
        header = pydicom.dcmread(frames[0][0].path, specific_tags=["PatientID"])
        text = str(header.get("PatientID") or "")
    else:
        name = stem_of(fitted.images.files[0])
        text = name.removeprefix("sub-").split("_")[0] if name.startswith("sub-") else name
    plain = "".join(sign for sign in text if sign.isascii() and sign.isalnum())
    return f"sub-{plain or 'unknown'}"


def _warnings(fitted: FittedMap, formats: tuple[str, ...]) -> list[str]:
    notes = list(fitted.notes)
    if fitted.result.sigma is None and fitted.images.component == "M":
        notes.append(f"The noise is not known ({fitted.sigma_source}).")
        if fitted.command in _LIFTED:
            notes.append(
                "Without it, voxels whose last images are near the noise get times that are too "
                "long, by more than their standard error says: give --sigma if you know it."
            )
    if "nifti" in formats and not fitted.images.is_even:
        notes.append(
            "A NIfTI file holds one distance between slices, so none was written; the DICOM files "
            "have each slice in its place."
        )
    if "dicom" in formats and not fitted.images.frames:
        notes.append("The input is NIfTI, so no DICOM was written.")
    return notes


def _write_log(path: Path, fitted: FittedMap, warnings: list[str], times: dict[str, float]) -> None:
    slices, rows, columns = fitted.images.grid
    lines = [
        f"{MAP_METHODS[fitted.command].title}: model {fitted.result.model}",
        f"{len(fitted.images.files)} files, {len(fitted.images.data)} images of "
        f"{columns} x {rows} x {slices} voxels",
        f"mask: {fitted.mask_source}, {int(fitted.mask.sum())} voxels",
        f"noise: {fitted.result.sigma if fitted.result.sigma is not None else 'not known'} "
        f"({fitted.sigma_source})",
        f"voxels with a value: {int(fitted.valid.sum())}",
        *(f"note: {note}" for note in warnings),
        *(f"{part}: {seconds:.2f} s" for part, seconds in times.items()),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
