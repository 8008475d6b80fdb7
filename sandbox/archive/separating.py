"""PET/MR studies, which a site keeps as one session, as PET, or as two sessions.

As in `items`, functions take a connection.
"""

import sqlite3

from . import prearchive, preferences
from .prearchive import PrearchiveRequest, Session

_COMBINED = "xnat:petmrSessionData"
_SEPARATE = "separate"


def build(connection: sqlite3.Connection, session: Session) -> list[Session]:
    """Build a session; where the site separates PET/MR, it becomes one ``_MR`` and one ``_PET``.

    Raises
    ------
    Refused
        403 while something else is done with it.
    """
    built = prearchive.build(connection, session)
    description = built.description
    if description is None or description.xsi_type != _COMBINED:
        return [built]
    if preferences.value(connection, "sitewidePetMr") != _SEPARATE:
        return [built]
    pet = [scan.series for scan in description.scans if scan.xsi_type == "xnat:petScanData"]
    mr = [scan.series for scan in description.scans if scan.series not in pet]
    parts = [_part(connection, built, "_MR", mr), _part(connection, built, "_PET", pet)]
    connection.execute("DELETE FROM prearchive WHERE pk = ?", (built.pk,))
    return parts


def _part(
    connection: sqlite3.Connection, session: Session, ending: str, series: list[str]
) -> Session:
    request = PrearchiveRequest(
        session.project,
        session.subject,
        session.name + ending,
        session.tag,
        session.scan_date,
        session.autoarchive,
        session.source,
        session.visit,
        session.timezone,
        session.parameters,
    )
    part = prearchive.receive(connection, request, session.timestamp)
    connection.executemany(
        "UPDATE OR REPLACE prearchive_file SET prearchive = ? WHERE prearchive = ? AND scan = ?",
        [(part.pk, session.pk, one) for one in series],
    )
    return prearchive.build(connection, part)
