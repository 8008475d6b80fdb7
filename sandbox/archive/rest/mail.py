"""Mails (data/services/mail/send): nothing is sent, the page of the run shows them.

Read in XNAT's MailRestlet.
"""

import re
import sqlite3
from collections.abc import Mapping
from pathlib import PurePosixPath

from starlette.responses import Response
from starlette.routing import Route

from .. import accounts, preferences, workflows
from ..accounts import GUEST, User, demand
from ..http import Call, endpoint, text
from ..refusals import Refused

_MOST_TEXT = 20_000


@endpoint
def send(call: Call) -> Response:
    """Hand a mail over. That is 200 also where no recipient is registered."""
    demand(call.user is not GUEST)
    with call.archive.database.read() as connection:
        allowed = preferences.value(connection, "ipsThatCanSendEmailsThroughRest")
    client = call.request.client
    if client is None or not re.fullmatch(allowed, client.host):
        raise Refused(403, "The address is not allowed to send mails.")
    # The parts of a form count, and the query; a url-encoded body is not read.
    is_form = call.content_type == "multipart/form-data"
    pairs = call.params if is_form else call.request.query_params.multi_items()
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    _check(given)
    with call.archive.database.write() as connection:
        asked = [one for name in ("to", "cc", "bcc") for one in given.get(name, [])]
        unknown = [one for one in asked if not _is_recipient(connection, one)]
        said = given.get("text") or given.get("html") or [""]
        _show(connection, call.user, given["subject"][0], said[0])
    return text("OK with warnings, see log." if unknown else "OK")


def _check(given: Mapping[str, list[str]]) -> None:
    body = given.get("text") or given.get("html")
    if "to" in given and len(given.get("subject", [])) == 1 and body:
        return
    raise Refused(400, "A mail needs a recipient, one subject, and text or html.")


def _is_recipient(connection: sqlite3.Connection, name: str) -> bool:
    """Tell whether a mail address, or the user of a number, is registered."""
    if name.isdecimal():
        return bool(accounts.email_of(connection, name))
    return accounts.is_registered(connection, name)


def _show(connection: sqlite3.Connection, user: User, subject: str, said: str) -> None:
    """Show a mail with the sender's latest run of the pipeline that its subject names.

    Where it names none, with the latest of all, first of all one that is not over. What was said
    before stays.
    """
    message = f"{subject}\n{said}".strip()
    own = workflows.find(connection, {"login": user.login, "src": "sandbox"}, limit=100)
    words = subject.split()
    named = [one for one in own if PurePosixPath(one.pipeline_name).stem in words]
    likely = named or own
    shown = next((one for one in likely if one.is_open), likely[0] if likely else None)
    if shown is not None:
        earlier = shown.fields.get("comments", "")
        comments = f"{earlier}\n\n{message}".strip()[-_MOST_TEXT:]
        workflows.update(connection, shown, comments=comments)


routes = [Route("/data/services/mail/send", send, methods=["POST"])]
