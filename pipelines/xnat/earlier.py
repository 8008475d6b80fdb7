"""Results that are there already: are they whole, and made of what is there now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xnat_config.server.catalogs import refresh_catalogs
from xnat_config.server.client import XnatClient
from xnat_config.server.files import RemoteFile, list_files, remote_digest
from xnat_pic.errors import ServerError
from xnat_pic.files import bytes_digest, file_digest, write_file
from xnat_pic.text import list_some

from .store import PROVENANCE, ResultLocation, listed_files, local_files, read_json

_SEAL = "seal"
Folder = tuple[str, str]  # address of an item, label of its resource


@dataclass(frozen=True)
class InputFiles:
    """Files on the server that a run reads.

    Attributes
    ----------
    what : str
        Whose, in a sentence, such as ``scan 5``.
    files : tuple of RemoteFile
        As they are listed.
    """

    what: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class EarlierResult:
    """What a look at the server found before a result is made.

    Attributes
    ----------
    request : str
        Hash of inputs, parameters and software.
    inputs : tuple of InputFiles
        With the sizes and checksums that were compared.
    contents : dict or None
        Table of contents of a result that is there, whole, and made of the same; None where it
        is to be made.
    notes : tuple of str
        What somebody changed or added since it was made.
    """

    request: str
    inputs: tuple[InputFiles, ...]
    contents: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def find_earlier_result(
    client: XnatClient,
    location: ResultLocation,
    inputs: Sequence[InputFiles],
    request_of: Callable[[Sequence[InputFiles]], str],
    contents: str,
    *,
    known: dict[Folder, dict[str, RemoteFile]],
    redo: bool = False,
) -> EarlierResult:
    """Compare a result with what made it, and both with the bytes that the server has now.

    A catalogue tells what was stored once. Before a result is taken for done the server computes
    the checksums of inputs and result anew; where it does not, their bytes are read.

    Parameters
    ----------
    client : XnatClient
        The server.
    location : ResultLocation
        Where the result would lie.
    inputs : sequence of InputFiles
        What it would be made of.
    request_of : callable
        Gives the hash of inputs, parameters and software.
    contents : str
        Name of the table of contents, which is sent last.
    known : dict
        Inputs that this run looked at before, by folder and path: they are looked at once. What is
        looked at here is added.
    redo : bool
        A result that is there does not count.

    Raises
    ------
    ServerError
        Where an input is no longer what the server's catalogue says.
    """
    stored = {} if redo else location.files(client)
    is_there = contents in stored and PROVENANCE in stored
    is_lacking = any(not file.md5 for one in inputs for file in one.files)
    now = list(inputs)
    if is_there or is_lacking:
        result = tuple(stored.values()) if is_there else ()
        fresh = _look_again(client, inputs, result, known)
        now = [replace(one, files=tuple(_now(one.files, known))) for one in inputs]
        for before, after in zip(inputs, now, strict=True):
            _refuse_changed(before, after)
        stored = dict(zip(stored, _now(result, fresh), strict=True)) if is_there else {}
    request = request_of(now)
    if not is_there:
        return EarlierResult(request, tuple(now))
    found, notes = _compare(client, location, stored, request, contents)
    return EarlierResult(request, tuple(now), found, notes)


def _look_again(
    client: XnatClient,
    inputs: Sequence[InputFiles],
    result: Sequence[RemoteFile],
    known: dict[Folder, dict[str, RemoteFile]],
) -> dict[Folder, dict[str, RemoteFile]]:
    """Have folders read by the server; add those of inputs to `known`, return those of a result."""
    wanted = {_folder(file): file for one in inputs for file in one.files}
    new = [folder for folder in wanted if folder not in known]
    own = list(dict.fromkeys(_folder(file) for file in result))
    # By its label: a resource's number, as listings have it, is read as a label that none has.
    paths = [f"{parent}/resources/{label}" for parent, label in dict.fromkeys([*new, *own])]
    is_fresh = bool(paths) and not refresh_catalogs(client, *paths)
    used = {_folder(file): set[str]() for file in result}
    for one in [*result, *(file for group in inputs for file in group.files)]:
        used.setdefault(_folder(one), set()).add(one.path)
    found = {one: _files(client, one, used[one], is_fresh) for one in dict.fromkeys([*new, *own])}
    known.update({one: found[one] for one in new})
    return {one: found[one] for one in own}


def _files(
    client: XnatClient, folder: Folder, used: set[str], is_fresh: bool
) -> dict[str, RemoteFile]:
    """Return files of a folder, by path, with the checksum of their bytes."""
    parent, label = folder
    listed = list_files(client, parent, label)
    believed = is_fresh and _has_all(client, parent, label, len(listed))
    return {
        one.path: one if one.md5 and believed else replace(one, md5=remote_digest(client, one))
        for one in listed
        if one.path in used
    }


def _folder(file: RemoteFile) -> Folder:
    return file.uri.partition("/resources/")[0], file.resource


def _has_all(client: XnatClient, parent: str, resource: str, count: int) -> bool:
    """Tell whether the server counts as many files in its store as its catalogue lists."""
    for row in client.rows(f"{parent}/resources"):
        if row.get("label") == resource and row.get("file_count", "").isdecimal():
            return int(row["file_count"]) >= count
    return True


def _now(
    files: Iterable[RemoteFile], found: Mapping[Folder, Mapping[str, RemoteFile]]
) -> Iterator[RemoteFile]:
    """Give files as they were found; one that is gone without size and checksum."""
    for one in files:
        yield found[_folder(one)].get(one.path) or replace(one, size=-1, md5="")


def _refuse_changed(before: InputFiles, now: InputFiles) -> None:
    """Refuse files that are others than their catalogue said: nobody wrote them through XNAT.

    Raises
    ------
    ServerError
    """
    changed = [
        one.path
        for one, other in zip(before.files, now.files, strict=True)
        if one.md5 and one.md5 != other.md5
    ]
    if changed:
        raise ServerError(
            f"Of the files of {now.what}, {len(changed)} of {len(now.files)} are not what the "
            f"server's catalogue listed ({list_some(changed)}): changed, damaged or lost on its "
            "disk. No result is made of them.",
            hint="Compare them with what was sent (xnat-pic-uploader verify); once they are right, "
            "run again.",
        )


def _compare(
    client: XnatClient,
    location: ResultLocation,
    stored: Mapping[str, RemoteFile],
    request: str,
    contents: str,
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the contents of a result as it was made, and what somebody did to it since."""
    where = f"{location.resource}/{location.folder}"
    record = read_json(client, stored[PROVENANCE])
    listed = listed_files(record)
    if not listed or _SEAL not in record["step"]:  # of another version
        return None, ()
    changed = sorted(
        name
        for name, (size, md5) in listed.items()
        if name not in stored or (stored[name].size, stored[name].md5) != (size, md5)
    )
    if record["step"][_SEAL] != _seal(record):
        changed.insert(0, PROVENANCE)
    if changed:
        return None, (
            f"The earlier result in {where} was changed since it was made ({list_some(changed)}): "
            "it was made again.",
        )
    if record["step"].get("request") != request or contents not in listed:
        return None, ()
    notes = strangers_note(where, set(stored) - {*listed, PROVENANCE})
    return read_json(client, stored[contents]) or None, notes


