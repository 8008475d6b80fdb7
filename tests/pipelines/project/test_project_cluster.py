"""A Dask scheduler and a worker in processes of their own, named with ``scheduler``."""

import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest
from cohort import PROJECT

from pipelines.project import run_project
from pipelines.project.lock import LockTimes

PIPELINE = "process_T2_project"
START_S = 120


@contextmanager
def _process(*arguments):
    """Run a command of Dask until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def cluster(tmp_path):
    """Start a scheduler and a worker of one thread, and return the scheduler's address."""
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            _process(
                "distributed.cli.dask_scheduler",
                *("--host", "127.0.0.1", "--port", str(port), "--no-dashboard"),
            )
        )
        deadline = time.monotonic() + START_S
        while not _answers(port):
            assert scheduler.poll() is None, "the scheduler ended"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stack.enter_context(
            _process(
                "distributed.cli.dask_worker",
                *(address, "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard"),
                *("--no-nanny", "--name", "elsewhere", "--local-directory", str(tmp_path / "w")),
            )
        )
        yield address


def test_a_cluster_elsewhere_does_the_sessions(serve, small, cluster, tmp_path):
    from distributed import Client

    bench = serve(small)
    # By the parameter of the launch form; the function's own argument is the command's option.
    outcome = run_project(
        bench.access, PIPELINE, PROJECT, {"scheduler": cluster}, tmp_path / "work",
        lock_times=LockTimes(1, 10),
    )  # fmt: skip
    assert (outcome.exit_code, outcome.done, outcome.skipped) == (0, 8, 0), outcome
    contents = [n for names in bench.results().values() for n in names if n.endswith("/maps.json")]
    assert len(contents) == 8
    again = run_project(
        bench.access, PIPELINE, PROJECT, {}, tmp_path / "again", scheduler=cluster,
        lock_times=LockTimes(1, 10),
    )  # fmt: skip
    assert (again.exit_code, again.done, again.skipped) == (0, 8, 8), again
    with Client(cluster, timeout=60) as client:
        # It was this worker that did it, and it has nothing left of the run.
        (worker,) = client.scheduler_info()["workers"].values()
        assert worker["name"] == "elsewhere"
        # Lambdas travel whole; a function of this file could not be imported there.
        done = client.run_on_scheduler(
            lambda dask_scheduler: sum(
                one.state_counts["memory"] for one in dask_scheduler.task_prefixes.values()
            )
        )
        assert done >= 16
        deadline = time.monotonic() + 30
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            assert time.monotonic() < deadline, "jobs stay at the scheduler"
            time.sleep(0.1)


def test_a_scheduler_that_is_not_there_is_named(serve, small, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.project.schedule._WAIT_S", 1.0)
    bench = serve(small)
    address = f"tcp://127.0.0.1:{_free_port()}"
    outcome = run_project(
        bench.access, PIPELINE, PROJECT, {}, tmp_path / "work", scheduler=address,
        lock_times=LockTimes(1, 10),
    )  # fmt: skip
    assert outcome.exit_code == 2
    assert outcome.failure.startswith(f"No Dask scheduler answers at {address}.")
