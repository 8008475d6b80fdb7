"""Items and facts for people (a table on standard error) and for programs (JSON)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .installation import Facts
from .model import Item, State

_STYLES = {
    State.ADD: "green", State.UPDATE: "cyan", State.DONE: "green", State.SAME: "dim",
    State.EDITED: "yellow", State.OTHER: "yellow", State.KEPT: "yellow", State.REMOVE: "red",
    State.REMOVED: "green", State.FAILED: "bold red", State.IMPOSSIBLE: "magenta",
    State.MANUAL: "yellow",
}  # fmt: skip


def item_as_json(item: Item) -> dict[str, Any]:
    """Return an item for programs, with the whole document that is desired."""
    key = item.key
    where = key.project or "site"
    return {
        "kind": key.kind,
        "where": where,
        "name": key.name,
        "state": item.state.name.lower(),
        "message": item.message,
        "desired": item.desired,
    }


def facts_as_json(facts: Facts) -> dict[str, Any]:
    """Return facts for programs."""
    return asdict(facts)


def items(listed: Sequence[Item]) -> None:
    """Show items, those of one state and reason in one row; then what is left to a person."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("what", "where", "name", "state"):
        table.add_column(name, overflow="fold")  # nothing is cut
    groups: dict[tuple[str, str, State, str], list[str]] = {}
    for one in listed:
        place = one.key.project or "site"
        # A page's address is not broken into the lines of a table: it follows below.
        message = "" if one.state is State.MANUAL else one.message
        groups.setdefault((one.key.kind, place, one.state, message), []).append(one.key.name)
    for (kind, place, state, message), names in groups.items():
        shown = Text(state.value, style=_STYLES[state])
        if message:
            shown.append(f": {message}", style="default")
        table.add_row(kind, place, Text(_joined(names)), shown)
    console = Console(stderr=True, highlight=False, markup=False)
    if not listed:
        console.print("Nothing.")
    else:
        console.print(table)
        counts = Counter(one.state.value for one in listed)
        console.print(", ".join(f"{number} {word}" for word, number in counts.items()) + ".")
    for one in listed:
        if one.state is State.MANUAL:
            console.print(f"\n{one.key.name}: {one.message}", soft_wrap=True)


def _joined(names: Sequence[str]) -> str:
    """Join names; what stands before a slash is said once."""
    heads: dict[str, list[str]] = {}
    for name in names:
        head, slash, tail = name.rpartition("/")
        if head == tail:  # a command with a wrapper of its name
            head = slash = ""
        heads.setdefault(head + slash, []).append(tail)
    return "; ".join(f"{head}{', '.join(tails)}" for head, tails in heads.items())


def facts(found: Facts) -> None:
    """Show what a server has."""
    from rich.console import Console

    words = {True: "there", False: "not there, or not open to this user"}
    console = Console(stderr=True, highlight=False, markup=False)
    console.print(f"XNAT {found.version or 'of a version that it does not tell'}")
    for name, is_there in (
        ("Custom forms", found.forms),
        ("Classic pipeline engine", found.engine),
        ("Container Service", found.containers),
        ("OHIF viewer with regions", found.viewer),
    ):
        console.print(f"  {name}: {words[is_there]}")
    for project, (odd, total) in found.odd_labels.items():
        console.print(f"  {project}: {odd} of {total} session labels break the label rules")
    for one in found.runs:
        console.print(f"  {one}", soft_wrap=True)


def container_settings(notes: Sequence[str]) -> None:
    """Show what an administrator should look at before containers are started."""
    from rich.console import Console

    if not notes:
        return
    console = Console(stderr=True, highlight=False, markup=False)
    console.print("\nContainers, to look at:")
    for one in notes:
        console.print(f"  {one}", soft_wrap=True)
