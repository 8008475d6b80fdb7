"""What a person reads at the end: the closing table, where to look, what to type."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .compare import EFFECT, ERRORS, SHARE, Check, Comparison
from .demo_folder import DemoFolder, typed

_TITLES = {
    "mean": (
        "Every session against its animal's truth, lowest to highest; each may miss by "
        f"{ERRORS:.0f} standard errors + {SHARE:.1%}"
    ),
    "effect": (
        f"Change since the first scan, less that of the untreated; each may miss by {EFFECT} points"
    ),
}


def show_closing(
    console: Console, found: Comparison, notes: dict[str, Any], seconds: float | None
) -> None:
    """Show each number beside what was planted."""
    for kind, title in _TITLES.items():
        console.print(f"\n{title}", style="bold", markup=False, highlight=False, soft_wrap=True)
        console.print(_table([one for one in found.checks if one.kind == kind]))
    for one in found.out:
        console.print(f"OUT: {one.what}: {one.said}", style="red", markup=False, highlight=False)
    end = f"{found.sentence[:1].upper()}{found.sentence[1:]}."
    if seconds is not None:
        end += f" The whole story took {_clock(seconds)}."
    style = "bold red" if found.out else "bold green"
    console.print(f"\n{end}", style=style, markup=False, highlight=False)


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("", "planted", "found", "off by", ""):
        table.add_column(name, overflow="fold")
    for one in checks:
        verdict = Text("agrees", style="green") if one.ok else Text("OUT", style="bold red")
        table.add_row(*(Text(t) for t in (one.what, one.planted, one.found, one.off)), verdict)
    return table


def show_self(console: Console, folder: DemoFolder, notes: dict[str, Any], whole: bool) -> None:
    """Show how to do the same by hand, and how to look at the archive."""
    lines = [line for one in notes["stages"].values() for line in one["typed"]] if whole else []
    if not whole:
        lines = [line for line in list(notes["stages"].values())[-1]["typed"]]
    if lines:
        console.print("\nThe same by hand:", style="bold")
        for line in lines:
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if whole:
        console.print("\nLook around in the archive:", style="bold")
        pipelines = typed(folder.catalog / "engine")
        line = f"xnat-pic-sandbox serve --data {typed(folder.archive)} --pipelines {pipelines}"
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
