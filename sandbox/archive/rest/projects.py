"""Projects: make, change, delete; their settings, users and field definitions."""

import json
import re
import sqlite3

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Route

from .. import accounts, changes, items, lookup, preferences, protocols
from ..accounts import GUEST, ROLES, demand
from ..changes import Change
from ..elements import parse
from ..http import Call, endpoint, json_text, table_response, text
from ..items import Item
from ..refusals import Refused, not_found

# What a setting may be, and what it is where nobody set it.
_SETTINGS = {
    "prearchive_code": ((), "0"),
    "quarantine_code": ((), "0"),
    "accessibility": (("private", "protected", "public"), "private"),
    "current_arc": ((), "arc001"),
}
_USER_COLUMNS = ["GROUP_ID", "displayname", "login", "firstname", "lastname", "email"]


def put(call: Call, above: str, name: str) -> Response:
    """Make a project or change it; the answer is empty either way."""
    del above
    demand(call.user is not GUEST)
    change = changes.read(call, "project")
    told = change.identity.get("id", name)
    with call.archive.database.write() as connection:
        found = items.find_project(connection, name)
        if told not in (name, found.id if found else name):
            raise Refused(417, f"The project ID {told} differs from the one in the address.")
        if found is None:
            found = _create(connection, call, name, change)
        else:
            demand(accounts.may_delete(connection, call.user, found.id))
            _check_conflicts(connection, found.id, change)
        _store(connection, found, change)
        level = call.get("accessibility")
        if level:
            _set(connection, found, "accessibility", level)
    return text()


def _create(connection: sqlite3.Connection, call: Call, name: str, change: Change) -> Item:
    for path in ("secondary_ID", "name"):
        change.values.setdefault(path, name)
    if items.PROJECT_ID.match(name):
        _check_conflicts(connection, name, change)
    made = items.create(
        connection,
        "project",
        label=name,
        xsi_type="xnat:projectData",
        project=name,
        parent=None,
        user=call.user.login,
        identifier=name,
    )
    connection.execute(
        "INSERT OR IGNORE INTO member VALUES (?, ?, 'Owners')", (name, call.user.login)
    )
    code = preferences.value(connection, "defaultPrearchiveCode")
    items.set_fields(connection, made, {"prearchive_code": code})
    return made


def _check_conflicts(connection: sqlite3.Connection, identifier: str, change: Change) -> None:
    """Refuse what another project has as ID, name, secondary ID or alias, in any letters."""
    named = {identifier, change.values.get("name", ""), change.values.get("secondary_ID", "")}
    named |= {v for path, v in change.values.items() if path.startswith("aliases/")}
    rows = connection.execute(
        "SELECT DISTINCT item.id FROM item LEFT JOIN field ON field.item = item.pk"
        " AND (field.path IN ('name', 'secondary_ID') OR field.path LIKE 'aliases/alias%')"
        " JOIN json_each(?) named ON named.value != ''"
        " AND (item.id = named.value COLLATE NOCASE OR field.value = named.value COLLATE NOCASE)"
        " WHERE item.kind = 'project' AND item.id != ? ORDER BY item.id",
        (json.dumps(sorted(named)), identifier),
    ).fetchall()
    if rows:
        others = ", ".join(row["id"] for row in rows)
        raise Refused(409, f"Requested new project conflicts with existing projects: {others}")


def _store(connection: sqlite3.Connection, project: Item, change: Change) -> None:
    if change.replaces:
        connection.execute(
            "DELETE FROM field WHERE item = ?"
            " AND path NOT IN ('accessibility', 'prearchive_code', 'quarantine_code',"
            " 'current_arc')",
            (project.pk,),
        )
    items.set_fields(connection, project, change.values)
    if change.document is not None:
        found = list(change.document.parts.get("studyProtocol", {}).values())
        protocols.save_all(connection, project.id, found)
        if change.replaces:
            protocols.forget_others(connection, project.id, found)


def delete(call: Call, name: str) -> Response:
    """Delete a project with everything in it; its ID cannot be used again."""
    with call.archive.database.write() as connection:
        found = items.find_project(connection, name)
        if found is None:
            raise Refused(400, f"There is no project {name} to delete.")
        demand(accounts.may_delete(connection, call.user, found.id))
        blobs = _delete_foreign(connection, found) + items.delete(connection, found)
        connection.execute("DELETE FROM share WHERE project = ?", (found.id,))
    call.archive.blobs.remove(blobs)
    return text()


def _delete_foreign(connection: sqlite3.Connection, project: Item) -> list[str]:
    """Delete a project's experiments of subjects that belong to other projects."""
    rows = connection.execute(
        "SELECT item.pk FROM item JOIN item above ON above.pk = item.parent"
        " WHERE item.project = ? AND item.kind = 'experiment' AND above.project != ?",
        (project.id, project.id),
    ).fetchall()
    found = [items.get(connection, row["pk"]) for row in rows]
    return items.delete_all(connection, [one for one in found if one is not None])


