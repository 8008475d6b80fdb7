"""Work for the tests of the worker, in a module that a child process can import."""

import os
import time
from pathlib import Path


def count(call, upto):
    for number in range(upto):
        call.report(number)
    return os.getpid()


def fail(call):
    raise FileNotFoundError(2, "No such file", str(Path("gone") / "away"))


def obey(call):
    while not call.cancelled():
        time.sleep(0.01)
    call.check()


def ignore(call):
    call.report("on")
    time.sleep(3600)


def vanish(call):
    os._exit(3)
