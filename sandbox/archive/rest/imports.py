"""The import service: DICOM-zip, SI and gradual-DICOM, and direct archiving."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from .. import importing, items, listings, prearchive
from ..accounts import GUEST, demand, may_delete, may_edit
from ..archiving import Outcome
from ..blobs import IncomingFile, Placing
from ..dicom_files import NotDicomError, read_header
from ..dicom_rules import file_name
from ..http import Call, endpoint, json_text, streaming, text
from ..importing import Destination, Incoming, Order, parse_destination
from ..merging import Policy
from ..prearchive import Session
from ..refusals import Refused, not_found
from ..unpack import PIECE, archive_kind
from .bodies import Received, receive
from .parents import CACHE, resolve

_ZIP, _SI, _GRADUAL = "DICOM-zip", "SI", "gradual-DICOM"
_HANDLERS = {name.lower(): name for name in (_ZIP, _SI, _GRADUAL)}
# The name that a body without one gets, by its content type; others give no extension.
_NAMES = {
    "application/zip": "upload.zip",
    "application/x-zip": "upload.zip",
    "application/x-zip-compressed": "upload.zip",
    "application/x-tar": "upload.tar",
    "application/x-gtar": "upload.tar.gz",
}
_CACHED = re.compile(r"(?:/data)?/user/cache/resources/([^/]+)/files/(.+)")
_sending: set[tuple[int, str, str]] = set()
_sending_lock = threading.Lock()


@dataclass(frozen=True)
class Source:
    """What is imported: `content` for something that just arrived, and may be kept as it is."""

    name: str
    path: Path
    content: IncomingFile | None = None


@streaming
async def import_(call: Call) -> Response:
    """Take in a study."""
    demand(call.user is not GUEST)
    handler = _handler(call)
    parse_destination(call.get("dest"))
    if call.get("src"):
        return await run_in_threadpool(_import_cached, call, handler)
    async with receive(call, chunked_status=400) as received:
        if len(received) != 1:
            raise Refused(400, "Importer is limited to one uploaded resource at a time.")
        return await run_in_threadpool(_import_received, call, handler, received[0])


def _import_received(call: Call, handler: str, received: Received) -> Response:
    content = received.content
    content.close()
    name = received.name or _NAMES.get(call.content_type, "")
    return _import(call, handler, Source(name, content.path, content))


def _import_cached(call: Call, handler: str) -> Response:
    """Take in a file that the user put into the cache before."""
    match = _CACHED.match(call.get("src"))
    if match is None:
        raise Refused(400, "src names a file of /user/cache/resources/NAME/files/PATH.")
    with call.archive.database.read() as connection:
        parent = resolve(connection, call.user, CACHE)
        found = listings.files(connection, parent.items, name=match[1])
    for one in found:
        if one.file.path == match[2]:
            path = call.archive.blobs.path(one.file.blob)
            return _import(call, handler, Source(one.file.path, path))
    raise not_found("file")


def _handler(call: Call) -> str:
    asked = call.get("import-handler") or _ZIP
    handler = _HANDLERS.get(asked.lower())
    if handler is None:
        raise Refused(404, f"There is no import handler {asked}.")
    return handler


def _import(call: Call, handler: str, source: Source) -> Response:
    order = _order(call, handler)

    def gather(placing: Placing) -> list[Incoming]:
        if handler == _GRADUAL:
            return [_single(placing, source)]
        kind = archive_kind(source.name)
        if not kind:
            raise Refused(400, "Unsupported format; send a zip, or name the file's type.")
        return importing.objects_of_archive(
            call.archive.blobs, placing, source.path, kind, lenient=order.lenient
        )

    with _alone(call, source) if handler == _GRADUAL else nullcontext():
        outcomes = importing.import_objects(call.archive, call.user, order, gather)
    return _answer(handler, outcomes)


def _single(placing: Placing, source: Source) -> Incoming:
    header = _header(source)
    name = file_name(header, source.name)
    if source.content is not None:
        return Incoming(header, placing.commit(source.content, name), source.name)
    with source.path.open("rb") as file:
        blob = placing.store(iter(lambda: file.read(PIECE), b""), name)
    return Incoming(header, blob, source.name)


def _header(source: Source) -> dict[str, str]:
    try:
        return read_header(source.path)
    except NotDicomError as error:
        raise Refused(400, f"unable to read DICOM object: {error}") from error


@contextmanager
def _alone(call: Call, source: Source) -> Iterator[None]:
    """Refuse an object that is being taken in at this moment already."""
    header = _header(source)
    key = (id(call.archive), header["StudyInstanceUID"], header["SOPInstanceUID"])
    with _sending_lock:
        if key in _sending:
            raise Refused(400, "Concurrent file sends of the same data is not supported.")
        _sending.add(key)
    try:
        yield
    finally:
        with _sending_lock:
            _sending.discard(key)


def _order(call: Call, handler: str) -> Order:
    destination = parse_destination(call.get("dest"))
    plain = handler != _GRADUAL
    commit = call.get("action").lower() == "commit"
    archive = destination.place == "archive" or (
        commit and not destination.place and (call.flag("AA") or call.flag("auto-archive"))
    )
    return Order(
        destination=destination,
        project=(plain and call.get("project")) or call.get("PROJECT_ID") or destination.project,
        subject=(plain and call.get("subject")) or call.get("SUBJECT_ID") or destination.subject,
        session=(plain and call.get("session"))
        or call.get("EXPT_LABEL")
        or _session_label(call, destination),
        policy=Policy.of_import(call.get("overwrite"), call.flag("overwrite_files")),
        build=commit or bool(destination.place and plain) or handler == _SI,
        archive=archive and (plain or commit),
        direct=call.flag("Direct-Archive"),
        lenient=call.flag("Ignore-Unparsable", commit),
        rename=call.flag("rename"),
        gradual=not plain,
        prevent_auto_commit=call.flag("prevent_auto_commit"),
        source=call.get("SOURCE"),
        visit=call.get("VISIT"),
        timezone=call.get("TIMEZONE"),
        prevent_anon=call.flag("prevent_anon"),
    )


def _session_label(call: Call, destination: Destination) -> str:
    """Return the label that ``dest`` names, also where it names an experiment by its ID."""
    if not destination.session:
        return destination.folder
    with call.archive.database.read() as connection:
        found = items.find_experiment(connection, destination.session, destination.project)
    return found.label if found is not None else destination.session


def _answer(handler: str, outcomes: list[Outcome]) -> Response:
    """Answer the URIs, or the first reason why a session was not archived."""
    for outcome in outcomes:
        refusal = outcome.refusal
        if refusal is not None and handler == _SI:
            raise refusal
        if refusal is not None:
            raise Refused(
                403 if refusal.status == 403 else 400,
                f"unable to archive for the Prearchive session: {refusal.message}",
            )
    return uri_list([outcome.uri for outcome in outcomes])


def uri_list(uris: list[str]) -> Response:
    """Return URIs one a line."""
    return text("".join(f"{uri}\r\n" for uri in uris), media_type="text/uri-list")


@endpoint
def direct_list(call: Call) -> Response:
    """List the sessions on their way straight to the archive."""
    with call.archive.database.read() as connection:
        found = [
            _state(one)
            for one in prearchive.sessions(connection, direct=True)
            if may_edit(connection, call.user, one.project)
        ]
    return json_text(found)


def _direct(call: Call) -> Session:
    wanted = (call.path("project"), call.path("study"), call.path("label"))
    with call.archive.database.read() as connection:
        for session in prearchive.sessions(connection, direct=True):
            if (session.project, session.tag, session.folder) == wanted:
                demand(may_edit(connection, call.user, session.project))
                return session
    raise not_found("session")


@endpoint
def direct_state(call: Call) -> Response:
    """Tell what is known of a session on its way straight to the archive."""
    return json_text(_state(_direct(call)))


def _state(session: Session) -> dict[str, object]:
    return {
        "id": session.pk,
        "project": session.project,
        "subject": session.subject,
        "folderName": session.folder,
        "name": session.name,
        "tag": session.tag,
        "status": session.status,
        "source": session.source,
        "lastBuiltDate": int(session.lastmod * 1000),
    }


@endpoint
def direct_trigger(call: Call) -> Response:
    """Archive a session on its way now."""
    session = _direct(call)
    importing.finish(call.archive, session.pk)
    return text()


@endpoint
def direct_delete(call: Call) -> Response:
    """Drop a session on its way."""
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        for session in prearchive.sessions(connection, direct=True):
            if str(session.pk) == call.path("number"):
                demand(may_delete(connection, call.user, session.project))
                placing.drop(*prearchive.remove(connection, session))
                return text()
    raise not_found("session")


_DIRECT = "/xapi/direct-archive/{project}/{study}/{label}"
routes = [
    Route("/data/services/import", import_, methods=["POST", "PUT"]),
    Route("/xapi/direct-archive", direct_list, methods=["POST"]),
    Route(_DIRECT, direct_state, methods=["GET"]),
    Route(_DIRECT, direct_trigger, methods=["POST"]),
    Route("/xapi/direct-archive/{number}", direct_delete, methods=["DELETE"]),
]
