"""Faults of server and connection in words; never a fault's own text, which has the address."""

from __future__ import annotations

import requests

from xnat_pic.text import as_sentence

from .connection import Connection
from .errors import UnreachableError, UntrustedError
from .reasons import reason_in

_TRY_LATER = "Try again later: what is done stays."


def reason_of(answer: requests.Response) -> str:
    """Return the server's reason in its own words, a short and printable sentence."""
    otherwise = f"The server answered {answer.status_code} ({answer.reason})."
    try:
        reason = reason_in(answer.content, otherwise)
    except requests.RequestException:
        return otherwise
    # The name of the status alone is no reason.
    return otherwise if reason == answer.reason else as_sentence(reason)


def server_fault(answer: requests.Response) -> UnreachableError:
    """Put a server's fault into words."""
    return UnreachableError(
        f"The server met a fault (status {answer.status_code}): {reason_of(answer)}",
        hint=_TRY_LATER,
        status=answer.status_code,
    )


def no_answer(connection: Connection, fault: Exception | None) -> UnreachableError:
    """Put a fault of the connection into words; None where what answered was not understood."""
    if isinstance(fault, requests.exceptions.SSLError):
        return _untrusted(connection, str(fault))
    if isinstance(fault, requests.exceptions.ProxyError):
        text = f"The proxy on the way to {connection.host} does not let the request through."
        hint = "Check HTTPS_PROXY and NO_PROXY in the environment."
    elif isinstance(fault, requests.Timeout):
        text, hint = f"{connection.host} did not answer in time.", _TRY_LATER
    else:
        text = f"The connection to {connection.host} failed or was cut."
        hint = "Check address and network, then try again: what is done stays."
    return UnreachableError(text, hint=hint)


def _untrusted(connection: Connection, fault: str) -> UnreachableError:
    if any(sign in fault for sign in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")):
        text = f"{connection.host} does not speak https."
        hint = "Check the address and its port; one that begins with http:// sends unprotected."
        return UntrustedError(text, hint=hint)
    if "CERTIFICATE" in fault:
        text = f"The certificate of {connection.host} is not trusted."
        hint = "Give your centre's certificates with --ca-bundle FILE or XNAT_PIC_CA_BUNDLE."
        return UntrustedError(text, hint=hint)
    text = f"The connection to {connection.host} failed or was cut."
    return UnreachableError(text, hint="Check address and network, then try again.")
