"""Run independent jobs on Dask: processes of this machine, or a cluster that is named."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from xnat_pic.errors import ServerError, WrongCallError
from xnat_pic.machine import memory_limit, processors
from xnat_pic.version import version

from .jobs import software

if TYPE_CHECKING:
    from distributed import Client, Future

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 2  # jobs on the way for each thread, so that none waits for the next
_WAIT_S = 60.0
_LOOK_S = 0.5
# Measured: this process and two workers of a small study had 952 MB at their peak.
_MAIN_BYTES = 350 << 20
_WORKER_BYTES = 450 << 20


def run_jobs(
    make: Callable[[int], T],
    count: int,
    run: Callable[[T], R],
    failed: Callable[[int, BaseException], R],
    *,
    scheduler: str = "",
    workers: int = 0,
    local_folder: Path,
    cancel: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, R], None, None]:
    """Yield the number and the result of each job as it ends.

    Few jobs are on their way at a time, whatever their number, so that memory does not grow with
    it and a cluster that grows is used.

    Parameters
    ----------
    make : callable
        Returns the job of a number, when its turn comes.
    count : int
        Number of jobs.
    run : callable
        A function that workers can import.
    failed : callable
        Returns the result of a job that a worker could not bring to its end.
    scheduler : str
        Address of a Dask scheduler; empty starts processes of one thread on this machine.
    workers : int
        Jobs at the same time; 0 means as many as there are processors, or threads of the cluster.
        Fewer are on the way where the memory of this machine's container does not hold them.
    local_folder : Path
        For what the processes of this machine need.
    cancel : callable
        True ends the run; what is on its way is given up.

    Raises
    ------
    WrongCallError, ServerError
        Where the cluster cannot be used.
    """
    if not count:
        return
    with _cluster(scheduler, local_workers(workers, count), local_folder) as client:
        numbers = iter(range(count))
        waiting: dict[Future[Any], int] = {}

        def submit() -> None:
            while len(waiting) < _window(client, workers):
                number = next(numbers, None)
                if number is None:
                    return
                waiting[client.submit(run, make(number), pure=False)] = number

        submit()
        while waiting and not cancel():
            for future in _ended(waiting):
                number = waiting.pop(future)
                error = future.exception()
                result = failed(number, error) if error is not None else future.result()
                future.release()
                submit()
                yield number, result
        if waiting:
            client.cancel(list(waiting))


def _ended(waiting: Iterable[Future[Any]]) -> list[Future[Any]]:
    """Return what has ended; none after a while, so that a wish to stop is heard."""
    from distributed import wait

    try:
        return list(wait(list(waiting), timeout=_LOOK_S, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        return []


def _window(client: Client, workers: int) -> int:
    threads: int = sum(client.nthreads().values())
    return max(1, _AHEAD * (min(workers, threads) if workers else threads))


def local_workers(wanted: int, count: int) -> int:
    """Return how many processes of this machine work at the same time, at least one.

    Parameters
    ----------
    wanted : int
        As many as a person asked for; 0 for one for each processor.
    count : int
        Number of jobs.

    A container that takes more memory than its limit is ended without a word, so fewer are started
    where the limit does not hold as many.
    """
    limit = memory_limit()
    room = count if limit is None else (limit - _MAIN_BYTES) // _WORKER_BYTES
    return max(1, min(wanted or processors(), count, room))


@contextmanager
def _cluster(scheduler: str, workers: int, folder: Path) -> Iterator[Client]:
    """Yield a client of the cluster that was named, or of one of this machine."""
    import logging

    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        if scheduler:
            yield stack.enter_context(_remote(scheduler))
            return
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port
                local_directory=str(folder),
                silence_logs=logging.CRITICAL,
                env=dict.fromkeys(_ONE_THREAD, "1"),
            )
        except (RuntimeError, OSError) as error:
            raise WrongCallError(
                f"The processes for the sessions do not start: {error}.",
                hint="Check the space and the memory of this machine, or use fewer workers.",
            ) from error
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster))


_ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def _remote(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_WAIT_S)
    except (OSError, ValueError) as error:
        raise WrongCallError(
            f"No Dask scheduler answers at {address}.",
            hint="Check the address, such as tcp://node1:8786, and that the cluster runs.",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_WAIT_S)
            theirs = client.submit(software, pure=False).result(timeout=_WAIT_S)
        except TimeoutError as error:
            raise ServerError(
                f"The Dask cluster at {address} has no worker.",
                hint="Start workers, and run again.",
            ) from error
        except Exception as error:  # whatever a worker without this program raises
            raise WrongCallError(
                f"The workers of {address} cannot run this program: {type(error).__name__}.",
                hint=f"Install xnat-pic {version()} with its pipelines where they run.",
            ) from error
        if theirs != version():
            raise WrongCallError(
                f"The workers of {address} have xnat-pic {theirs}, this is {version()}.",
                hint="Install the same version at both ends.",
            )
        yield client
