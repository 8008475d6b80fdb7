"""Anonymisation as XNAT does it: the site's script on receipt, the project's when archiving.

A script is a configuration with a number; each object it changes gets an item with that number in
(0012,0064). On receipt the importer decompresses, too, where it has a codec.
"""

import io
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from private_dictionaries.decoders import find_decoder
from xnat_pic.tables import read_text
from xnat_pic.warning_filters import ignore_warnings

from . import filing, items, preferences
from .blobs import Blob, Placing
from .database import next_number
from .dicomedit import Script, ScriptError, parse_script
from .items import Item
from .prearchive import Session
from .refusals import Refused

_KIND = "anonymisation"
_SITE_SWITCH = "enableSitewideAnonymizationScript"
_LARGE = 1 << 25  # bytes of a file from which its pixels are passed on unread
_BLOCK = 1 << 20
_DEFAULT_ID = 1  # of the site's configuration before anybody changes it


@dataclass(frozen=True)
class Configuration:
    """A stored script.

    Attributes
    ----------
    id : int
        Number of this version of it.
    """

    id: int
    text: str
    is_enabled: bool


@dataclass(frozen=True)
class Labels:
    """What scripts call project, subject and session; the project may be ``Unassigned``."""

    project: str
    subject: str
    session: str

    @property
    def given(self) -> dict[str, str]:
        """The names as scripts know them."""
        return {"project": self.project, "subject": self.subject, "session": self.session}


def default_script() -> str:
    """Return the script of a freshly installed site."""
    return read_text("sandbox.archive", "default_script.das")


def load(connection: sqlite3.Connection, project: str = "") -> Configuration | None:
    """Return the script of a project, or of the site; None where there is none."""
    rows = connection.execute(
        "SELECT name, body FROM document WHERE owner = ? AND kind = ?", (project, _KIND)
    ).fetchall()
    found = {row["name"]: row["body"] for row in rows}
    if not project:
        text, number = found.get("text", default_script()), found.get("id", _DEFAULT_ID)
        return Configuration(int(number), text, preferences.value(connection, _SITE_SWITCH))
    if "text" not in found:
        return None
    return Configuration(int(found["id"]), found["text"], found.get("enabled") == "true")


def store_script(connection: sqlite3.Connection, project: str, text: str) -> None:
    """Store a script; a project's is enabled with it, as XNAT does.

    Raises
    ------
    Refused
        400 for what this sandbox cannot carry out.
    """
    try:
        parse_script(text)
    except ScriptError as error:
        raise Refused(400, str(error)) from error
    number = str(_DEFAULT_ID + next_number(connection, "configuration"))
    if load(connection, project) is None:
        enable(connection, project, True)
    _store(connection, project, id=number, text=text)


def enable(connection: sqlite3.Connection, project: str, is_enabled: bool) -> None:
    """Switch a script on or off."""
    if project:
        _store(connection, project, enabled="true" if is_enabled else "false")
    else:
        preferences.store(connection, {_SITE_SWITCH: is_enabled})


def is_enabled(connection: sqlite3.Connection, project: str = "") -> bool:
    """Tell whether a script is there and switched on."""
    found = load(connection, project)
    return found is not None and found.is_enabled


def _store(connection: sqlite3.Connection, owner: str, **values: str) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO document VALUES (?, ?, ?, ?)",
        [(owner, _KIND, name, value) for name, value in values.items()],
    )


class Rewriter:
    """Rewrites objects by one script; the decompression of the importer belongs to it.

    Parameters
    ----------
    configuration : Configuration, optional
        None only decompresses.
    """

    def __init__(self, configuration: Configuration | None, *, decompress: bool) -> None:
        active = configuration is not None and configuration.is_enabled
        self._configuration = configuration if active else None
        self._script: Script | None = (
            parse_script(configuration.text) if configuration is not None and active else None
        )
        self._decompress = decompress

    def changes(self, path: Path) -> bool:
        """Tell whether an object would be rewritten."""
        return self._script is not None or (self._decompress and _is_compressed(path))

    def rewrite(self, path: Path, labels: Labels) -> Iterable[bytes] | None:
        """Return the changed object in blocks; None where the script rejects it.

        Of a large one that is not compressed, pixels and what stands behind them pass unread.

        Raises
        ------
        Refused
            400 where it cannot be read.
        """
        with ignore_warnings():  # odd values pass as they are
            try:
                dataset, rest = _read_start(path)
                if self._decompress and _is_compressed(path):
                    _unpack(dataset)
                if self._script is not None and self._script.apply(dataset, labels.given):
                    return None
                if self._configuration is not None:
                    _record(dataset, self._configuration.id)
                out = io.BytesIO()
                dataset.save_as(out, enforce_file_format=True)
                return chain([out.getvalue()], _blocks(path, rest) if rest else ())
            except ScriptError as error:
                raise Refused(500, str(error)) from error
            except Exception as error:  # what a broken file makes pydicom raise has no common base
                text = f"unable to read DICOM object ({type(error).__name__})"
                raise Refused(400, text) from error

    def is_last(self, path: Path) -> bool:
        """Tell whether this script was the last one that changed an object."""
        if self._configuration is None:
            return False
        found = _read(path, only_notes=True).get("DeidentificationMethodCodeSequence") or []
        return bool(found) and str(found[-1].get("CodeValue", "")) == str(self._configuration.id)


def _read_start(path: Path) -> tuple[Dataset, int]:
    """Return an object, and where in the file its rest begins; 0 where it is read whole."""
    if path.stat().st_size < _LARGE or _is_packed(path):
        return _read(path), 0
    with path.open("rb") as file:
        dataset = _complete(dcmread(file, force=True, stop_before_pixels=True))
        return dataset, file.tell()


