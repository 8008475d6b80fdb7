"""Try the whole suite on a server: a scratch project, a digital mouse, and nothing left behind."""

from __future__ import annotations

import json
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mri2dicom import convert
from pipelines.catalog import load_catalog as load_pipelines
from pipelines.catalog.files import generate_files, write_files
from uploader import (
    Journal,
    Plan,
    UploadOptions,
    VerificationLevel,
    build_plan,
    scan_folder,
    upload,
    verify,
)
from xnat_config.admin.catalog import load_catalog
from xnat_config.admin.container_components import Service
from xnat_config.admin.container_settings import container_notes
from xnat_config.admin.engine_component import EngineComponent
from xnat_config.admin.installation import Installation
from xnat_config.admin.model import State
from xnat_config.admin.specification import InstallationSpec, parse_specification
from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.errors import ServerError, UnreachableError
from xnat_config.server.login import connection_login
from xnat_config.server.paths import path_of
from xnat_config.server.retry import RetryPolicy
from xnat_pic.errors import XnatPicError, describe
from xnat_pic.text import one_line

from .launches import finish, is_complete, launch
from .mouse import MouseOptions, write_mice
from .recording import Recorder, mask_secret

PREFIX = "XNATPIC_SELFTEST_"
NAME, RESULT = "process_T2", "PROCESSED_T2"
VALUES = {"group": "untreated", "timepoint": "pre"}
_ANIMAL = {"species": "Mus musculus", "weight_g": "21.5", "cell_line": "4T1 é"}
_SUBJECT = "xnat:subjectData"


@dataclass(frozen=True)
class Step:
    """What became of one step: ``ok``, ``failed`` or ``skipped``."""

    name: str
    outcome: str
    seconds: float
    said: str = ""


OnStep = Callable[[Step], None]


