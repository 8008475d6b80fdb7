"""What only people know of a data set: a small TOML file, checked, nothing invented."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xnat_pic.errors import WrongCallError
from xnat_pic.tables import read_toml

_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
_LARGEST = 1 << 20
_TEXTS = (
    "title", "description", "publisher", "licence", "licence_url", "species", "strain",
    "acknowledgements", "ethics",
)  # fmt: skip
_LISTS = ("keywords", "funding", "references")


@dataclass(frozen=True)
class Creator:
    """Somebody who made the data set: names, ORCID and affiliation as far as given."""

    family: str
    given: str
    orcid: str
    affiliation: str

    @property
    def name(self) -> str:
        """As a list of authors shows it: ``Family, Given``."""
        return ", ".join(part for part in (self.family, self.given) if part)


@dataclass(frozen=True)
class About:
    """What people say of a data set; empty where they say nothing.

    Attributes
    ----------
    title, description, publisher : str
        In plain words.
    year : int or None
        Of publication.
    licence, licence_url : str
        Identifier of SPDX, such as ``CC-BY-4.0``, and where its text is.
    creators : tuple of Creator
        In the order of authors.
    keywords, funding, references : tuple of str
        As they are to be shown.
    species, strain : str
        Of all animals of which no header and no variable tells another.
    acknowledgements, ethics : str
        As they are to be shown.
    """

    title: str = ""
    description: str = ""
    publisher: str = ""
    year: int | None = None
    licence: str = ""
    licence_url: str = ""
    creators: tuple[Creator, ...] = ()
    keywords: tuple[str, ...] = ()
    funding: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    species: str = ""
    strain: str = ""
    acknowledgements: str = ""
    ethics: str = ""

    def missing(self) -> list[str]:
        """Return what a DOI cannot be had without."""
        needed = {
            "title": self.title,
            "publisher": self.publisher,
            "year": self.year,
            "creators": self.creators,
        }
        return [name for name, value in needed.items() if not value]


def read_about(path: Path | None) -> About:
    """Return what a file says.

    Raises
    ------
    WrongCallError
        Where it cannot be read, or says something that cannot be right.
    """
    if path is None:
        return About()
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is larger than 1 MiB")
    except (OSError, ValueError) as error:
        raise _wrong(path, f"cannot be read ({error})") from error
    content = read_toml(path)
    unknown = set(content) - {*_TEXTS, *_LISTS, "year", "creators"}
    if unknown:
        raise _wrong(path, f"has names that mean nothing: {', '.join(sorted(unknown))}")
    found: dict[str, Any] = {}
    for name in _TEXTS:
        found[name] = _text(path, name, content.get(name, ""))
    for name in _LISTS:
        value = content.get(name, [])
        if not isinstance(value, list):
            raise _wrong(path, f"needs a list for {name}")
        found[name] = tuple(_text(path, name, one) for one in value)
    year = content.get("year")
    if year is not None and (not isinstance(year, int) or not 1900 <= year <= 2200):
        raise _wrong(path, "needs a year of four digits")
    people = content.get("creators", [])
    if not isinstance(people, list):
        raise _wrong(path, "needs [[creators]]")
    return About(**found, year=year, creators=tuple(_creator(path, one) for one in people))


def _creator(path: Path, row: Any) -> Creator:
    if not isinstance(row, dict) or set(row) - {"family", "given", "orcid", "affiliation"}:
        raise _wrong(path, "needs family, given, orcid and affiliation of a creator, no other name")
    names = ("family", "given", "orcid", "affiliation")
    one = Creator(**{name: _text(path, name, row.get(name, "")) for name in names})
    if not one.family:
        raise _wrong(path, "has a creator without family name")
    if one.orcid and not _valid_orcid(one.orcid):
        raise _wrong(path, f"has an ORCID that cannot be right: {one.orcid}")
    return one


def _valid_orcid(text: str) -> bool:
    """Tell whether form and check digit are right (ISO 7064 mod 11-2)."""
    if not _ORCID.fullmatch(text):
        return False
    total = 0
    for sign in text.replace("-", "")[:-1]:
        total = (total + int(sign)) * 2
    return text[-1] == "0123456789X"[(12 - total % 11) % 11]


def _text(path: Path, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(path, f"needs text for {name}")
    return value.strip()


def _wrong(path: Path, what: str) -> WrongCallError:
    return WrongCallError(
        f"{path.name} {what}.", path=path, hint="See docs/how-to/fair.md for what it may hold."
    )
