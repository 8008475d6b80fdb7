"""Mask average: image, regions and maps in; statistics, masks, DICOM, pictures and page out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from xnat_pic.errors import NothingUsableError, WrongCallError
from xnat_pic.files import file_digest, replacing_folder
from xnat_pic.text import printable
from xnat_pic.version import version

from ..outputs.nifti import write_sidecar
from ..outputs.uids import parameter_hash
from .curves import Curve, Samples, curve_of
from .model import ImageGrid, RegionSet
from .outputs.curves import activity_tables, curves_csv
from .outputs.table import as_csv, as_json
from .outputs.text import as_text
from .rasterize import Between
from .run_maps import MapVolume, is_listed, read_maps
from .run_measure import measure_regions
from .run_result import MaskAverageResult, RegionResult

Progress = Callable[[str], None]
FORMATS = ("nifti", "dicom", "report")
RASTERIZERS = ("ours", "dcmrtstruct2nii")
_CONTENTS = "statistics.json"


@dataclass(frozen=True)
class RoiOptions:
    """What a person may choose.

    Attributes
    ----------
    rasterizer : str
        ``ours`` or ``dcmrtstruct2nii``.
    assume_aligned : bool
        Take positions of another frame of reference as they are.
    keep_flagged : bool
        Count voxels that carry a flag of the fit.
    unit : str
        UCUM, for maps that say none.
    formats : tuple of str
        Some of ``nifti``, ``dicom``, ``report``; the tables are always written.
    between : str
        What becomes of contours between planes: ``nearest``, ``interpolate``, ``refuse``.
    """

    rasterizer: str = "ours"
    assume_aligned: bool = False
    keep_flagged: bool = False
    unit: str = ""
    formats: tuple[str, ...] = FORMATS
    between: str = "nearest"


@dataclass
class MaskAverageSummary:
    """What a run made.

    Attributes
    ----------
    out : Path
        The folder.
    result : MaskAverageResult
        What was found.
    exit_code : int
        0 all regions measured, 8 some, 3 none, 4 none and a file is damaged.
    seconds : dict
        Time of each part.
    """

    out: Path
    result: MaskAverageResult
    exit_code: int
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Show the folder and the result."""
        return f"<MaskAverageSummary {self.out.name}: {self.result}>"


def average_masks(
    image: Path | str,
    roi: Path | str,
    maps: Sequence[Path | str],
    out: Path | str,
    roi_options: RoiOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = lambda _: None,
) -> MaskAverageSummary:
    """Measure the regions of a collection in one or several maps.

    Parameters
    ----------
    image : Path
        What the regions were drawn on: folder or file of DICOM, or NIfTI.
    roi : Path
        A file of regions, or a folder of such files.
    maps : sequence of Path
        See `run_maps.read_maps`.
    out : Path
        Folder of the results; it appears complete or not at all.
    roi_options : RoiOptions, optional
        Choices.
    overwrite : bool
        Replace earlier statistics in `out`.
    progress : callable
        Called with a short text on each step.

    Returns
    -------
    MaskAverageSummary
        Regions without a value are in it, each with its reason.

    Raises
    ------
    XnatPicError
        With what to do; nothing is left behind.
    """
    image, roi, out = Path(image), Path(roi), Path(out)
    roi_options = roi_options or RoiOptions()
    if roi_options.rasterizer not in RASTERIZERS:
        raise WrongCallError(
            f"There is no rasterizer {roi_options.rasterizer}.",
            hint=f"There are {', '.join(RASTERIZERS)}.",
        )
    times: dict[str, float] = {}
    with replacing_folder(out, overwrite, _CONTENTS) as folder:
        result = find(image, roi, [Path(one) for one in maps], roi_options, times, progress)
        with _timed(times, "write"):
            result = _write(folder, result, roi_options, times, progress)
        _write_log(folder / "log.txt", result, times)
    return MaskAverageSummary(out, result, _exit_code(result), times)


