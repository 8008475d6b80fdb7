"""A screen of its own (Xvfb) and a keyboard (xdotool), for driving a window as a person does."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIZE = "1280x860x24"


def wait(what: Callable[[], object], seconds: float, told: str) -> None:
    """Wait until something is so.

    Raises
    ------
    TimeoutError
        With what was waited for.
    """
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            raise TimeoutError(f"{told}: not within {seconds:.0f} s")
        time.sleep(0.02)


@contextmanager
def screen() -> Iterator[str]:
    """Give a screen that nobody sees; yields its name for DISPLAY."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", SIZE, "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as names:
            number = names.readline().strip()
        if not number:
            raise OSError("Xvfb did not start: install the package xvfb.")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


class Keyboard:
    """Types into the window that has the focus of a screen."""

    def __init__(self, display: str) -> None:
        self._environment = {**os.environ, "DISPLAY": display}

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.stdout.strip()

    def windows(self, name: str) -> list[str]:
        """Return the windows that are shown under a name."""
        return self._run("search", "--onlyvisible", "--name", name).split()

    def focus(self, window: str) -> None:
        """Give a window the keyboard; there is no window manager that would."""
        self._run("windowfocus", "--sync", window)

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("type", "--delay", "15", text)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as xdotool names them."""
        for key in keys:
            self._run("key", key)
            time.sleep(0.05)
