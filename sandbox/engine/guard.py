"""Run a command as long as somebody holds the other end of standard input.

``python guard.py PROGRAM ARGUMENT ...`` ends the command with all its children where standard
input ends: when the server asks for it, and when the server itself is gone. It needs nothing but
the standard library, and its status is the command's.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

_PATIENCE_S = 5.0


def main() -> int:
    """Run the command and return its status; 128 + n where signal n ended it."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    status = child.wait()
    return 128 - status if status < 0 else status


def _watch(child: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1024):
        pass
    _end(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_PATIENCE_S)
    _end(child, signal.SIGKILL)


def _end(child: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main())
