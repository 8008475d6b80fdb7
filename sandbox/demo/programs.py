"""Run the programs of the suite as a person would, and serve the archive."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xnat_config.server.connection import (
    FOLDER_VARIABLE,
    PASSWORD_VARIABLE,
    SERVER_VARIABLE,
    USER_VARIABLE,
)
from xnat_pic.errors import XnatPicError

from ..archive.archive import DEFAULT_PASSWORD
from ..archive.archive import PASSWORD_VARIABLE as SANDBOX_PASSWORD
from .demo_folder import DemoFolder, short

USER = "admin"
_TAIL_LINES = 3
_GRACE_S = 20.0


@dataclass
class Programs:
    """Runs programs for one stage.

    Attributes
    ----------
    log : Path
        What they say goes here.
    server : str
        Address of the archive; empty before it is served.
    typed : list of str
        The lines that do the same in a terminal.
    """

    folder: DemoFolder
    log: Path
    server: str = ""
    typed: list[str] = field(default_factory=list)

    def run(self, program: str, *arguments: str | Path, as_json: bool = True) -> Any:
        """Run a program to its end and return the JSON that it prints.

        Raises
        ------
        XnatPicError
            If it ends with another status than 0, with the last that it said.
        """
        told = [short(one) if isinstance(one, Path) else one for one in arguments]
        self.typed.append(shlex.join([program, *told]))
        more = ["--json"] if as_json else []
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {self.typed[-1]}\n")
            log.flush()
            start = log.tell()
            ended = subprocess.run(
                [executable(program), *told, *more],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(self.folder, self.server),
                check=False,
            )
        if ended.returncode:
            said = self.log.read_bytes()[start:].decode("utf-8", "replace").strip().splitlines()
            last = " ".join(line.strip() for line in said[-_TAIL_LINES:])
            raise XnatPicError(
                f"{program} {told[0]} ended with status {ended.returncode}: {last}",
                hint=f"All it said is in {short(self.log)}.",
            )
        text = ended.stdout.decode("utf-8")
        return json.loads(text) if as_json else text


def curl(address: str, *words: str) -> str:
    """Return the line that asks the archive with curl, which asks for the password.

    Parameters
    ----------
    address : str
        Below the server, quoted as a URL.
    *words : str
        Options of curl.
    """
    return f'{shlex.join(["curl", "-u", USER, *words])} "${SERVER_VARIABLE}{address}"'


def login() -> str:
    """Return the line that names the archive and its login, but no password of one's own."""
    secret = f'"${SANDBOX_PASSWORD}"' if os.environ.get(SANDBOX_PASSWORD) else DEFAULT_PASSWORD
    address = f"{SERVER_VARIABLE}=http://localhost:8080 {USER_VARIABLE}={USER}"
    return f"export {address} {PASSWORD_VARIABLE}={secret}"


def executable(program: str) -> str:
    """Return the whole path of a program that is installed beside this Python.

    Raises
    ------
    XnatPicError
        If it is not there.
    """
    folder = str(Path(sys.executable).parent)
    found = shutil.which(program, path=folder) or shutil.which(program)
    if found is None:
        raise XnatPicError(f"{program} is not installed.", hint="Run make install first.")
    return found


def environment(folder: DemoFolder, server: str = "") -> dict[str, str]:
    """Return what a program finds around it: settings of its own, the archive and its login."""
    around = {**os.environ, FOLDER_VARIABLE: str(folder.home.absolute())}
    for name in (SERVER_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE):
        around.pop(name, None)
    if server:
        around |= {SERVER_VARIABLE: server, USER_VARIABLE: USER, PASSWORD_VARIABLE: password()}
    return around


def password() -> str:
    """Return the password of the sandbox's administrator."""
    return os.environ.get(SANDBOX_PASSWORD) or DEFAULT_PASSWORD


@contextlib.contextmanager
def serving(folder: DemoFolder, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the archive in a process of its own while the block runs.

    Yields
    ------
    str, subprocess.Popen
        Its address, and the process.

    Raises
    ------
    XnatPicError
        If it does not start.
    """
    folder.logs.mkdir(parents=True, exist_ok=True)
    log = folder.logs / "server.log"
    with log.open("ab") as said:
        start = said.tell()
        process = subprocess.Popen(
            [
                *(executable("xnat-pic-sandbox"), "serve", "--data", str(folder.archive)),
                *("--port", str(port), "--json"),
                *("--pipelines", str(folder.catalog / "engine")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment(folder),
            # Ctrl+C is for the story, which then ends the server and what runs in it.
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # empty where the process has ended
            if not line:
                told = log.read_bytes()[start:].decode("utf-8", "replace").strip().splitlines()
                raise XnatPicError(
                    f"The archive did not start: {' '.join(told[-_TAIL_LINES:])}",
                    hint=f"All it said is in {short(log)}.",
                )
            yield str(json.loads(line)["url"]), process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
