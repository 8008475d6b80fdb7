"""kill -9 at any moment loses and doubles nothing."""

import random
import time

import pytest
from kill_uploads import Killed, kill_many


@pytest.mark.slow
def test_uploads_killed_at_random_moments_are_completed_by_the_next_run(xnat, tmp_path):
    seed = random.randrange(10**6)
    rounds = kill_many(xnat.served, tmp_path, 10, seed)
    assert rounds >= 10, f"seed {seed}"


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
