"""Users, logins and what they may do."""

import hashlib
import hmac
import secrets
import sqlite3
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from .items import Item
from .refusals import Refused

SESSION_TIMEOUT_S = 15 * 60
TOKEN_LIFE_S = 2 * 24 * 3600
LOCAL, LDAP, LDAP_PROVIDER = "localdb", "ldap", "ldap1"
ROLES = ("Owners", "Members", "Collaborators")
_SCRYPT = {"n": 2**12, "r": 8, "p": 1}


@dataclass(frozen=True)
class User:
    """Who asks; `login` is ``guest`` without credentials."""

    login: str
    is_admin: bool


GUEST = User("guest", False)


def hash_secret(secret: str) -> str:
    """Return a salted scrypt hash of a password or token secret."""
    salt = secrets.token_bytes(16)
    return salt.hex() + "$" + hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT).hex()


def matches(secret: str, stored: str) -> bool:
    """Tell whether a secret has this hash."""
    salt, _, digest = stored.partition("$")
    found = hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), **_SCRYPT).hex()
    return hmac.compare_digest(found, digest)


def set_user(
    connection: sqlite3.Connection,
    login: str,
    password: str,
    *,
    firstname: str = "",
    lastname: str = "",
    email: str = "",
    is_admin: bool = False,
) -> None:
    """Make a user, or give one another password."""
    connection.execute(
        "INSERT INTO user VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (login) DO UPDATE SET password = excluded.password,"
        " is_admin = excluded.is_admin",
        (login, hash_secret(password), firstname, lastname, email, int(is_admin)),
    )


def check_login(connection: sqlite3.Connection, name: str, secret: str) -> User | None:
    """Return the user of a name and password, or of an alias token; None for a bad pair."""
    row = connection.execute("SELECT * FROM user WHERE login = ?", (name,)).fetchone()
    if row is not None:
        return User(name, bool(row["is_admin"])) if matches(secret, row["password"]) else None
    row = connection.execute(
        "SELECT secret, expires, user.login, is_admin FROM alias_token"
        " JOIN user ON user.login = alias_token.login WHERE alias = ?",
        (name,),
    ).fetchone()
    if row is None or row["expires"] < time.time() or not matches(secret, row["secret"]):
        return None
    return User(row["login"], bool(row["is_admin"]))


def authenticate(
    connection: sqlite3.Connection,
    directory: Mapping[str, str],
    name: str,
    secret: str,
    *,
    method: str = "",
    provider: str = "",
) -> User | None:
    """Return who logs in; None where that is refused.

    Without method and provider XNAT guesses the method from the users that it knows: one of the
    directory who was never here is refused, whatever the password.

    Raises
    ------
    Refused
        400 for a provider that the site does not have.
    """
    providers = {LOCAL: LOCAL} | ({LDAP_PROVIDER: LDAP} if directory else {})
    if provider:
        if provider not in providers:
            raise Refused(
                400,
                "Authentication failed: No authentication provider identified by id "
                f"{provider} found.",
            )
        method = providers[provider]
    elif not method:
        method = LDAP if _is_of_directory(connection, name) else LOCAL
    if method not in providers.values():
        return None
    if method == LOCAL:
        return None if _is_of_directory(connection, name) else check_login(connection, name, secret)
    if not hmac.compare_digest(directory.get(name, "").encode(), secret.encode()) or not secret:
        return None
    return _user_of_directory(connection, name)


def _is_of_directory(connection: sqlite3.Connection, name: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM document WHERE owner = '' AND kind = ? AND name = ?", (LDAP, name)
    ).fetchone()
    return row is not None


def _user_of_directory(connection: sqlite3.Connection, name: str) -> User:
    """Return a user of the directory, known from the first login on."""
    row = connection.execute("SELECT is_admin FROM user WHERE login = ?", (name,)).fetchone()
    if row is None:
        set_user(connection, name, secrets.token_urlsafe(32))
        connection.execute("INSERT INTO document VALUES ('', ?, ?, '')", (LDAP, name))
    return User(name, bool(row["is_admin"]) if row is not None else False)


def open_session(connection: sqlite3.Connection, user: User) -> str:
    """Start a session and return its token, in the form of a servlet's."""
    token = secrets.token_hex(16).upper()
    connection.execute("INSERT INTO web_session VALUES (?, ?, ?)", (token, user.login, time.time()))
    return token


