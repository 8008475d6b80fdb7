"""The pages: projects, subjects, sessions, files, and the way in and out."""

import sqlite3
from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .. import (
    accounts,
    catalogue,
    commands,
    items,
    listings,
    lookup,
    snapshots,
    thumbnails,
    workflows,
)
from ..http import Call, endpoint
from ..items import Item
from ..refusals import not_found
from . import views
from .rendering import page, render


@page
def log_in_page(call: Call) -> Response:
    """Show the form to log in."""
    if call.user is not accounts.GUEST:
        return RedirectResponse(_local(call.get("next")), 302)
    return render(call, "login.html", next=_local(call.get("next")), failed=False)


@page
def log_in(call: Call) -> Response:
    """Check name and password of the form."""
    with call.archive.database.write() as connection:
        directory = dict(call.archive.settings.directory)
        name, secret = call.get("username"), call.get("password")
        user = accounts.authenticate(connection, directory, name, secret)
        if user is None:
            target = _local(call.get("next"))
            return render(call, "login.html", 401, next=target, failed=True)
        token = accounts.open_session(connection, user)
    response = RedirectResponse(_local(call.get("next")), 303)
    response.set_cookie("JSESSIONID", token, httponly=True, samesite="lax")
    return response


@page
def log_out(call: Call) -> Response:
    """End the session."""
    with call.archive.database.write() as connection:
        accounts.close_session(connection, str(call.request.scope["session_token"]))
    return RedirectResponse("/app/template/Login.vm", 303)


def _local(target: str) -> str:
    """Return where to go after the log-in: an address of this server."""
    is_page = target.startswith("/") and not target.startswith(("//", "/\\", "/app/", "/login"))
    return target if is_page else "/"


@page
def projects(call: Call) -> Response:
    """List the projects the user may read."""
    with call.archive.database.read() as connection:
        found = lookup.visible_projects(connection, call.user)
        counts = connection.execute(
            "SELECT project, kind, count(*) FROM item WHERE kind IN ('subject', 'experiment')"
            " GROUP BY project, kind"
        )
        counted = {(row[0], row[1]): row[2] for row in counts}
        listed = [(one, items.fields(connection, one)) for one in found]
    return render(call, "projects.html", projects=listed, counted=counted)


