"""The study of a project on an XNAT server; images are fetched one series at a time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import MissingError
from xnat_config.server.files import RemoteFile, fetch_file, list_files
from xnat_pic.errors import CorruptDataError, NothingUsableError, ServerError

from ..xnat.files import fetch
from ..xnat.find import DICOM, Session, find_sessions, read_session
from .study import CONTENTS, ExportStudy, Result, Series

_PROCESSED = re.compile(r"PROCESSED_[A-Za-z0-9_-]+|XNAT_PIC_[A-Za-z0-9_-]+")
_SECONDARY = "secondary"
_KEPT = (".nii.gz", ".json", ".html")


def read_project(
    client: XnatClient, project: str, work: Path, report: Callable[[str], None]
) -> ExportStudy:
    """Return the study of a project.

    Parameters
    ----------
    client : XnatClient
        The server.
    project : str
        Its ID.
    work : Path
        Empty folder for what is fetched; each series is removed after use.
    report : callable
        Called with what is being done.

    Raises
    ------
    LoginError, ServerError
    NothingUsableError
        Where the project has no session.
    """
    found = find_sessions(client, project)
    if not found:
        raise NothingUsableError(
            f"{project} has no session on {client.server} that may be read.",
            hint="Check the project and the user's rights.",
        )
    study = ExportStudy(project)
    subjects: dict[str, tuple[dict[str, str], list[RemoteFile]]] = {}
    for one in found:
        report(one.label)
        session = read_session(client, one.id)
        if session.subject_id not in subjects:
            values = _variables(client, session.subject_address)
            subjects[session.subject_id] = (values, list_files(client, session.subject_address))
            study.subjects[session.subject] = values
            study.results += _results(
                client, session.subject, session.subject_address,
                subjects[session.subject_id][1], work,
            )  # fmt: skip
        variables = subjects[session.subject_id][0] | _variables(client, session.address)
        _add_scans(study, client, session, variables, work)
    return study


def _add_scans(
    study: ExportStudy, client: XnatClient, session: Session, variables: dict[str, str], work: Path
) -> None:
    for scan in session.scans:
        try:
            files = list_files(client, scan.address)
        except MissingError:
            continue
        name = f"{session.label}/{scan.id} {scan.description}".strip()
        # Objects that are no primary images, such as maps of the scanner, lie apart from them.
        for resource in (DICOM, _SECONDARY):
            images = [one for one in files if one.resource == resource]
            if not images:
                continue
            opened = _images(client, scan.address, images, work)
            study.series.append(Series(name, session.subject, session.label, variables, opened))
        study.results += _results(client, name, scan.address, files, work)


def _variables(client: XnatClient, address: str) -> dict[str, str]:
    """Return the custom variables of an item, by name in lower case."""
    item = client.item(address)
    try:
        found: dict[str, str] = {}
        for child in item.get("children", []):
            if child.get("field") != "fields/field":
                continue
            for row in child.get("items", []):
                fields = row["data_fields"]
                if fields.get("name") and fields.get("field") not in (None, ""):
                    found[str(fields["name"]).lower()] = str(fields["field"])
        return found
    except (KeyError, TypeError, AttributeError) as error:
        raise ServerError(f"{client.server} gave no item for {address}.") from error


def _images(
    client: XnatClient, address: str, files: list[RemoteFile], work: Path
) -> Callable[[], AbstractContextManager[list[Path]]]:
    @contextmanager
    def opened() -> Iterator[list[Path]]:
        target = work / "images"
        _remove(target)
        fetch(client, address, files[0].resource, files, target)
        try:
            yield sorted(target.iterdir())
        finally:
            _remove(target)

    return opened


def _results(
    client: XnatClient, name: str, address: str, files: list[RemoteFile], work: Path
) -> list[Result]:
    """Return the results among the files of an item: folders with a table of contents."""
    found = []
    for one in files:
        path = PurePosixPath(one.path)
        if path.name != CONTENTS or not _PROCESSED.fullmatch(one.resource):
            continue
        head = "" if path.parent == PurePosixPath(".") else f"{path.parent.as_posix()}/"
        members = [
            file
            for file in files
            if file.resource == one.resource
            and file.path.startswith(head)
            and "/" not in file.path[len(head) :]
            and file.path.endswith(_KEPT)
        ]
        title = f"{name} {one.resource}/{head}".rstrip("/")
        found.append(Result(title, _folder(client, members, len(head), work)))
    return found


def _folder(
    client: XnatClient, files: list[RemoteFile], cut: int, work: Path
) -> Callable[[], AbstractContextManager[Path]]:
    @contextmanager
    def opened() -> Iterator[Path]:
        target = work / "result"
        _remove(target)
        target.mkdir(parents=True)
        try:
            for one in files:
                name = one.path[cut:]
                if name in ("", ".", "..") or "\\" in name or "\0" in name:
                    raise CorruptDataError(f"The server names a file {name!r}.")
                fetch_file(client, one, target / name)
            yield target
        finally:
            _remove(target)

    return opened


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
