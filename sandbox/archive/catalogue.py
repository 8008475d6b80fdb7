"""The pipelines of the site and of its projects.

The site's are descriptors in a folder of the server (the engine's ``catalog``); each is known by
its path below that folder. A project lists those it uses, each under a step id. Both are kept as
documents of the archive.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from . import schema
from .descriptors import Descriptor, read_descriptor
from .refusals import Refused, not_found

EVERY_TYPE = "All Datatypes"
ARC = "http://nrg.wustl.edu/arc"
_SITE, _FOLDER = "pipeline", "pipeline-folder"
_PUT_DOCUMENT = (
    "INSERT INTO document VALUES (?, ?, ?, ?)"
    " ON CONFLICT (owner, kind, name) DO UPDATE SET body = excluded.body"
)


@dataclass(frozen=True)
class SitePipeline:
    """A descriptor that the site offers; `folder` is the catalog it lies in."""

    path: str
    folder: Path
    descriptor: Descriptor


@dataclass(frozen=True)
class ProjectPipeline:
    """A pipeline that a project uses.

    Attributes
    ----------
    step_id : str
        What it is launched by.
    path : str
        Of the descriptor below the catalog.
    datatype : str
        Of the sessions it is offered on.
    defaults : mapping
        Values that replace the descriptor's in the launch form, by parameter.
    """

    step_id: str
    path: str
    name: str
    display: str
    description: str
    datatype: str
    defaults: Mapping[str, str] = field(default_factory=dict)

    def applies_to(self, xsi_type: str) -> bool:
        """Tell whether it is offered on a type."""
        return self.datatype == EVERY_TYPE or schema.is_a(xsi_type, self.datatype)


def register_folder(connection: sqlite3.Connection, folder: Path) -> list[str]:
    """Offer every descriptor below a folder on the site; return their paths.

    Other XML files, such as the descriptions of step programs, stay what they are.

    Raises
    ------
    Refused
        404 where there is no folder; 422 where it holds no descriptor.
    """
    if not folder.is_dir():
        raise Refused(404, "The folder of pipelines does not exist on the server.")
    folder = folder.resolve()
    paths = []
    for file in sorted(folder.rglob("*.xml")):
        try:
            body = file.read_text("utf-8")
            read_descriptor(body)
        except (Refused, UnicodeDecodeError):
            continue
        path = file.relative_to(folder).as_posix()
        connection.execute(_PUT_DOCUMENT, ("", _SITE, path, body))
        connection.execute(_PUT_DOCUMENT, ("", _FOLDER, path, str(folder)))
        paths.append(path)
    if not paths:
        raise Refused(422, "The folder holds no pipeline descriptor.")
    return paths


def unregister(connection: sqlite3.Connection, path: str) -> None:
    """Take a descriptor from the site's list.

    Raises
    ------
    Refused
        404 where it is not in the list.
    """
    found = connection.execute(
        "DELETE FROM document WHERE owner = '' AND kind = ? AND name = ?", (_SITE, path)
    )
    if not found.rowcount:
        raise not_found("pipeline")
    connection.execute(
        "DELETE FROM document WHERE owner = '' AND kind = ? AND name = ?", (_FOLDER, path)
    )


def site_pipelines(connection: sqlite3.Connection) -> list[SitePipeline]:
    """Return the site's pipelines by path."""
    rows = connection.execute(
        "SELECT one.name, one.body, two.body FROM document AS one JOIN document AS two"
        " ON two.owner = '' AND two.kind = ? AND two.name = one.name"
        " WHERE one.owner = '' AND one.kind = ? ORDER BY one.name",
        (_FOLDER, _SITE),
    )
    return [SitePipeline(row[0], Path(row[2]), read_descriptor(row[1])) for row in rows]


def find_site(connection: sqlite3.Connection, name: str) -> SitePipeline | None:
    """Return a site's pipeline by path, by name, or by the file name of its path."""
    found = site_pipelines(connection)
    for fits in (
        lambda one: one.path == name,
        lambda one: one.descriptor.name == name,
        lambda one: Path(one.path).stem == name or name.endswith("/" + one.path),
    ):
        for one in found:
            if fits(one):
                return one
    return None


