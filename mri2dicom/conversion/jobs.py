"""Write series: in this process, or shared among worker processes; cancel leaves nothing behind."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..dicom.overrides import Overrides
from ..readers.registry import find_reader
from ..series.model import Skipped
from .output import (
    SeriesFiles,
    commit_folder,
    create_part_folder,
    discard_part,
    encode_series,
    write_files,
)
from .report import SeriesResult, failure_reason, with_status

# Pixel bytes that one task of a worker process writes.
TASK_BYTES = 32 * 2**20
# Windows cannot wait for more processes at once.
_MAX_PROCESSES = 61
# Series whose tasks may wait at the same time.
_MAX_OPEN_SERIES = 4

OnProgress = Callable[["ConversionProgress"], None]


@dataclass(frozen=True)
class ConversionProgress:
    """How far the series being written is.

    Attributes
    ----------
    title : str
        What a person calls the series.
    study : str
        The study it belongs to, as in `SeriesResult`: titles repeat among studies.
    """

    title: str
    files_done: int
    files: int
    study: str = ""


@dataclass
class SeriesJob:
    """One series on its way."""

    reader: str
    located: Any
    overrides: Overrides
    enhanced: bool
    folder: Path
    result: SeriesResult
    files: int
    task_files: int
    done: int = 0
    failed: str = ""
    pending: set[Future[int]] = field(default_factory=set)
    prepared: SeriesFiles | None = None

    @property
    def title(self) -> str:
        """What a person calls the series."""
        return f"{self.result.expno}/{self.result.procno} {self.result.protocol}".strip()

    def progress(self) -> ConversionProgress:
        """Return how far it is."""
        return ConversionProgress(self.title, self.done, self.files, self.result.study)


@dataclass
class SeriesWriter:
    """Writes series one after the other and keeps their results.

    Attributes
    ----------
    jobs : int
        Worker processes; 1 writes in this process.
    cancelled : callable
        Asked between files.
    stopped : bool
        The run was cancelled.
    """

    jobs: int
    on_progress: OnProgress
    cancelled: Callable[[], bool]
    results: list[SeriesResult]
    stopped: bool = False

    def write(self, jobs: Iterator[SeriesJob]) -> None:
        """Write every series that `jobs` yields."""
        if self.jobs == 1:
            for job in jobs:
                self._write_in_process(job)
                if self.stopped:
                    return
            return
        count = min(self.jobs, _MAX_PROCESSES)
        context = get_context("spawn")
        with ProcessPoolExecutor(count, mp_context=context, initializer=_ignore_interrupt) as pool:
            self._write_in_pool(pool, jobs)

    def _write_in_process(self, job: SeriesJob) -> None:
        """Write one series in this process, file by file."""

        def on_file() -> None:
            job.done += 1
            self.on_progress(job.progress())
            if self.cancelled():
                raise _Cancelled

        try:
            part = create_part_folder(job.folder)
            files = job.prepared or _prepare_files(
                job.reader, job.located, job.overrides, job.enhanced
            )
            write_files(files, part, 0, job.files, on_file)
            commit_folder(job.folder)
        except _Cancelled:
            self.stopped = True
            discard_part(job.folder)
        except Exception as error:  # whatever it is, the other series go on
            discard_part(job.folder)
            self.results.append(with_status(job.result, "failed", failure_reason(error)))
        except BaseException:
            discard_part(job.folder)
            raise
        else:
            self.results.append(job.result)

    def _write_in_pool(self, pool: ProcessPoolExecutor, jobs: Iterator[SeriesJob]) -> None:
        """Write series in worker processes; the tasks of a large one are shared among them."""
        running: list[SeriesJob] = []
        source: Iterator[SeriesJob] | None = jobs
        try:
            while running or source is not None:
                while source is not None and len(running) < max(_MAX_OPEN_SERIES, self.jobs):
                    job = next(source, None)
                    if job is None:
                        source = None
                    elif self._submit(pool, job):
                        running.append(job)
                self._collect(running)
                if self.stopped or self.cancelled():
                    self.stopped = True
                    break
        finally:
            for job in running:
                for future in job.pending:
                    future.cancel()
            wait([future for job in running for future in job.pending])
            for job in running:
                discard_part(job.folder)

    def _submit(self, pool: ProcessPoolExecutor, job: SeriesJob) -> bool:
        job.prepared = None  # each process prepares its own
        try:
            part = create_part_folder(job.folder)
            for start in range(0, job.files, job.task_files):
                stop = min(start + job.task_files, job.files)
                task = (job.reader, job.located, job.overrides, job.enhanced, part, start, stop)
                job.pending.add(pool.submit(_write_task, *task))
        except (OSError, BrokenProcessPool) as error:
            if job.pending:
                job.failed = failure_reason(error)
                return True
            discard_part(job.folder)
            self.results.append(with_status(job.result, "failed", failure_reason(error)))
            return False
        return True

    def _collect(self, running: list[SeriesJob]) -> None:
        """Wait for any task, and close the series whose tasks are all done."""
        pending = {future: job for job in running for future in job.pending}
        if not pending:
            return
        done, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in done:
            job = pending[future]
            job.pending.discard(future)
            error = future.exception()
            if error is None:
                job.done += future.result()
                self.on_progress(job.progress())
            else:
                job.failed = job.failed or failure_reason(error)
        for job in [job for job in running if not job.pending]:
            running.remove(job)
            self._finish_job(job)

    def _finish_job(self, job: SeriesJob) -> None:
        try:
            if not job.failed:
                commit_folder(job.folder)
        except OSError as error:
            job.failed = failure_reason(error)
        if job.failed:
            discard_part(job.folder)
            self.results.append(with_status(job.result, "failed", job.failed))
        else:
            self.results.append(job.result)


class _Cancelled(Exception):
    """The person cancelled."""


def _write_task(
    reader: str,
    located: Any,
    overrides: Overrides,
    enhanced: bool,
    part: Path,
    start: int,
    stop: int,
) -> int:
    """Write some files of a series in a worker process; return how many."""
    write_files(_prepare_files_once(reader, located, overrides, enhanced), part, start, stop)
    return stop - start


def _ignore_interrupt() -> None:
    """Let the main process alone answer Ctrl-C: it waits for the files that are being written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# A worker process lives for one run, in which the input does not change.
@lru_cache(maxsize=2)
def _prepare_files_once(
    reader: str, located: Any, overrides: Overrides, enhanced: bool
) -> SeriesFiles:
    return _prepare_files(reader, located, overrides, enhanced)


def _prepare_files(reader: str, located: Any, overrides: Overrides, enhanced: bool) -> SeriesFiles:
    series = find_reader(reader).load(located)
    if isinstance(series, Skipped):
        raise OSError(f"the input changed during the run: {series.reason}")
    return encode_series(series, overrides, enhanced=enhanced)
