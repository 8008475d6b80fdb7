"""Runs of pipelines that a server believes to be under way, and are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xnat_pic.errors import XnatPicError, describe

from ..server.client import XnatClient
from ..server.paths import data_path
from ..server.workflows import WorkflowRow, list_workflows, server_time, update_workflow

ENGINE_FOLDER = "xnat_pic/"
"""Folder of our descriptors below the engine's catalog: part of the name of each of their runs."""
_QUEUED = "queued"


@dataclass(frozen=True)
class OpenRun:
    """A run of the classic engine that has not ended, as far as the server knows.

    Attributes
    ----------
    project, session : str
        Project, and label of the session.
    workflow : WorkflowRow
        The server's record.
    is_dead : bool
        It gave signs of life, and none for a long time: its engine has gone.
    """

    project: str
    session: str
    workflow: WorkflowRow
    is_dead: bool

    def as_json(self) -> dict[str, str]:
        """Return it for programs."""
        return {
            "project": self.project,
            "session": self.session,
            "pipeline": self.workflow.pipeline,
        }

    @property
    def is_waiting(self) -> bool:
        """Whether the engine never reported on it."""
        return self.workflow.status.lower() == _QUEUED

    @property
    def sentence(self) -> str:
        """What is to be said of it; empty for one that works."""
        one = self.workflow
        who = f"{one.pipeline} on {self.session} of {self.project}, started {one.launched}"
        if self.is_dead:
            return (
                f"{who}: no sign of life since {one.last_sign:%Y-%m-%d %H:%M} UTC. Its engine has "
                "gone; close the run with close-runs, since XNAT starts nothing beside it."
            )
        if self.is_waiting:
            return (
                f"{who}: queued. If it does so for long, the engine does not run or cannot reach "
                "this server at its Processing URL."
            )
        return ""


def find_open_runs(server: XnatClient, projects: Iterable[str]) -> list[OpenRun]:
    """Return the runs of our pipelines in the classic engine that have not ended.

    One request for each session of the projects: XNAT does not list the runs of a project. The
    server's clock counts, whose machine the engine usually shares, and not that of who asks.

    Raises
    ------
    LoginError, ServerError
    """
    found: list[OpenRun] = []
    now = server_time(server)
    for project in projects:
        sessions = server.find_rows(
            data_path("projects", project, "experiments"), {"columns": "ID,label"}
        )
        for session in sessions:
            for one in list_workflows(server, ENGINE_FOLDER, session.get("ID", "")):
                if one.is_open:
                    label = session.get("label", "")
                    found.append(OpenRun(project, label, one, one.is_dead(now)))
    return found


def close_runs(server: XnatClient, dead: Iterable[OpenRun]) -> list[str]:
    """Mark runs as failed; return a sentence for each that could not be."""
    left = []
    for one in dead:
        said = f"No sign of life since {one.workflow.last_sign:%Y-%m-%d %H:%M} UTC; closed."
        try:
            update_workflow(server, one.workflow.number, status="Failed", details=said)
        except XnatPicError as error:
            left.append(f"{one.workflow.pipeline} on {one.session}: {describe(error)}")
    return left
