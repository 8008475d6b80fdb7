"""Scans and reconstructions of a session: make and change."""

import sqlite3

from starlette.responses import Response

from .. import accounts, actions, changes, items, schema
from ..accounts import demand
from ..changes import Change
from ..elements import Element, flatten
from ..http import Call, text
from ..items import Item
from ..refusals import Refused, not_found
from . import parents

_SEVERAL = (
    "Multiple scan modalities can be associated here: name a concrete type such as xnat:mrScanData."
)


def put(call: Call, above: str, name: str) -> Response:
    """Make a scan or change it; the answer is empty either way."""
    change = changes.read(call, "scan")
    headers = _headers(call, above, name)
    with call.archive.database.write() as connection:
        session = _session(connection, call, above)
        _put(connection, call, session, name, change)
        scan = items.find_child(connection, session, "scan", name)
        if scan is not None:
            actions.pull_scan_headers(connection, scan, headers)
    return text()


def _headers(call: Call, above: str, name: str) -> actions.Headers:
    """Return the headers of the scan's files, where the request asks to take values from them."""
    if not call.flag("pullDataFromHeaders"):
        return {}
    with call.archive.database.read() as connection:
        session = _session(connection, call, above)
        scan = items.find_child(connection, session, "scan", name)
    return actions.read_headers(call.archive, session, scan) if scan is not None else {}


def _session(connection: sqlite3.Connection, call: Call, above: str) -> Item:
    if not above:
        raise not_found("experiment")
    session = parents.resolve(connection, call.user, above, edit=True).one
    if session.kind != "experiment":
        raise not_found("session")
    return session


def _put(
    connection: sqlite3.Connection, call: Call, session: Item, name: str, change: Change
) -> None:
    found = items.find_child(connection, session, "scan", name)
    if found is None:
        if not change.type:
            raise Refused(417, "Need PUT Contents")
        if schema.kind_of(change.type) != "scan":
            raise Refused(400, _SEVERAL)
        found = items.create(
            connection,
            "scan",
            label=name,
            xsi_type=change.type,
            project=session.project,
            parent=session,
            user=call.user.login,
            identifier=name,
        )
    elif change.type and not schema.is_a(found.xsi_type, change.type):
        if call.get("xsiType") or change.document is not None:
            raise Refused(409, "Specified xsiType differs from existing xsiType")
        return  # values of another type are no values of this one
    if change.replaces:
        connection.execute("DELETE FROM field WHERE item = ?", (found.pk,))
    items.set_fields(connection, found, change.values)


def store(connection: sqlite3.Connection, call: Call, session: Item, document: Element) -> None:
    """Make or change a scan that a session's document describes."""
    name = document.values.get("ID", "")
    if not name:
        raise Refused(422, "A scan of the document has no ID.")
    skipped = schema.facts()["parts"]["paths"]
    values = {
        path: value
        for path, value in flatten(document, skipped).items()
        if path not in ("ID", "image_session_ID", "project")
    }
    _put(connection, call, session, name, Change(document.type, values))


def put_reconstruction(call: Call, above: str, name: str) -> Response:
    """Make a reconstruction of a session or change it; the answer is empty either way."""
    change = changes.read(call, "reconstruction")
    with call.archive.database.write() as connection:
        session = _session(connection, call, above)
        demand(accounts.may_edit(connection, call.user, session.project))
        found = items.find_child(connection, session, "reconstruction", name)
        if found is None:
            found = items.create(
                connection,
                "reconstruction",
                label=name,
                xsi_type="xnat:reconstructedImageData",
                project=session.project,
                parent=session,
                user=call.user.login,
                identifier=name,
            )
        items.set_fields(connection, found, change.values)
    return text()
