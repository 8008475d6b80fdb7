"""The records that a server keeps of runs: what a run says of itself, and whether it lives.

A run that works says now and then what it does, with the time, in the record's step description.
One that has said so and then nothing for `SILENT_S` has lost the machine it ran on: the classic
engine leaves its record at *Running* for ever, and XNAT starts nothing more on that session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath

from xnat_pic.text import one_line

from .client import XnatClient
from .paths import data_path

MOST_TEXT = 255
"""Letters that a field of a record takes."""
SIGN_S = 60.0
"""Between two signs of life of a run, at most."""
SILENT_S = 900.0
"""A run without a sign for so long has ended without saying so."""
_OVER = ("complete", "failed", "killed")
_SIGN = re.compile(r" \((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\)$")
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class WorkflowRow:
    """One run, as a server lists it.

    Attributes
    ----------
    number : str
        Of the record.
    item : str
        ID of what it runs on.
    pipeline : str
        Its name, without folder and ending.
    launched : str
        When, by the server's clock.
    status : str
        Such as ``Running``.
    about : str
        What it says it does, with its last sign of life.
    percent : str
        How much of it is done, as text; empty where nobody said.
    """

    number: str
    item: str
    pipeline: str
    launched: str
    status: str
    about: str
    percent: str

    @property
    def is_open(self) -> bool:
        """Whether it has not ended, as far as the server knows."""
        return not self.status.lower().startswith(_OVER)

    @property
    def last_sign(self) -> datetime | None:
        """When it last gave a sign of life, in UTC; None where it never did."""
        found = _SIGN.search(self.about)
        try:
            return datetime.strptime(found[1], _TIME).replace(tzinfo=UTC) if found else None
        except ValueError:  # anybody may write there, such as a 13th month
            return None

    def is_dead(self, now: datetime) -> bool:
        """Tell whether it ended without saying so: it gave signs of life, and gives none now."""
        last = self.last_sign
        return self.is_open and last is not None and (now - last).total_seconds() > SILENT_S


def sign_of_life(doing: str, now: datetime) -> str:
    """Return what a run does with the time in UTC, as `WorkflowRow.last_sign` reads it."""
    sign = f" ({now.astimezone(UTC).strftime(_TIME)} UTC)"
    return one_line(doing, MOST_TEXT - len(sign)) + sign


def server_time(client: XnatClient) -> datetime:
    """Return the time by the server's clock; by this machine's where the server does not say.

    Raises
    ------
    LoginError, ServerError
    """
    date = client.send("GET", "/data/JSESSION").headers.get("Date", "")
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def update_workflow(client: XnatClient, number: str, **values: str) -> None:
    """Change values of a record; those not named stay. Who started the run may do it.

    Parameters
    ----------
    number : str
        Of the record.
    values : str
        By the names of ``wrk:workflowData``, such as ``details``; cut at `MOST_TEXT` letters.

    Raises
    ------
    RefusedError
        403 where it is somebody else's, 404 where it is not there.
    LoginError, ServerError
    """
    named = {f"wrk:workflowData/{k}": one_line(v, MOST_TEXT) for k, v in values.items()}
    client.send("PUT", data_path("workflows", number), params=named)


def list_workflows(
    client: XnatClient, pipeline: str, item: str, project: str = ""
) -> list[WorkflowRow]:
    """Return the runs on an item whose pipeline's name holds a text, the latest first.

    XNAT lists runs of one item alone: the listing of a whole project is not to be had.

    Parameters
    ----------
    pipeline : str
        Part of the pipeline's name, or of its path in the engine's catalog.
    item : str
        ID of the session.
    project : str
        ID of its project, where `item` is a label.

    Raises
    ------
    LoginError, ServerError
    """
    # Without ``display`` the latest comes alone, as an item.
    asked = {"experiment": item, "display": "ALL"} | ({"project": project} if project else {})
    rows = client.find_rows(data_path("services", "workflows", pipeline), asked)
    found = [_row({k.lower(): v for k, v in row.items()}) for row in rows]
    return sorted(found, key=lambda one: one.launched, reverse=True)


def _row(row: Mapping[str, str]) -> WorkflowRow:
    return WorkflowRow(
        number=row.get("wrk_workflowdata_id", ""),
        item=row.get("id", ""),
        pipeline=PurePosixPath(row.get("pipeline_name", "")).stem,
        launched=row.get("launch_time", ""),
        status=row.get("status", ""),
        about=row.get("step_description", ""),
        percent=row.get("percentagecomplete", ""),
    )
