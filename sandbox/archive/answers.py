"""Where each answer of the sandbox comes from, and which of XNAT's addresses it does not serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from xnat_pic.tables import load_rows

MARKS = {
    "recorded": "replayed from a real server",
    "source": "read in the code of XNAT or of the plugin",
    "own": "the sandbox's own choice",
    "differs": "XNAT does otherwise, and the sandbox is simpler",
    "guess": "not confirmed",
}


@dataclass(frozen=True)
class AddressSource:
    """Where the answers of some addresses come from.

    Attributes
    ----------
    part : str
        What they belong to, such as ``import``.
    methods : tuple of str
        Of those addresses.
    address : str
        As the route spells it, with ``*`` for anything.
    mark : str
        A key of `MARKS`.
    source : str
        File and line, reference, or reason.
    """

    part: str
    methods: tuple[str, ...]
    address: str
    mark: str
    source: str

    def fits(self, method: str, address: str) -> bool:
        """Tell whether the row stands for a route."""
        return method in self.methods and fnmatchcase(address, self.address)


@dataclass(frozen=True)
class Behaviour:
    """What the sandbox does, and where that comes from; fields as of `AddressSource`."""

    part: str
    text: str
    mark: str
    source: str


@dataclass(frozen=True)
class UnservedAddress:
    """Addresses that XNAT has and the sandbox does not serve.

    Attributes
    ----------
    methods : tuple of str
    address : str
        As a route; ``{rest:path}`` stands for the rest of a path.
    purpose : str
        What XNAT does there.
    source : str
        As of `AddressSource`.
    """

    methods: tuple[str, ...]
    address: str
    purpose: str
    source: str


def address_sources() -> tuple[AddressSource, ...]:
    """Return the rows of addresses."""
    return load_rows(__package__, "answers.toml", "address", AddressSource)


def behaviours() -> tuple[Behaviour, ...]:
    """Return the rows of behaviours."""
    return load_rows(__package__, "answers.toml", "behaviour", Behaviour)


def unserved_addresses() -> tuple[UnservedAddress, ...]:
    """Return the rows of addresses that are not served."""
    return load_rows(__package__, "answers.toml", "unserved", UnservedAddress)


def source_of(method: str, address: str) -> AddressSource | None:
    """Return the first row that stands for a route; None where none does."""
    return next((row for row in address_sources() if row.fits(method, address)), None)


def count_marks(rows: Iterable[AddressSource | Behaviour]) -> dict[str, int]:
    """Return how many rows have each mark, in the order of `MARKS`."""
    found = Counter(row.mark for row in rows)
    return {mark: found[mark] for mark in MARKS if found[mark]}
