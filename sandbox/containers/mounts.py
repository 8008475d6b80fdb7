"""Folders of a run in place of a container's mounts, and what goes in and out of them."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.errors import LoginError, ServerError
from xnat_config.server.files import fetch_file, list_files
from xnat_config.server.login import token_login
from xnat_config.server.paths import data_path, files_path, path_of

from ..archive.launching import Run
from ..engine.errors import RunError
from .errors import OutputsError, ResolutionError

AGENT = "XNAT-PIC sandbox container runner"
_FOLDER, _FILE = 0o750, 0o640  # what Tomcat's umask 0027 leaves
_LABEL = re.compile(r"@\.label\s*==\s*['\"]([^'\"]+)['\"]")


class Archive:
    """The archive's files, asked with the token of the run."""

    def __init__(self, run: Run) -> None:
        login = token_login(run.login, run.alias, run.secret)
        self._client = XnatClient(Connection(run.host), login, agent=AGENT)
        kind = "projects" if run.xsi_type == "xnat:projectData" else "experiments"
        self.base = data_path(kind, run.item)
        if run.scan:
            self.base += path_of("scans", run.scan)

    def __enter__(self) -> Archive:
        """Log in at the first request."""
        return self

    def __exit__(self, *_: object) -> None:
        """Log out."""
        self._client.close()

    def fetch(self, path: str, folder: Path) -> int:
        """Copy the files of a resource into a folder; return how many.

        Parameters
        ----------
        path : str
            Address of the resource.

        Raises
        ------
        RunError
            Where the archive refuses.
        """
        with _as_run_error():
            parent, _, resource = path.rpartition("/resources/")
            files = list_files(self._client, parent, unquote(resource))
            for file in files:
                target = inside(folder, file.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                fetch_file(self._client, file, target)
        return len(files)

    def send(self, label: str, name: str, file: Path) -> None:
        """Put a file into a resource of the item, in place of one of its name.

        Raises
        ------
        RunError
            Where the archive refuses.
        """
        with _as_run_error():
            self._client.send(
                "PUT",
                files_path(self.base, label, name),
                params={"inbody": "true", "overwrite": "true"},
                body=lambda: file.open("rb"),
            )


@contextmanager
def _as_run_error() -> Iterator[None]:
    try:
        yield
    except (ServerError, LoginError) as error:
        raise RunError(f"The archive refused: {error.message}") from error


def inside(folder: Path, name: str) -> Path:
    """Return a path below a folder.

    Raises
    ------
    RunError
        For a name that leads out of it.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\0" in name:
        raise RunError(f"{name!r} is no name of a file in a mount.")
    return folder.joinpath(*parts)


def make(command: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Make a folder for each mount, closed to others; return them by the mount's name."""
    made = {}
    for number, one in enumerate(command.get("mounts") or []):
        made[str(one["name"])] = path = folder / f"mount{number}"
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(_FOLDER)
    return made


def hand_over(folders: Iterable[Path], owner: int | None) -> None:
    """Leave what is in the mounts as XNAT's Tomcat does: by its umask, and as its user.

    Parameters
    ----------
    owner : int or None
        Number of that user; None for this program's own.
    """
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if owner is not None:
                os.chown(path, owner, owner, follow_symlinks=False)
            if not path.is_symlink():
                path.chmod(_FOLDER if path.is_dir() else _FILE)


def fill(run: Run, mounts: Mapping[str, Path], archive: Archive) -> None:
    """Copy the files that the wrapper's inputs provide into the mounts.

    Raises
    ------
    RunError
        Where there are none, or the archive refuses.
    """
    wrapper = run.command["wrapper"]
    both = [*(wrapper.get("external-inputs") or []), *(wrapper.get("derived-inputs") or [])]
    for one in both:
        mount = one.get("provides-files-for-command-mount")
        if not mount:
            continue
        if str(mount) not in mounts:
            raise RunError(f"The wrapper fills the mount {mount}, which the command lacks.")
        label = _LABEL.search(str(one.get("matcher") or ""))
        path = archive.base + (f"/resources/{quote(label[1], safe='')}" if label else "")
        if not archive.fetch(path, mounts[str(mount)]):
            raise ResolutionError(f"{one.get('name')} has no files: there is nothing to mount.")


def with_folders(command: Mapping[str, Any], mounts: Mapping[str, Path]) -> dict[str, Any]:
    """Return a command whose line and variables name the folders in place of the mounts' paths."""
    variables: Mapping[str, Any] = command.get("environment-variables") or {}
    return {
        **command,
        "command-line": _replaced(str(command.get("command-line") or ""), command, mounts),
        "environment-variables": {
            name: _replaced(str(text), command, mounts) for name, text in variables.items()
        },
    }


def _replaced(text: str, command: Mapping[str, Any], mounts: Mapping[str, Path]) -> str:
    for one in sorted(command.get("mounts") or [], key=lambda one: -len(str(one["path"]))):
        path = re.escape(str(one["path"]).rstrip("/"))
        folder = str(mounts[str(one["name"])]).replace("\\", "\\\\")
        text = re.sub(rf"(?<![\w./-]){path}(?=$|[\s/'\":,;])", folder, text)
    return text


def collect(run: Run, mounts: Mapping[str, Path], archive: Archive) -> int:
    """Send the outputs that the wrapper handles; return how many files.

    Raises
    ------
    RunError
        For a required output without files, a handler of another kind, or where the archive
        refuses.
    """
    outputs = {str(one["name"]): one for one in run.command.get("outputs") or []}
    sent = 0
    for handler in run.command["wrapper"].get("output-handlers") or []:
        output = outputs.get(str(handler.get("accepts-command-output")))
        if output is None or handler.get("type", "Resource") != "Resource":
            raise RunError(f"The output handler {handler.get('name')} is not run here.")
        root = mounts[str(output["mount"])]
        start = inside(root, str(output["path"])) if output.get("path") else root
        files = _files(root, start, str(output.get("glob") or ""))
        if not files and output.get("required"):
            raise OutputsError(f"The run made no file of its output {output['name']}.")
        for name, file in files.items():
            archive.send(str(handler.get("label") or output["name"]), name, file)
        sent += len(files)
    return sent


def _files(root: Path, start: Path, glob: str) -> dict[str, Path]:
    """Return the files of an output by their names in the resource; links are left out."""
    base = start if start.is_dir() else root
    found = [start] if start.is_file() else sorted(start.rglob("*")) if start.is_dir() else []
    plain = {
        one.relative_to(base).as_posix(): one
        for one in found
        if one.is_file() and one.resolve().is_relative_to(root.resolve())
    }
    return {name: one for name, one in plain.items() if not glob or fnmatch.fnmatch(name, glob)}
