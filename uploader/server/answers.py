"""What an answer of the server says, and what no answer says, in words for a person."""

from __future__ import annotations

import requests

from xnat_config.server.connection import Connection
from xnat_config.server.reasons import reason_in

from ..errors import LoginError, UnreachableError, UntrustedError

REPEATED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
LOG_IN_AGAIN = "Log in again (xnat-pic-uploader login), then run the same command: it goes on."


def expired() -> LoginError:
    """Return the error of a token whose time is over."""
    return LoginError("The stored login has expired.", hint=LOG_IN_AGAIN)


def is_logged_out(answer: requests.Response) -> bool:
    """Tell whether an answer means that nobody is logged in."""
    if answer.status_code == 401:
        return True
    return answer.status_code in (302, 303) and "Login" in answer.headers.get("location", "")


def asked_wait_s(answer: requests.Response | None) -> float:
    """Return the seconds that an answer asks to wait, 0 if none."""
    text = answer.headers.get("retry-after", "") if answer is not None else ""
    return float(text) if text.isdigit() else 0.0


def reason(answer: requests.Response) -> str:
    """Return the server's reason in its own words, short and printable."""
    said = f"The server answered {answer.status_code} ({answer.reason})."
    return reason_in(answer.content, said)


def no_answer(connection: Connection, fault: Exception | None) -> UnreachableError:
    """Put a fault of the connection into words; never the fault's own text, which has the URL."""
    if isinstance(fault, requests.exceptions.SSLError) and _is_plain(fault):
        text = f"{connection.host} does not speak https."
        hint = "Check the address and its port; one that begins with http:// sends unprotected."
        return UntrustedError(text, hint=hint)
    if isinstance(fault, requests.exceptions.SSLError) and "CERTIFICATE" in str(fault):
        text = f"The certificate of {connection.host} is not trusted."
        hint = "Give your centre's certificates with --ca-bundle FILE."
        return UntrustedError(text, hint=hint)
    if isinstance(fault, requests.exceptions.ProxyError):
        text = f"The proxy on the way to {connection.host} does not let the request through."
        hint = "Check HTTPS_PROXY and NO_PROXY in the environment."
    elif isinstance(fault, requests.Timeout):
        text = f"{connection.host} did not answer in time."
        hint = "Run the same command again later: it goes on where it stopped."
    else:
        text = f"The connection to {connection.host} failed or was cut."
        hint = "Check address and network, then run the same command again: it goes on."
    return UnreachableError(text, hint=hint)


def _is_plain(fault: Exception) -> bool:
    """Tell whether what answered speaks no TLS at all."""
    return any(sign in str(fault) for sign in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"))


def server_fault(answer: requests.Response) -> UnreachableError:
    """Put a server's fault into words."""
    return UnreachableError(
        f"The server met a fault (status {answer.status_code}): {reason(answer)}",
        hint="Run the same command again later: it goes on where it stopped.",
        status=answer.status_code,
    )
