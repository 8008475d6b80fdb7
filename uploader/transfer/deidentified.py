"""Keep the originals of what was de-identified on its way from following it."""

from __future__ import annotations

from itertools import islice

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import RefusedError
from xnat_pic.errors import WrongCallError

from ..deidentification.deidentifier import load_profile
from ..planning.plan import Plan
from ..server.listing import RemoteSession, read_header, read_scans, read_sessions

_LOOKED_AT = 3  # sessions of a plan: one run treats all of them alike


def refuse_originals(client: XnatClient, plan: Plan) -> None:
    """Look at what the server has of a plan without a journal, before originals are sent.

    Raises
    ------
    WrongCallError
        If this program de-identified it.
    """
    rows = [row for row in plan.rows if row.include]
    for project in dict.fromkeys(row.project for row in rows if row.project):
        labels = {row.session.casefold() for row in rows if row.project == project}
        try:
            there = read_sessions(client, project)
        except RefusedError:
            continue  # check says why
        mine = (one for one in there if one.label.casefold() in labels)
        for session in islice(mine, _LOOKED_AT):
            if _is_deidentified(client, session):
                raise WrongCallError(
                    f"{session.label} on the server was anonymised on its way, and the journal "
                    "that says so is not beside the plan: this run would send originals.",
                    hint="Put the journal back, or ask for the same anonymisation as that upload.",
                )


def _is_deidentified(client: XnatClient, session: RemoteSession) -> bool:
    for scan in read_scans(client, session.path):
        for file in scan.files[:1]:
            try:
                methods = read_header(client, file, "DeidentificationMethod")
            except RefusedError:
                continue
            return load_profile().method in methods  # a site may add its own
    return False
