"""What all commands share: group, version, exit codes, progress, completion, and how they end."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import click

from .errors import XnatPicError, describe, exit_code_of
from .text import printable

_Command = TypeVar("_Command", bound=Callable[..., Any] | click.Command)
PATH = click.Path(path_type=Path)
DONE_IN_PART = 8
STOPPED = 130  # what shells use for a program that Ctrl-C ended
_SHELLS = ("bash", "zsh", "fish")
_NO_STOP_TEXT = "stopped."

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


def version_option(program: str) -> Callable[[_Command], _Command]:
    """Return the option ``--version``, which prints ``PROGRAM X``.

    XNAT's pipeline engine reads it; with the word "version" in it, it would find none.
    """
    return click.version_option(
        package_name="xnat-pic", prog_name=program, message="%(prog)s %(version)s"
    )


def exit_code_help(codes: dict[int, str]) -> str:
    """Return the table of exit codes that stands below a command's help."""
    rows = "".join(f"  {code}  {meaning}\n" for code, meaning in codes.items())
    return f"\b\nExit codes:\n{rows}"


def command_group(
    program: str, codes: dict[int, str]
) -> Callable[[Callable[..., None]], click.Group]:
    """Return a decorator that makes a function the group of a program's commands.

    Parameters
    ----------
    program : str
        Its name on the command line.
    codes : dict
        Exit codes with what they mean, shown below the help.

    The group answers ``-h``, ``--help`` and ``--version``, and has a command ``completion``.
    """

    def decorate(function: Callable[..., None]) -> click.Group:
        group = click.group(
            context_settings={"help_option_names": ["-h", "--help"]}, epilog=exit_code_help(codes)
        )(function)
        group = version_option(program)(group)
        group.add_command(_completion(program, group))
        return group

    return decorate


def _completion(program: str, group: click.Group) -> click.Command:
    @click.command("completion")
    @click.argument("shell", type=click.Choice(_SHELLS))
    def completion(shell: str) -> None:
        """Print the script that completes commands and options in SHELL."""
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        if kind is None:
            raise click.BadParameter(f"there is no completion for {shell}.")
        variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
        click.echo(kind(group, {}, program, variable).source())

    return completion


def echo_error(program: str, error: BaseException) -> int:
    """Say what is wrong on standard error; return the exit code that belongs to it."""
    click.echo(f"{program}: {describe(error)}", err=True)
    return exit_code_of(error)


def fail(program: str, error: BaseException) -> NoReturn:
    """Say what is wrong and end with the exit code that belongs to it."""
    sys.exit(echo_error(program, error))


@contextmanager
def exit_on_error(
    program: str, *, stopped: str = _NO_STOP_TEXT, stopped_code: int = DONE_IN_PART
) -> Iterator[None]:
    """Turn errors, Ctrl-C and the system's request to end into a sentence and an exit code.

    What is being written is cleaned up first, whether a person stops it or a container ends.

    Parameters
    ----------
    program : str
        Name of the command, which begins each message.
    stopped : str
        What is true when it was stopped.
    stopped_code : int
        Exit code when it was stopped: 8 where what is done stays, 130 where nothing does.
    """
    with _terminate_as_interrupt():
        try:
            yield
        except (XnatPicError, OSError) as error:
            fail(program, error)
        except click.Abort:
            click.echo(f"\n{program}: nothing was typed; stopped.", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo(f"{program}: {stopped}", err=True)
            sys.exit(stopped_code)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does; only the main thread may ask for signals."""

    def interrupt(_number: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def run_command(
    program: str,
    work: Callable[[], int | None],
    *,
    stopped: str = _NO_STOP_TEXT,
    stopped_code: int = DONE_IN_PART,
) -> NoReturn:
    """Do the work of a command and end with the exit code that it returns.

    Parameters
    ----------
    work : callable
        Returns the exit code; None is 0.
    program, stopped, stopped_code
        As of `exit_on_error`.
    """
    with exit_on_error(program, stopped=stopped, stopped_code=stopped_code):
        code = work()
    sys.exit(code or 0)


def echo_json(value: Any) -> None:
    """Print a value as JSON on standard output, with escapes where it cannot hold a sign."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1)
    click.echo(text)


def is_interactive() -> bool:
    """Tell whether a person sits at the terminal and can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def announce(what: str) -> None:
    """Say what is being done, where a person watches."""
    if sys.stderr.isatty():
        click.echo(f"{what} ...", err=True)


class ProgressBars:
    """Progress bars on standard error, one for each title; silent where no person watches."""

    def __enter__(self) -> Self:
        """Show bars from here on."""
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take them off the screen."""
        if self._progress is not None:
            self._progress.stop()

    def update(self, title: str, done: int, total: int | None) -> None:
        """Show how far the work called `title` is; a finished one leaves the screen."""
        if self._progress is None:
            return
        if title not in self._tasks:
            from rich.markup import escape

            self._tasks[title] = self._progress.add_task(escape(printable(title, "?")), total=total)
        self._progress.update(self._tasks[title], completed=done, total=total)
        if total is not None and done >= total:
            self._progress.remove_task(self._tasks.pop(title))


class ProgressBar:
    """One progress bar on standard error; silent where no person watches.

    Parameters
    ----------
    title : str
        What is being done.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bars = ProgressBars()

    def __enter__(self) -> Self:
        """Show it from here on, with no total known."""
        self._bars.__enter__()
        self._bars.update(self._title, 0, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it off the screen."""
        self._bars.__exit__(kind, error, trace)

    def update(self, done: int, total: int) -> None:
        """Show how far the work is."""
        self._bars.update(self._title, done, total)
