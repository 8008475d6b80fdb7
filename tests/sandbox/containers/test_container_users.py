"""Every command in a mount that XNAT's Tomcat made: its own user, closed to others, with limits.

Where root runs the tests, the users are real ones; else the same commands run as this user, and
permission bits alone close a mount.
"""

import json
import os
import re
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import pytest
from mouse_session import T2

from pipelines.maps.warm import _every, _write
from sandbox.archive import accounts
from sandbox.archive.launching import CONTAINER, Run
from sandbox.containers import host, inputs, mounts
from sandbox.containers.host import Host
from sandbox.containers.runner import execute

TOMCAT, STRANGER = 23456, 34567
FOLDER = resources.files("pipelines.catalog") / "containers"
NAMES = sorted(one.name.removesuffix(".json") for one in FOLDER.iterdir())
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="users and mounts of Linux")
HAS_MOUNTS = IS_ROOT and subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root becomes another user")
# Shows another user this interpreter, where a folder above it is closed, as /root often is.
VIEW = """
mkdir -p {view}/{child} && chmod 755 {view} && mount --bind {closed}/{child} {view}/{child} &&
mount --rbind {view} {closed} && exec "$@"
"""
# Leaves nothing writable but a folder.
READ_ONLY = """
mount --bind {place} {place} && mount -o remount,bind,ro / && exec "$@"
"""


@pytest.fixture(scope="module")
def common():
    """A folder that every user finds; those of pytest are closed, again at each of its starts."""
    with TemporaryDirectory(prefix="xnat-pic-users-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module", autouse=True)
def reachable(common):
    """Let every user run this interpreter."""
    with pytest.MonkeyPatch.context() as patch:
        if IS_ROOT:
            python = Path(sys.executable).resolve()
            closed = [one for one in python.parents if not one.stat().st_mode & stat.S_IXOTH]
            if closed and not HAS_MOUNTS:
                pytest.skip("other users cannot run this interpreter, and nothing can be mounted")
            if closed:
                child = python.relative_to(closed[-1]).parts[0]
                view = common / "view"
                script = VIEW.format(view=view, child=child, closed=closed[-1])
                patch.setattr(host, "_STEP_DOWN", _in_mounts(script) + host._STEP_DOWN)
        # As in the image: compiled before, and every user may add to it.
        cache = common / "kernels"
        cache.mkdir()
        cache.chmod(0o777)
        patch.setenv("NUMBA_CACHE_DIR", str(cache))
        yield


def _in_mounts(script):
    """Return the words before a command that sees mounts of its own."""
    return f"unshare --mount sh -c '{' '.join(script.split())}' sh "


@pytest.fixture
def place(common):
    """A folder for one test."""
    path = common / f"test{len(list(common.iterdir()))}"
    path.mkdir()
    path.chmod(0o755)
    return path


@pytest.fixture
def start(place, containers):
    """Run a committed command in mounts of an owner, as a user; return status, errors, mounts."""
    with containers.served.archive.database.write() as connection:
        user = accounts.check_login(connection, "admin", "admin")
        alias, secret, _ = accounts.issue_token(connection, user)

    def run(name, owner, user, item="XNAT_NONE", project="EMPTY"):
        folder = place / f"run{len(list(place.glob('run*')))}"
        folder.mkdir()
        folder.chmod(0o755)
        command = json.loads(FOLDER.joinpath(f"{name}.json").read_text("utf-8"))
        command |= {"limit-cpu": 1, "limit-memory": 1200}
        whole = name.endswith("_project")
        one = Run(
            kind=CONTAINER, workflow=12, name=name, item=project if whole else item, label="L",
            xsi_type="xnat:projectData" if whole else "xnat:mrSessionData", project=project,
            launch_time="", parameters={}, host=containers.served.url, alias=alias, secret=secret,
            login="admin", folder=folder, command={**command, "wrapper": command["xnat"][0]},
        )  # fmt: skip
        made = mounts.make(command, folder)
        if "input" in made:
            (series,) = [s for c, m, s in _every() if (c, m) == ("t1sr", "2p")]
            _write(series, folder / "series")
            for path in (folder / "series").iterdir():
                path.rename(made["input"] / path.name)
        mounts.hand_over(made.values(), owner if IS_ROOT else None)
        if not IS_ROOT and user != owner:
            for path in made.values():
                path.chmod(0o550)
        values = inputs.resolve(one)
        status = execute(one, values, made, Host(folder, owner, user if IS_ROOT else None))
        return status, (folder / "stderr.log").read_text("utf-8"), made

    return run


