"""What `project.py` runs and looks at: programs in processes of their own, and their processors."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

import mri2dicom
from sandbox.mouse import MouseOptions, write_mice
from uploader import Journal, UploadOptions, build_plan, scan_folder, upload
from xnat_config import load_config
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login

PASSWORD = "admin"
T2_SCAN = "3"
_START_S = 180.0
_END_S = 5.0
_ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SERVER = """
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
CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=int(sys.argv[1]), threads_per_worker=1, host="127.0.0.1",
                      dashboard_address="127.0.0.1:0", local_directory=sys.argv[2]) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@dataclass(frozen=True)
class Running:
    """A program of ours: the address it answers at, and its process."""

    address: str
    process: psutil.Process

    def processor_s(self) -> float:
        """Seconds of processor time so far, of it and of the processes it started."""
        total = 0.0
        for one in (self.process, *self.process.children(recursive=True)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


@contextmanager
def running(folder: Path, name: str, source: str, *arguments: str) -> Iterator[Running]:
    """Run a program until the block ends; it prints its address first."""
    script = folder / f"{name}.py"
    script.write_text(source, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
    ) as child:
        try:
            ready, _, _ = select.select([child.stdout], [], [], _START_S)
            address = child.stdout.readline().strip() if ready else ""
            if not address:
                raise TimeoutError(f"The {name} did not start within {_START_S:.0f} s.")
            yield Running(address, psutil.Process(child.pid))
        finally:
            child.stdin.close()  # a cluster ends by itself then
            for stop in (None, child.terminate, child.kill):
                if stop is not None:
                    stop()
                try:
                    child.wait(timeout=_END_S)
                    break
                except subprocess.TimeoutExpired:
                    continue


def wait_for(url: str) -> None:
    """Return when a server answers."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            requests.get(url, timeout=5)
            return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.1)
    raise TimeoutError(f"The server did not answer within {_START_S:.0f} s.")


def fill(folder: Path, url: str, matrix: int, sizes: tuple[int, ...]) -> None:
    """Upload a project of T2 series of digital mice for each number of sessions (even)."""
    home = folder / "home"
    home.mkdir()
    config = load_config(environ={"XNAT_PIC_HOME": str(home)})
    login = password_login("admin", PASSWORD)
    for size in sizes:
        at = folder / f"N{size}"
        options = MouseOptions(
            size="SMALL", matrix=matrix, traps=False, groups=("treated",), doses=("dose1",),
            animals=size // 2,
        )  # fmt: skip
        write_mice(at / "raw", options)
        for scan in [one.parent for one in (at / "raw").rglob("pdata")]:
            if scan.name != T2_SCAN:
                shutil.rmtree(scan)
        mri2dicom.convert(at / "raw", at / "dicom", jobs=1)
        auth = ("admin", PASSWORD)
        requests.put(f"{url}/data/projects/N{size}", auth=auth, timeout=300).raise_for_status()
        plan = build_plan(scan_folder(at / "dicom", config), f"N{size}", config)
        with Journal(at / "j") as journal, XnatClient(Connection(url), login) as client:
            done = upload(plan, client, journal, config, UploadOptions(settle_s=60))
        if done.exit_code:
            raise RuntimeError(f"The upload of N{size} failed: {done}")
        shutil.rmtree(at)
