"""One run at a time, on a real server."""

import threading
import time

import pytest
from cohort import PROJECT

from pipelines.errors import StoppedError
from pipelines.project.lock import FILE, BusyError, LockTimes, ProjectLock
from pipelines.xnat.client import RunClient
from pipelines.xnat.store import ResultLocation

LOCK_TIMES = LockTimes(0.25, 2.5)  # stale only after ten beats: those of a busy machine come late
LOCATION = ResultLocation(f"/data/projects/{PROJECT}", "XNAT_PIC_SUMMARY", "process_T2_project")


@pytest.fixture
def bench(serve, small):
    return serve(small)


def _names(bench):
    return bench.files(f"/data/projects/{PROJECT}")


def test_a_second_run_is_refused_while_the_first_lives(bench):
    with ProjectLock(bench.access, LOCATION, LOCK_TIMES) as first:
        with (
            pytest.raises(BusyError, match="under way"),
            ProjectLock(bench.access, LOCATION, LOCK_TIMES),
        ):
            pass
        assert not first.lost
    assert not any(name.endswith(FILE) for name in _names(bench))
    with ProjectLock(bench.access, LOCATION, LOCK_TIMES):
        pass


def test_another_pipeline_is_not_refused(bench):
    other = ResultLocation(LOCATION.parent, LOCATION.resource, "process_DWI_project")
    with (
        ProjectLock(bench.access, LOCATION, LOCK_TIMES),
        ProjectLock(bench.access, other, LOCK_TIMES),
    ):
        pass


def test_a_killed_run_does_not_leave_the_lock_for_ever(bench):
    dead = ProjectLock(bench.access, LOCATION, LOCK_TIMES)
    with RunClient(bench.access) as client:
        from pipelines.xnat.store import make_resource

        make_resource(client, LOCATION)
        dead._acquire(client)  # and no sign of life follows
    with ProjectLock(bench.access, LOCATION, LOCK_TIMES) as lock:
        lock.check()


def test_a_run_that_was_taken_for_dead_stops(bench):
    with ProjectLock(bench.access, LOCATION, LOCK_TIMES) as first:
        path = (
            f"/data/projects/{PROJECT}/resources/{LOCATION.resource}/files/{LOCATION.folder}/{FILE}"
        )
        answer = bench.served.put(
            path, params={"inbody": "true", "overwrite": "true"}, data=b'{"holder": "other"}'
        )
        assert answer.status_code == 200
        deadline = time.monotonic() + 20
        while not first.lost and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(StoppedError, match="Another run"):
            first.check()
    assert bench.served.get(path).status_code == 200, "the lock of the other run stays"


def test_of_runs_started_together_one_goes_on(bench):
    entered, refused = [], []
    over = threading.Event()

    def start():
        try:
            with ProjectLock(bench.access, LOCATION, LOCK_TIMES) as lock:
                entered.append(lock)
                over.wait(30)
        except BusyError:
            refused.append(1)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for one in threads:
        one.start()
    deadline = time.monotonic() + 30
    while len(refused) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    over.set()
    for one in threads:
        one.join()
    assert (len(entered), len(refused)) == (1, 3)
