"""A site that nobody has set up yet: what XNAT answers until its preferences are saved once.

Read in XNAT's XnatInitCheckFilter and configured-urls.yaml.
"""

import sqlite3

from .accounts import User
from .archive import Archive

SETUP_PAGE, WAITING_PAGE = "/setup", "/app/template/Unconfigured.vm"
OPEN = (
    "/xapi/siteConfig",
    "/xapi/siteConfig/initialized",
    "/xapi/notifications/smtp",
    "/xapi/spawner/resolve/siteAdmin/siteSetup",
    SETUP_PAGE,
    WAITING_PAGE,
)
_OPEN_FOLDERS = ("/style/", "/static/")
_KEY = ("", "initialized", "")


def is_initialized(archive: Archive) -> bool:
    """Tell whether the site is set up: always, unless it is served as one that is not."""
    if not archive.settings.unconfigured:
        return True
    with archive.database.read() as connection:
        row = connection.execute(
            "SELECT 1 FROM document WHERE owner = ? AND kind = ? AND name = ?", _KEY
        ).fetchone()
    return row is not None


def initialize(connection: sqlite3.Connection) -> None:
    """Note that the site is set up."""
    connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?, '')", _KEY)


def detour(path: str, user: User | None) -> str:
    """Return where a request to a site that is not set up is sent; empty where it may go on.

    Who is not logged in goes on: to the page to log in, and to the login itself.
    """
    if user is None or path in OPEN or path.startswith(_OPEN_FOLDERS):
        return ""
    return SETUP_PAGE if user.is_admin else WAITING_PAGE