def setting(connection: sqlite3.Connection, project: Item, name: str) -> str:
    """Return a setting of a project, such as ``prearchive_code``."""
    return items.fields(connection, project).get(name, _SETTINGS[name][1])


def _set(connection: sqlite3.Connection, project: Item, name: str, value: str) -> None:
    allowed = _SETTINGS[name][0]
    if name.endswith("_code"):
        value = {"true": "1", "false": "0"}.get(value.lower(), value)
        if not re.fullmatch(r"[+-]?\d{1,9}", value):
            raise Refused(400, f"{name} must be a whole number.")
    if allowed and value not in allowed:
        raise Refused(400, f"{name} must be one of {', '.join(allowed)}.")
    items.set_fields(connection, project, {name: value})


@endpoint
def get_setting(call: Call) -> Response:
    """Return a setting as text."""
    name = call.path("setting")
    with call.archive.database.read() as connection:
        found = items.find_project(connection, call.path("project"))
        if name == "accessibility" and found and accounts.is_protected(connection, found.id):
            return text("protected")  # which anybody may know
        project = lookup.project(connection, call.user, call.path("project"))
        return text(setting(connection, project, name))


@endpoint
def put_setting(call: Call) -> Response:
    """Change a setting; owners may."""
    with call.archive.database.write() as connection:
        project = lookup.project(connection, call.user, call.path("project"), own=True)
        _set(connection, project, call.path("setting"), call.path("value"))
    return text()


@endpoint
def list_users(call: Call) -> Response:
    """List who may do what in a project."""
    with call.archive.database.read() as connection:
        project = lookup.project(connection, call.user, call.path("project"))
        rows = connection.execute(
            "SELECT member.login, role, firstname, lastname, email FROM member"
            " JOIN user ON user.login = member.login WHERE project = ? ORDER BY member.login",
            (project.id,),
        ).fetchall()
    listed = [
        {**dict(row), "GROUP_ID": _group(project.id, row["role"]), "displayname": row["role"]}
        for row in rows
    ]
    return table_response(call, _USER_COLUMNS, listed)


def _group(project: str, role: str) -> str:
    return f"{project}_{role.lower().rstrip('s')}"


@endpoint
def change_user(call: Call) -> Response:
    """Give a user a role in a project, or take it away; owners may."""
    with call.archive.database.write() as connection:
        project = lookup.project(connection, call.user, call.path("project"), own=True)
        login, role = call.path("login"), _role(project.id, call.path("role"))
        known = connection.execute("SELECT 1 FROM user WHERE login = ?", (login,)).fetchone()
        if known is None:
            raise not_found("user")
        if call.request.method == "PUT":
            connection.execute(
                "INSERT OR REPLACE INTO member VALUES (?, ?, ?)", (project.id, login, role)
            )
        else:
            connection.execute(
                "DELETE FROM member WHERE project = ? AND login = ? AND role = ?",
                (project.id, login, role),
            )
    return text()


def _role(project: str, name: str) -> str:
    """Return a role by its name in any letters, in singular, or as a group's ID."""
    plain = name.lower().removeprefix(project.lower() + "_").rstrip("s")
    found = next((role for role in ROLES if role.lower().rstrip("s") == plain), "")
    if not found:
        raise Refused(404, f"There is no role {name}: use {', '.join(ROLES)}.")
    return found


@endpoint
def get_protocol(call: Call) -> Response:
    """Return the field definitions of a data type."""
    with call.archive.database.read() as connection:
        project = lookup.project(connection, call.user, call.path("project"))
        body = protocols.find(connection, project.id, call.path("protocol"))
    return Response(body, media_type="text/xml")


@endpoint
def put_protocol(call: Call) -> Response:
    """Keep the field definitions of a data type; owners may."""
    root = parse(call.document)
    with call.archive.database.write() as connection:
        project = lookup.project(connection, call.user, call.path("project"), own=True)
        protocols.save(connection, project.id, root)
    return text()


@endpoint
def roles(call: Call) -> Response:
    """Return the projects a user has a role in, as the newer API tells them."""
    with call.archive.database.read() as connection:
        found = [
            {"ID": one.id, "role": accounts.role(connection, call.user, one.id)}
            for one in lookup.visible_projects(connection, call.user)
        ]
    return json_text([one for one in found if one["role"]])


class _SettingConvertor(Convertor[str]):
    """The name of a setting in an address."""

    regex = "|".join(_SETTINGS)

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("setting", _SettingConvertor())

_SETTING = "/data/projects/{project}/{setting:setting}"

routes = [
    Route(_SETTING, get_setting, methods=["GET"]),
    Route(_SETTING + "/{value}", put_setting, methods=["PUT", "POST"]),
    Route("/data/projects/{project}/users", list_users, methods=["GET"]),
    Route("/data/projects/{project}/users/{role}/{login}", change_user, methods=["PUT", "DELETE"]),
    Route("/data/projects/{project}/protocols/{protocol}", get_protocol, methods=["GET"]),
    Route("/data/projects/{project}/protocols/{protocol}", put_protocol, methods=["PUT", "POST"]),
    Route("/xapi/access/projects", roles, methods=["GET"]),
]
