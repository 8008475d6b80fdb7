"""What the server has of one project, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xnat_config.server.client import XnatClient
from xnat_config.server.errors import RefusedError
from xnat_config.server.paths import data_path
from xnat_config.site import SiteConfig

from .listing import (
    PrearchiveSession,
    RemoteSession,
    RemoteSubject,
    read_prearchive,
    read_sessions,
    read_subjects,
)
from .variables import Definitions, read_definitions


@dataclass(frozen=True)
class RemoteProject:
    """What the server has of one project.

    Attributes
    ----------
    exists, writable : bool
        Whether it can be seen, and whether we may write to it.
    subjects : dict
        By label without case.
    sessions : dict
        By label without case.
    """

    name: str
    exists: bool
    writable: bool = True
    definitions: Definitions = field(default_factory=dict)
    subjects: Mapping[str, RemoteSubject] = field(default_factory=dict)
    sessions: Mapping[str, RemoteSession] = field(default_factory=dict)
    prearchived: tuple[PrearchiveSession, ...] = ()


def read_project(client: XnatClient, name: str, config: SiteConfig) -> RemoteProject:
    """Return what the server has of a project."""
    if not client.exists(data_path("projects", name)):
        return RemoteProject(name, False)
    names = [one.name for one in config.variables if one.level == "subject"]
    try:
        prearchived = tuple(read_prearchive(client, name))
        writable = _may_write(client, name)
    except RefusedError:
        prearchived, writable = (), False
    return RemoteProject(
        name=name,
        exists=True,
        writable=writable,
        definitions=read_definitions(client, name),
        subjects={one.label.casefold(): one for one in read_subjects(client, name, names)},
        sessions={one.label.casefold(): one for one in read_sessions(client, name)},
        prearchived=prearchived,
    )


def missing_project(name: str) -> str:
    """Return what is said of a project that the server does not show."""
    return (
        f"There is no project {name}, or you may not see it. Correct the name, ask its owner for "
        "access, or use upload --create-project."
    )


def list_projects(client: XnatClient) -> list[str]:
    """Return the IDs of all projects that can be seen, sorted as people read them."""
    rows = client.rows("/data/projects", {"format": "json"})
    return sorted({one["ID"] for one in rows if one.get("ID")}, key=str.casefold)


def _may_write(client: XnatClient, project: str) -> bool:
    """Tell whether we are owner or member; a collaborator only reads."""
    access = client.find_json("/xapi/access/projects")
    roles = {
        str(one.get("ID")): str(one.get("role"))
        for one in (access if isinstance(access, list) else [])
        if isinstance(one, dict)
    }
    role = roles.get(project, "")
    if role:
        return not role.lower().startswith("collaborator")
    who = client.find_json(f"/xapi/users/{client.user}/roles")
    # A server that tells nothing about rights refuses later, with its reason.
    return "Administrator" in who if isinstance(who, list) else not access
