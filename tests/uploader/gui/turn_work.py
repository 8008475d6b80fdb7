"""A count of what one turn of the event loop does, on which a busy machine has no say."""

import socket
import sys
import time

from PySide6.QtCore import QAbstractEventDispatcher


class TurnWork:
    """What the window's thread does in one turn of its event loop, counted in calls of functions.

    The count is the same on a fast machine and on a busy one; `benchmarks/window.py` measures time.

    Attributes
    ----------
    LIMIT : int
        What a turn may do, a few hundredths of a second: twice what it takes to paint a full
        table. To load the modules of a page takes a hundred times as much.
    most : int
        Calls of the longest turn, those of functions in C included.
    waits : set of str
        Functions that wait for the clock or the network, and that no turn may call.
    """

    LIMIT = 50_000

    def __init__(self):
        self.most, self.waits, self._calls = 0, set(), 0
        self._dispatcher = QAbstractEventDispatcher.instance()

    def __enter__(self):
        self._dispatcher.awake.connect(self.end_turn)
        sys.setprofile(self._count)  # of this thread alone
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        self._dispatcher.awake.disconnect(self.end_turn)
        self.end_turn()

    def end_turn(self):
        self.most, self._calls = max(self.most, self._calls), 0

    def _count(self, _frame, event, function):
        self._calls += event in ("call", "c_call")
        if event == "c_call" and (
            function is time.sleep or isinstance(function.__self__, socket.socket)
        ):
            self.waits.add(function.__qualname__)
