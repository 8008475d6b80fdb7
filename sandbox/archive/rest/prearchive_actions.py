"""What may be done with the sessions of the prearchive: build, move, archive, delete."""

import json
import sqlite3

from starlette.responses import Response
from starlette.routing import Route

from .. import archiving, changes, items, prearchive, preferences, separating
from ..accounts import demand, may_delete, may_edit
from ..archiving import Outcome, Target
from ..http import Call, endpoint, table_response, text
from ..merging import Policy
from ..prearchive import Session, may_build, may_change
from ..refusals import Refused, not_found
from .imports import uri_list
from .prearchive import COLUMNS, SESSION, find, find_any, row, table


@endpoint
def act(call: Call) -> Response:
    """Commit, build, reset or move a session."""
    _read_json(call)
    action = call.get("action").lower()
    if action == "commit":
        return _commit(call)
    with call.archive.database.write() as connection:
        session = find_any(connection, call)
        demand(may_build(connection, call.user, session))
        if action in ("build", "reset"):
            parts = separating.build(connection, session)
            return uri_list(["/data" + one.url for one in parts])
        if action == "move":
            moved = prearchive.move(connection, session, _new_project(connection, call))
            return text("/data" + moved.url, 301)
    raise Refused(400, f"The action {call.get('action')!r} is not commit, build, reset or move.")


def _read_json(call: Call) -> None:
    """Take parameters from a JSON body."""
    if call.content_type != "application/json" or not call.body:
        return
    try:
        found = json.loads(call.body)
    except ValueError as error:
        raise Refused(400, f"The body is not JSON: {error}") from error
    if isinstance(found, dict):
        call.params += [(str(key), str(value)) for key, value in found.items()]


def _new_project(connection: sqlite3.Connection, call: Call) -> str:
    wanted = call.get("newProject")
    if not wanted:
        raise Refused(400, "Name the project to move to: newProject.")
    project = items.find_project(connection, wanted)
    if project is None:
        raise not_found("project")
    demand(may_edit(connection, call.user, project.id))
    return project.id


def _commit(call: Call) -> Response:
    """Build a session, and archive it where that is asked for or set for it."""
    asked = call.get("AA") or call.get("auto-archive")
    archive = call.archive
    outcomes: list[Outcome] = []
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        session = find_any(connection, call)
        demand(may_build(connection, call.user, session))
        parts = separating.build(connection, session)
        automatic = parts[0].archives_itself
        if automatic or asked.lower() in ("true", "1"):
            policy = Policy(True, False, call.flag("overwrite_files"))
            if automatic:
                policy = Policy.of_project(parts[0].autoarchive)
            for one in parts:
                outcome, obsolete = archiving.attempt(
                    connection, call.user, one, Target(), policy, placing
                )
                placing.drop(*obsolete)
                outcomes.append(outcome)
    if not outcomes:
        return uri_list(["/data" + one.url for one in parts])
    for outcome in outcomes:
        _demand_archived(outcome)
    return text("\r\n".join(outcome.uri for outcome in outcomes), 301)


def _demand_archived(outcome: Outcome) -> None:
    refusal = outcome.refusal
    if refusal is None:
        return
    if refusal.status == 403:
        raise refusal
    raise Refused(500, f"FAILED: Unable to archive {outcome.session.folder}: {refusal.message}")


@endpoint
def delete(call: Call) -> Response:
    """Delete a session."""
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        try:
            session = find(connection, call)
        except Refused as refusal:
            if refusal.status == 404:
                raise Refused(500, "Unable to find the prearchive session.") from refusal
            raise
        _demand_delete(connection, call, session)
        placing.drop(*prearchive.remove(connection, session))
    return text()


def _demand_delete(connection: sqlite3.Connection, call: Call, session: Session) -> None:
    demand(
        call.user.is_admin
        if not session.project
        else may_delete(connection, call.user, session.project)
    )


def _sources(connection: sqlite3.Connection, call: Call) -> list[Session]:
    """Return the sessions that ``src`` names.

    Raises
    ------
    Refused
        400 without any; 404 for one that is not there; 403 for a missing right.
    """
    if not call.all("src"):
        raise Refused(400, "Name the prearchive session: src=/prearchive/projects/P/TIME/NAME.")
    found = []
    for src in call.all("src"):
        parts = src.strip().removeprefix("/data").strip("/").split("/")
        if len(parts) != 5 or parts[:2] != ["prearchive", "projects"]:
            raise Refused(400, f"{src} is not the address of a prearchive session.")
        session = prearchive.find(connection, parts[2], parts[3], parts[4])
        if session is None:
            raise not_found("session")
        demand(may_change(connection, call.user, session))
        found.append(session)
    return found


@endpoint
def archive_service(call: Call) -> Response:
    """Archive sessions."""
    archive = call.archive
    told = changes.read(call, "experiment")
    target = Target(
        call.get("project") or told.identity.get("project", ""),
        call.get("subject") or told.identity.get("subject_id", ""),
        call.get("session") or told.identity.get("label", ""),
    )
    policy = Policy.of_archive(call.get("overwrite"), call.flag("overwrite_files"))
    outcomes = []
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        for session in _sources(connection, call):
            prearchive.check_free(session)
            wanted = target if len(call.all("src")) == 1 else Target(target.project)
            outcome, obsolete = archiving.attempt(
                connection, call.user, session, wanted, policy, placing
            )
            placing.drop(*obsolete)
            outcomes.append(outcome)
        if len(outcomes) == 1 and outcomes[0].experiment is not None:
            items.set_fields(connection, outcomes[0].experiment, told.values)
    if len(outcomes) > 1:
        return table_response(call, COLUMNS, [_state(one) for one in outcomes], total=False)
    _demand_archived(outcomes[0])
    if call.flag("redirect") or outcomes[0].session.archives_itself:
        with archive.database.read() as connection:
            site = preferences.value(connection, "siteUrl") or call.base
        return Response(status_code=303, headers={"Location": site + outcomes[0].uri})
    return uri_list([outcomes[0].uri])


def _state(outcome: Outcome) -> dict[str, str]:
    known = row(outcome.session)
    return known if outcome.refusal is not None else {**known, "status": "ARCHIVING"}


@endpoint
def move_service(call: Call) -> Response:
    """Move sessions to another project."""
    with call.archive.database.write() as connection:
        found = _sources(connection, call)
        project = _new_project(connection, call)
        moved = [prearchive.move(connection, one, project) for one in found]
    return table(call, moved)


@endpoint
def rebuild_service(call: Call) -> Response:
    """Build sessions again."""
    with call.archive.database.write() as connection:
        found = _sources(connection, call)
        built = [part for one in found for part in separating.build(connection, one)]
    return table(call, built)


@endpoint
def delete_service(call: Call) -> Response:
    """Delete sessions."""
    archive = call.archive
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        found = _sources(connection, call)
        for session in found:
            _demand_delete(connection, call, session)
            placing.drop(*prearchive.remove(connection, session))
    rows = [{**row(one), "status": "DELETING"} for one in found]
    return table_response(call, COLUMNS, rows, total=False)


routes = [
    Route("/data/services/archive", archive_service, methods=["POST"]),
    Route("/data/services/prearchive/move", move_service, methods=["POST"]),
    Route("/data/services/prearchive/rebuild", rebuild_service, methods=["POST"]),
    Route("/data/services/prearchive/delete", delete_service, methods=["POST"]),
    Route(SESSION, act, methods=["POST", "PUT"]),
    Route(SESSION, delete, methods=["DELETE"]),
]
