"""Project runs: cost of a session for N sessions and 1 or 2 workers, on a Dask cluster elsewhere.

    python benchmarks/project.py [--matrix 64] [--json FILE]

Digital mice are uploaded to a sandbox archive of its own process, as projects of 4, 8 and 16
sessions. `process_T2_project` runs on each, always anew, on a Dask scheduler with 1 and 2 workers
of one thread each that run in processes of their own; once before, so that all are warm. What is
printed fits `seconds = fixed + per_session * N`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests

import mri2dicom
from pipelines.project import run_project
from pipelines.project.lock import Beats
from pipelines.xnat.access import Access
from sandbox.mouse import MouseOptions, write_mice
from uploader.client import Client
from uploader.credentials import from_password
from uploader.jobs import Options
from uploader.journal import Journal
from uploader.plan import build_plan
from uploader.scan import scan_folder
from uploader.upload import upload
from xnat_config import load_config
from xnat_config.connection import Connection

SIZES = (4, 8, 16)
PASSWORD = "admin"
_SERVER = """
import socket, sys, uvicorn
from pathlib import Path
from sandbox.archive.archive import Archive, Settings
from sandbox.archive.server import make_app
with socket.socket(proto=socket.IPPROTO_TCP) as listener:
    listener.bind(("127.0.0.1", 0)); listener.listen(128)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    app = make_app(Archive(Path(sys.argv[1]), Settings()))
    config = uvicorn.Config(app, log_level="error", loop="asyncio", ws="none")
    uvicorn.Server(config).run(sockets=[listener])
"""
_CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=int(sys.argv[1]), threads_per_worker=1, host="127.0.0.1",
                      dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@contextmanager
def _process(folder: Path, source: str, argument: str) -> Iterator[str]:
    """Run a program of ours and yield the address it prints."""
    script = folder / f"program{abs(hash(source + argument))}.py"
    script.write_text(source, encoding="utf-8")
    one = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with subprocess.Popen(
        [sys.executable, str(script), argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **one},
    ) as child:
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()
            child.terminate()


def _wait(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            requests.get(url, timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise TimeoutError("the sandbox did not start")


def _fill(folder: Path, url: str, matrix: int) -> None:
    """Upload projects of each size."""
    config = load_config(environ={"XNAT_PIC_HOME": str(folder)})
    for size in SIZES:
        at = folder / f"N{size}"
        options = MouseOptions(
            size="SMALL", matrix=matrix, traps=False, groups=("treated",), doses=("dose1",),
            animals=size // 2,
        )  # fmt: skip
        write_mice(at / "raw", options)
        for one in list((at / "raw").rglob("pdata")):
            if one.parent.name != "3":
                subprocess.run(["rm", "-rf", str(one.parent)], check=True)
        mri2dicom.convert(at / "raw", at / "dicom", jobs=1)
        auth = ("admin", PASSWORD)
        requests.put(f"{url}/data/projects/N{size}", auth=auth, timeout=60).raise_for_status()
        plan = build_plan(scan_folder(at / "dicom", config), f"N{size}", config)
        login = from_password("admin", PASSWORD)
        with Journal(at / "j") as journal, Client(Connection(url), login) as client:
            done = upload(plan, client, journal, config, Options(settle_s=20))
            assert done.exit_code == 0, done


def _measure(
    folder: Path, url: str, scheduler: str, size: int, workers: int, parts: Counter[str]
) -> float:
    token = requests.get(
        f"{url}/data/services/tokens/issue", auth=("admin", PASSWORD), timeout=60
    ).json()
    access = Access(url, token["alias"], token["secret"])
    start = time.perf_counter()
    outcome = run_project(
        access, "process_T2_project", f"N{size}", {"redo": "true"}, folder / "work",
        scheduler=scheduler, beats=Beats(5, 20),
        progress=lambda _done, _total, last: parts.update(last.seconds),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    assert (outcome.exit_code, outcome.done) == (0, size), outcome
    print(f"N = {size:3d}, {workers} workers: {seconds:6.2f} s, {seconds / size:5.2f} s a session")
    return seconds


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--matrix", type=int, default=64)
    parser.add_argument("--json", type=Path)
    call = parser.parse_args()
    rows: dict[int, dict[int, float]] = {}
    parts: dict[int, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _process(folder, _SERVER, str(folder / "archive")) as url:
            _wait(url)
            _fill(folder, url, call.matrix)
            for workers in (1, 2):
                with _process(folder, _CLUSTER, str(workers)) as scheduler:
                    _measure(folder, url, scheduler, SIZES[0], workers, Counter())
                    parts[workers] = Counter()
                    rows[workers] = {
                        size: _measure(folder, url, scheduler, size, workers, parts[workers])
                        for size in SIZES
                    }
    fits = {w: np.polyfit(list(found), list(found.values()), 1) for w, found in rows.items()}
    for workers, (slope, fixed) in fits.items():
        print(f"{workers} workers: {fixed:.2f} s + {slope:.3f} s * N")
    ratio = fits[1][0] / fits[2][0]
    print(f"2 workers against 1, by the cost of a further session: {ratio:.2f}x")
    each = {w: {k: v / sum(SIZES) for k, v in one.items()} for w, one in parts.items()}
    for workers, found in each.items():
        words = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in found.items())
        print(
            f"{workers} workers, a session: {words}; load of the machine {os.getloadavg()[0]:.1f}"
        )
    if call.json:
        content = {"seconds": rows, "parts": each, "matrix": call.matrix}
        text = json.dumps(content, indent=1)
        call.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
