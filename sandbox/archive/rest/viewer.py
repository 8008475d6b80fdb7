"""The study list of the OHIF viewer's plugin (xapi/viewer), as its viewer (OHIF 2) reads it.

The addresses are those of the plugin's release notes; the keys are those of OHIF's JSON of studies.
"""

import sqlite3
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from .. import items, listings, lookup
from ..accounts import demand, may_edit
from ..dicom_files import NotDicomError, read_attributes
from ..http import Call, endpoint, json_text, text
from ..items import Item
from ..refusals import not_found

_MADE = "viewer study"
_STUDY = (
    *("StudyInstanceUID", "StudyDescription", "StudyDate", "StudyTime"),
    *("PatientName", "PatientID"),
)
_SERIES = ("SeriesInstanceUID", "SeriesDescription", "SeriesNumber", "Modality")
_INSTANCE = (
    *("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns"),
    *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness"),
    *("FrameOfReferenceUID", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept"),
    *("WindowCenter", "WindowWidth"),
)


def _session(connection: sqlite3.Connection, call: Call) -> Item:
    """Return the session by its ID, within the project of the address."""
    names = call.path("project"), call.path("experiment")
    return lookup.session_by_id(connection, call.user, *names)


@endpoint
def study_list(call: Call) -> Response:
    """Return the studies of a session, with every series and image; made where it was not."""
    with call.archive.database.write() as connection:
        session = _session(connection, call)
        _note(connection, session)
        scans = items.children(connection, session, "scan")
        filed = listings.files(connection, scans)
    studies: dict[str, dict[str, Any]] = {}
    for one in filed:
        if not one.file.uid:
            continue
        try:
            known = read_attributes(
                call.archive.blobs.path(one.file.blob), (*_STUDY, *_SERIES, *_INSTANCE)
            )
        except NotDicomError:
            continue
        study = studies.setdefault(
            str(known.get("StudyInstanceUID", "")), {**_some(known, _STUDY), "series": {}}
        )
        series = study["series"].setdefault(
            str(known.get("SeriesInstanceUID", "")), {**_some(known, _SERIES), "instances": []}
        )
        address = (
            f"{call.request.base_url}data/experiments/{session.id}/scans/{one.item.id}"
            f"/resources/{one.resource.pk}/files/{one.file.path}"
        )
        instance = {"metadata": known, "url": f"dicomweb:{address}"}
        series["instances"].append(instance)
    listed = [{**one, "series": list(one["series"].values())} for one in studies.values()]
    return json_text({"transactionId": session.id, "studies": listed})


def _some(known: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: known[name] for name in names if name in known}


def _note(connection: sqlite3.Connection, session: Item) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO document VALUES (?, ?, ?, '')", (session.project, _MADE, session.id)
    )


@endpoint
def exists(call: Call) -> Response:
    """Tell whether the list of a session was made: 404 where it was not."""
    with call.archive.database.read() as connection:
        session = _session(connection, call)
        row = connection.execute(
            "SELECT 1 FROM document WHERE owner = ? AND kind = ? AND name = ?",
            (session.project, _MADE, session.id),
        ).fetchone()
    if row is None:
        raise not_found("study list")
    return text()


@endpoint
def make(call: Call) -> Response:
    """Make the list of a session anew; that needs the right to edit."""
    with call.archive.database.write() as connection:
        session = _session(connection, call)
        demand(may_edit(connection, call.user, session.project))
        _note(connection, session)
    return text("", 201)


@endpoint
def viewer_page(call: Call) -> Response:
    """Show the session's page in the place of the viewer, which the sandbox has not."""
    return RedirectResponse(f"/experiments/{call.get('experimentId')}", 302)


_SESSION = "/xapi/viewer/projects/{project}/experiments/{experiment}"
routes = [
    Route(_SESSION, study_list, methods=["GET"]),
    Route(_SESSION, make, methods=["POST"]),
    Route(_SESSION + "/exists", exists, methods=["GET"]),
    Route("/VIEWER", viewer_page, methods=["GET"]),
]
