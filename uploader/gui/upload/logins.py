"""Logging in, beside the window. Calls the uploader's functions; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xnat_config.server.client import XnatClient
from xnat_config.server.connection import (
    Connection,
    load_saved,
    resolve,
    save,
)
from xnat_config.server.login import Login, connection_login
from xnat_config.server.retry import RetryPolicy
from xnat_config.server.tokens import issue_token
from xnat_pic.errors import WrongCallError

from ... import LoginStore, find_store, has_keyring, list_projects, load_login, save_login
from ..child_process import TaskHandle

# A person waits in front of the window: say soon that nobody answers.
_RETRY_AT_LOGIN = RetryPolicy(attempts=2)


@dataclass(frozen=True)
class Account:
    """Somebody logged in.

    Attributes
    ----------
    kept : LoginStore
        Where the login is kept.
    projects : tuple of str
        Those that can be seen.
    """

    connection: Connection
    login: Login
    kept: LoginStore
    projects: tuple[str, ...]


@dataclass(frozen=True)
class LoginStatus:
    """What is known before anybody typed anything.

    Attributes
    ----------
    store : LoginStore
        Where a login of `connection` is kept already.
    keyring : bool
        Whether this system can keep a login.
    account : Account, optional
        Where the stored login was good.
    problem : Exception, optional
        Why it was not.
    """

    connection: Connection | None
    store: LoginStore
    keyring: bool
    account: Account | None = None
    problem: Exception | None = None


def connection_of(server: str, user: str, certificates: str = "", method: str = "") -> Connection:
    """Return the connection that a person typed.

    Raises
    ------
    WrongCallError
        If the address cannot be understood.
    """
    bundle = Path(certificates.strip()) if certificates.strip() else None
    return resolve(server.strip(), user.strip(), bundle, method=method.strip())


def restore_login(_handle: TaskHandle) -> LoginStatus:
    """Look for a stored login and try it."""
    keyring = has_keyring()
    try:
        connection = load_saved()
    except WrongCallError as error:
        return LoginStatus(None, LoginStore.MEMORY, keyring, problem=error)
    if connection is None:
        return LoginStatus(None, LoginStore.MEMORY, keyring)
    store = find_store(connection)
    login = load_login(connection) if store is LoginStore.KEYRING else None
    if login is None:
        return LoginStatus(connection, store, keyring)
    try:
        account = _enter(connection, login, store)
    except Exception as error:  # whatever it is, the person logs in instead
        return LoginStatus(connection, store, keyring, problem=error)
    return LoginStatus(connection, store, keyring, account)


def unlock(_handle: TaskHandle, connection: Connection, passphrase: str) -> Account:
    """Log in with the token in the encrypted file.

    Raises
    ------
    WrongCallError
        If the file holds no login for this server and user.
    """
    login = load_login(connection, lambda: passphrase)
    if login is None:
        raise WrongCallError(
            f"The file holds no login of {connection.user} at {connection.host}.",
            hint="Log in with the password.",
        )
    return _enter(connection, login, find_store(connection))


def log_in(
    _handle: TaskHandle, server: str, user: str, password: str, store: LoginStore, passphrase: str,
    certificates: str = "",
    method: str = "",
) -> Account:  # fmt: skip
    """Log in with a password, and keep a token where `store` is not the memory."""
    connection = connection_of(server, user, certificates, method)
    if not connection.user:
        raise WrongCallError("No user is named.", hint="Type your name on the server.")
    login = connection_login(connection, password)
    with XnatClient(connection, login, retry=_RETRY_AT_LOGIN) as client:
        projects = tuple(list_projects(client))
        token = issue_token(client) if store is not LoginStore.MEMORY else None
    kept = LoginStore.MEMORY
    if token is not None:
        kept = save_login(connection, token, store, lambda: passphrase)
        login = token
    save(connection)
    return Account(connection, login, kept, projects)


def _enter(connection: Connection, login: Login, kept: LoginStore) -> Account:
    with XnatClient(connection, login, retry=_RETRY_AT_LOGIN) as client:
        return Account(connection, login, kept, tuple(list_projects(client)))
