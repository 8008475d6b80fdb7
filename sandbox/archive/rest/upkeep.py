"""Services around stored files: refresh a catalog, show the elements of a DICOM file."""

import sqlite3
from collections import Counter
from pathlib import Path

from starlette.responses import Response
from starlette.routing import Route

from xnat_pic.files import file_digest

from .. import listings, prearchive
from ..accounts import demand, may_edit
from ..dicom_files import NotDicomError, dump
from ..http import Call, endpoint, table_response, text
from ..listings import Filed
from ..refusals import Refused, not_found
from .parents import resolve

_OPTIONS = ("append", "checksum", "delete", "populateStats")
_COLUMNS = ("tag1", "tag2", "vr", "value", "desc")


def _address(uri: str) -> tuple[str, str, str]:
    """Return an archive URI's owner, resource and file; the last two may be empty.

    Raises
    ------
    Refused
        400.
    """
    path = uri.removeprefix("/data").removeprefix("/archive").strip("/")
    owner, _, rest = path.partition("/resources/")
    resource, _, file = rest.partition("/files/")
    if owner.partition("/")[0] not in ("projects", "subjects", "experiments") or "/" not in owner:
        raise Refused(400, f"{uri} is not the address of archived data.")
    return owner, resource.strip("/"), file


def _filed(connection: sqlite3.Connection, call: Call, uri: str) -> list[Filed]:
    owner, resource, file = _address(uri)
    parent = resolve(connection, call.user, owner)
    found = listings.with_lower(connection, parent.items)
    filed = listings.files(connection, found, parent.side, resource)
    return [one for one in filed if not file or one.file.path == file]


def _labelled(filed: list[Filed], uri: str) -> list[Filed]:
    """Return the files of a resource that an address names by its label; a number names none."""
    label = _address(uri)[1]
    return [one for one in filed if label in ("", one.resource.label)]


@endpoint
def refresh(call: Call) -> Response:
    """Bring catalogs and contents together; sizes in any case.

    ``checksum`` computes checksums again; ``delete`` drops entries whose content is gone;
    ``populateStats`` counts those that are there. Without any option all are meant.
    """
    named = {part.strip() for text in call.all("options") for part in text.split(",")} - {""}
    wanted = (named | {option for option in _OPTIONS if call.flag(option)}) or set(_OPTIONS)
    if not call.all("resource"):
        raise Refused(400, "Name what to refresh: resource=/archive/...")
    with call.archive.database.read() as connection:
        filed = [
            one
            for uri in call.all("resource")
            for one in _labelled(_filed(connection, call, uri), uri)
        ]
        for one in filed:
            demand(may_edit(connection, call.user, one.item.project))
    blobs = call.archive.blobs
    gone = [one.file for one in filed if not blobs.path(one.file.blob).is_file()]
    there = [one.file for one in filed if one.file not in gone]
    summed = []
    if "checksum" in wanted:
        summed = [(file_digest(blobs.path(file.blob), "md5"), file) for file in there]
    sized = [(blobs.path(file.blob).stat().st_size, file) for file in there]
    with call.archive.database.write() as connection:
        if "delete" in wanted:
            connection.executemany("DELETE FROM file WHERE blob = ?", [(f.blob,) for f in gone])
        for column, values in (("digest", summed), ("size", sized)):
            connection.executemany(
                f"UPDATE file SET {column} = ? WHERE resource = ? AND path = ? AND blob = ?",
                [(value, file.resource, file.path, file.blob) for value, file in values],
            )
        if "populateStats" in wanted:
            lost = Counter(one.resource for one in gone if "delete" not in wanted)
            connection.executemany(
                "INSERT OR REPLACE INTO lost VALUES (?, ?)",
                [(key, lost[key]) for key in {one.file.resource for one in filed}],
            )
    return text()


@endpoint
def dicom_dump(call: Call) -> Response:
    """Show the elements of the first DICOM file below an address."""
    src = call.get("src")
    path = _prearchive_file(call, src) if "/prearchive/" in src else _archive_file(call, src)
    try:
        rows = list(dump(path, call.all("field")))
    except NotDicomError as error:
        raise Refused(400, f"unable to read DICOM object: {error}") from error
    return table_response(call, _COLUMNS, rows)


def _archive_file(call: Call, src: str) -> Path:
    with call.archive.database.read() as connection:
        filed = _filed(connection, call, src)
    filed = [one for one in filed if one.resource.label != "secondary"]
    dicom = [one for one in filed if one.file.uid] or [
        one for one in filed if one.file.format == "DICOM" or one.resource.format == "DICOM"
    ]
    if not dicom:
        raise not_found("DICOM file")
    return call.archive.blobs.path(dicom[0].file.blob)


def _prearchive_file(call: Call, src: str) -> Path:
    parts = src.removeprefix("/data").strip("/").split("/")
    if len(parts) < 5 or parts[1] != "projects":
        raise Refused(400, f"{src} is not the address of a prearchive session.")
    with call.archive.database.read() as connection:
        session = prearchive.find(connection, parts[2], parts[3], parts[4])
        if session is None:
            raise not_found("session")
        demand(prearchive.may_change(connection, call.user, session))
        scan = parts[6] if len(parts) > 6 else ""
        for described in prearchive.described(connection, session).scans:
            if scan in ("", described.id):
                rows = prearchive.files(connection, session, [described.series])
                return call.archive.blobs.path(rows[0]["blob"])
    raise not_found("scan")


routes = [
    Route("/data/services/refresh/catalog", refresh, methods=["POST"]),
    Route("/data/services/dicomdump", dicom_dump, methods=["GET"]),
]
