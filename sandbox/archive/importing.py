"""Take studies in: from a received file to sessions of the prearchive or the archive.

Objects are put in place first; then one transaction lists them, builds and archives.
"""

import math
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import archiving, items, prearchive, preferences, separating
from .accounts import User, may_edit
from .anonymisation import Labels, Rewriter, load, rewrite_blob
from .archive import Archive
from .archiving import Outcome, Target
from .blobs import Blob, Blobs, Placing
from .dicom_files import NotDicomError, read_header
from .dicom_rules import Assignment, Header, assign, clean_label, file_name, rules
from .merging import Policy
from .prearchive import AUTO_ARCHIVE, RECEIVING, UNASSIGNED, PrearchiveRequest, Session
from .refusals import Refused, not_found
from .unpack import Budget, Member, archive_kind, members

_ARCHIVE = re.compile(
    r"/archive(?:/projects/([^/]+)(?:/subjects/([^/]+))?(?:/experiments/([^/]+))?)?/?\Z"
)
_FILTER_MODE = "sitewideSeriesImportFilterMode"
_PREARCHIVE = re.compile(r"/prearchive(?:/projects/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?)?/?\Z")


@dataclass(frozen=True)
class Destination:
    """Where an import goes.

    Attributes
    ----------
    place : str
        ``archive``, ``prearchive``, or empty for none named.
    timestamp, folder : str
        A session of the prearchive to add to.
    """

    place: str = ""
    project: str = ""
    subject: str = ""
    session: str = ""
    timestamp: str = ""
    folder: str = ""


def parse_destination(text: str) -> Destination:
    """Return what ``dest`` means; it may start with ``/data``.

    Raises
    ------
    Refused
        400.
    """
    if not text:
        return Destination()
    path = text.removeprefix("/data")
    if match := _ARCHIVE.match(path):
        project, subject, session = (part or "" for part in match.groups())
        return Destination("archive", project, subject, session)
    if match := _PREARCHIVE.match(path):
        project, timestamp, folder = (part or "" for part in match.groups())
        return Destination("prearchive", project, timestamp=timestamp, folder=folder)
    raise Refused(400, f"Parameter dest format error: {text}")


@dataclass(frozen=True)
class Order:
    """What an import asks for.

    Attributes
    ----------
    build, archive, direct : bool
        Whether the session is built, archived, or goes to the archive without a prearchive
        session that anybody sees.
    lenient : bool
        Whether files that are not DICOM are passed over.
    rename : bool
        Whether files get XNAT's own names.
    gradual : bool
        Whether it is one object of many, which may be of another study than its session.
    prevent_auto_commit : bool
        Whether the session waits for whoever sends it, however long it is idle.
    prevent_anon : bool
        Whether no script runs: who sends has done it.
    """

    destination: Destination = field(default_factory=Destination)
    project: str = ""
    subject: str = ""
    session: str = ""
    policy: Policy = field(default_factory=Policy)
    build: bool = False
    archive: bool = False
    direct: bool = False
    lenient: bool = False
    rename: bool = False
    gradual: bool = False
    prevent_auto_commit: bool = False
    source: str = ""
    visit: str = ""
    timezone: str = ""
    prevent_anon: bool = False


@dataclass(frozen=True)
class Incoming:
    """An object in its place, not listed yet."""

    header: Header
    blob: Blob
    given: str


def objects_of_archive(
    blobs: Blobs, placing: Placing, path: Path, kind: str, *, lenient: bool
) -> list[Incoming]:
    """Put the DICOM objects of an archive in place; archives inside it are opened too.

    Raises
    ------
    Refused
        400 for anything that is no DICOM, unless `lenient` and there is some that is.
    """
    found: list[Incoming] = []
    problem = ""
    for member in _leaves(blobs, path, kind, Budget(path.stat().st_size)):
        try:
            found.append(_place(blobs, placing, member))
        except NotDicomError as error:
            problem = f"unable to read DICOM object {member.name}: {error}"
            if not lenient:
                raise Refused(400, problem) from error
    if problem and not found:
        raise Refused(400, problem)
    return found


def _leaves(blobs: Blobs, path: Path, kind: str, budget: Budget) -> Iterator[Member]:
    for member in members(path, kind, budget):
        inner = archive_kind(member.name)
        if not inner:
            yield member
            continue
        if budget.depth == 0:
            raise Refused(400, "The archive holds archives in archives; unpack them first.")
        budget.depth -= 1
        with blobs.receive() as incoming:
            for piece in member.pieces:
                incoming.write(piece)
            incoming.close()
            yield from _leaves(blobs, incoming.path, inner, budget)
        budget.depth += 1


