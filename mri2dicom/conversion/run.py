"""Convert scanner data to DICOM: plan, write, report. Never stops at one series."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xnat_pic.errors import NothingUsableError, WrongCallError, XnatPicError
from xnat_pic.text import UniqueNames, safe_name

from ..dicom.header import subject_name
from ..dicom.overrides import Overrides, normalize_overrides
from ..readers.archive import archive_stem, open_input
from ..readers.registry import INPUT_HINT, choose_readers
from ..series.model import RawSeries, Reader, Skipped
from .jobs import TASK_BYTES, OnProgress, SeriesJob, SeriesWriter
from .output import OutputState, compare_output, encode_series, remove_leftovers
from .overview import exported_archives
from .report import (
    ConversionReport,
    SeriesResult,
    failure_reason,
    series_result,
    skipped_result,
    with_status,
)
from .settings import merge_overrides, read_side_files


def default_output(path: Path) -> Path:
    """Return ``<input>_dcm`` beside the input; an archive's suffix does not count."""
    path = path.resolve()
    if not path.name:
        raise WrongCallError(
            f"{path} is a whole drive, and nothing can be written beside it.",
            path=path,
            hint="Name the output folder too.",
        )
    stem = archive_stem(path) if path.is_file() else None
    return path.with_name(f"{stem or path.name}_dcm")