def project_pipelines(connection: sqlite3.Connection, project: str) -> list[ProjectPipeline]:
    """Return the pipelines a project uses, by step id."""
    rows = connection.execute(
        "SELECT body FROM document WHERE owner = ? AND kind = ? ORDER BY name", (project, _SITE)
    )
    return [ProjectPipeline(**json.loads(row[0])) for row in rows]


def find_project_pipeline(
    connection: sqlite3.Connection, project: str, name: str
) -> ProjectPipeline | None:
    """Return a pipeline a project uses by step id, or by name."""
    found = project_pipelines(connection, project)
    by_step = [one for one in found if one.step_id == name]
    return next(iter(by_step or [one for one in found if one.name == name]), None)


def add_to_project(
    connection: sqlite3.Connection,
    project: str,
    pipeline: SitePipeline,
    datatype: str = "",
    step_id: str = "",
) -> ProjectPipeline:
    """Let a project use a pipeline of the site; by default under its name."""
    about = pipeline.descriptor
    step_id = step_id or about.name
    used = ProjectPipeline(
        step_id=step_id,
        path=pipeline.path,
        name=about.name,
        display=about.name[:1].upper() + about.name[1:].replace("_", " "),
        description=about.description,
        datatype=datatype or about.applies_to or EVERY_TYPE,
    )
    body = json.dumps(asdict(used))
    connection.execute(_PUT_DOCUMENT, (project, _SITE, step_id, body))
    return used


def remove_from_project(
    connection: sqlite3.Connection, project: str, path: str, datatype: str = ""
) -> None:
    """Take a pipeline from a project's list.

    Raises
    ------
    Refused
        404 where it is not in the list.
    """
    found = [
        one
        for one in project_pipelines(connection, project)
        if one.path == path and datatype in ("", one.datatype)
    ]
    if not found:
        raise not_found("pipeline")
    connection.executemany(
        "DELETE FROM document WHERE owner = ? AND kind = ? AND name = ?",
        [(project, _SITE, one.step_id) for one in found],
    )


def archive_spec(
    project: str, pipelines: list[ProjectPipeline], prearchive_code: str, quarantine_code: str
) -> str:
    """Return a project's ``arc:project`` document."""
    by_type: dict[str, list[ProjectPipeline]] = {}
    for one in pipelines:
        by_type.setdefault(one.datatype, []).append(one)
    descendants = "".join(
        f"<arc:descendant xsiType={quoteattr(datatype)}>"
        + "".join(_arc_pipeline(one) for one in listed)
        + "</arc:descendant>"
        for datatype, listed in by_type.items()
    )
    inner = f"<arc:descendants>{descendants}</arc:descendants>" if descendants else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<arc:project xmlns:arc="{ARC}" id={quoteattr(project)} current_arc="arc001"'
        f" quarantine_code={quoteattr(quarantine_code)}"
        f" prearchive_code={quoteattr(prearchive_code)}>"
        f"<arc:pipelines>{inner}</arc:pipelines></arc:project>\n"
    )


def _arc_pipeline(one: ProjectPipeline) -> str:
    parameters = "".join(
        f"<arc:parameter name={quoteattr(name)}><arc:csvValues>{escape(value)}</arc:csvValues>"
        "</arc:parameter>"
        for name, value in one.defaults.items()
    )
    return (
        f'<arc:pipeline stepId={quoteattr(one.step_id)} dependent="false">'
        f"<arc:displayText>{escape(one.display)}</arc:displayText>"
        f"<arc:name>{escape(one.name)}</arc:name>"
        f"<arc:location>{escape(one.path)}</arc:location>"
        f"<arc:description>{escape(one.description)}</arc:description>"
        + (f"<arc:parameters>{parameters}</arc:parameters>" if parameters else "")
        + "</arc:pipeline>"
    )
