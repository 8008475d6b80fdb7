"""How the objects of a plan are sent: the same in every run, or nothing would be found again.

The journal says whether they go as they are, anonymised, or with other UIDs too. The key of the
other UIDs lies in a file of its own beside the plan; the journal holds a mark of it, from which
nobody can tell the key.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from xnat_pic.errors import WrongCallError
from xnat_pic.files import bytes_digest, write_file

from ..errors import PlanError
from ..planning.journal import Journal
from .deidentifier import Deidentifier

_AS_THEY_ARE = "as they are"
_ANONYMISED = "anonymised"
_OTHER_UIDS = "anonymised with other UIDs"
_MARK = b"The objects of the plan beside this file were anonymised on their way to the server."
_HEAD = b"XNAT-PIC key of mapped UIDs 1\n"
_LONGEST = 1024


@dataclass(frozen=True)
class DeidentificationMode:
    """What a person asked for.

    Attributes
    ----------
    anonymise : bool
        Take people and places out.
    map_uids : bool
        Give the objects other UIDs, too.
    map_uids_with : Path, optional
        The key file of an earlier upload whose mapping is to go on.
    """

    anonymise: bool = False
    map_uids: bool = False
    map_uids_with: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises
        ------
        WrongCallError
            If other UIDs are asked for and anonymisation is not.
        """
        if self.has_other_uids and not self.anonymise:
            raise WrongCallError("--map-uids is a part of --anonymise.", hint="Give both.")

    @property
    def has_other_uids(self) -> bool:
        """Whether the objects get other UIDs."""
        return self.map_uids or self.map_uids_with is not None

    @property
    def text(self) -> str:
        """The way in the journal's words."""
        if not self.anonymise:
            return _AS_THEY_ARE
        return _OTHER_UIDS if self.has_other_uids else _ANONYMISED


def key_path(plan: Path) -> Path:
    """Return the place of the key of a plan's mapped UIDs."""
    return plan.with_name(f"{plan.name}.uid-key")


def mark_path(plan: Path) -> Path:
    """Return the place of the mark of a plan whose objects were anonymised, with their own UIDs."""
    return plan.with_name(f"{plan.name}.anonymised")


def marked_by(plan: Path) -> Path:
    """Return the file beside a plan that tells how its objects were sent."""
    return key_path(plan) if key_path(plan).exists() else mark_path(plan)


def _read_mark(plan: Path) -> str:
    """Return how the objects of a plan were sent by what lies beside it; empty: as they are."""
    if key_path(plan).exists():
        return _OTHER_UIDS
    return _ANONYMISED if mark_path(plan).exists() else ""


def load_deidentifier(
    plan: Path,
    journal: Journal | None,
    mode: DeidentificationMode | None = None,
    *,
    record: bool = False,
) -> Deidentifier | None:
    """Return the change of a plan's objects on their way; None where they go as they are.

    Parameters
    ----------
    mode : DeidentificationMode, optional
        What is asked for; by default what the journal says.
    record : bool
        Note it in the journal, and write the key beside the plan.

    Raises
    ------
    WrongCallError
        If an earlier run sent them otherwise.
    PlanError
        If the key of an earlier run is gone, is another one, or cannot be read or written.
    """
    before = journal.value("objects") if journal else ""
    marked = _read_mark(plan)
    asked = mode.text if mode else ""
    if not before and marked and asked not in ("", marked):
        raise WrongCallError(
            f"The file {marked_by(plan).name} beside the plan says that its objects were sent "
            f"{marked}, and the journal of that upload is not there; this run asks for {asked}.",
            hint="Put the journal back, or ask for the same anonymisation as that upload.",
        )
    if asked and before and asked != before:
        raise WrongCallError(
            f"An earlier run of this plan sent the objects {before}, and this one asks for "
            f"{asked}.",
            hint="Use the same options, or copy the plan under another name.",
        )
    text = asked or before or marked or _AS_THEY_ARE
    key = b""
    if text == _OTHER_UIDS:
        key = _find_key(
            key_path(plan), journal, mode.map_uids_with if mode else None, record=record
        )
    if record and journal is not None:
        journal.set_value("objects", text)
        if text == _ANONYMISED:
            _write(mark_path(plan), _MARK + b"\n")
    if text == _AS_THEY_ARE:
        return None
    return Deidentifier(key)


def _find_key(path: Path, journal: Journal | None, given: Path | None, *, record: bool) -> bytes:
    own = read_key(path) if path.exists() else b""
    other = read_key(given) if given else b""
    if own and other and own != other:
        raise WrongCallError(
            f"{given} and {path} hold different keys.",
            hint="Leave --map-uids-with out, or copy the plan under another name.",
        )
    key = own or other
    mark = journal.value("uid key") if journal else ""
    if mark and (not key or _mark(key) != mark):
        what = "is not the one" if key else "is gone"
        raise PlanError(
            f"The key {path.name} {what} that this plan was uploaded with.",
            path=path,
            hint="Put it back beside the plan: with another one, everything would be sent twice.",
        )
    key = key or secrets.token_bytes(32)
    if record:
        if not own:
            _write_key(path, key)
        if journal is not None:
            journal.set_value("uid key", _mark(key))
    return key


def _mark(key: bytes) -> str:
    return bytes_digest(b"mark\0" + key)[:16]


def read_key(path: Path) -> bytes:
    """Return the key in a file.

    Raises
    ------
    PlanError
        If the file cannot be read or holds no key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except OSError as error:
        raise PlanError(
            f"{path} cannot be read: {error.strerror or 'the system refuses'}.",
            path=path,
            hint="Name the file PLAN.uid-key of an earlier upload.",
        ) from error
    found = re.fullmatch(re.escape(_HEAD) + rb"([0-9a-f]{64})\s*", content.replace(b"\r\n", b"\n"))
    if found is None:
        raise PlanError(
            f"{path} holds no key of mapped UIDs.",
            path=path,
            hint="Name the file PLAN.uid-key of an earlier upload.",
        )
    return bytes.fromhex(found[1].decode("ascii"))


def _write_key(path: Path, key: bytes) -> None:
    _write(path, _HEAD + key.hex().encode("ascii") + b"\n", private=True)


def _write(path: Path, content: bytes, *, private: bool = False) -> None:
    try:
        write_file(path, content, private=private)
    except OSError as error:
        raise PlanError(
            f"{path} cannot be written: {error.strerror or 'the disk refuses'}.",
            path=path,
            hint="See that the folder of the plan can be written.",
        ) from error
