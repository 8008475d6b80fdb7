"""Resources: make, list, delete, and their catalogs."""

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from starlette.responses import Response
from starlette.routing import Route

from .. import filing, listings
from ..accounts import demand
from ..filing import File, Resource
from ..http import Call, endpoint, table_response, text
from ..listings import Counted
from ..refusals import Refused, not_found
from .justification import demand_reason
from .parents import Parent, may_delete, resolve, scan_types
from .sending import send_archive

_COLUMNS: tuple[str, ...] = (
    "xnat_abstractresource_id",
    "label",
    "element_name",
    "category",
    "cat_id",
    "cat_desc",
)
_COLUMNS += ("file_count", "file_size", "tags", "content", "format")
_ARCHIVES = ("zip", "tar", "tar.gz", "gzip", "x-tar", "x-gtar")


@endpoint
def listing(call: Call) -> Response:
    """List the resources of an item, with ``all=true`` those of what is below it too."""
    with call.archive.database.read() as connection:
        parent = resolve(connection, call.user, call.path("parent"))
        found = listings.with_lower(connection, parent.items) if call.flag("all") else parent.items
        counted = listings.resources(connection, found, parent.side)
        types = scan_types(connection, (one for one in found if one.kind == "scan"))
    rows = [_row(one, types.get(one.item.pk, "")) for one in counted]
    return table_response(call, _COLUMNS, rows, title="Resources")


def _row(counted: Counted, scan_type: str) -> dict[str, object]:
    item, resource = counted.item, counted.resource
    described = item.kind in ("scan", "assessor", "reconstruction")
    return {
        "xnat_abstractresource_id": resource.pk,
        "label": resource.label,
        "element_name": "xnat:resourceCatalog",
        "category": f"{item.kind}s" if described else "resources",
        "cat_id": item.id if described else "",
        "cat_desc": scan_type or (item.label if described else ""),
        "file_count": counted.count,
        "file_size": counted.size,
        "tags": resource.tags,
        "content": resource.content,
        "format": resource.format,
    }


def find(call: Call, parent: Parent) -> list[Counted]:
    """Return the resources an address names.

    Raises
    ------
    Refused
        404 for none.
    """
    with call.archive.database.read() as connection:
        found = listings.resources(connection, parent.items, parent.side, call.path("resource"))
    if not found:
        raise not_found("resource")
    return found


@endpoint
def show(call: Call) -> Response:
    """Return a resource's catalog, or its files as an archive."""
    if call.format() in _ARCHIVES:
        return send_archive(call)
    with call.archive.database.read() as connection:
        parent = resolve(connection, call.user, call.path("parent"))
        resource = find(call, parent)[0].resource
        content = catalog(resource, filing.files_of(connection, resource))
    return Response(content, media_type="text/xml")


def catalog(resource: Resource, files: Iterable[File]) -> str:
    """Return a resource's catalog document."""
    found = list(files)
    dicom = bool(found) and all(file.uid for file in found)
    name = "cat:DCMCatalog" if dicom else "cat:Catalog"
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<{name} ID={quoteattr(resource.label)} xmlns:cat="http://nrg.wustl.edu/catalog"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
    ]
    if resource.tags:
        tags = "".join(f"<cat:tag>{escape(tag)}</cat:tag>" for tag in _split(resource.tags))
        lines.append(f"<cat:tags>{tags}</cat:tags>")
    lines += ["<cat:entries>", *map(_entry, found), "</cat:entries>", f"</{name}>", ""]
    return "\n".join(lines)


def _split(tags: str) -> list[str]:
    return [tag.strip() for tag in tags.split(",") if tag.strip()]


def _entry(file: File) -> str:
    values = {
        "URI": file.path,
        "ID": file.path,
        "name": file.path.rpartition("/")[2],
        "format": file.format,
        "content": file.content,
        "digest": file.digest,
        "createdTime": file.created.replace(" ", "T"),
        "createdBy": file.created_by,
        "description": file.description,
        "UID": file.uid,
    }
    kind = ' xsi:type="cat:dcmEntry"' if file.uid else ""
    given = "".join(f" {key}={quoteattr(value)}" for key, value in values.items() if value)
    tags = "".join(f"<cat:tag>{escape(tag)}</cat:tag>" for tag in _split(file.tags))
    if tags:
        return f"<cat:entry{given}{kind}><cat:tags>{tags}</cat:tags></cat:entry>"
    return f"<cat:entry{given}{kind}/>"


@endpoint
def create(call: Call) -> Response:
    """Make a resource."""
    demand_reason(call)
    label = filing.check_path(call.path("resource"))
    with call.archive.database.write() as connection:
        parent = resolve(connection, call.user, call.path("parent"), edit=True)
        if filing.find_resource(connection, parent.one, label, parent.side) is not None:
            raise Refused(409, "Specified resource already exists.")
        filing.create_resource(
            connection,
            parent.one,
            label,
            side=parent.side,
            format=call.get("format"),
            content=call.get("content"),
            tags=",".join(call.all("tags")),
            description=call.get("description"),
        )
    return text()


@endpoint
def remove(call: Call) -> Response:
    """Delete resources with their files."""
    demand_reason(call)
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        parent = resolve(connection, call.user, call.path("parent"))
        found = find(call, parent)
        demand(all(may_delete(connection, call.user, one.item) for one in found))
        for one in found:
            placing.drop(*filing.delete_resource(connection, one.resource))
    return text()


@endpoint
def catalog_level_only(call: Call) -> Response:
    """Refuse an address that goes on behind a resource."""
    raise Refused(
        400,
        "This resource works at the catalog level only; ask for files at"
        f" .../resources/{call.path('resource')}/files.",
    )


_RESOURCE = "/data/{parent:parent}/resources/{resource}"
routes = [
    Route("/data/{parent:parent}/resources", listing, methods=["GET"]),
    Route(_RESOURCE, show, methods=["GET"]),
    Route(_RESOURCE, create, methods=["PUT", "POST"]),
    Route(_RESOURCE, remove, methods=["DELETE"]),
    Route(
        _RESOURCE + "/{rest:path}",
        catalog_level_only,
        methods=["GET", "PUT", "POST", "DELETE"],
    ),
]
