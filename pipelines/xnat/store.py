"""Results on the server: are they there already, and how they get there whole."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError
from xnat_config.server.files import RemoteFile, list_files
from xnat_config.server.paths import files_path
from xnat_pic.errors import ServerError
from xnat_pic.files import file_digest

PROVENANCE = "provenance.json"
_ROUNDS = 6  # two runs that send at once give way to each other by waits of chance
_LONGEST_JSON = 32 << 20


@dataclass(frozen=True)
class ResultLocation:
    """Where a result goes.

    Attributes
    ----------
    parent : str
        Address of the scan, subject or session.
    resource : str
        Label.
    folder : str
        Below the resource, ``/`` between folders, none at the end.
    """

    parent: str
    resource: str
    folder: str

    def address(self, name: str = "") -> str:
        """Return the address of a file of the folder, or of the resource's files."""
        return files_path(self.parent, self.resource, f"{self.folder}/{name}" if name else "")

    def files(self, client: XnatClient) -> dict[str, RemoteFile]:
        """Return what is there, by the path below the folder."""
        try:
            found = list_files(client, self.parent, self.resource)
        except MissingError:
            return {}
        head = f"{self.folder}/"
        return {one.path.removeprefix(head): one for one in found if one.path.startswith(head)}


def read_json(client: XnatClient, file: RemoteFile) -> dict[str, Any]:
    """Return a JSON file of the server; empty where it holds none.

    Raises
    ------
    ServerError
    """
    if file.size > _LONGEST_JSON:
        return {}
    try:
        content = json.loads(client.read(file.uri, enough=_is_too_long))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_too_long(so_far: bytearray) -> bool:
    return len(so_far) > _LONGEST_JSON


def listed_files(record: Mapping[str, Any]) -> dict[str, tuple[int, str]]:
    """Return size and MD5 of the files that a ``provenance.json`` lists; none where broken."""
    step = record.get("step")
    files = step.get("files") if isinstance(step, dict) else None
    if not isinstance(files, dict):
        return {}
    found = {}
    for name, pair in files.items():
        if not isinstance(pair, list) or [type(one) for one in pair] != [int, str]:
            return {}
        found[name] = (pair[0], pair[1])
    return found


def _lacking(
    client: XnatClient, location: ResultLocation, local: Mapping[str, tuple[int, str]]
) -> list[str]:
    """Return which files the server does not list as they are here."""
    stored = location.files(client)
    return [
        name
        for name, (size, md5) in local.items()
        if name not in stored
        or stored[name].size not in (-1, size)
        or stored[name].md5 not in ("", md5)
    ]


def local_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and MD5 of each file of a result, by its path below the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        # The server takes no empty file.
        if path.is_file() and path.stat().st_size:
            digest = file_digest(path, "md5")
            found[path.relative_to(folder).as_posix()] = (path.stat().st_size, digest)
    return found


def publish(client: XnatClient, location: ResultLocation, folder: Path, contents: str) -> list[str]:
    """Send a result in the place of an earlier one of the same parameters.

    The table of contents goes first and comes last, so that whoever looks for a result finds a
    whole one or none, whenever the connection, the server or this process ends. What an earlier
    run listed as its own and this one has not is removed; the provenance goes ahead of what it
    lists, so that what an interrupted run leaves is known to be ours. No other file is touched.

    Parameters
    ----------
    client : XnatClient
        The server.
    location : ResultLocation
        Where it goes.
    folder : Path
        What is sent.
    contents : str
        Name of the table of contents.

    Returns
    -------
    list of str
        Files in the folder that no run made.

    Raises
    ------
    ServerError
        Where the server refuses, or has not what was sent.
    """
    local = local_files(folder)
    if not any(character.isalnum() for character in location.folder):
        raise ServerError(f"{location.folder!r} is no folder for a result.")
    make_resource(client, location)
    _clear(client, location, local, contents)
    put_file(client, location, PROVENANCE, folder / PROVENANCE)
    # All of it: a listing may tell of files that the store has lost or that were changed there.
    wrong = [name for name in local if name not in (contents, PROVENANCE)]
    for attempt in range(1, _ROUNDS + 1):
        if attempt > 1:
            client.pause(attempt)
        _send(client, location, folder, wrong)
        wrong = [name for name in _lacking(client, location, local) if name != contents]
        if not wrong:
            break
    for attempt in range(1, _ROUNDS + 1):
        put_file(client, location, contents, folder / contents)
        lost = _lacking(client, location, local)
        if not lost:
            return sorted(set(location.files(client)) - set(local))
        client.pause(attempt)
        _send(client, location, folder, [name for name in lost if name != contents])
    _remove(client, location, contents)
    raise ServerError(
        f"{lost[0]} is not in {location.resource} as it was sent.",
        hint="Run the pipeline again; if it stays so, ask the server's administrator.",
    )


def _clear(
    client: XnatClient,
    location: ResultLocation,
    local: Mapping[str, tuple[int, str]],
    contents: str,
) -> None:
    """Remove the table of contents, and what an earlier run made and this one does not."""
    stored = location.files(client)
    if contents in stored:
        _remove(client, location, contents)
    if PROVENANCE not in stored:
        return
    ours = listed_files(read_json(client, stored[PROVENANCE]))
    for name in sorted(set(ours) & set(stored) - set(local)):
        _remove(client, location, name)


def make_resource(client: XnatClient, location: ResultLocation) -> None:
    """Make the resource where it is not there."""
    address = location.address().removesuffix("/files")
    client.send("PUT", address, accept=(409,))


def _remove(client: XnatClient, location: ResultLocation, name: str) -> None:
    with suppress(MissingError):
        client.send("DELETE", location.address(name))


def _send(client: XnatClient, location: ResultLocation, folder: Path, names: list[str]) -> None:
    """Send files in one archive, which the server unpacks."""
    if not names:
        return
    packed = folder.with_name(f"{folder.name}.zip.part")
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for name in names:
                archive.write(folder / name, f"{location.folder}/{name}")
        client.send(
            "PUT",
            f"{location.address()}/result.zip",
            params={"extract": "true", "overwrite": "true"},
            body=lambda: packed.open("rb"),
            content_type="application/zip",
        )
    finally:
        packed.unlink(missing_ok=True)


def put_file(client: XnatClient, location: ResultLocation, name: str, path: Path) -> None:
    """Send one file in the place of an earlier one; errors as of `XnatClient.send`."""
    client.send(
        "PUT",
        location.address(name),
        params={"inbody": "true", "overwrite": "true"},
        body=lambda: path.open("rb"),
        content_type="application/octet-stream",
    )
