"""Tell the story: one stage after the other, each with its time, and the closing table."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xnat_config.server.client import XnatClient
from xnat_config.server.connection import Connection
from xnat_config.server.login import password_login
from xnat_pic.errors import XnatPicError, describe

from .compare import EFFECT, ERRORS, SHARE, Check, Comparison
from .demo_folder import DemoFolder, Options, short, typed
from .programs import USER, Programs, password, serving
from .stages import STAGES, Stage, Work, prepare

DONE, IN_PART = 0, 8


def run_demo(
    folder: Path,
    options: Options | None = None,
    *,
    stage: str = "",
    stay: bool = False,
    console: Console | None = None,
) -> int:
    """Tell the whole story, or one stage of it.

    Parameters
    ----------
    folder : Path
        Where everything goes. For the whole story it is made new; what no demonstration left
        there is never touched.
    options : Options, optional
        What is asked for; a stage alone takes what the story was begun with, but for the port.
    stage : str
        Name of the one stage to run; empty runs all.
    stay : bool
        Serve the archive afterwards, until Ctrl+C.
    console : rich.console.Console, optional
        Where to say it.

    Returns
    -------
    int
        0 where every number agrees with what was planted, else 8.
    """
    story = _DemoRun(DemoFolder(folder.absolute()), options or Options(), console or Console())
    try:
        return story.run([one for one in STAGES if stage in ("", one.name)], not stage, stay)
    except (XnatPicError, OSError) as error:
        story.console.print(
            describe(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        return IN_PART


class _DemoRun:
    def __init__(self, folder: DemoFolder, options: Options, console: Console) -> None:
        self.folder, self.options, self.console = folder, options, console
        self.notes: dict[str, Any] = {}
        self._stack = ExitStack()
        self._server: XnatClient | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, stages: Sequence[Stage], whole: bool, stay: bool) -> int:
        """Run stages; the first that fails ends it."""
        start = time.monotonic()
        if whole or stages[0] is STAGES[0]:
            self.folder.begin()
            self.notes = {"options": asdict(self.options), "stages": {}}
            self.folder.write_notes(self.notes)
        else:
            self.notes = self.folder.read_notes()
            kept = {**self.notes["options"], "port": self.options.port}
            self.options = Options(**kept)
        if whole:
            line = "A treatment study in digital mice, from the scanner to the numbers"
            where = f"everything goes to {short(self.folder.folder)}"
            self.console.print(f"{line}; {where}.\n", markup=False, soft_wrap=True)
        with self._stack:
            work = None
            for stage in stages:
                work = self._stage(stage)
                if work is None:
                    self._say_how_to_go_on(stage)
                    return IN_PART
            good = self._close(work, whole, time.monotonic() - start)
            if stay:
                self._stay()
        return DONE if good else IN_PART

    def _stage(self, stage: Stage) -> Work | None:
        """Run one stage and say its line; None where it failed."""
        number = STAGES.index(stage) + 1
        head = f"{number:>2}/{len(STAGES)}  {stage.title:<22}"
        programs = Programs(self.folder, self.folder.logs / f"{number:02}-{stage.name}.log")
        work = Work(self.folder, self.options, programs)
        start = time.monotonic()
        with self._status(head) as work.show_progress:
            try:
                if stage.served:
                    work.server = self._serve(programs.log)
                    programs.server = work.server.connection.server
                said, failed = stage.work(work), False
            except (XnatPicError, OSError) as error:
                said, failed = f"FAILED: {describe(error)}", True
        seconds = time.monotonic() - start
        line = f"{head} {seconds:6.1f} s  {said}"
        style = "red" if failed else None
        self.console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
        self.notes["stages"][stage.name] = {
            "seconds": round(seconds, 1), "said": said, "failed": failed, "typed": programs.typed,
        }  # fmt: skip
        self.folder.write_notes(self.notes)
        return None if failed else work

    def _say_how_to_go_on(self, stage: Stage) -> None:
        line = f"python -m sandbox.demo {typed(self.folder.folder)} --stage {stage.name}"
        self.console.print(
            f"When that is mended: {line}, then each stage after it; or all again.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    @contextmanager
    def _status(self, head: str) -> Iterator[Callable[[str], None]]:
        """Turn a sign while a stage works, where a person watches; what is told stands there."""
        if not self.console.is_terminal:
            yield lambda _: None
            return
        with self.console.status(f"{head} working ...") as sign:
            yield lambda said: sign.update(f"{head} {said or 'working'} ...")

    def _serve(self, log: Path) -> XnatClient:
        """Return the archive, logged in; served from the first time it is asked for."""
        if self._server is None:
            prepare(self.folder, log)
            address, self._process = self._stack.enter_context(
                serving(self.folder, self.options.port)
            )
            connection = Connection(address, USER)
            self._server = self._stack.enter_context(
                XnatClient(connection, password_login(USER, password()))
            )
        return self._server

    def _close(self, work: Work | None, whole: bool, seconds: float) -> bool:
        """Say what was found, where to look and what to type; return whether all agrees."""
        found = work.found if work is not None else None
        if found is not None:
            show_closing(self.console, found, self.notes, seconds if whole else None)
            _open(self.folder.summary / "summary.html", self.console)
        show_self(self.console, self.folder, self.notes, whole)
        return found is None or not found.out

    def _stay(self) -> None:
        if self._server is None:
            self._serve(self.folder.logs / "server.log")
        assert self._process is not None
        assert self._server is not None
        self.console.print(
            f"\nThe archive stays at {self._server.connection.server} (user {USER}) until Ctrl+C.",
            markup=False,
        )
        try:
            self._process.wait()
        except KeyboardInterrupt:
            self.console.print("The archive has ended; its data are kept.")


def _open(page: Path, console: Console) -> None:
    """Show a page in the browser where there is a display and a person."""
    console.print(f"\nThe study on one page: {short(page)}", markup=False, highlight=False)
    display = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if display and console.is_terminal:
        webbrowser.open(page.as_uri())


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