def convert(
    path: Path | str,
    out: Path | str | None = None,
    *,
    enhanced: bool = False,
    jobs: int = 1,
    overwrite: bool = False,
    overrides: Overrides | None = None,
    on_progress: OnProgress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ConversionReport:
    """Convert a study, a folder of studies, or an archive to DICOM.

    Parameters
    ----------
    path : Path or str
        Project folder, study, scan, reconstruction, flat folder, ``.zip``, ``.PvDatasets`` or
        ``.tar.gz``. It is never changed.
    out : Path or str, optional
        Output folder, ``<input>_dcm`` beside the input by default. Below it the input's folder
        levels are kept.
    enhanced : bool
        Write Enhanced MR objects instead of classic ones.
    jobs : int
        Worker processes; 1 writes in this process.
    overwrite : bool
        Write series again whose output is there.
    overrides : Overrides, optional
        Values that the scanner's files do not hold.
    on_progress : callable, optional
        Called with `ConversionProgress` while files are written.
    cancelled : callable, optional
        Asked between files; True stops the run and leaves nothing half-written.

    Returns
    -------
    ConversionReport

    Raises
    ------
    NothingUsableError
        If nothing at `path` is scanner data.
    CorruptDataError
        If an archive is damaged.
    WrongCallError
        If the output lies inside the input, or an option makes no sense.
    OutputError
        If an archive cannot be unpacked.
    """
    source = Path(path).resolve()
    target = Path(out).resolve() if out is not None else default_output(source)
    if source.is_dir() and target.is_relative_to(source):
        raise WrongCallError(
            f"The output {target} lies inside the input, which is never changed.",
            path=target,
            hint="Choose an output folder elsewhere.",
        )
    if target.exists() and not target.is_dir():
        raise WrongCallError(
            f"The output {target} is a file.", path=target, hint="Name a folder for the output."
        )
    if jobs < 1:
        raise WrongCallError(f"{jobs} jobs are not possible; give 1 or more.")
    results: list[SeriesResult] = []
    stop = cancelled or (lambda: False)
    run = _Conversion(
        target=target,
        enhanced=enhanced,
        overwrite=overwrite,
        overrides=normalize_overrides(overrides or Overrides()),
        writer=SeriesWriter(jobs, on_progress or (lambda progress: None), stop, results),
        results=results,
        source=source,
    )
    with open_input(source) as root:
        run.convert(root, Path())
        for archive, below in exported_archives(source):
            run.convert_archive(archive, below)
    if not results and not run.writer.stopped:
        raise NothingUsableError(
            f"No scanner data found in {source}.",
            path=source,
            hint=INPUT_HINT,
        )
    results.sort(key=lambda one: (one.study, one.expno, one.procno))
    return ConversionReport(source, target, results, run.writer.stopped)


@dataclass
class _Conversion:
    target: Path
    enhanced: bool
    overwrite: bool
    overrides: Overrides
    writer: SeriesWriter
    results: list[SeriesResult]
    source: Path
    _folder_names: dict[Path, UniqueNames] = field(default_factory=dict)
    _first_locations: dict[tuple[str, str], str] = field(default_factory=dict)

    def convert_archive(self, archive: Path, below: Path) -> None:
        """Convert one exported archive of a folder; its fault is not the others'."""
        if self.writer.stopped:
            return
        try:
            # Side files beside the archive and above it hold for what is in it.
            side_settings = read_side_files(archive.parent, self.source)
            with open_input(archive) as root:
                self.convert(root, below, side_settings)
        except XnatPicError as error:
            self.results.append(
                SeriesResult(
                    below.as_posix(), 0, 0, "skipped", reason=error.sentence(), damaged=True
                )
            )

    def convert(self, root: Path, below: Path, side_settings: dict[str, str] | None = None) -> None:
        """Convert everything in a folder to the output, `below` its top."""
        try:
            chosen = choose_readers(root)
        except NothingUsableError:
            return
        for reader in chosen:
            if not self.writer.stopped:
                self.writer.write(self._plan_jobs(reader, root, below, side_settings or {}))

    def _plan_jobs(
        self, reader: Reader, root: Path, below: Path, side_settings: dict[str, str]
    ) -> Iterator[SeriesJob]:
        """Yield the series to be written; the others go straight to the results."""
        for located in reader.locate(root):
            if self.writer.cancelled():
                self.writer.stopped = True
                return
            series = reader.load(located)
            study = below / _path_below(series.study, root)
            if isinstance(series, Skipped):
                self.results.append(skipped_result(series, study))
                continue
            try:
                side = side_settings | read_side_files(series.study, root)
                overrides = merge_overrides(side, self.overrides)
                job = self._make_job(reader, located, series, study, overrides)
            except Exception as error:  # whatever it is, it is this series' fault alone
                self.results.append(
                    series_result(series, study, "failed", reason=failure_reason(error))
                )
                continue
            if job is not None:
                yield job

    def _make_job(
        self,
        reader: Reader,
        located: Any,
        series: RawSeries,
        study: Path,
        overrides: Overrides,
    ) -> SeriesJob | None:
        key = (series.identity.study_uid, series.identity.content)
        location = f"{study.as_posix()}/{series.location}"
        if key in self._first_locations:
            reason = (
                f"It is a copy of {self._first_locations[key]}, with the same UID and description."
            )
            self.results.append(series_result(series, study, "skipped", reason=reason))
            return None
        self._first_locations[key] = location
        files = encode_series(series, overrides, enhanced=self.enhanced)
        folder = self._output_folder(series, study)
        written = subject_name(overrides.apply(series.attributes))
        result = series_result(series, study, "converted", files=len(files.names), path=folder)
        result = replace(result, subject=written)
        result.warnings.extend(files.warnings)
        present = OutputState.ABSENT if self.overwrite else compare_output(folder, files)
        if present in (OutputState.IDENTICAL, OutputState.DIFFERENT):
            if present is OutputState.DIFFERENT:
                result.warnings.append(
                    "The output that is there was made from other data, with other options or by "
                    "another version: it is kept; --overwrite replaces it."
                )
            remove_leftovers(folder)
            self.results.append(with_status(result, "kept"))
            return None
        per_file = max(1, series.pixels.nbytes // len(files.names))
        return SeriesJob(
            reader=reader.name,
            located=located,
            overrides=overrides,
            enhanced=self.enhanced,
            folder=folder,
            result=result,
            files=len(files.names),
            task_files=max(1, TASK_BYTES // per_file),
            prepared=files,
        )

    def _output_folder(self, series: RawSeries, study: Path) -> Path:
        parent = self.target.joinpath(*(safe_name(part, limit=120) for part in study.parts))
        number = 10000 * series.expno + series.procno
        if self.source.is_dir() and parent.is_relative_to(self.source):
            raise WrongCallError(
                f"The output {parent} would lie inside the input, which is never changed.",
                path=parent,
                hint="Choose an output folder elsewhere.",
            )
        protocol = str(series.attributes.get("ProtocolName") or "")
        name = safe_name(f"{number}_{protocol}" if protocol else str(number))
        return parent / self._folder_names.setdefault(parent, UniqueNames()).claim(name)


def _path_below(study: Path, root: Path) -> Path:
    return study.relative_to(root) if study.is_relative_to(root) else Path()
