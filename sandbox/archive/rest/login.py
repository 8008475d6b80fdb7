"""Log in, sessions, alias tokens (services/auth, JSESSION, services/tokens)."""

import uuid

from starlette.responses import Response
from starlette.routing import Route

from .. import accounts
from ..accounts import demand
from ..http import Call, endpoint, json_text, text
from ..refusals import Refused, not_found


@endpoint
def services_auth(call: Call) -> Response:
    """Check name and password and start a session."""
    if not call.params and call.body:
        raise Refused(400, "Send username and password as a form.")
    with call.archive.database.write() as connection:
        user = accounts.authenticate(
            connection,
            dict(call.archive.settings.directory),
            call.get("username"),
            call.get("password"),
            method=call.get("provider") or call.get("login_method"),
            provider=call.get("authenticatorId"),
        )
        if user is None:
            return text("Authentication failed.", 401)
        token = accounts.open_session(connection, user)
    response = text(token)
    response.headers.append("set-cookie", f"JSESSIONID={token}; Path=/; HttpOnly; SameSite=Lax")
    return response


@endpoint
def auth(call: Call) -> Response:
    """Tell who is logged in."""
    return text(f"User '{call.user.login}' is logged in" + _csrf(call))


def _csrf(call: Call) -> str:
    return f"; XNAT_CSRF={uuid.uuid4()}" if call.flag("CSRF") else ""


@endpoint
def jsession(call: Call) -> Response:
    """Return the session's token, or end the session."""
    token = str(call.request.scope["session_token"])
    if call.user is accounts.GUEST:
        response = text("Authentication failed.", 401)
        response.headers["WWW-Authenticate"] = 'Basic realm="XNAT-PIC sandbox"'
        return response
    if call.request.method == "DELETE":
        with call.archive.database.write() as connection:
            accounts.close_session(connection, token)
        return text()
    return text(token + _csrf(call))


@endpoint
def end_session(call: Call) -> Response:
    """End a session of one's own by its key; administrators end those of others."""
    demand(call.user is not accounts.GUEST)
    token = call.path("token")
    with call.archive.database.write() as connection:
        demand(call.user.is_admin or token in accounts.sessions_of(connection, call.user.login))
        accounts.close_session(connection, token)
    return text()


@endpoint
def forget_token(call: Call) -> Response:
    """Make a token of one's own invalid, by its name alone."""
    demand(call.user is not accounts.GUEST)
    with call.archive.database.write() as connection:
        gone = connection.execute(
            "DELETE FROM alias_token WHERE alias = ? AND (login = ? OR ?)",
            (call.path("alias"), call.user.login, call.user.is_admin),
        )
        if not gone.rowcount:
            raise not_found("token")
    return json_text({"result": "OK"})


@endpoint
def issue_token(call: Call) -> Response:
    """Make an alias token for the user, or (administrators) for another one."""
    demand(call.user is not accounts.GUEST)
    login = call.path("login") or call.user.login
    demand(login == call.user.login or call.user.is_admin)
    with call.archive.database.write() as connection:
        row = connection.execute("SELECT 1 FROM user WHERE login = ?", (login,)).fetchone()
        if row is None:
            raise not_found("user")
        alias, secret, expires = accounts.issue_token(connection, accounts.User(login, False))
    return json_text(
        {
            "alias": alias,
            "secret": secret,
            "xdatUserId": login,
            "singleUse": False,
            "estimatedExpirationTime": int(expires * 1000),
        }
    )


@endpoint
def show_tokens(call: Call) -> Response:
    """List the user's alias tokens, without their secrets."""
    demand(call.user is not accounts.GUEST)
    with call.archive.database.read() as connection:
        rows = connection.execute(
            "SELECT alias, expires FROM alias_token WHERE login = ?", (call.user.login,)
        ).fetchall()
    return json_text(
        [
            {
                "alias": row["alias"],
                "xdatUserId": call.user.login,
                "estimatedExpirationTime": int(row["expires"] * 1000),
            }
            for row in rows
        ]
    )


@endpoint
def check_token(call: Call) -> Response:
    """Tell whose an alias token is, or make it invalid."""
    alias, secret = call.path("alias"), call.path("secret")
    with call.archive.database.write() as connection:
        user = accounts.check_login(connection, alias, secret)
        if user is None:
            raise not_found("token")
        if call.path("operation") == "validate":
            return json_text({"valid": user.login})
        connection.execute("DELETE FROM alias_token WHERE alias = ?", (alias,))
    return json_text({"result": "OK"})


routes = [
    Route("/data/services/auth", services_auth, methods=["POST", "PUT"]),
    Route("/data/auth", auth, methods=["GET"]),
    Route("/data/JSESSION", jsession, methods=["GET", "POST", "DELETE"]),
    Route("/data/services/tokens/issue", issue_token, methods=["GET", "POST"]),
    Route("/data/services/tokens/issue/user/{login}", issue_token, methods=["GET", "POST"]),
    Route("/data/services/tokens/show", show_tokens, methods=["GET"]),
    Route("/data/JSESSION/{token}", end_session, methods=["DELETE"]),
    Route("/data/services/tokens/invalidate/{alias}", forget_token, methods=["GET"]),
    Route("/data/services/tokens/{operation}/{alias}/{secret}", check_token, methods=["GET"]),
]
