"""Regions as the ROI plugin of the OHIF viewer serves them (xapi/roi).

A collection is an assessor of the type ``icr:roiCollectionData`` with one file in the ``out``
resource that has the name of its kind. Twins (RTSTRUCT of AIM and back) are not made here.
"""

import sqlite3

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from .. import elements, filing, items, listings, lookup, roi_files
from ..blobs import Blob
from ..http import Call, endpoint, streaming, text
from ..items import Item
from ..refusals import Refused, not_found
from ..roi_files import AIM, RTSTRUCT, SEG, Collection
from .bodies import receive

XSI_TYPE = "icr:roiCollectionData"
_FILES = {
    AIM: ("xml", "XML", "AIM instance file"),
    RTSTRUCT: ("dcm", "DICOM", "RT Structure Set"),
    SEG: ("dcm", "DICOM", "DICOM Segmentation"),
}
_MEASUREMENTS = "MEAS"
# Session types on which contours and masks may lie; AIM may lie on any.
_IMAGED = (
    "xnat:mrSessionData",
    "xnat:ctSessionData",
    "xnat:petSessionData",
    "xnat:petmrSessionData",
    "xnat:usSessionData",
)


@streaming
async def store(call: Call) -> Response:
    """Store a collection from its file."""
    kind = call.get("type").upper()
    if kind == _MEASUREMENTS:
        raise Refused(501, "The sandbox does not store measurements (MEAS), which the plugin does.")
    if kind not in _FILES:
        raise Refused(422, "Name the type of the collection: AIM, RTSTRUCT or SEG.")
    await run_in_threadpool(_session, call)
    async with receive(call, chunked_status=400) as received:
        if len(received) != 1:
            raise Refused(422, "Send one file.")
        path = received[0].content.path
        read = await run_in_threadpool(roi_files.read_collection, path, kind)
        name = f"{call.path('label')}.{_FILES[kind][0]}"
        blob = await run_in_threadpool(call.archive.blobs.commit, received[0].content, name)
    try:
        made, obsolete = await run_in_threadpool(_record, call, read, blob, name)
    except BaseException:
        call.archive.blobs.remove([blob.path])
        raise
    call.archive.blobs.remove(obsolete)
    return text(made.id)


def _session(call: Call) -> Item:
    """Return the session by its ID, within the project of the address."""
    with call.archive.database.read() as connection:
        names = call.path("project"), call.path("session")
        return lookup.session_by_id(connection, call.user, *names, edit=True)


def _record(call: Call, read: Collection, blob: Blob, name: str) -> tuple[Item, list[str]]:
    """List a collection; return its assessor and the contents to remove."""
    label, session = call.path("label"), _session(call)
    with call.archive.database.write() as connection:
        _check_images(connection, session, read)
        old = items.find_experiment(connection, label, session.project)
        obsolete: list[str] = []
        if old is not None and old.parent != session.pk:
            raise Refused(409, f"{label} is in use in another session.")
        if old is not None:
            if old.xsi_type != XSI_TYPE or not call.flag("overwrite"):
                raise Refused(422, f"{label} exists already; ask to overwrite it.")
            for resource in filing.resources_of(connection, old):
                obsolete += filing.delete_resource(connection, resource)
            items.set_fields(connection, old, dict.fromkeys(items.fields(connection, old)))
        made = old or items.create(
            connection,
            "assessor",
            label=label,
            xsi_type=XSI_TYPE,
            project=session.project,
            parent=session,
            user=call.user.login,
        )
        items.set_fields(connection, made, _fields(connection, session, read, label))
        ending, format_, description = _FILES[read.type]
        resource = filing.create_resource(
            connection,
            made,
            read.type,
            side="out",
            format=format_,
            content="EXTERNAL",
            description=description,
        )
        filing.put_file(
            connection,
            resource,
            name,
            blob,
            user=call.user.login,
            format=format_,
            content="EXTERNAL",
            uid=read.uid if ending == "dcm" else "",
        )
    return made, obsolete