@page
def project(call: Call) -> Response:
    """Show a project with its subjects, sessions and variables."""
    text = call.get("label")
    offsets = {kind: _number(call.get(kind)) for kind in ("subject", "experiment")}
    with call.archive.database.read() as connection:
        found = lookup.project(connection, call.user, call.path("project"))
        tables = []
        for kind, offset in offsets.items():
            rows, total = views.rows(connection, found, kind, text, offset)
            names = views.variable_names(rows)
            tables.append((kind, rows, total, offset, names))
        values: dict[str, Any] = {
            "fields": items.fields(connection, found),
            "resources": listings.resources(connection, [found]),
            "role": accounts.role(connection, call.user, found.id),
            "engine": call.archive.settings.engine,
            "pipelines": catalogue.project_pipelines(connection, found.id),
            "wrappers": _wrappers(call, connection, found, found.xsi_type),
        }
    return render(
        call, "project.html", project=found, tables=tables, text=text, page=views.PAGE, **values
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@page
def subject(call: Call) -> Response:
    """Show a subject with its variables and sessions."""
    with call.archive.database.read() as connection:
        owner = lookup.project(connection, call.user, call.path("project"))
        found = items.find_subject(connection, call.path("subject"), owner.id)
        if found is None:
            raise not_found("subject")
        sessions = items.children(connection, found, "experiment")
        row = views.Row(found, found.label, items.fields(connection, found))
        values: dict[str, Any] = {
            "custom": views.custom_fields(connection, found),
            "resources": listings.resources(connection, [found]),
        }
    return render(call, "subject.html", project=owner, subject=row, sessions=sessions, **values)


@page
def session(call: Call) -> Response:
    """Show a session with its scans, variables, results and runs."""
    with call.archive.database.read() as connection:
        found = lookup.experiment(connection, call.user, call.path("experiment"))
        above = items.get(connection, found.parent) if found.parent is not None else None
        engine = call.archive.settings.engine
        owner = items.project_of(connection, found)
        pipelines = [
            one
            for one in catalogue.project_pipelines(connection, found.project)
            if engine and one.applies_to(found.xsi_type)
        ]
        values: dict[str, Any] = {
            "scans": views.scans(connection, found),
            "assessors": items.children(connection, found, "assessor"),
            "resources": listings.resources(connection, [found]),
            "custom": views.custom_fields(connection, found),
            "may_edit": accounts.may_edit(connection, call.user, found.project),
            "pipelines": pipelines,
            "wrappers": _wrappers(call, connection, owner, found.xsi_type),
            "runs": workflows.find(connection, {"id": found.id}, limit=10),
            "blocked": workflows.is_busy(connection, found.id),
        }
        row = views.Row(found, found.label, items.fields(connection, found))
    return render(call, "session.html", session=row, above=above, **values)


def _wrappers(
    call: Call, connection: sqlite3.Connection, project: Item, xsi_type: str
) -> list[dict[str, Any]]:
    """Return the container commands that can be launched on what is of a type."""
    if not call.archive.settings.containers:
        return []
    listed = commands.available(connection, call.user, project, xsi_type)
    return [one for one in listed if one["enabled"]]


@endpoint
def thumbnail(call: Call) -> Response:
    """Return the picture of a scan; looking at it makes the scan's snapshots, as in XNAT."""
    with call.archive.database.read() as connection:
        found = lookup.experiment(connection, call.user, call.path("experiment"))
        scan = items.find_child(connection, found, "scan", call.path("scan"))
        file = snapshots.middle_image(connection, scan) if scan is not None else None
    if file is None or scan is None:
        raise not_found("picture")
    snapshots.ensure(call.archive, call.user, found, scan)
    tag = f'"{file.digest}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": tag}
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        picture = thumbnails.thumbnail(call.archive.blobs.path(file.blob))
    except thumbnails.NoPictureError as error:
        raise not_found("picture") from error
    return Response(picture, media_type="image/png", headers=headers)


@page
def files(call: Call) -> Response:
    """Manage Files: everything below a session, with addresses to download it."""
    with call.archive.database.read() as connection:
        found = lookup.experiment(connection, call.user, call.path("experiment"))
        below = [
            found,
            *items.children(connection, found, "scan"),
            *items.children(connection, found, "assessor"),
            *items.children(connection, found, "reconstruction"),
        ]
        filed = listings.files(connection, below)
        addresses = listings.Addresses(connection)
        groups: dict[int, _Group] = {}
        for one in listings.resources(connection, below):
            at = addresses.resource(one.item, one.resource)
            groups[one.resource.pk] = _Group(one, quote(at), [])
        for file in filed:
            groups[file.resource.pk].files.append((file.file, addresses.file(file)))
    listed = sorted(groups.values(), key=lambda one: one.order)
    return render(call, "files.html", session=found, groups=listed)


class _Group:
    """A resource on the page of files."""

    def __init__(
        self, counted: listings.Counted, address: str, files: list[tuple[object, str]]
    ) -> None:
        self.counted = counted
        self.address = address
        self.files = files

    @property
    def owner(self) -> Item:
        """What the resource belongs to."""
        return self.counted.item

    @property
    def order(self) -> tuple[int, int, str, str]:
        """Where it stands: the session first, scans by number, then the others."""
        kinds = ("experiment", "scan", "assessor", "reconstruction")
        number, text = views.number_first(self.owner.id)
        return (kinds.index(self.owner.kind), number, text, self.counted.resource.label)


routes = [
    Mount("/static", StaticFiles(packages=[(__package__ or "", "static")])),
    Route("/app/template/Login.vm", log_in_page, methods=["GET"]),
    Route("/login", log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
    Route("/", projects, methods=["GET"]),
    Route("/projects/{project}", project, methods=["GET"]),
    Route("/projects/{project}/subjects/{subject}", subject, methods=["GET"]),
    Route("/experiments/{experiment}", session, methods=["GET"]),
    Route("/experiments/{experiment}/files", files, methods=["GET"]),
    Route("/experiments/{experiment}/scans/{scan:path}/thumbnail.png", thumbnail, methods=["GET"]),
]
