"""Pictures of scans at the addresses that the newer API has for them."""

from starlette.responses import FileResponse, Response
from starlette.routing import Route

from .. import items, lookup, snapshots
from ..http import Call, endpoint
from ..refusals import not_found


@endpoint
def picture(call: Call) -> Response:
    """Return the snapshot or the thumbnail of a scan; it is made where there is none."""
    with call.archive.database.read() as connection:
        project = call.path("project")
        if project:
            lookup.project(connection, call.user, project)
        session = lookup.experiment(connection, call.user, call.path("experiment"), project)
        scan = items.find_child(connection, session, "scan", call.path("scan"))
    found = snapshots.ensure(call.archive, call.user, session, scan) if scan is not None else None
    if found is None:
        raise not_found("picture")
    wanted = found.thumbnail if call.request.url.path.endswith("thumbnail") else found.snapshot
    return FileResponse(call.archive.blobs.path(wanted.blob), media_type="image/gif")


routes = [
    Route(f"/xapi/{above}experiments/{{experiment}}/scan/{{scan}}/{name}", picture, methods=["GET"])
    for above in ("", "projects/{project}/")
    for name in ("snapshot", "thumbnail")
]
