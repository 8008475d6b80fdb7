"""What stands for a container: a process with another user, limits, and folders as mounts."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_pic.machine import CGROUP_VARIABLE

from ..archive.launching import Run
from .errors import LaunchError

_PERIOD_US = 100_000
_MIB = 1 << 20
_STEP_DOWN = "setpriv --reuid={0} --regid={0} --clear-groups --no-new-privs --inh-caps=-all"


@dataclass(frozen=True)
class Host:
    """Where a container runs, and as whom.

    Attributes
    ----------
    folder : Path
        Of its mounts and limits.
    owner : int or None
        Who owns the mounts; None for this program's own user.
    user : int or None
        Who the process is; None for this program's own user.
    """

    folder: Path
    owner: int | None = None
    user: int | None = None

    def line(self, line: str) -> str:
        """Return a line of the shell that runs another one as the user of the container."""
        if self.user is None:
            return line
        down = _STEP_DOWN.format(self.user)
        return f"exec {down} --bounding-set=-all -- sh -c {shlex.quote(line)}"

    def environment(self, command: Mapping[str, Any]) -> dict[str, str]:
        """Return the variables of a container: its limits, and its home where it has a user."""
        limits = self.folder / "cgroup"
        limits.mkdir(exist_ok=True)
        limits.chmod(0o755)
        cpu, memory = command.get("limit-cpu"), command.get("limit-memory")
        quota = f"{int(float(cpu) * _PERIOD_US)}" if cpu else "max"
        most = f"{int(memory) * _MIB}" if memory else "max"
        for name, text in (("cpu.max", f"{quota} {_PERIOD_US}"), ("memory.max", most)):
            (limits / name).write_text(text + "\n", encoding="utf-8")
            (limits / name).chmod(0o644)
        own = {} if self.user is None else {"HOME": "/tmp"}
        return own | {CGROUP_VARIABLE: str(limits)}


@contextmanager
def host_of(run: Run) -> Iterator[Host]:
    """Yield where a run's container is: in its folder, or where another user reaches it.

    Whoever the host's setting *Container User* names is the process; else it is who owns the
    mounts, which our image becomes.

    Raises
    ------
    LaunchError
        Where this program cannot be that user.
    """
    owner = run.host_settings.get("tomcat-user")
    named = str(run.host_settings.get("container-user") or "").partition(":")[0]
    if named and not named.isdecimal():
        raise LaunchError(f"The host has no user {named}: give the number of one.")
    user = int(named) or owner if named else owner  # as root our image becomes the owner
    if owner in (None, os.geteuid()) and user in (None, os.geteuid()):
        yield Host(run.folder)
        return
    if os.geteuid() != 0:
        raise LaunchError("Only a sandbox that root started can run containers as another user.")
    folder = Path(tempfile.mkdtemp(prefix="xnat-pic-container-"))
    folder.chmod(0o711)
    try:
        yield Host(folder, owner, user)
    finally:
        for path in folder.glob("mount*"):
            shutil.move(path, run.folder / path.name)
        shutil.rmtree(folder, ignore_errors=True)
