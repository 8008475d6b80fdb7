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
from ..readers.registry import reader_named
from ..series.model import Skipped
from .output import SeriesFiles, abandon, begin, encode_series, finish, write_files
from .report import SeriesResult, sentence_of, with_status

# Pixel bytes that one task of a worker process writes.
TASK_BYTES = 32 * 2**20
# Windows cannot wait for more processes at once.
_MOST_PROCESSES = 61
# Series whose tasks may wait at the same time.
_OPEN_SERIES = 4

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
class Job:
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
class Writer:
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

    def write(self, jobs: Iterator[Job]) -> None:
        """Write every series that `jobs` yields."""
        if self.jobs == 1:
            for job in jobs:
                self._write_here(job)
                if self.stopped:
                    return
            return
        count = min(self.jobs, _MOST_PROCESSES)
        context = get_context("spawn")
        with ProcessPoolExecutor(count, mp_context=context, initializer=_ignore_stop) as pool:
            self._write_in(pool, jobs)

    def _write_here(self, job: Job) -> None:
        """Write one series in this process, file by file."""

        def on_file() -> None:
            job.done += 1
            self.on_progress(job.progress())
            if self.cancelled():
                raise _Stopped

        try:
            part = begin(job.folder)
            files = job.prepared or _load(job.reader, job.located, job.overrides, job.enhanced)
            write_files(files, part, 0, job.files, on_file)
            finish(job.folder)
        except _Stopped:
            self.stopped = True
            abandon(job.folder)
        except Exception as error:  # whatever it is, the other series go on
            abandon(job.folder)
            self.results.append(with_status(job.result, "failed", sentence_of(error)))
        except BaseException:
            abandon(job.folder)
            raise
        else:
            self.results.append(job.result)

    def _write_in(self, pool: ProcessPoolExecutor, jobs: Iterator[Job]) -> None:
        """Write series in worker processes; the tasks of a large one are shared among them."""
        running: list[Job] = []
        source: Iterator[Job] | None = jobs
        try:
            while running or source is not None:
                while source is not None and len(running) < max(_OPEN_SERIES, self.jobs):
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
                abandon(job.folder)

    def _submit(self, pool: ProcessPoolExecutor, job: Job) -> bool:
        job.prepared = None  # each process prepares its own
        try:
            part = begin(job.folder)
            for start in range(0, job.files, job.task_files):
                stop = min(start + job.task_files, job.files)
                task = (job.reader, job.located, job.overrides, job.enhanced, part, start, stop)
                job.pending.add(pool.submit(_write_task, *task))
        except (OSError, BrokenProcessPool) as error:
            if job.pending:
                job.failed = sentence_of(error)
                return True
            abandon(job.folder)
            self.results.append(with_status(job.result, "failed", sentence_of(error)))
            return False
        return True

    def _collect(self, running: list[Job]) -> None:
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
                job.failed = job.failed or sentence_of(error)
        for job in [job for job in running if not job.pending]:
            running.remove(job)
            self._close(job)

    def _close(self, job: Job) -> None:
        try:
            if not job.failed:
                finish(job.folder)
        except OSError as error:
            job.failed = sentence_of(error)
        if job.failed:
            abandon(job.folder)
            self.results.append(with_status(job.result, "failed", job.failed))
        else:
            self.results.append(job.result)


class _Stopped(Exception):
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
    write_files(_load_once(reader, located, overrides, enhanced), part, start, stop)
    return stop - start


def _ignore_stop() -> None:
    """Let the main process alone answer Ctrl-C: it waits for the files that are being written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# A worker process lives for one run, in which the input does not change.
@lru_cache(maxsize=2)
def _load_once(reader: str, located: Any, overrides: Overrides, enhanced: bool) -> SeriesFiles:
    return _load(reader, located, overrides, enhanced)


def _load(reader: str, located: Any, overrides: Overrides, enhanced: bool) -> SeriesFiles:
    series = reader_named(reader).load(located)
    if isinstance(series, Skipped):
        raise OSError(f"the input changed during the run: {series.reason}")
    return encode_series(series, overrides, enhanced=enhanced)
