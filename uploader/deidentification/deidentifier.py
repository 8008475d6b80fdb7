"""Take people and places out of DICOM objects on their way to the server; the animal's id stays."""

from __future__ import annotations

import hmac
import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from xnat_pic.errors import CorruptDataError
from xnat_pic.tables import load_table

from ..scanning.object_files import object_source

_PRIVATE_BLOCKS = range(0x10, 0x100)
# What pydicom raises for values that are damaged.
_READING_ERRORS = (InvalidDicomError, BytesLengthException, ValueError, AttributeError)
_STANDARD = "1.2.840.10008."


@dataclass(frozen=True)
class Rule:
    """What becomes of one attribute.

    Attributes
    ----------
    action : str
        ``X`` remove, ``Z`` empty, ``D`` replace by `value`, ``U`` map the UID, ``K`` keep.
    """

    keyword: str
    action: str
    value: str = ""
    source: str = ""


@dataclass(frozen=True)
class Profile:
    """All rules by tag, the private creators that are safe, and what of theirs is removed."""

    rules: dict[int, Rule]
    safe_private_creators: tuple[str, ...]
    private_removed: frozenset[tuple[str, int]]
    method: str


@cache
def load_profile() -> Profile:
    """Return the table of this package."""
    table = load_table(__package__, "profile.toml")
    rules = {}
    for entry in table["attribute"]:
        tag = tag_for_keyword(entry["keyword"])
        if tag is None:
            raise ValueError(f"profile.toml names {entry['keyword']}, which is no attribute.")
        rules[tag] = Rule(**entry)
    method = table["method"]
    removed = frozenset((entry["creator"], entry["element"]) for entry in table["private"])
    return Profile(rules, tuple(method["safe_private_creators"]), removed, method["text"])


@dataclass(frozen=True)
class Deidentifier:
    """Changes objects by a profile.

    Attributes
    ----------
    key : bytes
        Studies, series and instances get other UIDs by it: the same UID always becomes the same
        one, in every file and every run with this key, so that references and repeated uploads
        hold. Nobody can tell one from the other without the key. Empty: UIDs stay.
    """

    key: bytes = field(default=b"", repr=False)
    profile: Profile = field(default_factory=load_profile)

    def uid(self, uid: str) -> str:
        """Return the UID that stands for one."""
        if not self.key or not uid or uid.startswith(_STANDARD):
            return uid
        digest = hmac.digest(self.key, uid.encode(), "sha256")
        # A version 4 UUID by form, as PS3.5 B.2 derives UIDs from.
        number = int.from_bytes(digest[:16], "big")
        number = number & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62
        return f"2.25.{number}"

    def content(self, path: Path) -> bytes:
        """Return the object in a file, changed.

        Raises
        ------
        CorruptDataError
            If the file cannot be read.
        """
        damage = CorruptDataError(
            f"{path} cannot be read and written anew.",
            path=path,
            hint="Put a good copy in its place, or upload without anonymisation.",
        )
        try:
            dataset = dcmread(object_source(path))
        except (OSError, EOFError, *_READING_ERRORS) as error:
            raise damage from error
        try:
            self.apply(dataset)
        except _READING_ERRORS as error:
            if _is_readable(dataset):
                raise  # a mistake of this program, and none of the file
            raise damage from error
        out = io.BytesIO()
        try:
            dataset.save_as(out)
        except (OSError, *_READING_ERRORS) as error:
            raise damage from error
        return out.getvalue()

    def apply(self, dataset: Dataset) -> None:
        """Change an object in place, with its file meta information."""
        meta = getattr(dataset, "file_meta", None)
        if meta is not None:
            self._level(meta)
        self._level(dataset)
        dataset.PatientIdentityRemoved = "NO"
        dataset.DeidentificationMethod = self.profile.method

    def _level(self, dataset: Dataset) -> None:
        for tag in list(dataset.keys()):
            rule = self.profile.rules.get(int(tag))
            if rule is None:
                if tag.is_private:
                    self._private(dataset, tag)
                elif dataset.get_item(tag).VR in ("SQ", None, "UN"):
                    self._nested(dataset[tag])
            elif rule.action == "X":
                del dataset[tag]
            elif rule.action == "U":
                dataset[tag].value = self._uids(dataset[tag].value)
            elif rule.action != "K":
                dataset[tag].value = _neutral(rule)

    def _nested(self, element: Any) -> None:
        if element.VR == "SQ":
            for item in element.value:
                self._level(item)

    def _private(self, dataset: Dataset, tag: Any) -> None:
        block = tag.element >> 8
        creator_tag = (tag.group, block) if block in _PRIVATE_BLOCKS else tag
        creator = str(dataset[creator_tag].value).strip() if creator_tag in dataset else ""
        named = block in _PRIVATE_BLOCKS and (creator, tag.element & 0xFF)
        if (
            creator not in self.profile.safe_private_creators
            or named in self.profile.private_removed
        ):
            del dataset[tag]
        elif block in _PRIVATE_BLOCKS:
            self._nested(dataset[tag])

    def _uids(self, value: Any) -> Any:
        if isinstance(value, str) or value is None:
            return self.uid(value or "")
        return [self.uid(str(one)) for one in value]


def _neutral(rule: Rule) -> Any:
    if rule.action == "D":
        return rule.value
    return [] if dictionary_VR(rule.keyword) == "SQ" else ""


def _is_readable(dataset: Dataset) -> bool:
    """Tell whether pydicom can read every value of an object."""
    try:
        for _ in dataset.iterall():
            pass
    except _READING_ERRORS:
        return False
    return True
