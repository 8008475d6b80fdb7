"""The step of the image's recipe that makes every map once, run as it stands."""

import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from pipelines.catalog import load_catalog

RECIPE = Path(str(resources.files("pipelines"))) / "Dockerfile"
WARM, CACHE = "/tmp/warm", "/var/cache/xnat-pic"


def _warming():
    """Return the command of the recipe that compiles the kernels."""
    whole = RECIPE.read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = [one for one in whole.splitlines() if one.startswith("RUN") and WARM in one]
    return line.removeprefix("RUN ")


def test_kernels_of_every_choice_of_the_catalog_are_compiled_in_the_image():
    made = {(command, model) for command, _, model in re.findall(r"(\w+):(\d):(\w*)", _warming())}
    for pipe in load_catalog().pipelines:
        if pipe.level != "session" or pipe.command in ("mask-average", "suv"):
            continue  # without a kernel
        (choices,) = [one.choices for one in pipe.inputs if one.name == "model"]
        for model in choices:
            if (pipe.command, model) in {("dwi", "auto"), ("cest", "wasabi")}:
                continue  # one of the others; no kernel of its own
            command = pipe.models.get(model, pipe.command)
            assert (command, "" if model == command else model) in made, (pipe.name, model)


def test_the_cache_is_writable_for_whatever_user_the_service_takes():
    recipe = RECIPE.read_text(encoding="utf-8")
    assert f"NUMBA_CACHE_DIR={CACHE}/" in recipe
    assert f"chmod -R a+rwX {CACHE}" in _warming()
    assert recipe.index("USER xnat-pic") < recipe.index("xnat-pic-sandbox mouse")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a command of a shell")
def test_the_step_runs_and_the_next_run_finds_its_kernels(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    keep = _warming().replace(f"rm -rf {WARM}", "true")
    keep = re.sub(r"for one in [^;]*;", "for one in t2:3:2p;", keep)  # one map stands for all here
    line = keep.replace(WARM, str(tmp_path / "warm")).replace(CACHE, str(cache))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    env = {"PATH": path, "HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(cache / "kernels")}
    done = subprocess.run(
        ["sh", "-c", line], env=env, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    kernels = _files(cache)
    assert any(one.suffix == ".nbc" for one in kernels)
    (scan,) = (tmp_path / "warm" / "dicom").rglob("30001_*")
    words = ["xnat-pic-pipelines", "map", "t2", str(scan), str(tmp_path / "out")]
    again = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert _files(cache) == kernels, "compiled again"


def _files(folder):
    return {one: one.stat().st_mtime_ns for one in folder.rglob("*") if one.is_file()}
