"""Run one pipeline on a session of a server, whichever way the server offers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.catalog.files import write_files
from xnat_config.admin.catalog import load_catalog
from xnat_config.admin.engine_component import EngineComponent
from xnat_config.admin.specification import InstallationSpec
from xnat_config.server.client import XnatClient
from xnat_config.server.paths import path_of
from xnat_pic.errors import XnatPicError

from .launches import finish, is_complete, launch

NAME, RESULT = "process_T2", "PROCESSED_T2"


class Skipped(Exception):
    """A step that this server gives no occasion for; the text says why."""


def run_pipeline(
    server: XnatClient, spec: InstallationSpec, session: str, folder: Path, wait_s: float
) -> str:
    """Launch T2 maps on a session, wait for the end, and look at what came out.

    Parameters
    ----------
    session : str
        ID of the session.
    folder : Path
        Where the descriptors may be written.
    wait_s : float
        Seconds to wait for the end.

    Returns
    -------
    str
        By which way it ran and what came out.

    Raises
    ------
    Skipped
        If the server does not offer it.
    XnatPicError
        If it fails, or does not end in time.
    """
    project = spec.projects[0]
    offered = _by_container(server, project) or _by_engine(server, spec, folder)
    if offered is None:
        raise Skipped(
            f"The server offers {NAME} neither by the Container Service nor by the classic engine."
        )
    way, start = offered
    row = finish(server, project, NAME, session, lambda: start(session), wait_s=wait_s)
    if not is_complete(row):
        told = " ".join(row.get(name, "") for name in ("step_description", "details")).strip()
        raise XnatPicError(
            f"{NAME} by the {way} ended with: {row.get('status', '')}. {told}".strip(),
            hint="Look at the log of the run on the server.",
        )
    files = _results(server, session)
    if not any(name.endswith("maps.json") for name in files):
        raise XnatPicError(
            f"{NAME} by the {way} is complete, and no scan has maps in {RESULT}.",
            hint="Look at the log of the run on the server.",
        )
    return f"{NAME} by the {way}: {len(files)} files of results"


def _by_container(server: XnatClient, project: str) -> tuple[str, Callable[[str], None]] | None:
    listed = server.find_json("/xapi/commands")
    for command in listed if isinstance(listed, list) else []:
        wrappers = [one.get("name") for one in command.get("xnat") or []]
        if command.get("name") != NAME or NAME not in wrappers:
            continue
        above = ("xapi", "projects", project, "commands", str(command["id"]), "wrappers", NAME)
        server.send("PUT", path_of(*above, "enabled"))
        asked = {"project": project, "xsiType": "xnat:mrSessionData"}
        rows = server.find_json("/xapi/commands/available", asked)
        for row in rows if isinstance(rows, list) else []:
            if row.get("wrapper-name") == NAME:
                root = str(row.get("root-element-name"))
                address = path_of(
                    *("xapi", "projects", project, "wrappers", str(row["wrapper-id"])),
                    *("root", root, "launch"),
                )
                return "Container Service", lambda session, address=address, root=root: _post(
                    server, address, {root: f"/archive/experiments/{session}"}
                )
    return None


def _post(server: XnatClient, address: str, values: dict[str, str]) -> None:
    server.send("POST", address, json=values)


def _by_engine(
    server: XnatClient, spec: InstallationSpec, folder: Path
) -> tuple[str, Callable[[str], None]] | None:
    project = spec.projects[0]
    write_files(folder)
    component = EngineComponent(server, spec, load_catalog(folder, (NAME,)))
    desired = component.desired()
    if any(component.obstacle(key) for key in desired):
        return None
    component.create(list(desired.items()))
    if set(component.read(desired)) != set(desired):
        return None
    return "classic engine", lambda session: launch(server, project, NAME, session, {})


def _results(server: XnatClient, session: str) -> list[str]:
    found = []
    for scan in server.find_rows(path_of("data", "experiments", session, "scans")):
        above = ("data", "experiments", session, "scans", scan.get("ID", ""), "resources", RESULT)
        found += [row.get("Name", "") for row in server.find_rows(path_of(*above, "files"))]
    return found
