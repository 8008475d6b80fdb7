"""Compare the files beside the images, and the scanner data, with the server: by content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from xnat_config.resources import Resources
from xnat_config.server.catalogs import refresh_catalogs
from xnat_config.server.client import XnatClient
from xnat_config.server.errors import RefusedError
from xnat_config.server.files import RemoteFile, remote_digest
from xnat_config.server.paths import files_path
from xnat_pic.text import list_some

from ..planning.journal import Journal
from ..scanning.sessions import Session
from ..scanning.side_files import side_resources
from ..server.listing import find_file, read_resource_files
from .levels import ProofLevel
from .payload import file_md5

_CONTENT = (ProofLevel.DIGEST, ProofLevel.PIXELS)


def _digest_of(client: XnatClient, file: RemoteFile, level: ProofLevel, believed: bool) -> str:
    if believed and file.md5 and level is ProofLevel.DIGEST:
        return file.md5
    return remote_digest(client, file)


def check_side_files(
    client: XnatClient,
    session: Session,
    path: str,
    resources: Resources,
    *,
    level: ProofLevel,
    believed: bool,
    uploaded: Callable[[str], tuple[str, str]] | None = None,
) -> list[str]:
    """Compare the files beside the images of a session with those on the server.

    Parameters
    ----------
    path : str
        Address of the session.
    believed : bool
        The server computed its digests anew.
    uploaded : callable, optional
        Gives what the journal knows of a file sent, by its address: `Journal.uploaded`.

    Returns
    -------
    list of str
        What is wrong, as messages.
    """
    found = _SideFiles()
    listed: dict[str, list[RemoteFile]] = {}
    for one in side_resources(session, resources):
        size = one.path.stat().st_size
        if not size:
            continue
        if one.resource not in listed:
            listed[one.resource] = read_resource_files(client, path, one.resource)
        there = find_file(listed[one.resource], one.name)
        if there is None:
            found.missing.append(one.name)
        elif level is ProofLevel.LISTED:
            continue
        elif _is_lost(client, there):
            found.missing.append(one.name)
        else:
            ours = file_md5(one.path)
            is_sized = there.size in (-1, size)
            is_compared = is_sized and level in _CONTENT
            if not is_sized or (is_compared and _digest_of(client, there, level, believed) != ours):
                sent = uploaded(files_path(path, one.resource, one.name))[1] if uploaded else ""
                found.place(one.name, ours, sent)
    return found.messages()


@dataclass
class _SideFiles:
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def place(self, name: str, ours: str, sent: str) -> None:
        """Sort a file that differs by who changed it, as far as the journal tells."""
        if not sent:
            self.different.append(name)
        elif ours != sent:
            self.edited.append(name)
        else:
            self.changed.append(name)

    def messages(self) -> list[str]:
        """Return what is wrong."""
        texts = (
            ("are missing", self.missing),
            ("are not those on disk", self.different),
            ("were changed on the disk after they were sent", self.edited),
            ("were changed on the server after they were sent", self.changed),
        )
        return [
            f"Files beside the images {what}: {list_some(names)}." for what, names in texts if names
        ]


def verify_uploads(
    client: XnatClient, journal: Journal, level: ProofLevel = ProofLevel.DIGEST
) -> list[str]:
    """Compare the files that were sent beside the images with the server; return what is wrong.

    Parameters
    ----------
    level : ProofLevel
        What to compare: names, sizes, the MD5 that the server computes anew, or the bytes.
    """
    problems = []
    listed: dict[str, list[RemoteFile]] = {}
    believed: dict[str, bool] = {}
    for target, _source, md5, size in journal.uploads():
        folder, _, name = target.partition("/files/")
        parent, _, resource = folder.rpartition("/resources/")
        if folder not in listed:
            listed[folder] = read_resource_files(client, parent, unquote(resource))
            if listed[folder] and level is not ProofLevel.LISTED:
                believed[folder] = not refresh_catalogs(client, folder)
                listed[folder] = read_resource_files(client, parent, unquote(resource))
        there = find_file(listed[folder], unquote(name))
        if there is None:
            problems.append(f"The file {unquote(name)} in {unquote(resource)} is missing.")
            continue
        is_sized = level is ProofLevel.LISTED or there.size in (-1, size)
        is_same = level not in _CONTENT or (
            is_sized and _digest_of(client, there, level, believed.get(folder, False)) == md5
        )
        is_lost = level is not ProofLevel.LISTED and _is_lost(client, there)
        if not is_sized or not is_same or is_lost:
            problems.append(f"The file {unquote(name)} in {unquote(resource)} is not as sent.")
    return problems


def _is_lost(client: XnatClient, file: RemoteFile) -> bool:
    """Tell whether a file that is listed is not in the store."""
    try:
        with client.stream(file.uri):
            return False
    except RefusedError:
        return True