def session_user(connection: sqlite3.Connection, token: str) -> User | None:
    """Return the user of a live session; None for an unknown or idle one."""
    row = connection.execute(
        "SELECT last_used, user.login, is_admin FROM web_session"
        " JOIN user ON user.login = web_session.login WHERE token = ?",
        (token,),
    ).fetchone()
    if row is None or row["last_used"] + SESSION_TIMEOUT_S < time.time():
        return None
    return User(row["login"], bool(row["is_admin"]))


def sessions_of(connection: sqlite3.Connection, login: str) -> list[str]:
    """Return the live sessions of a user."""
    rows = connection.execute(
        "SELECT token FROM web_session WHERE login = ? AND last_used > ? ORDER BY token",
        (login, time.time() - SESSION_TIMEOUT_S),
    )
    return [str(row["token"]) for row in rows]


def close_session(connection: sqlite3.Connection, token: str) -> None:
    """End a session."""
    connection.execute("DELETE FROM web_session WHERE token = ?", (token,))


def forget_expired(connection: sqlite3.Connection) -> None:
    """Forget sessions and tokens whose time is over."""
    moment = time.time()
    connection.execute("DELETE FROM web_session WHERE last_used < ?", (moment - SESSION_TIMEOUT_S,))
    connection.execute("DELETE FROM alias_token WHERE expires < ?", (moment,))


def issue_token(connection: sqlite3.Connection, user: User) -> tuple[str, str, float]:
    """Make an alias token; return alias, secret and when it expires (seconds since 1970)."""
    alias, secret = str(uuid.uuid4()), secrets.token_urlsafe(48)
    expires = time.time() + TOKEN_LIFE_S
    connection.execute(
        "INSERT INTO alias_token VALUES (?, ?, ?, ?)",
        (alias, hash_secret(secret), user.login, expires),
    )
    return alias, secret, expires


def email_of(connection: sqlite3.Connection, name: str) -> str:
    """Return the registered mail address of a user by login or number; empty for none."""
    row = connection.execute(
        "SELECT email FROM user WHERE login = ?1 OR CAST(rowid AS TEXT) = ?1", (name,)
    ).fetchone()
    return str(row["email"]) if row is not None else ""


def is_registered(connection: sqlite3.Connection, email: str) -> bool:
    """Tell whether a user has a mail address."""
    row = connection.execute("SELECT 1 FROM user WHERE email = ?", (email,)).fetchone()
    return bool(email) and row is not None


def role(connection: sqlite3.Connection, user: User, project: str) -> str:
    """Return a user's role in a project; empty for none. An administrator is an owner."""
    if user.is_admin:
        return "Owners"
    row = connection.execute(
        "SELECT role FROM member WHERE project = ? AND login = ?", (project, user.login)
    ).fetchone()
    return str(row[0]) if row else ""


def is_protected(connection: sqlite3.Connection, project: str) -> bool:
    """Tell whether anybody may know of a project, and its users alone may look into it."""
    return _accessibility(connection, project) == "protected"


def _accessibility(connection: sqlite3.Connection, project: str) -> str:
    row = connection.execute(
        "SELECT value FROM field JOIN item ON item.pk = field.item WHERE item.kind = 'project'"
        " AND item.id = ? AND path = 'accessibility'",
        (project,),
    ).fetchone()
    return str(row[0]) if row else "private"


def may_read(connection: sqlite3.Connection, user: User, item: Item) -> bool:
    """Tell whether a user may see an item: through its project or one it is shared into."""
    if role(connection, user, item.project) or _accessibility(connection, item.project) == "public":
        return True
    shared = connection.execute(
        "SELECT 1 FROM share JOIN member ON member.project = share.project"
        " WHERE share.item = ? AND member.login = ?",
        (item.pk, user.login),
    ).fetchone()
    return shared is not None


def may_edit(connection: sqlite3.Connection, user: User, project: str) -> bool:
    """Tell whether a user may make and change data of a project: owners and members."""
    return role(connection, user, project) in ("Owners", "Members")


def may_delete(connection: sqlite3.Connection, user: User, project: str) -> bool:
    """Tell whether a user may delete data and change settings of a project: owners."""
    return role(connection, user, project) == "Owners"


def demand(allowed: bool, message: str = "Invalid permissions.") -> None:
    """Refuse with 403 what is not allowed.

    Raises
    ------
    Refused
    """
    if not allowed:
        raise Refused(403, message)
