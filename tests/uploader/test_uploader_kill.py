"""kill -9 at any moment loses and doubles nothing."""

import os
import random
import signal
import time

import pytest
from kill_uploads import Killed, compare, kill_many


@pytest.mark.slow
def test_uploads_killed_at_random_moments_are_completed_by_the_next_run(xnat, tmp_path):
    seed = random.randrange(10**6)
    rounds = kill_many(xnat.served, tmp_path, 6, seed)
    assert rounds >= 6, f"seed {seed}"


def test_second_run_of_one_plan_is_refused_while_the_first_is_at_work(xnat, tmp_path):
    one = Killed(xnat.url, tmp_path, "P1")
    xnat.fault({"method": "POST", "path": "/data/services/import", "delay_s": 4, "count": 0})
    first = one.command("upload")
    try:
        journal = one.plan.with_name("plan.csv.journal")
        while not journal.exists() and first.poll() is None:
            time.sleep(0.05)
        code, said = one.finish()
    finally:
        first.kill()
        first.communicate()
    assert code == 2
    assert "Another run is using the journal" in said


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to consoles, not to processes")
def test_ctrl_c_ends_soon_and_the_next_run_goes_on(xnat, tmp_path):
    one = Killed(xnat.url, tmp_path, "P1")
    slow = {"method": "POST", "path": "/data/services/import", "delay_s": 5, "count": 0}
    xnat.fault(slow)
    first = one.command("upload")
    while xnat.faults()[0]["hits"] < 1 and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=20)
    assert first.returncode == 8, said
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    xnat.no_faults()
    assert one.finish()[0] == 0
    compare(xnat.served, one)
