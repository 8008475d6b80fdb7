"""Files of resources: upload, list, download, delete."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .. import filing, listings
from ..accounts import demand
from ..blobs import Blob, Placing
from ..filing import check_path
from ..http import Call, endpoint, json_text, streaming, table_response, text
from ..listings import Addresses, Filed
from ..refusals import Refused, not_found
from ..unpack import PIECE, Budget, archive_kind, members
from .bodies import Received, is_file_type, receive
from .justification import demand_reason
from .parents import CACHE, may_delete, resolve
from .sending import disposition, media_type, send_archive, send_file

_COLUMNS: tuple[str, ...] = (
    "Name",
    "Size",
    "URI",
    "collection",
    "file_tags",
    "file_format",
    "file_content",
)
_COLUMNS += ("cat_ID", "digest")
_ARCHIVES = ("zip", "tar", "tar.gz", "gzip", "x-tar", "x-gtar")
_LOCATORS = {"absolutepath": "absolutePath", "projectpath": "projectPath"}


def address_path(call: Call) -> str:
    """Return the path of a file that an address names, as XNAT reads it.

    It is decoded only where it holds ``%20`` or ``%2B``; else a name stays percent-encoded, also
    where it is stored (FileList:153).
    """
    decoded = call.path("path")
    raw = call.request.scope["raw_path"].decode("utf-8", "replace").split("/")
    for count in range(1, len(raw)):
        encoded = "/".join(raw[-count:])
        if unquote(encoded) == decoded:
            break
    else:
        return decoded
    if "%20" in encoded or "%2B" in encoded:
        return unquote_plus(encoded)
    return encoded


def _chosen(call: Call) -> list[Filed]:
    """Return the files an address and its filters mean."""
    path = address_path(call)
    with call.archive.database.read() as connection:
        parent = resolve(connection, call.user, call.path("parent"))
        found = (
            listings.with_lower(connection, parent.items)
            if call.flag("all")
            else list(parent.items)
        )
        name = call.path("resource")
        # An unknown label lists nothing; a number is looked up, and must be there.
        is_known = not name or listings.resources(connection, found, parent.side, name)
        if not is_known and (name.isdecimal() or call.format() in _ARCHIVES):
            raise Refused(403, "Invalid resource.") if name.isdecimal() else not_found("resource")
        filed = listings.files(connection, found, parent.side, name)
    if path:
        inside = path if path.endswith("/") else path + "/"
        filed = [one for one in filed if one.file.path == path or one.file.path.startswith(inside)]
    return filed


def _filtered(call: Call, filed: list[Filed]) -> list[Filed]:
    """Apply ``file_format``, ``file_content`` and ``recursive``."""
    formats, contents = call.all("file_format"), call.all("file_content")
    depth = address_path(call).rstrip("/").count("/") + bool(address_path(call))
    return [
        one
        for one in filed
        if _passes(formats, one.file.format or one.resource.format)
        and _passes(contents, one.file.content or one.resource.content)
        and (call.flag("recursive", True) or one.file.path.count("/") <= depth)
    ]


def _passes(wanted: list[str], value: str) -> bool:
    names = [part for text in wanted for part in text.split(",")]
    return not names or (value or "NULL") in names


@endpoint
def get(call: Call) -> Response:
    """Return a file, a listing, or an archive of files."""
    path = address_path(call)
    if "!/" in path:
        return _inside_zip(call, path)
    filed = _chosen(call)
    if path and not path.endswith("/"):
        exact = next((one for one in filed if one.file.path == path), None)
        if exact is not None:
            return send_file(call, exact.file)
        if not filed or call.format() not in _ARCHIVES:
            return _missing(call)
    filed = _filtered(call, filed)
    index = call.get("index")
    if index.isascii() and index.isdigit():
        return _numbered(call, filed, int(index))
    if call.format("json") in _ARCHIVES:
        return send_archive(call, filed)
    return _listing(call, filed)


def _numbered(call: Call, filed: list[Filed], index: int) -> Response:
    """Return the file of a number among those that fit, in place of their listing."""
    return send_file(call, filed[index].file) if index < len(filed) else _missing(call)


def _missing(call: Call) -> Response:
    if call.flag("accept-not-found"):
        return Response(status_code=204)
    raise Refused(404, "Unable to find catalog entry for given uri.")


def _listing(call: Call, filed: list[Filed]) -> Response:
    locator = _LOCATORS.get(call.get("locator").lower(), "URI")
    columns = tuple(locator if name == "URI" else name for name in _COLUMNS)
    with call.archive.database.read() as connection:
        addresses = Addresses(connection)
        rows = []
        for one in filed:
            place = addresses.file(one)
            if locator == "absolutePath":
                place = str(call.archive.blobs.path(one.file.blob).resolve())
            elif locator == "projectPath":
                place = one.file.blob
            rows.append(
                {
                    "Name": one.file.path.rpartition("/")[2],
                    "Size": one.file.size,
                    locator: place,
                    "collection": one.resource.label,
                    "file_tags": one.file.tags,
                    "file_format": one.file.format or one.resource.format,
                    "file_content": one.file.content or one.resource.content,
                    "cat_ID": one.resource.pk,
                    "digest": one.file.digest,
                }
            )
    return table_response(call, columns, rows, title="Files", total=False, described=True)


def _inside_zip(call: Call, path: str) -> Response:
    """Send one file out of a stored zip."""
    outer, _, inner = path.partition("!/")
    call.request.path_params["path"] = outer
    exact = next((one for one in _chosen(call) if one.file.path == outer), None)
    if exact is None:
        return _missing(call)
    archive = call.archive.blobs.path(exact.file.blob)
    try:
        with zipfile.ZipFile(archive) as opened:
            info = opened.getinfo(inner)
    except (zipfile.BadZipFile, KeyError) as error:
        raise Refused(404, "Unable to find file.") from error

    def pieces() -> Iterator[bytes]:
        with zipfile.ZipFile(archive) as opened, opened.open(info) as source:
            while piece := source.read(PIECE):
                yield piece

    name = inner.rpartition("/")[2]
    headers = {"Content-Disposition": disposition("attachment", name)}
    return StreamingResponse(pieces(), headers=headers, media_type=media_type(name))


@streaming
async def put(call: Call) -> Response:
    """Store files: the body, the parts of a form, an archive's members, or files on this disk."""
    if not call.path("resource"):
        raise Refused(400, "Name the resource to put the file into: .../resources/NAME/files/PATH.")
    await run_in_threadpool(_check, call)
    if call.get("reference"):
        return await run_in_threadpool(_put_reference, call)
    multipart = call.content_type.startswith("multipart/")
    if multipart and call.flag("inbody"):
        raise Refused(400, "A form of several parts cannot be sent with inbody=true.")
    if not multipart and not call.flag("inbody") and not is_file_type(call.content_type):
        raise Refused(
            400,
            "You tried to PUT to this service, but did not provide content it takes: send a"
            " form of several parts, a Content-Type such as application/octet-stream, or"
            " inbody=true.",
        )
    async with receive(call, chunked_status=500) as received:
        if not received:
            raise Refused(400, "The form holds no file.")
        return await run_in_threadpool(_put_received, call, received)


