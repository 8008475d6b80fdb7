"""The bundle without repository and Python: starts, converts, uploads; by its keyboard alone.

Run by `make bundle-check` after `make bundle`; needs Xvfb and xdotool.
"""

import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from display import Keyboard, screen, wait

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "dist" / "xnat-pic"
STARTS = 5


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The bundle in another folder than the one that it was built in."""
    assert BUNDLE.is_dir(), "There is no bundle: run `make bundle` first."
    place = tmp_path_factory.mktemp("elsewhere") / "xnat-pic"
    shutil.copytree(BUNDLE, place, symlinks=True)
    return place / "xnat-pic"


@pytest.fixture(scope="module")
def display():
    with screen() as name:
        yield name


@contextmanager
def running(program, home, display, *words):
    """The window's process, with nothing of this machine's environment."""
    environment = {"PATH": "/nonexistent", "HOME": str(home), "LANG": "C.UTF-8",
                   "DISPLAY": display, "XNAT_PIC_HOME": str(home / "settings")}  # fmt: skip
    process = subprocess.Popen(
        [program, *map(str, words)], env=environment, cwd=home, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        _, said = process.communicate(timeout=30)
        assert "Traceback" not in said, said


def shown(keyboard, process):
    """Wait for the window; return it."""
    wait(lambda: keyboard.windows("XNAT-PIC") or process.poll() is not None, 30, "the window")
    if process.poll() is not None:
        pytest.fail(f"The window ended with {process.returncode}: {process.stderr.read()}")
    return keyboard.windows("XNAT-PIC")[0]


def test_bundle_holds_nothing_that_it_must_not(program):
    names = {path.name.casefold() for path in program.parent.rglob("*")}
    for banned in ("pyxnat", "simpleitk", "cv2", "numba", "scipy", "pandas", "libgtk-3.so.0"):
        assert banned not in names
    assert "xnat_pic.egg-info" in names or any(name.startswith("xnat_pic-") for name in names)


def test_bundle_tells_its_version_without_a_screen(program, tmp_path):
    done = subprocess.run(
        [program, "--version"], env={"PATH": "/nonexistent"}, cwd=tmp_path, text=True,
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("xnat-pic ")


def test_bundle_shows_its_window_and_closes(program, display, tmp_path, record_property):
    keyboard, times = Keyboard(display), []
    for _ in range(STARTS):
        begin = time.perf_counter()
        with running(program, tmp_path, display) as process:
            window = shown(keyboard, process)
            times.append(time.perf_counter() - begin)
            keyboard.focus(window)
            keyboard.press("ctrl+q")
            assert process.wait(20) == 0
    size = sum(path.lstat().st_size for path in program.parent.rglob("*") if path.is_file())
    print(  # the figures of docs/benchmarks.md
        f"\nbundle: {size / 1e6:.0f} MB; first window after {statistics.median(times):.2f} s "
        f"(median of {STARTS}; {min(times):.2f} to {max(times):.2f})"
    )
    assert statistics.median(times) < 10


def sandbox(*words):
    return [str(Path(sys.executable).with_name("xnat-pic-sandbox")), *map(str, words)]


@pytest.fixture
def study(tmp_path):
    subprocess.run(
        sandbox("mouse", tmp_path / "mice", "--size", "SMALL", "--animals", 1, "--groups",
                "treated", "--doses", "dose1", "--timepoints", "pre,post1w"),
        cwd=ROOT, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return tmp_path / "mice"


@pytest.fixture
def server(tmp_path):
    process = subprocess.Popen(
        sandbox("serve", "--data", tmp_path / "archive", "--port", 0, "--json"),
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = json.loads(process.stdout.readline())["url"]
        with requests.Session() as session:
            session.trust_env = False
            session.auth = ("admin", "admin")
            session.put(f"{url}/data/projects/MICE", timeout=30).raise_for_status()
            yield url, session
    finally:
        process.terminate()
        process.communicate(timeout=30)


def dicom_files(folder):
    return [path for path in folder.rglob("*.dcm") if path.is_file()]


def on_server(url, session):
    """Return the names of all images that the server holds of project MICE."""

    def rows(path):
        answer = session.get(f"{url}{path}", params={"format": "json"}, timeout=60)
        return answer.json()["ResultSet"]["Result"]

    found = []
    for one in rows("/data/projects/MICE/experiments"):
        found += [f["Name"] for f in rows(f"/data/experiments/{one['ID']}/scans/ALL/files")]
    return found


def changed_at(plan):
    """Return when the journal's files were written last."""
    return [path.stat().st_mtime_ns for path in sorted(plan.parent.glob(f"{plan.name}.journal*"))]


def settle(plan, quiet_s=15.0, seconds=240.0):
    """Wait until nothing is written into the journal any more; the window alone may read it."""
    until = time.monotonic() + seconds
    before, since = None, time.monotonic()
    while time.monotonic() - since < quiet_s:
        assert time.monotonic() < until, "the journal does not come to rest"
        now = changed_at(plan)
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.1)


def verified(plan):
    """Return how many sessions the journal of a closed window calls verified."""
    with closing(sqlite3.connect(plan.with_name(f"{plan.name}.journal"))) as base:
        return base.execute("select count(*) from session where verified != ''").fetchone()[0]


def test_bundle_converts_uploads_and_verifies_by_keyboard(
    program, display, study, server, tmp_path
):
    url, session = server
    home = tmp_path / "home"
    home.mkdir()
    keyboard = Keyboard(display)
    output = study.with_name("mice_dcm")
    plan = tmp_path / "mice_dcm_plan.csv"
    with running(program, home, display, study) as process:
        keyboard.focus(shown(keyboard, process))
        press_until(keyboard, "ctrl+Return", output.is_dir, "convert, once the study was looked at")
        wait(lambda: settled(output), 120, "the conversion")
        keyboard.press("alt+Return")  # upload these
        time.sleep(4)
        keyboard.type(url)
        keyboard.press("Tab")
        keyboard.type("admin")
        keyboard.press("Tab")
        keyboard.type("admin")
        keyboard.press("Return")
        time.sleep(6)
        keyboard.type("MICE")
        press_until(keyboard, "ctrl+Return", plan.is_file, "the plan")
        press_until(keyboard, "ctrl+Return", lambda: on_server(url, session), "the first file")
        # The server rewrites headers, as a fresh XNAT does: what they hold the bundle compares.
        sent = len(dicom_files(output))
        wait(lambda: len(on_server(url, session)) == sent, 120, "every file on the server")
        settle(plan)
        before = changed_at(plan)
        keyboard.press("alt+Return")  # verify: every image is fetched and decoded
        wait(lambda: changed_at(plan) != before, 240, "the first session verified")
        settle(plan)
        keyboard.press("ctrl+q")
        assert process.wait(30) == 0
    assert verified(plan) == 2


def settled(output):
    """Tell whether a conversion has written all that it will."""
    before = dicom_files(output)
    time.sleep(1.5)
    return bool(before) and before == dicom_files(output) and not list(output.rglob("*.part"))


def press_until(keyboard, key, done, told, seconds=60):
    """Press a key every few seconds until something is so."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"{told}: not within {seconds} s"
        keyboard.press(key)
        pause = time.monotonic() + 3
        while not done() and time.monotonic() < pause:
            time.sleep(0.1)
