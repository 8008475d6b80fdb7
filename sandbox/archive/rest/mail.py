"""Mails (data/services/mail/send): nothing is sent, the page of the run shows them."""

from pathlib import PurePosixPath

from starlette.responses import Response
from starlette.routing import Route

from .. import workflows
from ..http import Call, endpoint, text
from ..refusals import Refused

_MOST_TEXT = 20_000


@endpoint
def send(call: Call) -> Response:
    """Show a mail with the sender's latest run of the pipeline that its subject names.

    Where it names none, with the latest of all, first of all one that is not over. The sandbox
    sends no mail. What was said before stays.
    """
    said = call.get("text") or call.get("html") or call.get("message")
    message = f"{call.get('subject')}\n{said}".strip()
    if not message:
        raise Refused(400, "The mail has neither subject nor text.")
    with call.archive.database.write() as connection:
        own = workflows.find(connection, {"login": call.user.login, "src": "sandbox"}, limit=100)
        words = call.get("subject").split()
        named = [one for one in own if PurePosixPath(one.pipeline_name).stem in words]
        likely = named or own
        shown = next((one for one in likely if one.is_open), likely[0] if likely else None)
        if shown is not None:
            earlier = shown.fields.get("comments", "")
            comments = f"{earlier}\n\n{message}".strip()[-_MOST_TEXT:]
            workflows.update(connection, shown, comments=comments)
    return text()


routes = [Route("/data/services/mail/send", send, methods=["POST"])]