def last_line(said):
    assert "Traceback" not in said, said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_command_runs_as_who_owns_its_mount(start, containers, name):
    containers.served.put("/data/projects/EMPTY")
    status, said, made = start(name, TOMCAT, TOMCAT)
    line = last_line(said)
    assert "cannot be" not in line
    assert "Permission denied" not in said
    if name.endswith("_scan"):
        assert status == (0 if "T1w_SR" in name else 3), said
        if status == 0:
            assert (made["output"] / "run12" / "maps.json").is_file()
    else:
        # It worked in the mount, and asked the server for what is not there.
        assert status in (3, 6), said
        assert (made["work"] / "run").is_dir()
    if IS_ROOT:
        written = [one for path in made.values() for one in path.rglob("*")]
        assert {one.stat().st_uid for one in written} == {TOMCAT}


@pytest.mark.parametrize("name", NAMES)
def test_a_command_ends_with_a_sentence_where_the_mount_is_closed_to_it(start, name):
    status, said, _ = start(name, TOMCAT, STRANGER)
    line = last_line(said)
    if not IS_ROOT:
        assert status in (2, 3)
        return
    assert status == 2
    if name.endswith("_scan"):
        assert "is not readable" in line
    else:
        assert f"This runs as user {STRANGER}, and " in line
        assert f"belongs to user {TOMCAT}" in line
        assert f"A container needs {TOMCAT} as Container User" in line


@as_root
@pytest.mark.parametrize("name", ["process_DWI_scan", "process_T2", "Mask_Average_project"])
def test_a_command_runs_as_root(start, containers, name):
    containers.served.put("/data/projects/EMPTY")
    status, said, _ = start(name, TOMCAT, None)
    last_line(said)
    assert status in (0, 3, 6)
    assert "Permission denied" not in said


def test_a_command_sees_its_limits(start, place, monkeypatch):
    """And not the processors and the memory of its host."""
    monkeypatch.setattr(
        inputs,
        "command_line",
        lambda *_: (
            f"{sys.executable} -c 'from xnat_pic.machine import processors, memory_limit;"
            " from pipelines.project.schedule import local_workers;"
            " print(processors(), memory_limit(), local_workers(8, 8))'"
        ),
    )
    assert start("process_T2_project", TOMCAT, TOMCAT)[0] == 0
    found = (place / "run0" / "stdout.log").read_text("utf-8").split()
    assert found == ["1", str(1200 << 20), "1"]


@as_root
@pytest.mark.parametrize("user", ["", "0", str(TOMCAT), str(STRANGER), "tomcat"])
def test_the_sandbox_runs_a_container_as_its_site_says(containers, committed, user):
    """From the launch to the maps, with mounts of Tomcat's user."""
    path = f"/archive/experiments/{containers.session}"
    containers.prefer(sandboxTomcatUser=str(TOMCAT))
    containers.host(container_user=user or None)
    try:
        ended = containers.done(committed("process_T2"), session=path, scans=T2, noise_sigma="0")
    finally:
        containers.prefer(sandboxTomcatUser="")
        containers.host()
    if user == "tomcat":
        assert ended.status == "Failed (Container launch)"
        return
    said = containers.log(ended)
    assert "Traceback" not in said
    if user == str(STRANGER):
        assert ended.status == "Failed"
        assert f"belongs to user {TOMCAT}" in last_line(said)
    else:
        assert ended.status == "Complete", said
        made = containers.names(f"/data/experiments/{containers.session}/scans/{T2}")
        assert any(name.endswith("T2map.nii.gz") for name in made)


@pytest.mark.skipif(not HAS_MOUNTS, reason="nothing can be mounted")
def test_an_image_that_is_read_only_makes_the_same_maps(start, place, monkeypatch):
    """Nothing but the mounts can be written, and what was compiled belongs to another user."""
    cache = Path(os.environ["NUMBA_CACHE_DIR"])
    status, said, made = start("process_T1w_SR_scan", TOMCAT, TOMCAT)
    assert status == 0, said
    first = _map_of(made["output"])
    for one in cache.rglob("*"):
        os.chown(one, 0, 0)
        one.chmod(0o755 if one.is_dir() else 0o644)
    cache.chmod(0o755)
    before = sorted(one.name for one in cache.rglob("*"))
    try:
        down = _in_mounts(READ_ONLY.format(place=place)) + "setpriv"
        monkeypatch.setattr(host, "_STEP_DOWN", host._STEP_DOWN.replace("setpriv", down, 1))
        status, said, made = start("process_T1w_SR_scan", STRANGER, STRANGER)
    finally:
        cache.chmod(0o777)
        for one in cache.rglob("*"):
            one.chmod(0o777 if one.is_dir() else 0o666)
    assert status == 0, said
    last_line(said)
    assert np.array_equal(first, _map_of(made["output"]), equal_nan=True)
    assert sorted(one.name for one in cache.rglob("*")) == before


def _map_of(folder):
    found = min(folder.rglob("*T1map.nii.gz"), key=lambda one: len(one.name))
    return np.asarray(nibabel.load(found).dataobj)


def test_names_of_commands_are_those_of_the_files():
    for name in NAMES:
        assert json.loads(FOLDER.joinpath(f"{name}.json").read_text("utf-8"))["name"] == name
        assert re.fullmatch(r"[A-Za-z0-9_]+", name)
