"""Sessions and assessors: make, change, rename; what a PUT may set off."""

import sqlite3

from starlette.responses import Response

from .. import accounts, actions, anonymisation, changes, items, kept_parts, schema
from ..accounts import demand
from ..blobs import Placing
from ..changes import Change
from ..http import Call, text
from ..items import Item
from ..refusals import Refused, not_found
from . import parents, scans, subjects


def put(call: Call, above: str, name: str) -> Response:
    """Make an experiment (201) or change one (200); the answer is its ID."""
    change = changes.read(call, "experiment") if not _is_assessor(call) else _assessor(call)
    headers = _headers(call)
    blobs = call.archive.blobs
    with blobs.placing() as placing, call.archive.database.write() as connection:
        project, subject = _place(connection, call, above)
        found = items.find_experiment(connection, name, project.id if project else "")
        if found is not None:
            answer = _change(connection, call, found, project, change, headers)
            _rewrite_relabelled(connection, placing, found)
            return answer
        if not change.type:
            raise Refused(417, "Need PUT Contents")
        if schema.kind_of(change.type) == "assessor":
            session = _session_named(connection, call, project, change)
            return _create(connection, call, change, name, session, "assessor")
        if project is None:
            raise Refused(422, "An experiment belongs to a project: name it in the address.")
        if subject is None:
            subject = _subject_for(connection, call, project, _subject_name(above, change))
        return _create(connection, call, change, name, subject, "experiment")


def _rewrite_relabelled(connection: sqlite3.Connection, placing: Placing, before: Item) -> None:
    """Let the project's script run again on a session that has another label now."""
    after = items.get(connection, before.pk)
    if after is not None and after.label != before.label:
        anonymisation.rewrite_session(connection, placing, after)


def put_assessor(call: Call, above: str, name: str) -> Response:
    """Make an assessor of a session (201) or change one (200); the answer is its ID."""
    change = _assessor(call)
    with call.archive.database.write() as connection:
        session = parents.resolve(connection, call.user, above).one
        found = items.find_child(connection, session, "assessor", name)
        if found is not None:
            return _change(connection, call, found, None, change, {})
        if not change.type:
            raise Refused(417, "Need PUT Contents")
        return _create(connection, call, change, name, session, "assessor")


def _headers(call: Call) -> actions.Headers:
    """Return the headers of a session's files, where the request asks to take values from them.

    They are read before the transaction: it must not wait for thousands of files.
    """
    if not call.flag("pullDataFromHeaders"):
        return {}
    with call.archive.database.read() as connection:
        session = parents.resolve(connection, call.user, call.path("parent"), edit=True).one
    return actions.read_headers(call.archive, session)


def _is_assessor(call: Call) -> bool:
    return schema.family_of(schema.exact_name(call.get("xsiType"))) == "assessor"


def _assessor(call: Call) -> Change:
    return changes.read(call, "assessor")


def _place(
    connection: sqlite3.Connection, call: Call, above: str
) -> tuple[Item | None, Item | None]:
    """Return the project and the subject of an address; the subject need not exist yet."""
    parts = above.split("/") if above else []
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    project = subject = None
    if "projects" in named:
        project = parents.resolve(connection, call.user, f"projects/{named['projects']}").one
    if "subjects" in named:
        within = project.id if project else ""
        subject = items.find_subject(connection, named["subjects"], within)
        if subject is not None and project is None:
            if not accounts.may_read(connection, call.user, subject):
                raise not_found("subject")
            project = items.project_of(connection, subject)
    return project, subject


def _subject_name(above: str, change: Change) -> str:
    parts = above.split("/")
    if "subjects" in parts[::2]:
        return parts[parts.index("subjects") + 1]
    return change.identity.get("subject_id", "")


def _subject_for(connection: sqlite3.Connection, call: Call, project: Item, name: str) -> Item:
    """Return the subject of a new experiment; it is made where the project has none of the name."""
    if not name:
        raise Refused(400, "An experiment belongs to a subject: name it in the address.")
    found = items.find_subject(connection, name, project.id)
    return found or subjects.create(connection, call, project, name)


