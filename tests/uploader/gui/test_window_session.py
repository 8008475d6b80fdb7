"""A whole session in a real window: digital mice converted, uploaded to a sandbox, verified."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from programs import need_program

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "packaging" / "bundle"))

from display import screen  # noqa: E402

PICTURES = {"start", "convert_empty", "convert_looked", "convert_going", "convert_done", "login",
            "login_refused", "folder", "plan", "plan_several", "uploading", "upload_failed",
            "verified", "close"}  # fmt: skip


def drive(out, display):
    environment = {**os.environ, "QT_QPA_PLATFORM": "xcb" if display else "offscreen"}
    environment["DISPLAY"] = display
    return subprocess.run(
        [sys.executable, ROOT / "docs" / "images" / "make_window.py", out, "--small"],
        env=environment, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


@pytest.mark.tool
def test_session_is_driven_to_its_proof_and_shown(tmp_path):
    need_program("Xvfb")
    with screen() as display:
        done = drive(tmp_path, display)
    assert done.returncode == 0, done.stderr
    shown = {path.stem.removeprefix("window_") for path in tmp_path.glob("*.png")}
    assert shown == PICTURES
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 8, path.name
        assert path.stat().st_size < 200_000
