"""Alias tokens, which the server makes to stand for a person for a while."""

from __future__ import annotations

import time

from .client import XnatClient
from .errors import RefusedError, ServerError
from .login import Login, token_login
from .paths import data_path

# How long XNAT keeps a token where it does not say.
_TOKEN_LIFE_S = 2 * 24 * 3600.0


def issue_token(client: XnatClient) -> Login:
    """Let the server make an alias token for the person logged in.

    Raises
    ------
    LoginError, ServerError
    """
    values = client.json("/data/services/tokens/issue")
    try:
        expires_s = float(values.get("estimatedExpirationTime") or 0) / 1000
        return token_login(
            client.user,
            str(values["alias"]),
            str(values["secret"]),
            expires_s or time.time() + _TOKEN_LIFE_S,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        # Not chained: the answer may hold a secret.
        raise ServerError("The server issued no token.", hint="Log in with a password.") from None


def withdraw_token(client: XnatClient, token: Login) -> bool:
    """Make a token invalid on the server; False where it was not valid any more."""
    path = data_path("services", "tokens", "invalidate", token.name, token.secret)
    try:
        client.send("GET", path)
    except RefusedError:
        return False
    return True
