"""The tokens that logins are stored as: made and withdrawn by the server."""

from __future__ import annotations

import time
from urllib.parse import quote

from ..errors import RefusedError, ServerError
from ..server.client import Client
from ..server.login import Login


def issue_token(client: Client) -> Login:
    """Let the server make an alias token for the person logged in."""
    values = client.json("/data/services/tokens/issue")
    try:
        expires = float(values.get("estimatedExpirationTime") or 0) / 1000
        # A server that does not tell the end keeps a token for two days.
        expires = expires or time.time() + 2 * 24 * 3600
        return Login(client.user, str(values["alias"]), str(values["secret"]), expires)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ServerError(
            "The server issued no token.", hint="Log in with --store memory."
        ) from None


def withdraw_token(client: Client, token: Login) -> bool:
    """Make a token invalid on the server; False where it was not valid any more."""
    try:
        client.json(f"/data/services/tokens/invalidate/{quote(token.name)}/{quote(token.secret)}")
    except RefusedError:
        return False
    return True