def _place(blobs: Blobs, placing: Placing, member: Member) -> Incoming:
    with blobs.receive() as incoming:
        for piece in member.pieces:
            incoming.write(piece)
        incoming.close()
        header = read_header(incoming.path)
        blob = placing.commit(incoming, file_name(header, member.name))
    return Incoming(header, blob, member.name)


@dataclass
class Importer:
    """Lists objects in sessions, within one transaction."""

    connection: sqlite3.Connection
    user: User
    order: Order
    placing: Placing

    def __post_init__(self) -> None:
        self._sessions: dict[tuple[str, str, str], Session] = {}
        self._projects: dict[str, str] = {}
        self._timestamp = self.order.destination.timestamp or prearchive.new_timestamp()

    def add(self, objects: list[Incoming]) -> list[Session]:
        """List objects; their sessions are being received from then on."""
        fixed = self._explicit_project()
        is_wanted = _series_filter(self.connection)
        site = Rewriter(load(self.connection), decompress=True)
        for given in objects:
            if not is_wanted(given.header.get("SeriesDescription", "")):
                self.placing.drop(given.blob.path)
                continue
            session = self._session(given.header, fixed)
            one = self._rewritten(site, session, given)
            if one is None:
                continue
            own = file_name(one.header)
            name = own if self.order.rename else file_name(one.header, one.given)
            replaced = prearchive.add(self.connection, session, one.header, one.blob, name, own)
            self.placing.drop(replaced)
        self._end_emptied()
        return list(self._sessions.values())

    def _end_emptied(self) -> None:
        """Leave sessions of which the site's script rejected everything in the prearchive."""
        for key, session in list(self._sessions.items()):
            if not prearchive.headers(self.connection, session):
                prearchive.build(self.connection, session)
                del self._sessions[key]

    def _rewritten(self, site: Rewriter, session: Session, one: Incoming) -> Incoming | None:
        """Return an object as the site's script and the decompression leave it; None: rejected."""
        path = self.placing.path(one.blob.path)
        if self.order.prevent_anon or not site.changes(path):
            return one
        labels = Labels(session.project or UNASSIGNED, session.subject, session.folder)
        self.placing.drop(one.blob.path)
        blob = rewrite_blob(site, self.placing, one.blob.path, labels, ignore_rejections=False)
        if blob is None:
            return None
        return Incoming(read_header(self.placing.path(blob.path)), blob, one.given)

    def _explicit_project(self) -> str:
        """Return the ID of the project that was named; empty where nothing may be added to it."""
        if not self.order.project or self.order.project == UNASSIGNED:
            return ""
        return self._writable(self.order.project)

    def _writable(self, name: str) -> str:
        if name not in self._projects:
            project = items.find_project(self.connection, name)
            allowed = project is not None and may_edit(self.connection, self.user, project.id)
            self._projects[name] = project.id if project is not None and allowed else ""
        return self._projects[name]

    def _session(self, header: Header, fixed: str) -> Session:
        order = self.order
        found = assign(header, self._writable)
        project = fixed or ("" if order.project == UNASSIGNED else found.project)
        name = order.session or found.session or str(rules()["no_label"])
        key = (project, header["StudyInstanceUID"], name)
        if key not in self._sessions:
            request = self._request(header, found, project, name)
            self._sessions[key] = self._receive(request)
        return self._sessions[key]

    def _request(
        self, header: Header, found: Assignment, project: str, name: str
    ) -> PrearchiveRequest:
        order = self.order
        auto = {"true": "AutoArchive", "false": "Manual"}.get(found.auto_archive.lower(), "")
        if not auto and project:
            owner = items.find_project(self.connection, project)
            values = items.fields(self.connection, owner) if owner is not None else {}
            auto = AUTO_ARCHIVE.get(values.get("prearchive_code", "0"), "Manual")
        parameters = {"login": self.user.login}
        if order.prevent_auto_commit:
            parameters["prevent_auto_commit"] = "true"
        label = clean_label(name)
        # What is archived already is never added to past the prearchive.
        if order.direct and project and not items.find_experiment(self.connection, label, project):
            parameters["direct"] = "true"
        if order.prevent_anon:
            parameters["prevent_anon"] = "true"
        return PrearchiveRequest(
            project,
            order.subject or found.subject,
            name,
            header["StudyInstanceUID"],
            header.get("StudyDate", ""),
            auto,
            order.source,
            order.visit,
            order.timezone,
            parameters,
            order.destination.folder,
        )

    def _receive(self, request: PrearchiveRequest) -> Session:
        destination = self.order.destination
        if destination.folder:
            there = prearchive.find(
                self.connection, request.project, destination.timestamp, destination.folder
            )
            if there is not None:
                if there.tag and there.tag != request.tag and not self.order.gradual:
                    raise Refused(400, f"The prearchive session {there.url} holds another study.")
                prearchive.check_free(there)
                return prearchive.touch(self.connection, there, prearchive.RECEIVING)
        return prearchive.receive(self.connection, request, self._timestamp)

    def archive(self, session: Session) -> list[Outcome]:
        """Archive a session; one that could not be stays in the prearchive, and says why."""
        parts = separating.build(self.connection, session)
        label = self.order.session if len(parts) == 1 else ""
        return [self._archive(part, label) for part in parts]

    def _archive(self, session: Session, label: str) -> Outcome:
        order = self.order
        policy = order.policy
        if session.archives_itself and not policy.merge:
            policy = Policy.of_project(session.autoarchive)
        target = Target(session.project, order.subject, label)
        outcome, obsolete = archiving.attempt(
            self.connection, self.user, session, target, policy, self.placing
        )
        self.placing.drop(*obsolete)
        return outcome


