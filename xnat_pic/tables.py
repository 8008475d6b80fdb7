"""Tables of facts: TOML files of a package, read into typed rows, and TOML files of a person."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from .errors import WrongCallError

Row = TypeVar("Row")


@cache
def load_table(package: str, name: str) -> dict[str, Any]:
    """Return a TOML table that lies in a package; read once, never to be changed.

    Parameters
    ----------
    package : str
        Dotted name of the package, usually ``__package__``.
    name : str
        Name of the file, such as ``rules.toml``.
    """
    return tomllib.loads(read_text(package, name))


def read_text(package: str, name: str) -> str:
    """Return a text file that lies in a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


@cache
def load_rows(package: str, name: str, key: str, row: Callable[..., Row]) -> tuple[Row, ...]:
    """Return the rows ``[[key]]`` of a packaged table, each made by `row`.

    Parameters
    ----------
    package, name : str
        As of `load_table`.
    key : str
        Name of the array of tables.
    row : callable
        Usually a dataclass; it is called with the entries of a row, in which lists are tuples.

    Raises
    ------
    ValueError
        If a row does not have the fields of its class; the text names file, row and field.
    """
    return typed_rows(load_table(package, name)[key], row, f"{package}/{name} [[{key}]]")


def typed_rows(
    rows: list[Mapping[str, Any]], row: Callable[..., Row], where: str
) -> tuple[Row, ...]:
    """Return rows of a table that was read, each made by `row`.

    Raises
    ------
    ValueError
        If a row does not have the fields of its class; `where` stands in the text.
    """
    made = []
    for number, entries in enumerate(rows, 1):
        try:
            made.append(row(**{name: _frozen(value) for name, value in entries.items()}))
        except TypeError as error:
            raise ValueError(f"{where}, row {number}: {error}") from error
    return tuple(made)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value


def read_toml(path: Path, title: str = "") -> dict[str, Any]:
    """Return the table in a TOML file that a person wrote.

    Parameters
    ----------
    path : Path
        The file.
    title : str
        What the file is, for the error: "The site's settings"; by default its path alone.

    Raises
    ------
    WrongCallError
        If it cannot be read or is no TOML.
    """
    named = f"{title} {path}".strip()
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise WrongCallError(
            f"{named} cannot be read: {error.strerror or error}.", path=path
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongCallError(f"{named} is no valid TOML: {error}.", path=path) from error
