"""An archive served by a process of its own, to be killed or measured."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from sandbox.archive.archive import DEFAULT_PASSWORD, PASSWORD_VARIABLE

_PROGRAM = """
import socket, sys
from pathlib import Path
import uvicorn
from sandbox.archive.archive import Archive
from sandbox.archive.server import make_app
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(128)
server = uvicorn.Server(uvicorn.Config(make_app(Archive(Path(sys.argv[1]))), log_level="critical"))
print(listener.getsockname()[1], flush=True)
server.run(sockets=[listener])
"""


@dataclass
class Process:
    """A running server."""

    process: subprocess.Popen[str]
    url: str

    def session(self) -> requests.Session:
        """Return a session of the administrator."""
        made = requests.Session()
        made.auth = ("admin", DEFAULT_PASSWORD)
        made.trust_env = False
        return made

    def kill(self) -> None:
        """Kill the process at once (kill -9)."""
        self.process.kill()
        self.process.wait()

    def peak_memory(self) -> int:
        """Return the most memory it ever had, in bytes (Linux)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@contextmanager
def process(folder: Path) -> Iterator[Process]:
    """Serve a folder by a process of its own while the block runs."""
    environment = {k: v for k, v in os.environ.items() if k != PASSWORD_VARIABLE}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as started:
        try:
            assert started.stdout is not None
            port = int(started.stdout.readline())
            yield Process(started, f"http://127.0.0.1:{port}")
        finally:
            started.kill()
