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
from xnat_pic.files import file_digest, write_file

PROVENANCE = "provenance.json"
_ROUNDS = 3
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


def find_earlier_result(
    client: XnatClient, location: ResultLocation, request: str, contents: str
) -> dict[str, Any] | None:
    """Return the table of contents of a result that is there, whole, and made of the same.

    Parameters
    ----------
    client : XnatClient
        The server.
    location : ResultLocation
        Where the result would go.
    request : str
        Hash of inputs, parameters and software.
    contents : str
        Name of the table of contents, which is sent last.
    """
    stored = location.files(client)
    if contents not in stored or PROVENANCE not in stored:
        return None
    step = read_json(client, stored[PROVENANCE]).get("step")
    if not isinstance(step, dict) or step.get("request") != request:
        return None
    listed = step.get("files")
    if not isinstance(listed, dict) or set(stored) != {*listed, contents, PROVENANCE}:
        return None
    if any(not _matches(stored[name], size, md5) for name, (size, md5) in listed.items()):
        return None
    return read_json(client, stored[contents]) or None


def _matches(file: RemoteFile, size: int, md5: str) -> bool:
    return file.size in (-1, size) and file.md5 in ("", md5)


def _is_stored(file: RemoteFile | None, size: int, md5: str, *, sent: bool) -> bool:
    """Tell whether a file is on the server; without a checksum only what was sent counts."""
    return file is not None and _matches(file, size, md5) and (sent or bool(file.md5))


def write_step_provenance(folder: Path, step: Mapping[str, Any], contents: str) -> None:
    """Write into ``provenance.json`` what the step was, and every file of the result.

    Parameters
    ----------
    folder : Path
        The result.
    step : mapping
        Pipeline, session, scan, parameters and hashes. No secret, no place on a disk.
    contents : str
        Name of the table of contents.
    """
    path = folder / PROVENANCE
    content: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("call", None)  # the words of this process, which hold its login
    listed = {
        name: [size, md5]
        for name, (size, md5) in _local(folder).items()
        if name not in (PROVENANCE, contents)
    }
    content["step"] = {**step, "files": listed}
    write_file(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _local(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        # The server takes no empty file.
        if path.is_file() and path.stat().st_size:
            digest = file_digest(path, "md5")
            found[path.relative_to(folder).as_posix()] = (path.stat().st_size, digest)
    return found


def publish(client: XnatClient, location: ResultLocation, folder: Path, contents: str) -> None:
    """Send a result in the place of an earlier one of the same parameters.

    The table of contents goes first and comes last, so that whoever looks for a result finds a
    whole one or none, whenever the connection, the server or this process ends.

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

    Raises
    ------
    ServerError
        Where the server refuses, or has not what was sent.
    """
    local = _local(folder)
    if not any(character.isalnum() for character in location.folder):
        raise ServerError(f"{location.folder!r} is no folder for a result.")
    make_resource(client, location)
    stored = location.files(client)
    if contents in stored:
        _remove(client, location, contents)
    for attempt in range(1, _ROUNDS + 1):
        stored = location.files(client)
        wrong = [
            name
            for name, (size, md5) in local.items()
            if name != contents and not _is_stored(stored.get(name), size, md5, sent=attempt > 1)
        ]
        if not wrong:
            break
        if attempt > 1:
            client.pause(attempt)
        _send(client, location, folder, wrong)
    for name in sorted(set(location.files(client)) - set(local)):
        _remove(client, location, name)
    for attempt in range(1, _ROUNDS + 1):
        put_file(client, location, contents, folder / contents)
        stored = location.files(client)
        lost = [
            n for n, (s, m) in local.items() if n not in stored or not _matches(stored[n], s, m)
        ]
        if not lost:
            return
        client.pause(attempt)
        _send(client, location, folder, [name for name in lost if name != contents])
    _remove(client, location, contents)
    raise ServerError(
        f"{lost[0]} is not in {location.resource} as it was sent.",
        hint="Run the pipeline again; if it stays so, ask the server's administrator.",
    )


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