class SelfTest:
    """One trial on one server.

    Parameters
    ----------
    wait_s : float
        Seconds to wait for a pipeline to end.
    on_step : callable, optional
        Called with every step when it has ended.
    record : Path, optional
        File for what was said between program and server, without login, addresses and people.
    project : str, optional
        ID of the scratch project; by default a new one.
    retry : RetryPolicy, optional
        When requests are repeated.

    Attributes
    ----------
    project : str
        ID of the scratch project.
    steps : list of Step
        Those that have ended.
    is_clean : bool
        Whether it is sure that nothing is left on the server.
    """

    def __init__(
        self,
        connection: Connection,
        user: str,
        password: str,
        wait_s: float = 900.0,
        on_step: OnStep | None = None,
        record: Path | None = None,
        project: str = "",
        retry: RetryPolicy | None = None,
    ) -> None:
        self._connection = replace(connection, user=user)
        self._password = password
        self._record = record
        self._wait_s = wait_s
        self._retry = retry
        self._on_step = on_step or (lambda step: None)
        self.project = project or PREFIX + secrets.token_hex(4).upper()
        self.steps: list[Step] = []
        self.is_clean = self._is_made = False
        kept = (self.project, NAME)
        self._recorder = Recorder(connection.server, user, [password], kept) if record else None
        self._spec = parse_specification({"projects": [self.project]}, Path("selftest"))

    def run(self) -> list[Step]:
        """Do all steps; what was made is removed whatever happens, also at Ctrl+C.

        What could not be removed, as from a server that has gone, is a failed step.

        Raises
        ------
        XnatPicError
            If the server cannot be reached or refuses the login, before anything is made.
        """
        try:
            return self._run()
        finally:
            if self._recorder is not None and self._record is not None:
                told = [{"name": one.name, "outcome": one.outcome} for one in self.steps]
                self._recorder.write(self._record, self.project, told)

    def _run(self) -> list[Step]:
        with (
            self._client() as server,
            tempfile.TemporaryDirectory(prefix="xnat-pic-selftest-") as scratch,
        ):
            try:
                self._try(server, Path(scratch))
            finally:
                self._clean(server)
        return self.steps

    def _client(self) -> XnatClient:
        return XnatClient(
            self._connection,
            connection_login(self._connection, self._password),
            retry=self._retry,
            on_answer=self._recorder.note if self._recorder else None,
        )

    def _try(self, server: XnatClient, folder: Path) -> None:
        self._step("server", lambda: self._describe_server(server))
        if not self._step("scratch project", lambda: self._make(server)):
            return
        self._step("variables and forms defined", lambda: self._install(server))
        self._step("applied again changes nothing", lambda: self._install_again(server))
        if not self._step("digital mouse to DICOM", lambda: _make_mouse(folder)):
            return
        with (
            Journal(folder / "plan.journal") as journal,
            self._client() as client,
        ):
            plan = self._plan(folder)
            sent = self._step("upload", lambda: self._upload(client, journal, plan))
            if sent:
                self._step("verify", lambda: self._verify(client, journal, plan))
        self._step("variables set and read", lambda: self._variables(server))
        if sent:
            self._step("pipeline", lambda: self._pipeline(server, folder / "catalog"))
        if Service(server, self._spec).is_there:
            self._step("container settings", lambda: _container_settings(server))

    def _step(self, name: str, work: Callable[[], str]) -> bool:
        """Do one step and note what became of it; return whether it is done."""
        start = time.monotonic()
        if self._recorder is not None:
            self._recorder.step = name
        try:
            outcome, said = "ok", work()
        except Skipped as reason:
            outcome, said = "skipped", str(reason)
        except Exception as error:  # whatever it is, it goes into the table and the rest is cleaned
            outcome, said = "failed", describe(error)
        step = Step(name, outcome, time.monotonic() - start, self._clear(said))
        self.steps.append(step)
        self._on_step(step)
        return outcome == "ok"

    def _clear(self, text: str) -> str:
        """Return a text without login and address, on one line."""
        for secret, word in (
            (self._password, "(password)"),
            (self._connection.server, "(server)"),
            (self._connection.host, "(server)"),
        ):
            text = mask_secret(text, secret, word) if len(secret) > 3 else text
        return one_line(text, 1000)

    def _describe_server(self, server: XnatClient) -> str:
        plugins = server.find_json("/xapi/plugins")
        names = sorted(plugins) if isinstance(plugins, dict) else []
        return (
            f"XNAT {server.version_text or 'unknown'}; plugins: {', '.join(names) or 'none told'}"
        )

    def _make(self, server: XnatClient) -> str:
        self._is_made = True  # as far as it can be known: an answer may get lost
        try:
            server.send("PUT", path_of("data", "projects", self.project))
        except ServerError as fault:
            self._is_made = isinstance(fault, UnreachableError)
            raise
        _require(
            server.find_json(self._address()) is not None, "The project was made and is not there."
        )
        return self.project

    def _address(self, *parts: str) -> str:
        return path_of("data", "projects", self.project, *parts)

    def _install(self, server: XnatClient) -> str:
        items = Installation(server, self._spec).apply()
        bad = [one for one in items if one.state is State.FAILED]
        _require(not bad, f"{bad[0].key.name}: {bad[0].message}" if bad else "")
        done = sum(one.state is State.DONE for one in items)
        no = [one for one in items if one.state is State.IMPOSSIBLE]
        return f"{done} made" + (f"; {len(no)} not: {no[0].message}" if no else "")

    def _install_again(self, server: XnatClient) -> str:
        states = [one.state for one in Installation(server, self._spec).plan()]
        changes = states.count(State.UPDATE) + states.count(State.OTHER)
        _require(not changes, f"{changes} things would be changed again.")
        return f"{states.count(State.SAME)} in place"

    def _plan(self, folder: Path) -> Plan:
        config = self._spec.config
        scan = scan_folder(folder / "dicom", config, jobs=1)
        return build_plan(scan, self.project, config, layout="", given=VALUES)

    def _upload(self, client: XnatClient, journal: Journal, plan: Plan) -> str:
        result = upload(plan, client, journal, self._spec.config, UploadOptions(jobs=1))
        problems = [*result.problems, *(row.error or row.reason for row in result.rows)]
        reason = "; ".join(str(one) for one in problems if one)
        _require(result.exit_code == 0 and bool(result.rows), reason or "Nothing was sent.")
        return f"{len(result.rows)} sessions, {sum(row.files for row in plan.rows)} files"

    def _verify(self, client: XnatClient, journal: Journal, plan: Plan) -> str:
        verifications = verify(plan, client, self._spec.config, journal)
        bad = [
            text
            for one in verifications
            if one.level is VerificationLevel.NONE
            for text in one.problems
        ]
        _require(not bad and bool(verifications), "; ".join(bad[:3]) or "Nothing was found.")
        ways = ", ".join(sorted({one.proof for one in verifications}))
        return f"{sum(one.found for one in verifications)} images {ways}"

    def _variables(self, server: XnatClient) -> str:
        subject = self._address("subjects", "SELFTEST_VALUES")
        pairs = {f"{_SUBJECT}/fields/field[name={k}]/field": v for k, v in _ANIMAL.items()}
        server.send("PUT", subject, params={"xsiType": _SUBJECT, **pairs})
        found = _fields(server.find_json(subject))
        wrong = [name for name, value in _ANIMAL.items() if found.get(name) != value]
        _require(not wrong, f"Not read as they were set: {', '.join(wrong)}.")
        return f"{len(_ANIMAL)} values, one of them with a letter beyond ASCII"

    def _pipeline(self, server: XnatClient, folder: Path) -> str:
        rows = server.find_rows(self._address("experiments"), {"xsiType": "xnat:mrSessionData"})
        _require(bool(rows), "The project has no MR session.")
        return run_pipeline(server, self._spec, rows[0].get("ID", ""), folder, self._wait_s)

    def _clean(self, server: XnatClient) -> None:
        """Remove all that was made; forms after the subjects whose values they hold."""
        if not self._is_made:
            self.is_clean = True
            return
        try:
            if server.find_json(self._address()) is None:
                self.is_clean = True
                return
        except XnatPicError:
            pass  # whoever removes cannot either, and says so in the table
        self._step("subjects removed", lambda: self._empty(server))
        forms = self._step("variables and forms removed", lambda: self._uninstall(server))
        self.is_clean = self._step("project removed", lambda: self._drop(server)) and forms

    def _empty(self, server: XnatClient) -> str:
        rows = server.find_rows(self._address("subjects"))
        for row in rows:
            address = self._address("subjects", row.get("ID", ""))
            server.send("DELETE", address, params={"removeFiles": "true"})
        return f"{len(rows)}"

    def _uninstall(self, server: XnatClient) -> str:
        items = Installation(server, self._spec).remove()
        left = [one for one in items if one.state is not State.REMOVED]
        _require(not left, "; ".join(f"{one.key.name} stays: {one.message}" for one in left))
        return f"{len(items)}"

    def _drop(self, server: XnatClient) -> str:
        server.send("DELETE", self._address(), params={"removeFiles": "true"})
        _require(
            server.find_json(self._address()) is None, "The server keeps the project: delete it."
        )
        return self.project


