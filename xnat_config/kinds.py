"""Kinds of session (MR, PET, ...), and which DICOM objects make which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of session, with its types in XNAT."""

    code: str
    session_type: str
    scan_type: str
    dicom: tuple[str, ...]


@dataclass(frozen=True)
class SopClass:
    """A DICOM object class.

    Attributes
    ----------
    kind : str
        Code of the kind that the class decides; empty where Modality decides.
    joins : bool
        Goes with the images of its study where there are any.
    primary : bool
        Filed in the resource that XNAT calls DICOM, not in the one for other objects.
    pixels : bool
        Its objects have pixels, though its name does not call them images.
    """

    uid: str
    name: str
    kind: str
    joins: bool
    primary: bool
    pixels: bool = False


@dataclass(frozen=True)
class Kinds:
    """All kinds by code, in the order in which they lead, and all classes by UID."""

    by_code: Mapping[str, Kind]
    by_uid: Mapping[str, SopClass]
    _by_modality: Mapping[str, str]

    @property
    def other(self) -> str:
        """Code of the kind that takes what nothing else takes."""
        return next(reversed(list(self.by_code)))

    def of(self, sop_class_uid: str, modality: str) -> str:
        """Return the code of the kind that an object makes by itself."""
        known = self.by_uid.get(sop_class_uid)
        if known and known.kind:
            return known.kind
        return self._by_modality.get(modality.strip().upper(), self.other)

    def joins(self, sop_class_uid: str) -> bool:
        """Tell whether an object goes with the images of its study."""
        known = self.by_uid.get(sop_class_uid)
        return known is not None and known.joins

    def is_primary(self, sop_class_uid: str) -> bool:
        """Tell whether XNAT files an object in the resource of images; there are reports, too."""
        known = self.by_uid.get(sop_class_uid)
        return known is not None and known.primary

    def has_pixels(self, sop_class_uid: str) -> bool:
        """Tell whether the objects of a class have pixels, though its name is none of an image."""
        known = self.by_uid.get(sop_class_uid)
        return known is not None and known.pixels

    def leading(self, codes: Iterable[str]) -> str:
        """Return the code that leads when a study holds several."""
        present = set(codes)
        return next((code for code in self.by_code if code in present), self.other)


def kinds_from(
    kinds: Mapping[str, Mapping[str, Any]], classes: Mapping[str, Mapping[str, Any]]
) -> Kinds:
    """Build the kinds from their tables.

    Raises
    ------
    ValueError
        If two kinds claim one modality, or a class names a kind that is not there.
    """
    built = {
        code: Kind(code, t["session_type"], t["scan_type"], tuple(t["dicom"]))
        for code, t in kinds.items()
    }
    by_modality: dict[str, str] = {}
    for kind in built.values():
        for modality in kind.dicom:
            if by_modality.setdefault(modality, kind.code) != kind.code:
                raise ValueError(
                    f"Both {by_modality[modality]} and {kind.code} claim the modality {modality}."
                )
    by_uid = {
        uid: SopClass(uid, t["name"], t["kind"], t["joins"], t["primary"], t.get("pixels", False))
        for uid, t in classes.items()
    }
    for known in by_uid.values():
        if known.kind and known.kind not in built:
            raise ValueError(f"The SOP class {known.name} names the kind {known.kind}, not there.")
    return Kinds(built, by_uid, by_modality)