def _fields(
    connection: sqlite3.Connection, session: Item, read: Collection, label: str
) -> dict[str, str | None]:
    subject = items.get(connection, session.parent) if session.parent is not None else None
    values: dict[str, str | None] = {
        "UID": read.uid,
        "collectionType": read.type,
        "name": read.name or label,
        "date": read.date,
        "time": read.time,
        "subjectID": subject.id if subject is not None else "",
    }
    for number, uid in enumerate(sorted(read.series), start=1):
        predicate = f"[{number}]" if number > 1 else ""
        values[f"references/seriesUID{predicate}"] = uid
    return {elements.canonical(XSI_TYPE, key): value for key, value in values.items() if value}


def _check_images(connection: sqlite3.Connection, session: Item, read: Collection) -> None:
    """Refuse regions that lie on other images than the session's."""
    if read.type != AIM and session.xsi_type not in _IMAGED:
        raise Refused(422, f"A collection of the kind {read.type} needs MR, CT, PT or US images.")
    uid = items.fields(connection, session).get("UID", "")
    if len(read.studies) != 1 or (uid and uid not in read.studies):
        raise Refused(422, "Missing dependencies: the regions lie on another study.")
    by_series = _scans(connection, session)
    missing = read.series - set(by_series)
    if missing or not read.series:
        raise Refused(422, "Missing dependencies: the session has not all series of the regions.")
    scans = [by_series[one] for one in read.series]
    known = {one.file.uid for one in listings.files(connection, scans) if one.file.uid}
    # Files that were put in one by one may carry no UID in the catalog: then nothing is known.
    if known and not read.instances <= known:
        raise Refused(422, "Missing dependencies: the session has not all images of the regions.")


def _scans(connection: sqlite3.Connection, session: Item) -> dict[str, Item]:
    """Return the scans of a session by series UID."""
    scans = items.children(connection, session, "scan")
    found = {items.fields(connection, one).get("UID", ""): one for one in scans}
    found.pop("", None)
    return found


def _collection(connection: sqlite3.Connection, call: Call, *, edit: bool = False) -> Item:
    """Return the collection of the address, by ID or label.

    Raises
    ------
    Refused
        404 where there is none.
    """
    project = lookup.project(connection, call.user, call.path("project"), edit=edit)
    found = items.find_experiment(connection, call.path("label"), project.id)
    if found is None or found.xsi_type != XSI_TYPE:
        raise not_found("collection")
    return found


def _file(connection: sqlite3.Connection, call: Call, found: Item, kind: str) -> filing.File:
    kind = kind or items.fields(connection, found).get("collectionType", "")
    resource = filing.find_resource(connection, found, kind, "out")
    resource = resource or filing.find_resource(connection, found, kind)
    files = filing.files_of(connection, resource) if resource is not None else []
    if not files:
        raise not_found(f"{kind or 'collection'} file")
    return files[0]


@endpoint
def fetch(call: Call) -> Response:
    """Return the file of a collection."""
    with call.archive.database.read() as connection:
        found = _collection(connection, call)
        file = _file(connection, call, found, call.get("type").upper())
    path = call.archive.blobs.path(file.blob)
    return FileResponse(path, media_type="application/octet-stream", filename=file.path)


@endpoint
def delete(call: Call) -> Response:
    """Delete a collection."""
    with call.archive.database.write() as connection:
        blobs = items.delete(connection, _collection(connection, call, edit=True))
    call.archive.blobs.remove(blobs)
    return text()


_PROJECT = "/xapi/roi/projects/{project}"
routes = [
    Route(_PROJECT + "/sessions/{session}/collections/{label}", store, methods=["PUT"]),
    Route(_PROJECT + "/collections/{label}", fetch, methods=["GET"]),
    Route(_PROJECT + "/collections/{label}", delete, methods=["DELETE"]),
]
