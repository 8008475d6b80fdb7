"""Mails (data/services/mail/send): nothing is sent, the page of the run shows them."""

from starlette.responses import Response
from starlette.routing import Route

from .. import workflows
from ..http import Call, endpoint, text
from ..refusals import Refused

_MOST_TEXT = 20_000


@endpoint
def send(call: Call) -> Response:
    """Show a mail with the sender's latest run, first of all one that is not over.

    The sandbox sends no mail. What was said before stays.
    """
    said = call.get("text") or call.get("html") or call.get("message")
    message = f"{call.get('subject')}\n{said}".strip()
    if not message:
        raise Refused(400, "The mail has neither subject nor text.")
    with call.archive.database.write() as connection:
        own = workflows.find(connection, {"login": call.user.login, "src": "sandbox"}, limit=100)
        shown = next((one for one in own if one.is_open), own[0] if own else None)
        if shown is not None:
            earlier = shown.fields.get("comments", "")
            comments = f"{earlier}\n\n{message}".strip()[-_MOST_TEXT:]
            workflows.update(connection, shown, comments=comments)
    return text()


routes = [Route("/data/services/mail/send", send, methods=["POST"])]
