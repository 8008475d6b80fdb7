"""Open a session with xnatpy, and make the tokens that logins are stored as."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests

from xnat_config.server.connection import Connection

from ..errors import LoginError, ServerError, UnreachableError
from .answers import LOG_IN_AGAIN, no_answer, server_fault
from .login import Login

if TYPE_CHECKING:
    pass

_OPENING = threading.Lock()


def connect(connection: Connection, login: Login) -> Any:
    """Open a session with xnatpy.

    xnatpy takes a file of certificates from the environment only, tells a fault of the server
    from a refused login in no way, and keeps a thread alive that dies with a cut connection:
    the three are settled here.
    """
    import xnat
    from xnat import exceptions

    try:
        with _OPENING, _certificates(connection):
            session = xnat.connect(
                connection.server,
                user=login.name,
                password=login.secret,
                no_parse_model=True,
                cli=True,
                logger=_quiet(),
                pilot_timeout=connection.connect_timeout_s,
            )
    except (exceptions.XNATAuthError, exceptions.XNATLoginFailedError) as fault:
        _end_what_was_begun(fault)
        # Not chained: the answer may hold what was sent.
        raise _why_refused(connection, login) from None
    except requests.RequestException as fault:
        _end_what_was_begun(fault)
        raise no_answer(connection, fault) from None
    except exceptions.XNATError as fault:
        _end_what_was_begun(fault)
        raise no_answer(connection, None) from None
    session.keepalive = False
    session.interface.headers["User-Agent"] = "xnat-pic-uploader"
    return session


def _end_what_was_begun(fault: Exception) -> None:
    """End the session that xnatpy had made when *fault* came.

    It starts its thread that keeps the session alive before the first request, and hands the
    session to nobody when that request fails: minutes later the thread asks a server that may be
    gone, and dies with a trace of its own.
    """
    from xnat.session import BaseXNATSession

    cause: BaseException | None = fault
    while cause is not None:  # a fault at xnatpy's own tidying hides the first one
        for frame, _ in traceback.walk_tb(cause.__traceback__):
            begun = frame.f_locals.get("self")
            if isinstance(begun, BaseXNATSession):
                begun.disconnect()
                return
        cause = cause.__context__


def _quiet() -> logging.Logger:
    logger = logging.getLogger("uploader.xnatpy")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


@contextmanager
def _certificates(connection: Connection) -> Iterator[None]:
    name = "REQUESTS_CA_BUNDLE"
    before = os.environ.get(name)
    if connection.ca_bundle is not None:
        os.environ[name] = str(connection.ca_bundle)
    try:
        yield
    finally:
        if connection.ca_bundle is not None:
            if before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before


def _why_refused(connection: Connection, login: Login) -> ServerError | LoginError:
    """Ask once with the same login whether it is refused or the server is at fault."""
    try:
        answer = requests.get(
            f"{connection.server}/data/auth",
            auth=(login.name, login.secret),
            timeout=connection.connect_timeout_s,
            verify=str(connection.ca_bundle) if connection.ca_bundle else True,
            allow_redirects=False,
        )
    except requests.RequestException as fault:
        return no_answer(connection, fault)
    if answer.status_code in (401, 403):
        if login.is_token:
            return LoginError("The stored login is no longer valid.", hint=LOG_IN_AGAIN)
        return LoginError(
            f"{connection.host} refuses the login of {login.user}.",
            hint="Check user and password; after many failures XNAT locks an account for a while.",
        )
    if answer.status_code == 200:
        return UnreachableError("The login was lost on the way.", hint="Try again.")
    return server_fault(answer)