def _session_named(
    connection: sqlite3.Connection, call: Call, project: Item | None, change: Change
) -> Item:
    name = change.identity.get("imagesession_id", "")
    session = items.find_experiment(connection, name, project.id if project else "")
    if session is None or not accounts.may_read(connection, call.user, session):
        raise Refused(422, "An assessor belongs to a session: give imageSession_ID.")
    return session


def _create(
    connection: sqlite3.Connection, call: Call, change: Change, name: str, parent: Item, kind: str
) -> Response:
    if schema.kind_of(change.type) != kind:
        raise Refused(400, f"{change.type} is not the data type of one {kind}.")
    owner = change.identity.get("project", parent.project)
    if kind == "experiment" or owner == parent.project:
        owner = _owner(connection, call, parent)
    demand(accounts.may_edit(connection, call.user, owner))
    made = items.create(
        connection,
        kind,
        label=change.identity.get("label") or name,
        xsi_type=change.type,
        project=owner,
        parent=parent,
        user=call.user.login,
    )
    _store(connection, call, made, change)
    return text(made.id, 201)


def _owner(connection: sqlite3.Connection, call: Call, parent: Item) -> str:
    """Return the project that owns what is made at an address: the one it names.

    It may be one that the session or subject above is shared into.
    """
    parts = call.path("parent").split("/")
    named = items.find_project(connection, parts[1]) if parts[0] == "projects" else None
    return named.id if named is not None else parent.project


def _change(
    connection: sqlite3.Connection,
    call: Call,
    found: Item,
    project: Item | None,
    change: Change,
    headers: actions.Headers,
) -> Response:
    if not accounts.may_read(connection, call.user, found):
        raise not_found("experiment")
    demand(accounts.may_edit(connection, call.user, found.project))
    label = call.get("label")
    if label and label != found.label:
        _check_label(label)
        subjects.rename(connection, found, project, label)
        return text()
    subjects.check_identity(found, change)
    if change.type and not _is_same_type(found, change.type):
        raise Refused(409, "Specified xsiType differs from existing xsiType")
    typed = change.identity.get("label", found.label)
    if typed != found.label and (project is None or project.id == found.project):
        _check_label(typed)
        items.rename(connection, found, typed)
    _move(connection, found, change)
    _store(connection, call, found, change)
    _act(connection, call, found, headers)
    return text(found.id)


def _is_same_type(found: Item, named: str) -> bool:
    return schema.is_a(found.xsi_type, named)


def _check_label(label: str) -> None:
    if not items.EXPERIMENT_LABEL.match(label):
        raise Refused(417, "Invalid character in experiment label.")


def _move(connection: sqlite3.Connection, found: Item, change: Change) -> None:
    """Give a session to another subject, where the request names one."""
    name = change.identity.get("subject_id", "")
    if not name or found.kind != "experiment":
        return
    subject = items.find_subject(connection, name, found.project)
    if subject is None:
        raise Refused(422, f"There is no subject {name} in project {found.project}.")
    connection.execute("UPDATE item SET parent = ? WHERE pk = ?", (subject.pk, found.pk))


def _store(connection: sqlite3.Connection, call: Call, item: Item, change: Change) -> None:
    """Set an experiment's values, and the scans that its document describes."""
    if change.replaces:
        connection.execute("DELETE FROM field WHERE item = ?", (item.pk,))
    items.set_fields(connection, item, change.values)
    if change.kept:
        kept_parts.store(connection, item.project, item.id, change.kept)
    if change.document is None:
        return
    for scan in change.document.parts.get("scans/scan", {}).values():
        scans.store(connection, call, item, scan)


def _act(connection: sqlite3.Connection, call: Call, item: Item, headers: actions.Headers) -> None:
    """Do what a PUT on a session may ask for besides setting values."""
    if call.flag("pullDataFromHeaders") and headers:
        actions.pull_headers(connection, item, headers)
    if call.flag("fixScanTypes"):
        actions.fix_scan_types(connection, item)
    for name, value in (("quarantine", "quarantine"), ("activate", "active")):
        if call.flag(name):
            demand(accounts.may_delete(connection, call.user, item.project))
            items.set_fields(connection, item, {"meta/status": value})
