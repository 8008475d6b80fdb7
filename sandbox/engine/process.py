"""Run one command of a step: output to files, secrets masked, ended with the server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import IO

from .shell import MASK

GUARD = Path(__file__).with_name("guard.py")
STOPPED = 143
_POLL_S = 0.05
_VERSION_S = 30.0
_GRACE_S = 15.0
_MOST_LOG = 10_000_000
_PRIVATE = ("XNAT_", "XNAT-")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a step finds around it: this product's programs first, no login of the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}
    own = str(Path(sys.executable).parent)
    path = f"{own}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, **(extra or {})}


def run_line(
    line: str,
    *,
    folder: Path,
    out: Path,
    err: Path,
    secrets: Sequence[str],
    stop: Event,
    extra: Mapping[str, str] | None = None,
) -> int:
    """Run a line of the shell and append what it says to two files.

    Parameters
    ----------
    line : str
        For ``sh -c``.
    folder : Path
        Work directory.
    out, err : Path
        Files for standard output and errors; at most 10 MB of each are kept.
    secrets : sequence of str
        Text that is masked in them.
    stop : Event
        Ends the command.
    extra : mapping, optional
        Further variables of the environment.

    Returns
    -------
    int
        Status; 143 where it was stopped.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as wrong:
        process = subprocess.Popen(
            [sys.executable, "-I", str(GUARD), "sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=wrong,
            cwd=folder,
            env=environment(extra),
        )
        try:
            status = _wait(process, stop)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _append(said, out, secrets)
        _append(wrong, err, secrets)
    return status


def _wait(process: subprocess.Popen[bytes], stop: Event) -> int:
    while True:
        try:
            return process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                return STOPPED


def _append(source: IO[bytes], target: Path, secrets: Sequence[str]) -> None:
    source.seek(0)
    content = source.read(_MOST_LOG + 1)
    text = content[:_MOST_LOG].decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, MASK)
    if text and not text.endswith("\n"):
        text += "\n"
    if len(content) > _MOST_LOG:
        text += "(the rest is left out)\n"
    with target.open("a", encoding="utf-8") as file:
        file.write(text)


def is_there(program: str) -> bool:
    """Tell whether a step's program is found."""
    return shutil.which(program, path=environment()["PATH"]) is not None


def version_of(program: str, stop: Event) -> str:
    """Return what a program says about its version, as the engine reads it.

    Empty where it says nothing in time, or nothing that the engine understands.
    """
    for option in ("--version", "-version"):
        try:
            done = subprocess.run(
                ["sh", "-c", f"{program} {option}"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VERSION_S,
                env=environment(),
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return ""
        said = done.stdout.decode("utf-8", "replace").strip().splitlines()
        if done.returncode == 0 and said:
            return read_version(said)[:200]
        if stop.is_set():
            break
    return ""


def read_version(said: Sequence[str]) -> str:
    """Return the version that the engine finds in what a program answers to ``--version``.

    A line with the word "version" counts where another line follows it; alone it gives nothing.
    Without the word the whole first line is the version.
    """
    for number, line in enumerate(said):
        _, word, after = line.lower().partition("version")
        if word:
            return line[len(line) - len(after) :].strip() if number + 1 < len(said) else ""
    return said[0]
