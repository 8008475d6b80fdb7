"""Anonymisation scripts of the site and of projects, by both of XNAT's ways to set them."""

from starlette.responses import Response
from starlette.routing import Route

from .. import anonymisation, items, lookup
from ..accounts import GUEST, demand
from ..http import Call, endpoint, json_text, table_response, text
from ..refusals import Refused, not_found

_PROJECT = "/xapi/anonymize/projects/{project}"
_EDIT = ("/data/config/edit/image/dicom", "/data/config/edit/projects/{project}/image/dicom")


def _project(call: Call, *, change: bool) -> str:
    """Return the project of an address, empty for the site, that the user may see or change."""
    name = call.path("project")
    demand(call.user is not GUEST)
    if not name:
        demand(call.user.is_admin or not change)
        return ""
    with call.archive.database.read() as connection:
        return lookup.project(connection, call.user, name, own=change).id


@endpoint
def get_default(call: Call) -> Response:
    """Return the script of a freshly installed site."""
    demand(call.user is not GUEST)
    return text(anonymisation.default_script())


@endpoint
def get_script(call: Call) -> Response:
    """Return a script."""
    project = _project(call, change=False)
    with call.archive.database.read() as connection:
        found = anonymisation.load(connection, project)
    return text(found.text) if found is not None else Response(status_code=204)


@endpoint
def put_script(call: Call) -> Response:
    """Store a script."""
    project = _project(call, change=True)
    if call.content_type != "text/plain":
        raise Refused(415, "A script is sent as text/plain.")
    return _store(call, project)


def _store(call: Call, project: str) -> Response:
    with call.archive.database.write() as connection:
        anonymisation.store_script(connection, project, call.body.decode("utf-8", "replace"))
    return text()


@endpoint
def get_enabled(call: Call) -> Response:
    """Tell whether a script is switched on."""
    project = _project(call, change=False)
    with call.archive.database.read() as connection:
        return json_text(anonymisation.is_enabled(connection, project))


@endpoint
def put_enabled(call: Call) -> Response:
    """Switch a script on, or off; the parameter counts, and the body does not."""
    project = _project(call, change=True)
    if call.content_type != "application/json":
        raise Refused(415, "The request is sent as application/json.")
    return _enable(call, project, call.flag("enable", True))


def _enable(call: Call, project: str, is_enabled: bool) -> Response:
    with call.archive.database.write() as connection:
        anonymisation.enable(connection, project, is_enabled)
    return text()


@endpoint
def edit(call: Call) -> Response:
    """Read or set a script or its status the older way."""
    what, is_read = call.path("what"), call.request.method == "GET"
    if what not in ("script", "status"):
        raise not_found("resource")
    project = _project(call, change=not is_read)
    if is_read:
        return _edit_rows(call, project, what)
    if what == "script":
        return _store(call, project)
    if call.get("activate") not in ("true", "false"):
        raise Refused(400, "Please set the activate query string parameter to true or false.")
    return _enable(call, project, call.flag("activate"))


def _edit_rows(call: Call, project: str, what: str) -> Response:
    with call.archive.database.read() as connection:
        found = anonymisation.load(connection, project)
    name = "script" if what == "script" else "edit"
    rows = []
    if found is not None:
        value = found.text if what == "script" else str(found.is_enabled).lower()
        row = {"project": project or "-1", "user": "admin", "create_date": items.now()}
        rows.append({**row, name: value, "id": str(found.id)})
    return table_response(call, ("project", "user", "create_date", name, "id"), rows)


routes = [
    Route("/xapi/anonymize/default", get_default, methods=["GET"]),
    *[
        Route(base + end, function, methods=[method])
        for base in ("/xapi/anonymize/site", _PROJECT)
        for end, function, method in (
            ("", get_script, "GET"),
            ("", put_script, "PUT"),
            ("/enabled", get_enabled, "GET"),
            ("/enabled", put_enabled, "PUT"),
        )
    ],
    *[Route(f"{base}/{{what}}", edit, methods=["GET", "PUT"]) for base in _EDIT],
]