def strangers_note(where: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence about files in a result's folder that no run made; none without any."""
    some = sorted(names)
    if not some:
        return ()
    lie = "a file lies" if len(some) == 1 else f"{len(some)} files lie"
    return (f"In {where} {lie} that no run made ({list_some(some)}): left as found.",)


def _seal(record: Mapping[str, Any]) -> str:
    step = {key: value for key, value in record["step"].items() if key != _SEAL}
    return bytes_digest(json.dumps({**record, "step": step}, sort_keys=True).encode())


def changed_since_made(folder: Path) -> list[str]:
    """Return which files of a fetched result are not those that its ``provenance.json`` lists."""
    record: Any = None
    with suppress(OSError, ValueError, RecursionError):
        record = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        return []
    listed = listed_files(record)
    return [
        name
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (name := path.relative_to(folder).as_posix()) in listed
        and file_digest(path, "md5") != listed[name][1]
    ]


def write_step_provenance(folder: Path, step: Mapping[str, Any]) -> None:
    """Write into ``provenance.json`` what the step was, and every other file of the result.

    Parameters
    ----------
    folder : Path
        The result.
    step : mapping
        Pipeline, session, scan, parameters and hashes. No secret, no place on a disk.
    """
    path = folder / PROVENANCE
    content: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("call", None)  # the words of this process, which hold its login
    files = {name: list(one) for name, one in local_files(folder).items() if name != PROVENANCE}
    content["step"] = {**step, "files": files}
    content["step"][_SEAL] = _seal(content)
    write_file(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
