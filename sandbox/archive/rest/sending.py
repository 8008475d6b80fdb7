"""Send stored files: one as it is, many as an archive made on the way."""

import mimetypes
from collections.abc import Iterator
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from .. import listings
from ..downloads import Entry, tar_stream, zip_stream
from ..filing import File
from ..http import Call
from ..listings import Filed
from ..refusals import Refused, not_found
from .parents import Parent, resolve, scan_types

_KINDS = {
    "zip": ("zip", "application/zip"),
    "tar": ("tar", "application/x-tar"),
    "x-tar": ("tar", "application/x-tar"),
    "tar.gz": ("tar.gz", "application/x-gtar"),
    "gzip": ("tar.gz", "application/x-gtar"),
    "x-gtar": ("tar.gz", "application/x-gtar"),
}
# What a browser would run on this server's account is never shown in place.
_ACTIVE = ("text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", "application/xml")


def disposition(kind: str, name: str) -> str:
    """Return a Content-Disposition header for any file name."""
    plain = name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_")
    header = f'{kind}; filename="{plain}"'
    return header if name.isascii() else f"{header}; filename*=UTF-8''{quote(name)}"


def media_type(name: str) -> str:
    """Return a file's content type by its extension."""
    kind, encoding = mimetypes.guess_type(name)
    return kind if kind and not encoding else "application/octet-stream"


def send_file(call: Call, file: File) -> Response:
    """Send one file."""
    path = call.archive.blobs.path(file.blob)
    if not path.is_file():
        raise not_found("file")
    name = file.path.rpartition("/")[2]
    kind = media_type(name)
    headers = {
        "Content-Disposition": disposition("attachment" if kind in _ACTIVE else "inline", name),
        "X-Content-Type-Options": "nosniff",
    }
    return FileResponse(path, headers=headers, media_type=kind)


def archive_response(call: Call, entries: Iterator[Entry], name: str) -> Response:
    """Send files as an archive of the format asked for; its length is not known before."""
    ending, kind = _KINDS.get(call.format("zip"), _KINDS["zip"])
    level = call.get("compression") or "1"
    if not (level.isascii() and level.isdigit()) or int(level) > 9:
        raise Refused(400, "The compression is a number from 0 to 9.")
    if ending == "zip":
        stream = zip_stream(entries, int(level))
    else:
        stream = tar_stream(entries, compress=ending == "tar.gz", level=int(level))
    headers = {"Content-Disposition": disposition("attachment", f"{name}.{ending}")}
    return StreamingResponse(stream, headers=headers, media_type=kind)


def send_archive(call: Call, chosen: list[Filed] | None = None) -> Response:
    """Send the files that the address means, or those already chosen."""
    with call.archive.database.read() as connection:
        parent = resolve(connection, call.user, call.path("parent"))
        found = list(parent.items)
        if call.flag("all"):
            found = listings.with_lower(connection, found)
        if chosen is None:
            chosen = listings.files(connection, found, parent.side, call.path("resource"))
        labels: dict[int | None, str] = {one.pk: one.label for one in found}
        scans = {one.item.pk: one.item for one in chosen if one.item.kind == "scan"}
        types = scan_types(connection, scans.values())
    if not chosen:
        raise Refused(404, "Unable to find the specified files.")
    return archive_response(call, _entries(call, parent, chosen, types, labels), parent.above.label)


def _entries(
    call: Call,
    parent: Parent,
    chosen: list[Filed],
    types: dict[int, str],
    labels: dict[int | None, str],
) -> Iterator[Entry]:
    structure = call.get("structure")
    for one in chosen:
        owner = one.item.parent if one.item.kind in ("scan", "assessor", "reconstruction") else None
        session = labels.get(owner, "") if owner not in (None, parent.above.pk) else ""
        kind = types.get(one.item.pk, "")
        name = listings.member_name(parent.above, one, structure, scan_type=kind, session=session)
        yield Entry(name, call.archive.blobs.path(one.file.blob), one.file.size)
