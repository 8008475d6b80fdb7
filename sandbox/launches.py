"""Launch pipelines of the classic engine on a server, and wait for their ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from xnat_config.server.client import XnatClient
from xnat_config.server.paths import path_of
from xnat_pic.errors import XnatPicError

_POLL_S = 2.0
_ENDS = ("complete", "failed", "killed")


def launch(
    server: XnatClient, project: str, pipeline: str, session: str, parameters: Mapping[str, str]
) -> None:
    """Launch a pipeline of a project on a session, as its page Run Pipeline does.

    Parameters
    ----------
    session : str
        ID of the session.
    parameters : mapping of str to str
        What the form asks for.
    """
    address = path_of("data", "projects", project, "pipelines", pipeline, "experiments", session)
    server.send("POST", address, params={"legacy": "false", **parameters})


def runs(server: XnatClient, project: str, pipeline: str, session: str) -> list[dict[str, str]]:
    """Return the runs of a pipeline on a session, the latest first."""
    # Without ``display`` the latest alone comes, as an item.
    asked = {"project": project, "experiment": session, "display": "ALL"}
    return server.find_rows(path_of("data", "services", "workflows", pipeline), asked)


def finish(
    server: XnatClient,
    project: str,
    pipeline: str,
    session: str,
    start: Callable[[], None],
    *,
    wait_s: float,
    poll_s: float = _POLL_S,
    watch: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> dict[str, str]:
    """Start a run, wait for its end and return its row.

    Parameters
    ----------
    start : callable
        Launches the pipeline on the session.
    wait_s, poll_s : float
        Seconds to wait for the end, and between two looks.
    watch : callable
        Given the row at every look before the end.

    Raises
    ------
    XnatPicError
        If it does not end in time.
    """
    before = {row.get("wrk_workflowData_id") for row in runs(server, project, pipeline, session)}
    start()
    deadline = time.monotonic() + wait_s
    status = "not started"
    while time.monotonic() < deadline:
        listed = runs(server, project, pipeline, session)
        new = (row for row in listed if row.get("wrk_workflowData_id") not in before)
        if row := next(new, None):
            status = row.get("status", "")
            if status.lower().startswith(_ENDS):
                return row
            watch(row)
        time.sleep(poll_s)
    raise XnatPicError(
        f"{pipeline} did not end within {wait_s:.0f} s; its state was: {status}.",
        hint="Give it more time with --wait, or look at the server's queue.",
    )


def is_complete(row: Mapping[str, str]) -> bool:
    """Tell whether a run that has ended did all it should."""
    return row.get("status", "").lower().startswith("complete")
