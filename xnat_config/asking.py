"""What every client of XNAT does alike, below the clients themselves."""

from __future__ import annotations

import requests


class NoLogin(requests.auth.AuthBase):
    """Send no login with a request; being set, it keeps requests from reading a ``.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request as it is."""
        return request
