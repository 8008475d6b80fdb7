"""Kill uploads at random moments, run them again, and compare the server's listing with the disk.

The tests do this a few times; as a program it does it as often as asked:

    python tests/uploader/kill_uploads.py --times 50
    python tests/uploader/kill_uploads.py --times 50 --direct-archive
"""

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "sandbox" / "archive"), str(ROOT)]

from click.testing import CliRunner  # noqa: E402
from disk import content_digest, expected_files, write_study  # noqa: E402

from uploader.cli import main as main_command  # noqa: E402
from uploader.planning.plan_building import build_plan  # noqa: E402
from uploader.planning.plan_files import write_plan  # noqa: E402
from uploader.scanning.folder_scan import scan_folder  # noqa: E402
from xnat_config import load_config  # noqa: E402


class Killed:
    """A small study that is uploaded into a project of its own, and killed on the way."""

    def __init__(self, url, folder, project, options=()):
        self.project = project
        self.options = options
        self.data = folder / "data"
        self.plan = folder / "plan.csv"
        home = folder / "home"
        home.mkdir(parents=True)
        write_study(self.data / "m01" / "pre", "11", "m01")
        write_study(self.data / "m01" / "post1w", "12", "m01")
        write_study(self.data / "m02" / "pre", "13", "m02", series=(1,))
        (self.data / "m02" / "pre" / "notes.txt").write_text("calm", encoding="utf-8")
        self.env = {
            **os.environ,
            "XNAT_PIC_SERVER": url,
            "XNAT_PIC_USER": "admin",
            "XNAT_PIC_PASSWORD": "admin",
            "XNAT_PIC_HOME": str(home),
        }
        config = load_config(environ=self.env)
        layout = "{subject}/{timepoint}"
        write_plan(build_plan(scan_folder(self.data, config), project, config, layout=layout),
                   self.plan)  # fmt: skip

    def arguments(self, name):
        """Return the arguments of a command."""
        if name != "upload":
            return [name, str(self.plan)]
        return [name, str(self.plan), "--jobs", "2", *self.options]

    def command(self, name):
        """Start a command of the uploader as a process of its own."""
        code = "from uploader.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *self.arguments(name)],
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def kill_when(self, is_time):
        """Upload, and kill the process when it is time; tell whether it was still at work."""
        process = self.command("upload")
        end = time.monotonic() + 120
        while process.poll() is None and not is_time():
            assert time.monotonic() < end
            time.sleep(0.005)
        was_at_work = process.poll() is None
        process.kill()
        process.communicate()
        return was_at_work

    def finish(self, name="upload"):
        """Run a command to its end in this process; return exit code and what it said."""
        done = CliRunner().invoke(main_command, self.arguments(name), env=self.env)
        return done.exit_code, done.output


def compare(served, one):
    """Fail unless the server lists what is on disk, once, and nothing waits."""
    found = []
    for row in served.rows(f"/data/projects/{one.project}/experiments"):
        path = f"/data/experiments/{row['ID']}/scans/ALL/files"
        files = served.rows(path, locator="absolutePath")
        found += [(file["Name"], content_digest(file["absolutePath"])[1]) for file in files]
    assert sorted(found) == expected_files(one.data)
    assert served.rows(f"/data/prearchive/projects/{one.project}") == []
    assert len(served.rows(f"/data/projects/{one.project}/subjects")) == 2


@contextmanager
def _slow(served):
    """Let the server take its time; give a function that counts the requests that write."""
    address = f"{served.url}/sandbox/faults"
    rules = [{"method": method, "delay_s": 0.06, "count": 0} for method in ("POST", "PUT")]
    served.session.post(address, json=rules).raise_for_status()
    try:
        yield lambda: sum(rule["hits"] for rule in served.session.get(address).json())
    finally:
        served.session.delete(address).raise_for_status()


class _Moment:
    """Tells when so many requests were made and then some time went by."""

    def __init__(self, writes, after, pause_s):
        self._writes, self._after, self._pause_s = writes, after, pause_s
        self._end = None

    def __call__(self):
        if self._end is None and self._writes() >= self._after:
            self._end = time.monotonic() + self._pause_s
        return self._end is not None and time.monotonic() >= self._end


def _where(served, one):
    """Tell how far the server was when an upload was killed."""
    sessions = len(served.rows(f"/data/projects/{one.project}/experiments"))
    if sessions:
        return "every session was archived" if sessions == 3 else "some sessions were archived"
    if served.rows(f"/data/prearchive/projects/{one.project}"):
        return "the prearchive held something"
    return "no image had arrived"


def kill_many(served, folder, times, seed, options=(), on_round=lambda *_: None):
    """Kill `times` uploads that are at work, each at another moment, and complete each."""
    chance = random.Random(seed)
    one = Killed(served.url, folder / "whole", "KW", options)
    assert served.put(f"/data/projects/{one.project}").status_code == 200
    with _slow(served) as writes:
        code, said = one.finish()
        whole = writes()
    assert code == 0, said
    compare(served, one)
    killed = rounds = 0
    while killed < times:
        rounds += 1
        assert rounds <= 2 * times, "too few uploads were at work when they should be killed"
        one = Killed(served.url, folder / f"k{rounds}", f"K{rounds}", options)
        assert served.put(f"/data/projects/{one.project}").status_code == 200
        after, pause_s = chance.randint(1, whole), chance.uniform(0, 0.1)
        moment = f"{1000 * pause_s:.0f} ms after write {after} of {whole}"
        with _slow(served) as writes:
            was_at_work = one.kill_when(_Moment(writes, after, pause_s))
        killed += was_at_work
        where = _where(served, one) if was_at_work else "it had ended"
        for command in ("upload", "verify"):
            code, said = one.finish(command)
            assert code == 0, f"{command}, killed {moment}:\n{said}"
        compare(served, one)
        on_round(rounds, moment, where)
    return rounds


@contextmanager
def _archive(folder):
    from archive_server import serving

    from sandbox.archive.archive import Archive, Settings

    with serving(Archive(folder, Settings(faults=True))) as served:
        # A client that is killed in mid-body is what happens here, and no fault to be told.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        yield served


def main():
    """Kill uploads and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--direct-archive", action="store_true")
    given = parser.parse_args()
    options = ["--direct-archive"] if given.direct_archive else []
    sys.stdout.write(f"seed {given.seed}\n")
    moments = Counter()

    def on_round(count, moment, where):
        moments[where] += 1
        sys.stdout.write(f"{count} {moment}: {where}\n")

    with tempfile.TemporaryDirectory() as folder, _archive(Path(folder) / "archive") as served:
        rounds = kill_many(served, Path(folder), given.times, given.seed, options, on_round)
    for where, count in moments.most_common():
        sys.stdout.write(f"{count:4} when {where}\n")
    sys.stdout.write(f"{given.times} of {rounds} uploads were killed at work; all complete.\n")


if __name__ == "__main__":
    main()
