"""Hand a mail to the server, which sends it to people it knows."""

from __future__ import annotations

import secrets

from xnat_pic.text import one_line

from .client import XnatClient
from .paths import data_path

MOST_SUBJECT = 200


def send_mail(client: XnatClient, to: str, subject: str, text: str) -> None:
    """Hand a mail over. The server answers the same whether it is delivered or not.

    Parameters
    ----------
    to : str
        Address of a registered user, or its number.
    subject, text : str
        What to say; the text as it stands, the subject in one line of `MOST_SUBJECT` letters.

    Raises
    ------
    RefusedError
        Where the server takes no mails from this machine (403).
    LoginError, ServerError
    """
    boundary = secrets.token_hex(16)
    # XNAT reads the parts of a form here, and no url-encoded body.
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: text/plain; charset=UTF-8\r\n\r\n{value}\r\n"
        for name, value in (
            ("to", to),
            ("subject", one_line(subject, MOST_SUBJECT)),
            ("text", text),
        )
    ]
    body = f"{''.join(parts)}--{boundary}--\r\n".encode()
    client.send(
        "POST",
        data_path("services", "mail", "send"),
        body=lambda: body,
        content_type=f"multipart/form-data; boundary={boundary}",
    )