@contextmanager
def _timed(times: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    times[part] = time.perf_counter() - start


def find(
    image: Path,
    roi: Path,
    maps: Sequence[Path],
    roi_options: RoiOptions,
    times: dict[str, float] | None = None,
    progress: Progress = lambda _: None,
) -> MaskAverageResult:
    """Read everything and measure, without writing; parameters as of `average_masks`."""
    from .readers import read_regions, referenced_instances
    from .volume import read_image

    times = {} if times is None else times
    with _timed(times, "read"):
        roi = _only_file(roi)
        progress("reading the image")
        grid = read_image(image, referenced_instances(roi))
        progress("reading the ROIs")
        regions = read_regions(roi, grid)
        progress("reading the maps")
        volumes, series = _read_maps(maps, roi_options.unit)
    with _timed(times, "measure"):
        rois = measure_regions(
            grid,
            regions,
            volumes,
            library_source=(roi, image) if roi_options.rasterizer == "dcmrtstruct2nii" else None,
            assume_aligned=roi_options.assume_aligned,
            keep_flagged=roi_options.keep_flagged,
            between=Between(roi_options.between),
            progress=progress,
        )
    if not rois and not regions.problems:
        raise NothingUsableError(
            f"{roi.name} holds no ROI.", path=roi, hint="Draw one, or name another file with --roi."
        )
    return MaskAverageResult(
        image=grid,
        image_path=image,
        regions=regions,
        maps=tuple(volumes),
        rois=tuple(rois),
        rasterizer=roi_options.rasterizer,
        assume_aligned=roi_options.assume_aligned,
        keep_flagged=roi_options.keep_flagged,
        warnings=_notes(grid, regions, volumes, series),
        curves=_curves(rois, series),
    )


def _curves(rois: Sequence[RegionResult], series: dict[int, Samples]) -> tuple[Curve, ...]:
    """Return every region that was measured along each series."""
    return tuple(
        curve_of(roi.number, roi.region.name, samples, roi.maps[place].inside)
        for place, samples in series.items()
        for roi in rois
        if roi.maps and not roi.maps[place].unusable
    )


def _read_maps(paths: Sequence[Path], unit: str) -> tuple[list[MapVolume], dict[int, Samples]]:
    """Return the maps, and the series of those that stand for one, by their place."""
    from .run_samples import mean_map, read_samples

    volumes: list[MapVolume] = []
    series: dict[int, Samples] = {}
    for path in paths:
        found = None if is_listed(path) else read_samples(path)
        if found is None:
            volumes += [_with_unit(one, unit) for one in read_maps(path)]
            continue
        samples, volume = found
        series[len(volumes)] = samples if samples.unit or not unit else replace(samples, unit=unit)
        volumes.append(_with_unit(mean_map(samples, volume), unit))
    return volumes, series


def _notes(
    grid: ImageGrid,
    regions: RegionSet,
    volumes: Sequence[MapVolume],
    series: dict[int, Samples],
) -> tuple[str, ...]:
    """Return what is to be said about the run as a whole."""
    notes = [*grid.notes, *regions.warnings, *(n for one in series.values() for n in one.notes)]
    unknown = [one.name for one in volumes if not one.unit]
    if unknown:
        notes.append(
            f"Nothing says the unit of {', '.join(unknown)}, so no rate was made of it; "
            "--unit ms would say it."
        )
    return tuple(notes)


def _only_file(path: Path) -> Path:
    """Return the file where a folder holds no more than one, as those of an archive do."""
    if not path.is_dir():
        return path
    found = list(islice(path.iterdir(), 2))
    return found[0] if len(found) == 1 and found[0].is_file() else path


def _with_unit(one: MapVolume, unit: str) -> MapVolume:
    return one if one.unit or not unit else replace(one, unit=unit)


def _exit_code(result: MaskAverageResult) -> int:
    if result.usable:
        whole = not any(roi.is_partial for roi in result.rois)
        done = whole and result.usable == len(result.rois) and not result.regions.problems
        return 0 if done else 8
    return 4 if any(one.corrupt for one in result.regions.problems) else 3


def _write(
    folder: Path,
    result: MaskAverageResult,
    roi_options: RoiOptions,
    times: dict[str, float],
    progress: Progress,
) -> MaskAverageResult:
    """Write everything; return the result with what was noted on the way."""
    files = _inputs(result)
    hashes = dict(zip(files, _hashes(files), strict=True))
    told = [sorted(hashes.values()), result.rasterizer, result.assume_aligned]
    key = parameter_hash([*told, *([roi_options.between] * (roi_options.between != "nearest"))])
    written: dict[str, Any] = {}
    if "report" in roi_options.formats:
        progress("drawing")
        with _timed(times, "draw"):
            pictures, notes = _pictures(folder, result)
        result = replace(result, warnings=(*result.warnings, *notes))
    if "nifti" in roi_options.formats:
        progress("writing masks")
        from .outputs.volumes import write_volumes

        with _timed(times, "nifti"):
            written["nifti"] = write_volumes(folder, result)
    if "dicom" in roi_options.formats:
        progress("writing DICOM")
        with _timed(times, "dicom"):
            written["dicom"], notes = _dicom(folder, result, key)
        result = replace(result, warnings=(*result.warnings, *notes))
    if "report" in roi_options.formats:
        from .report import write_report

        with _timed(times, "report"):
            write_report(folder, result, pictures)
        written["report"] = "report.html"
    (folder / "statistics.txt").write_text(as_text(result), encoding="utf-8", newline="\n")
    (folder / "statistics.csv").write_text(as_csv(result), encoding="utf-8", newline="\n")
    if result.curves:
        (folder / "curves.csv").write_text(curves_csv(result.curves), "utf-8", newline="\n")
        for name, text in activity_tables(result.curves).items():
            (folder / name).write_text(text, "utf-8", newline="\n")
    _write_provenance(folder / "provenance.json", hashes, key, roi_options)
    write_sidecar(folder / _CONTENTS, {**as_json(result), "files": written})
    return result


def _inputs(result: MaskAverageResult) -> list[Path]:
    files = {plane.path for plane in result.image.planes}
    files |= {*result.regions.files, *(path for one in result.maps for path in one.files)}
    return sorted(files)


def _hashes(files: Sequence[Path]) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(file_digest, files))


