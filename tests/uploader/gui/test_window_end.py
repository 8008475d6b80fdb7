"""The program ends when its window closes, whatever still waits."""

import os
import subprocess
import sys

PROGRAM = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from PySide6.QtCore import QTimer
from uploader.gui import app, worker

def wait(call):
    with ThreadPoolExecutor(1) as pool:  # as an upload does; Python waits for it at the end
        pool.submit(time.sleep, 3600).result()

application = app.application("en")
def close():
    worker.start(wait)
    QTimer.singleShot(200, application.closeAllWindows)
QTimer.singleShot(1000, close)
sys.argv = ["xnat-pic"]
app.main()
"""


def test_request_that_waits_does_not_keep_the_program(tmp_path):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XNAT_PIC_HOME": str(tmp_path),
                   "XDG_CONFIG_HOME": str(tmp_path)}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
