"""Work for the tests of the worker, in a module that a child process can import."""

import os
import time
from pathlib import Path


def count(handle, upto):
    for number in range(upto):
        handle.report(number)
    return os.getpid()


def fail(handle):
    raise FileNotFoundError(2, "No such file", str(Path("gone") / "away"))


def obey(handle):
    while not handle.cancelled():
        time.sleep(0.01)
    handle.check()


def ignore(handle):
    handle.report("on")
    time.sleep(3600)


def vanish(handle):
    os._exit(3)
