"""Run a command as a whole process and read what it took; describe the machine."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What one run of a command took.

    Attributes
    ----------
    wall_s, cpu_s : float
        Elapsed time, and user plus system time of the process and its children.
    peak_mib : float
        Largest resident memory of the process itself or of one of its children, in MiB.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float


def run(command: Sequence[str | Path]) -> Cost:
    """Run a command to its end and return its cost.

    Raises
    ------
    RuntimeError
        If it exits with another status than 0.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        error = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {error.decode(errors='replace')[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def best(command: Sequence[str | Path], runs: int, before: Sequence[Path] = ()) -> Cost:
    """Return the run with the median wall time of several; `before` is removed ahead of each."""
    import shutil

    costs = []
    for _ in range(runs):
        for path in before:
            shutil.rmtree(path, ignore_errors=True)
        costs.append(run(command))
    return sorted(costs, key=lambda cost: cost.wall_s)[len(costs) // 2]


def machine() -> str:
    """Return one line that describes this machine."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [li for li in cpuinfo.read_text().splitlines() if li.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    python = ".".join(map(str, sys.version_info[:3]))
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {python}"