def _container_settings(server: XnatClient) -> str:
    """Look at what would keep our containers from running; what is to be seen is no failure."""
    files = generate_files(load_pipelines()).items()
    notes = container_notes(server, [json.loads(one) for name, one in files if ".json" in name])
    return " ".join(["nothing to set" if not notes else "look at:", *notes])


def _make_mouse(folder: Path) -> str:
    options = MouseOptions(animals=1, groups=("untreated",), timepoints=("pre",), size="SMALL")
    write_mice(folder / "scanner", options)
    report = convert(folder / "scanner", folder / "dicom", jobs=1)
    _require(report.exit_code == 0, f"The conversion ended with {report.exit_code}.")
    return f"{report.count('converted')} series"


def _fields(item: Any) -> dict[str, str]:
    """Return the variables in the JSON of a subject."""
    found = {}
    try:
        for child in item["items"][0]["children"]:
            if child["field"] == "fields/field":
                for one in child["items"]:
                    found[str(one["data_fields"]["name"])] = str(one["data_fields"]["field"])
    except (KeyError, IndexError, TypeError):
        return {}
    return found


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise XnatPicError(otherwise)


def table(steps: Sequence[Step]) -> str:
    """Return the table for a bug report: plain text, no login, no address."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [f"XNAT-PIC {version('xnat-pic')} selftest; {system}"]
    wide = max((len(step.name) for step in steps), default=4)
    lines += [
        f"{step.name:<{wide}}  {step.outcome:<7}  {step.seconds:6.1f} s  {step.said}".rstrip()
        for step in steps
    ]
    failed = sum(step.outcome == "failed" for step in steps)
    skipped = sum(step.outcome == "skipped" for step in steps)
    lines.append(f"{len(steps) - failed - skipped} ok, {failed} failed, {skipped} skipped")
    return "\n".join(lines)


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
            if row.get("wrapper-name") == NAME and row.get("enabled") is True:
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
    missing = desired.keys() - component.read(desired).keys()
    if missing:
        raise Skipped(" ".join(component.manual_step(key) for key in missing))
    return "classic engine", lambda session: launch(server, project, NAME, session, {})


def _results(server: XnatClient, session: str) -> list[str]:
    found = []
    for scan in server.find_rows(path_of("data", "experiments", session, "scans")):
        above = ("data", "experiments", session, "scans", scan.get("ID", ""), "resources", RESULT)
        found += [row.get("Name", "") for row in server.find_rows(path_of(*above, "files"))]
    return found