def _blocks(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK):
            yield block


def _read(path: Path, only_notes: bool = False) -> Dataset:
    if only_notes:
        tags = ["DeidentificationMethodCodeSequence"]
        return dcmread(path, force=True, stop_before_pixels=True, specific_tags=tags)
    return _complete(dcmread(path, force=True))


def _complete(dataset: Dataset) -> Dataset:
    """Return an object with the file meta information that it must have."""
    meta = dataset.file_meta
    if "TransferSyntaxUID" not in meta:
        implicit = dataset.original_encoding[0]
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _syntax(path: Path) -> UID:
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ImplicitVRLittleEndian
    return UID(read_file_meta_info(path).get("TransferSyntaxUID", ImplicitVRLittleEndian))


def _is_compressed(path: Path) -> bool:
    """Tell whether the pixels of an object are compressed."""
    syntax = _syntax(path)
    return not syntax.is_private and syntax.is_compressed


def _is_packed(path: Path) -> bool:
    """Tell whether the rest of an object cannot pass as it is."""
    return _is_compressed(path) or _syntax(path) == DeflatedExplicitVRLittleEndian


def _unpack(dataset: Dataset) -> None:
    """Decompress an object; where there is no codec it stays as it is."""
    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        dataset.decompress(decoding_plugin=find_decoder(syntax), generate_instance_uid=False)
    except Exception:  # decoders raise what they like, and XNAT then stores the original format
        return


def _record(dataset: Dataset, number: int) -> None:
    """Note in the object which script changed it."""
    item = Dataset()
    item.CodeValue = str(number)
    item.CodingSchemeDesignator = "XNAT"
    item.CodingSchemeVersion = "1.0"
    item.CodeMeaning = "XNAT DicomEdit 6 Script"
    there = dataset.get("DeidentificationMethodCodeSequence") or []
    dataset.DeidentificationMethodCodeSequence = DicomSequence([*there, item])


def rewrite_blob(
    rewriter: Rewriter, placing: Placing, blob: str, labels: Labels, *, ignore_rejections: bool
) -> Blob | None:
    """Return the content that takes the place of one; None where the script rejects it."""
    path = placing.path(blob)
    content = rewriter.rewrite(path, labels)
    if content is None and ignore_rejections:
        content = _blocks(path, 0)
    return None if content is None else placing.store(content, path.name)


class ProjectScript:
    """The script of a project, on its way with one session into the archive.

    Attributes
    ----------
    placed, replaced : list of str
        Contents that it made, and those that they take the place of.
    """

    def __init__(self, connection: sqlite3.Connection, placing: Placing) -> None:
        self._connection = connection
        self._placing = placing
        self.placed: list[str] = []
        self.replaced: list[str] = []

    def run(self, session: Session, labels: Labels) -> None:
        """Rewrite the objects of a session, but those that this script was the last to change.

        Raises
        ------
        Refused
            400 where it rejects all of them.
        """
        configuration = load(self._connection, labels.project)
        if configuration is None or not configuration.is_enabled:
            return
        if session.parameters.get("prevent_anon"):
            return
        rewriter = Rewriter(configuration, decompress=False)
        rows = self._connection.execute(
            "SELECT scan, path, blob FROM prearchive_file WHERE prearchive = ?", (session.pk,)
        ).fetchall()
        kept = sum(self._rewrite(rewriter, session, row, labels) for row in rows)
        if not kept:
            raise Refused(400, f"The script of {labels.project} rejects every object.")

    def _rewrite(
        self, rewriter: Rewriter, session: Session, row: sqlite3.Row, labels: Labels
    ) -> bool:
        """Rewrite one object; return whether it is still there."""
        key = (session.pk, row["scan"], row["path"])
        if rewriter.is_last(self._placing.path(row["blob"])):
            return True
        blob = rewrite_blob(rewriter, self._placing, row["blob"], labels, ignore_rejections=False)
        self.replaced.append(row["blob"])
        where = "WHERE prearchive = ? AND scan = ? AND path = ?"
        if blob is None:
            self._connection.execute(f"DELETE FROM prearchive_file {where}", key)
            return False
        self.placed.append(blob.path)
        self._connection.execute(
            f"UPDATE prearchive_file SET blob = ?, size = ?, digest = ? {where}",
            (blob.path, blob.size, blob.digest, *key),
        )
        return True


def rewrite_session(connection: sqlite3.Connection, placing: Placing, session: Item) -> None:
    """Let the project's script run on an archived session, as when it is relabelled or moved."""
    configuration = load(connection, session.project)
    if configuration is None or not configuration.is_enabled or session.kind != "experiment":
        return
    parent = items.get(connection, session.parent) if session.parent is not None else None
    labels = Labels(session.project, parent.label if parent is not None else "", session.label)
    rewriter = Rewriter(configuration, decompress=False)
    for resource, file in _dicom_files(connection, session):
        blob = rewrite_blob(rewriter, placing, file.blob, labels, ignore_rejections=True)
        assert blob is not None
        connection.execute(
            "UPDATE file SET blob = ?, size = ?, digest = ? WHERE resource = ? AND path = ?",
            (blob.path, blob.size, blob.digest, resource, file.path),
        )
        placing.drop(file.blob)


def _dicom_files(
    connection: sqlite3.Connection, session: Item
) -> Iterable[tuple[int, filing.File]]:
    scans: Sequence[Item] = items.children(connection, session, "scan")
    for scan in scans:
        for resource in filing.resources_of(connection, scan):
            if resource.format == "DICOM":
                for file in filing.files_of(connection, resource):
                    yield resource.pk, file
