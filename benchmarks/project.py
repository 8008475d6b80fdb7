"""Project runs: cost of a session for N sessions and 1 or 2 workers, on a Dask cluster elsewhere.

    python benchmarks/project.py [--json FILE] [--matrix 64] [--sessions 4,8,16] [--runs 3]

Digital mice are uploaded to a sandbox archive in a process of its own. `process_T2_project` runs on
projects of 4, 8 and 16 sessions, always anew, by a Dask scheduler in another process with 1 and
then with 2 workers of one thread each. A first run, not counted, loads the libraries and kernels of
every worker; of three runs of each the median counts. The processor time of server, cluster and
this program is taken apart, because they share the machine. About three minutes on two processors
that do nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import requests
from measure import machine
from project_parts import CLUSTER, PASSWORD, SERVER, Running, fill, running, wait_for

from pipelines.project import run_project
from pipelines.xnat.client import Access

WORKERS = (1, 2)
PIPELINE = "process_T2_project"


def measure(
    folder: Path, server: Running, cluster: Running, sessions: int, workers: int
) -> dict[str, Any]:
    """Run the pipeline on a project and return what it took."""
    url = server.address
    issue = f"{url}/data/services/tokens/issue"
    token = requests.get(issue, auth=("admin", PASSWORD), timeout=300).json()
    access = Access(url, token["alias"], token["secret"])
    parts: Counter[str] = Counter()
    before = [server.processor_s(), cluster.processor_s(), time.process_time()]
    start = time.perf_counter()
    outcome = run_project(
        access, PIPELINE, f"N{sessions}", {"redo": "true"}, folder / "work",
        scheduler=cluster.address,
        progress=lambda _done, _total, last: parts.update(last.seconds),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    after = [server.processor_s(), cluster.processor_s(), time.process_time()]
    if (outcome.exit_code, outcome.done) != (0, sessions):
        raise RuntimeError(outcome.closing)
    used = [b - a for a, b in zip(before, after, strict=True)]
    row = {
        "workers": workers,
        "sessions": sessions,
        "seconds": round(seconds, 3),
        "parts": {name: round(value / sessions, 4) for name, value in parts.items()},
        "processor": {
            name: round(value / sessions, 4)
            for name, value in zip(("server", "cluster", "this"), used, strict=True)
        },
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
    print(
        f"{workers} workers, N = {sessions:3d}: {seconds:7.2f} s, "
        f"{seconds / sessions:5.2f} s a session; processor a session: "
        + ", ".join(f"{name} {value:.2f} s" for name, value in row["processor"].items())
        + f"; load {row['load']}",
        flush=True,
    )
    return row


def main() -> None:
    """Run, print a table, and keep it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--matrix", type=int, default=64)
    parser.add_argument("--sessions", default="4,8,16", help="even numbers, at least two of them")
    parser.add_argument("--runs", type=int, default=3, help="of each, the median counts")
    parser.add_argument("--json", type=Path)
    call = parser.parse_args()
    sizes = tuple(int(one) for one in call.sessions.split(","))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with running(folder, "server", SERVER, str(folder / "archive")) as server:
            wait_for(server.address)
            fill(folder, server.address, call.matrix, sizes)
            print("The projects are uploaded.", flush=True)
            for workers in WORKERS:
                dask = str(folder / f"dask{workers}")
                with running(folder, f"cluster{workers}", CLUSTER, str(workers), dask) as cluster:
                    print("Not counted: ", end="")
                    measure(folder, server, cluster, sizes[0], workers)
                    for n in sizes:
                        runs = [
                            measure(folder, server, cluster, n, workers) for _ in range(call.runs)
                        ]
                        rows.append(sorted(runs, key=lambda one: one["seconds"])[len(runs) // 2])
    for workers in WORKERS:
        own = [(one["sessions"], one["seconds"]) for one in rows if one["workers"] == workers]
        slope, fixed = np.polyfit(*zip(*own, strict=True), 1)
        print(f"{workers} workers: {fixed:.2f} s + {slope:.3f} s * N")
    if call.json:
        content = {
            "matrix": call.matrix,
            "runs": call.runs,
            "machine": machine(),
            "rows": rows,
        }
        call.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