def import_objects(
    archive: Archive, user: User, order: Order, gather: Callable[[Placing], list[Incoming]]
) -> list[Outcome]:
    """Take objects in; `gather` puts them in place.

    They are listed first, and their sessions are RECEIVING; then these are built as ordered.

    Raises
    ------
    Refused
        Where nothing was taken in.
    """
    with archive.blobs.placing() as placing:
        objects = gather(placing)
        with archive.database.write() as connection:
            importer = Importer(connection, user, order, placing)
            sessions = importer.add(objects)
            if order.archive and not order.direct:
                return [outcome for one in sessions for outcome in importer.archive(one)]
    return [outcome for one in sessions for outcome in _finish(archive, order, one)]


def _series_filter(connection: sqlite3.Connection) -> Callable[[str], bool]:
    """Return what tells by its description whether the site takes a series."""
    if not preferences.value(connection, "enableSitewideSeriesImportFilter"):
        return lambda _description: True
    lines = str(preferences.value(connection, "sitewideSeriesImportFilter")).split()
    matched_is_taken = preferences.value(connection, _FILTER_MODE) == "whitelist"
    patterns = [re.compile(line) for line in lines]
    return lambda text: matched_is_taken is any(one.fullmatch(text) for one in patterns)


def _finish(archive: Archive, order: Order, session: Session) -> list[Outcome]:
    """Build a session that was received, where the order says so; tell where it is."""
    if session.parameters.get("direct"):
        label = clean_label(session.name)
        uri = f"/xapi/direct-archive/{session.project}/{session.tag}/{label}"
        return [Outcome(session, uri=uri)]
    parts = [session]
    if order.build:
        with archive.database.write() as connection:
            there = prearchive.get(connection, session.pk)
            if there is None:
                raise not_found("session")
            parts = separating.build(connection, there)
    return [Outcome(one, uri="/data" + one.url) for one in parts]


def finish(archive: Archive, key: int, before: float = math.inf) -> None:
    """Build a session that is being received; archive it where its project says so.

    Parameters
    ----------
    before : float
        Leave it alone where something came after this moment (seconds since 1970).
    """
    with archive.blobs.placing() as placing, archive.database.write() as connection:
        session = prearchive.get(connection, key)
        if session is None or session.status != RECEIVING or session.lastmod > before:
            return
        for part in separating.build(connection, session):
            if part.parameters.get("direct") or part.archives_itself:
                _, obsolete = auto_archive(connection, part, placing)
                placing.drop(*obsolete)


def auto_archive(
    connection: sqlite3.Connection, session: Session, placing: Placing
) -> tuple[Outcome, list[str]]:
    """Archive a session on behalf of who sent it; where that fails it is seen in the prearchive."""
    user = User(session.parameters.get("login", "admin"), True)
    policy = Policy.of_project(session.autoarchive)
    outcome, obsolete = archiving.attempt(connection, user, session, Target(), policy, placing)
    if outcome.refusal is not None:
        connection.execute(
            "UPDATE prearchive SET parameters = json_remove(parameters, '$.direct') WHERE pk = ?",
            (session.pk,),
        )
    return outcome, obsolete
