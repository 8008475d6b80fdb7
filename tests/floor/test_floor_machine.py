"""What a program may use of the machine: simulated control groups of both versions."""

import os
import subprocess
import sys

import pytest

from xnat_pic.machine import CGROUP_VARIABLE, memory_limit, processors

SEEN = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def group(folder, **files):
    """Write the files of a control group; two signs _ stand for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"cpu__max": "100000 100000"}, 1),
        ({"cpu__max": "150000 100000"}, min(SEEN, 1)),
        ({"cpu__max": "20000 100000"}, 1),
        ({"cpu__max": "max 100000"}, SEEN),
        ({"cpu__max": "99000000 100000"}, SEEN),
        ({"cpu__cfs_quota_us": "100000", "cpu__cfs_period_us": "100000"}, 1),
        ({"cpu__cfs_quota_us": "-1", "cpu__cfs_period_us": "100000"}, SEEN),
        ({"cpu__max": "no number"}, SEEN),
        ({"cpu__max": ""}, SEEN),
        ({}, SEEN),
    ],
)
def test_the_quota_of_a_container_counts_below_the_processors_of_its_host(tmp_path, files, count):
    assert processors(group(tmp_path, **files)) == count


def test_version_1_has_a_folder_for_each_controller(tmp_path):
    group(tmp_path / "cpu", cpu__cfs_quota_us="100000", cpu__cfs_period_us="100000")
    group(tmp_path / "memory", memory__limit_in_bytes="536870912")
    assert processors(tmp_path) == 1
    assert memory_limit(tmp_path) == 512 << 20


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory__max": "1073741824"}, 1 << 30),
        ({"memory__max": "max"}, None),
        ({"memory__limit_in_bytes": "9223372036854771712"}, None),
        ({}, None),
    ],
)
def test_the_memory_of_a_container(tmp_path, files, limit):
    assert memory_limit(group(tmp_path, **files)) == limit


def test_a_variable_names_the_group(tmp_path, monkeypatch):
    monkeypatch.setenv(CGROUP_VARIABLE, str(group(tmp_path, memory__max="7")))
    assert memory_limit() == 7


def test_the_machine_itself_has_a_processor():
    assert 1 <= processors() <= SEEN
    assert memory_limit() is None or memory_limit() > 1 << 20


def test_kernels_take_no_more_threads_than_the_container_has(tmp_path):
    group(tmp_path, cpu__max="100000 100000")
    said = "import pipelines.models.kernels, numba; print(numba.config.NUMBA_NUM_THREADS)"
    kept = {k: v for k, v in os.environ.items() if k != "NUMBA_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", said], env=kept | {CGROUP_VARIABLE: str(tmp_path)},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "1"


def test_a_project_run_starts_no_more_workers_than_quota_and_memory_hold(tmp_path, monkeypatch):
    from pipelines.project.schedule import local_workers

    monkeypatch.setenv(CGROUP_VARIABLE, str(group(tmp_path, cpu__max="100000 100000")))
    assert local_workers(0, 9) == 1
    assert local_workers(4, 9) == 4, "a number that a person gives counts"
    assert local_workers(4, 2) == 2, "no more than there are jobs"
    group(tmp_path, memory__max=str(1500 << 20))
    assert local_workers(4, 9) == 2, "of those that the memory holds"
    group(tmp_path, memory__max=str(200 << 20))
    assert local_workers(4, 9) == 1