def _check(call: Call) -> None:
    """Refuse what is not there or not allowed before its body arrives."""
    demand_reason(call)
    if call.path("path").rstrip("/"):  # also where it is stored as it was encoded
        check_path(call.path("path").rstrip("/"))
    if call.path("parent") == CACHE:
        check_path(call.path("resource"))
        return
    with call.archive.database.read() as connection:
        parent = resolve(connection, call.user, call.path("parent"), edit=True)
        if not listings.resources(connection, [parent.one], parent.side, call.path("resource")):
            check_path(call.path("resource"))


def _put_received(call: Call, received: list[Received]) -> Response:
    with call.archive.blobs.placing() as placing:
        placed: list[tuple[str, Blob]] = []
        for one in received:
            name = _target(call, one.name, len(received))
            kind = archive_kind(name) if call.flag("extract") else ""
            if kind:
                one.content.close()
                budget = Budget(one.content.size)
                for member in members(one.content.path, kind, budget):
                    placed.append((member.name, placing.store(member.pieces, member.name)))
            else:
                placed.append((name, placing.commit(one.content, name)))
        return _file(call, placing, placed)


def _target(call: Call, given: str, count: int) -> str:
    """Return a file's path within the resource from the address and the sender's name for it."""
    path = address_path(call)
    given = given.replace("\\", "/").rpartition("/")[2]
    if path and not path.endswith("/") and count == 1:
        return check_path(path)
    if not given:
        raise Refused(400, "Name the file at the end of the address.")
    return check_path(f"{path.rstrip('/')}/{given}" if path else given)


def _put_reference(call: Call) -> Response:
    """Copy a file or folder of this machine."""
    demand(call.user.is_admin, "Only an administrator may take files from the server's disk.")
    source = Path(call.get("reference"))
    if not source.is_absolute() or not source.exists():
        raise Refused(400, f"There is no file or folder {call.get('reference')!r} on the server.")
    path = address_path(call).rstrip("/")
    with call.archive.blobs.placing() as placing:
        placed = []
        for file in _files_below(source):
            relative = file.relative_to(source).as_posix()
            if source.is_file():
                name = path or source.name
            else:
                name = f"{path}/{relative}" if path else relative
            with file.open("rb") as opened:
                pieces = iter(lambda: opened.read(PIECE), b"")
                placed.append((check_path(name), placing.store(pieces, name)))
        return _file(call, placing, placed)


def _files_below(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink())


def _file(call: Call, placing: Placing, placed: list[tuple[str, Blob]]) -> Response:
    """List contents in the resource; answer which of them were there already."""
    duplicates: list[str] = []
    attributes = {name: call.get(name) for name in ("format", "content", "description")}
    with call.archive.database.write() as connection:
        parent = resolve(connection, call.user, call.path("parent"), edit=True)
        name = call.path("resource")
        found = listings.resources(connection, [parent.one], parent.side, name)
        resource = (
            found[0].resource
            if found
            else filing.create_resource(connection, parent.one, name, side=parent.side)
        )
        for path, blob in placed:
            stored, obsolete = filing.put_file(
                connection,
                resource,
                path,
                blob,
                user=call.user.login,
                overwrite=call.flag("overwrite"),
                tags=",".join(call.all("tags")),
                **attributes,
            )
            placing.drop(obsolete)
            if not stored:
                duplicates.append(path)
    if duplicates:
        answer = json_text({"duplicates": duplicates})
        answer.headers["content-type"] = "text/html"
        return answer
    return text()


@endpoint
def delete(call: Call) -> Response:
    """Delete a file, or a folder with all below it."""
    demand_reason(call)
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        found = _chosen(call) if address_path(call) else []
        if not found:
            raise Refused(404, "No matched files.")
        demand(all(may_delete(connection, call.user, one.item) for one in found))
        placing.drop(*filing.delete_files(connection, [one.file for one in found]))
    return text()


routes = [
    Route(base + end, function, methods=methods)
    for base in ("/data/{parent:parent}/resources/{resource}/files", "/data/{parent:parent}/files")
    for end in ("", "/{path:path}")
    for function, methods in ((get, ["GET"]), (put, ["PUT", "POST"]), (delete, ["DELETE"]))
]