def _pictures(
    folder: Path, result: MaskAverageResult
) -> tuple[dict[int, dict[int, bytes]], list[str]]:
    """Write a PNG for each region and slice; return them, and what could not be drawn."""
    import numpy as np

    from .outputs.overlays import draw, view_of
    from .run_image import read_slices

    size = result.image.shape[1] * result.image.shape[2]
    slices = {roi.number: np.unique(roi.drawn.index // size).tolist() for roi in result.labels}
    pixels, notes = read_slices(result.image, (k for one in slices.values() for k in one))
    grey = (0.0, 1.0)
    if pixels:
        values = np.concatenate([one.ravel()[::7] for one in pixels.values()])
        low, high = np.nanpercentile(values, [1, 99.5])
        grey = (float(low), float(high))
    target = folder / "png"
    target.mkdir()
    views = {roi.number: view_of(result.image, roi.drawn) for roi in result.labels}

    def one(roi: Any, index: int) -> bytes:
        data = draw(result, roi, views[roi.number], index, pixels.get(index), grey)
        (target / f"{roi.slug}_slice{index + 1:03d}.png").write_bytes(data)
        return data

    with ThreadPoolExecutor(2) as pool:
        jobs = {
            (roi.number, index): pool.submit(one, roi, index)
            for roi in result.labels
            for index in slices[roi.number]
        }
        pictures: dict[int, dict[int, bytes]] = {roi.number: {} for roi in result.labels}
        try:
            for (number, index), job in jobs.items():
                pictures[number][index] = job.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return pictures, notes


def _dicom(folder: Path, result: MaskAverageResult, key: str) -> tuple[dict[str, str], list[str]]:
    """Write the masks and the numbers as DICOM, where the image is DICOM."""
    if not result.image.planes or not result.image.planes[0].instance_uid:
        return {}, ["The image is NIfTI, so no DICOM was written."]
    if not result.labels:
        return {}, []
    from .outputs.measurement_report import write_measurement_report
    from .outputs.segmentation import read_sources, write_segmentation

    target = folder / "dicom"
    target.mkdir()
    sources = read_sources(result)
    made = write_segmentation(target / "SEG.dcm", result, sources, key)
    write_measurement_report(target / "SR.dcm", result, sources, made, key)
    return {"segmentation": "dicom/SEG.dcm", "measurement_report": "dicom/SR.dcm"}, []


def _write_provenance(
    path: Path, hashes: dict[Path, str], key: str, roi_options: RoiOptions
) -> None:
    content = {
        "command": "mask-average",
        "options": {
            "rasterizer": roi_options.rasterizer,
            "assume_aligned": roi_options.assume_aligned,
            "keep_flagged": roi_options.keep_flagged,
            "unit": roi_options.unit,
            "between": roi_options.between,
            "formats": list(roi_options.formats),
        },
        "parameters": key,
        "software": f"xnat-pic {version()}",
        "python": sys.version.split()[0],
        "inputs": [{"file": one.name, "sha256": value} for one, value in hashes.items()],
    }
    write_sidecar(path, content)


def _write_log(path: Path, result: MaskAverageResult, times: dict[str, float]) -> None:
    lines = [
        f"image: {result.image_path.name}, {result.image.shape[0]} slices",
        f"ROIs: {len(result.rois)} in {len(result.regions.files)} files, {result.usable} measured",
        *(f"map: {one.name} {one.unit} {one.source}" for one in result.maps),
        *(f"note: {note}" for note in result.warnings),
        *(f"not read: {one.sentence}" for one in result.regions.problems),
        *(
            f"ROI {roi.number} {roi.region.name}: {note}"
            for roi in result.rois
            for note in ([roi.unusable] if roi.unusable else []) + list(roi.warnings)
        ),
        *(f"{part}: {seconds:.3f} s" for part, seconds in times.items()),
    ]
    text = "\n".join(printable(line) for line in lines)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
