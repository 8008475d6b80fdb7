"""Users of the site: who they are, their roles and their open sessions (xapi/users)."""

import json

from starlette.responses import Response
from starlette.routing import Route

from .. import accounts
from ..accounts import GUEST, demand
from ..http import Call, endpoint, json_text, table_response
from ..refusals import Refused, not_found
from .commands import read_json

_USER_COLUMNS = ["login", "firstname", "lastname", "email", "xdat_user_id"]


@endpoint
def list_users(call: Call) -> Response:
    """List the users."""
    demand(call.user is not GUEST)
    with call.archive.database.read() as connection:
        rows = connection.execute(
            "SELECT login, firstname, lastname, email, rowid AS xdat_user_id FROM user"
            " ORDER BY login"
        ).fetchall()
    return table_response(call, _USER_COLUMNS, [dict(row) for row in rows])


@endpoint
def user_names(call: Call) -> Response:
    """Return the logins of the users, as the newer API tells them."""
    demand(call.user is not GUEST)
    with call.archive.database.read() as connection:
        rows = connection.execute("SELECT login FROM user ORDER BY login").fetchall()
    return json_text([row["login"] for row in rows])


@endpoint
def create_user(call: Call) -> Response:
    """Make a user from JSON; administrators may."""
    demand(call.user.is_admin)
    try:
        told = json.loads(call.body)
    except ValueError as error:
        raise Refused(400, "Send the user as JSON.") from error
    if not isinstance(told, dict):
        raise Refused(400, "Send the user as a JSON object.")
    login, password = str(told.get("username", "")), str(told.get("password", ""))
    if not login or not password:
        raise Refused(400, "A user needs a username and a password.")
    with call.archive.database.write() as connection:
        known = connection.execute("SELECT 1 FROM user WHERE login = ?", (login,)).fetchone()
        if known or login == GUEST.login:
            raise Refused(409, f"There is a user {login} already.")
        names = {key: str(told.get(key, "")) for key in ("firstName", "lastName", "email")}
        accounts.set_user(
            connection,
            login,
            password,
            firstname=names["firstName"],
            lastname=names["lastName"],
            email=names["email"],
        )
    return json_text({"username": login, **names, "enabled": True, "verified": True}, 201)


@endpoint
def change_user(call: Call) -> Response:
    """Give a user another password; administrators may, and everybody for themselves."""
    login = call.path("login")
    demand(call.user.is_admin or call.user.login == login)
    told = read_json(call.body)
    password = str(told.get("password", "")) if isinstance(told, dict) else ""
    with call.archive.database.write() as connection:
        row = connection.execute("SELECT is_admin FROM user WHERE login = ?", (login,)).fetchone()
        if row is None:
            raise not_found("user")
        if password:
            accounts.set_user(connection, login, password, is_admin=bool(row["is_admin"]))
    return json_text({"username": login, "enabled": True, "verified": True})


@endpoint
def active_sessions(call: Call) -> Response:
    """Return the open sessions of a user: one's own, administrators those of others."""
    login = call.path("login")
    demand(call.user.is_admin or call.user.login == login)
    with call.archive.database.read() as connection:
        found = accounts.sessions_of(connection, login)
    if not found:
        return Response(status_code=304)
    return json_text(found)


@endpoint
def roles(call: Call) -> Response:
    """Return the roles of a user on the site."""
    demand(call.user is not GUEST)
    with call.archive.database.read() as connection:
        row = connection.execute(
            "SELECT is_admin FROM user WHERE login = ?", (call.path("login"),)
        ).fetchone()
    if row is None:
        raise not_found("user")
    return json_text(["Administrator"] if row["is_admin"] else [])


routes = [
    Route("/data/users", list_users, methods=["GET"]),
    Route("/xapi/users", user_names, methods=["GET"]),
    Route("/xapi/users", create_user, methods=["POST"]),
    Route("/xapi/users/active/{login}", active_sessions, methods=["GET"]),
    Route("/xapi/users/{login}/roles", roles, methods=["GET"]),
    Route("/xapi/users/{login}", change_user, methods=["PUT"]),
]
