"""The image's recipe: its steps, run as they stand, as far as that goes without Docker."""

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from pipelines.catalog import load_catalog
from pipelines.maps.warm import _every

ROOT = Path(__file__).resolve().parents[2]
RECIPE = Path(str(resources.files("pipelines"))) / "Dockerfile"
CACHE = "/var/cache/xnat-pic"


def _whole():
    return RECIPE.read_text(encoding="utf-8").replace("\\\n", " ")


def _step(word):
    """Return the command of the recipe with a word in it."""
    (line,) = [one for one in _whole().splitlines() if one.startswith("RUN") and word in one]
    return line.removeprefix("RUN ")


def test_kernels_of_every_choice_of_the_catalog_are_compiled_in_the_image():
    assert "xnat-pic-pipelines warm " in _step("warm")
    made = {(command, model) for command, model, _ in _every()}
    for pipe in load_catalog().pipelines:
        if pipe.level != "session" or pipe.command in ("mask-average", "suv"):
            continue  # without a kernel
        (choices,) = [one.choices for one in pipe.inputs if one.name == "model"]
        for model in choices:
            command = pipe.models.get(model, pipe.command)
            own = "" if model == command or (command, model) == ("dwi", "auto") else model
            assert (command, own) in made, (pipe.name, model)


def test_the_cache_is_writable_for_whatever_user_the_service_takes():
    assert f"NUMBA_CACHE_DIR={CACHE}/" in _whole()
    assert f"chmod -R a+rwX {CACHE}" in _step("warm")


def test_users_of_the_image_are_numbers():
    """Kubernetes cannot tell whether a user that is given by name is root."""
    assert re.findall(r"^USER (.*)$", _whole(), re.M) == ["0:0"]
    assert "useradd" not in _whole()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a command of a shell")
def test_what_is_copied_runs_without_the_sandbox_and_the_next_run_finds_its_kernels(tmp_path):
    copied = re.findall(r"^COPY (?!--from)(\S+) \S+$", _whole(), re.M)
    folders = [one for one in copied if (ROOT / one).is_dir()]
    assert "pipelines" in folders
    assert "sandbox" not in folders
    for name in folders:
        shutil.copytree(ROOT / name, tmp_path / "site" / name)
    cache = tmp_path / "cache"
    cache.mkdir()
    program = tmp_path / "xnat-pic-pipelines"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = [{str(tmp_path / 'site')!r}]\n"
        "sys.modules['sandbox'] = sys.modules['dcmrtstruct2nii'] = None\n"
        "from pipelines.cli import main\nmain()\n",
        "utf-8",
    )
    program.chmod(0o755)
    line = _step("warm").replace("/opt/xnat-pic/bin/xnat-pic-pipelines", str(program))
    line = line.replace(" warm ", " warm t1sr ").replace(CACHE, str(cache))  # one stands for all
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(cache / "kernels")}
    done = subprocess.run(
        ["sh", "-c", line], env=env, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 maps were fitted" in done.stderr
    kernels = _files(cache)
    assert any(one.suffix == ".nbc" for one in kernels)
    # In a file system that is read-only a copy of what was compiled is used.
    again = subprocess.run(
        [program, "warm", "t1sr"], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert again.returncode == 0, again.stderr
    assert _files(cache) == kernels, "compiled again"


def _files(folder):
    return {one: one.stat().st_mtime_ns for one in folder.rglob("*") if one.is_file()}
