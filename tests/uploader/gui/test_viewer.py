"""The viewer: what its steps are, the window by mouse, Enhanced objects, and sharp pictures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from mri2dicom import RawSeries, convert, read
from sandbox.mouse import MouseOptions, write_mice
from uploader.gui import translation
from uploader.gui.viewer.panel import Canvas, Viewer
from uploader.gui.viewer.stack import dicom_stack, grey, raw_stack, window_of
from uploader.gui.viewer.steps import find_steps, rules

SHARP = """
import os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
import numpy as np
from uploader.gui import app, icons, start
from uploader.gui.viewer.panel import Canvas
application = app.application("en")
assert icons.icon("back").pixmap(20).width() == 40
canvas = Canvas()
canvas.resize(256, 256)
columns = np.tile([0.0, 1.0], (100, 50)).astype("float32")
canvas.show_plane(columns, (1.0, 1.0), ("R", "L", "H", "F"))
canvas.set_window(0.5, 1.0)
shot = canvas.grab().toImage()
assert (shot.width(), shot.devicePixelRatio()) == (512, 2.0)
# 100 columns fill 200 points, 400 pixels: every column of the image is four pixels wide.
row = [shot.pixelColor(x, 256).value() for x in range(56, 456)]
assert np.ptp([np.mean(row[k * 4 + 1 : k * 4 + 3]) for k in range(10, 90)]) > 150
page = start.StartPage()
assert page.convert.picture.pixmap().width() == 56
"""


@pytest.fixture(scope="module")
def mouse(tmp_path_factory):
    """One small study: its raw series and both conversions, by scan and reconstruction."""
    folder = tmp_path_factory.mktemp("mouse")
    options = MouseOptions(animals=1, groups=("untreated",), timepoints=("pre",), size="SMALL")
    (study,) = write_mice(folder / "in", options)
    raw = {(s.expno, s.procno): s for s in read(study.path) if isinstance(s, RawSeries)}
    done = {
        enhanced: {
            (one.expno, one.procno): one
            for one in convert(study.path, folder / f"out{enhanced}", enhanced=enhanced).series
        }
        for enhanced in (False, True)
    }
    return raw, done


@pytest.mark.parametrize("enhanced", [False, True])
def test_converted_series_give_the_planes_and_steps_of_the_scanner(mouse, enhanced):
    raw, done = mouse
    meanings = set()
    for key, series in raw.items():
        mine = raw_stack(series, "raw")
        written = dicom_stack(Path(done[enhanced][key].path), "written")
        assert mine.steps == written.steps
        assert [len(step) for step in mine.planes] == [len(step) for step in written.planes]
        meanings.add(mine.steps.meaning)
        for step in (0, -1):
            for where in (0, -1):
                left, right = mine.planes[step][where], written.planes[step][where]
                np.testing.assert_allclose(mine.read(left), written.read(right), rtol=1e-4)
                np.testing.assert_allclose(mine.axes[left], written.axes[right], atol=1e-6)
    assert {"echo", "diffusion", "offset", "repetition"} <= meanings


def test_steps_say_what_the_files_say(mouse):
    raw, done = mouse
    for key, series in raw.items():
        if series.kind.value != "T2 map series":
            continue
        steps = raw_stack(series, "").steps
        times = {
            float(pydicom.dcmread(path, stop_before_pixels=True).EchoTime)
            for path in Path(done[False][key].path).glob("*.dcm")
        }
        assert steps.values == tuple(f"TE {time:g} ms" for time in sorted(times))
        return
    pytest.fail("the mouse has no T2 series")


def test_the_first_attribute_that_changes_names_the_steps():
    rows = [{"EchoTime": 10, "RepetitionTime": 100}, {"EchoTime": 10, "RepetitionTime": 250.5}]
    assert find_steps(rows).values == ("TR 100 ms", "TR 250.5 ms")
    assert find_steps([{"EchoTime": 5}] * 2).values == ("", "")
    offsets = [{"SaturationOffsetPpm": None}, {"SaturationOffsetPpm": -3.5}]
    assert find_steps([*offsets, {"SaturationOffsetPpm": 3.5}]).values == (
        "",
        "\N{MINUS SIGN}3.5 ppm",
        "3.5 ppm",
    )
    frames = find_steps([{"FrameReferenceTime": 500}, {"FrameReferenceTime": 61500}])
    assert (frames.meaning, frames.values) == ("time", ("t 0.5 s", "t 61.5 s"))


def test_every_meaning_has_a_name():
    for rule in rules():
        assert translation.translate(f"viewer.step_{rule.meaning}")
        assert rule.source


def test_the_viewer_says_the_value_of_a_step(mouse, qtbot):
    raw, _ = mouse
    series = next(one for one in raw.values() if one.kind.value == "CEST")
    viewer = Viewer()
    qtbot.addWidget(viewer)
    stack = raw_stack(series, "cest")
    viewer.show_stack(stack)
    place = next(k for k, value in enumerate(stack.steps.values) if value)
    viewer.step.slider.setValue(place)
    assert viewer.step.text.text() == f"Saturation offset {stack.steps.values[place]}"
    assert viewer.step.count.text() == f"{place + 1} of {len(stack.planes)}"
    assert stack.steps.values[place] in viewer.step.slider.accessibleDescription()
    plane = stack.planes[place][viewer.place.slider.value()]
    qtbot.waitUntil(
        lambda: (
            viewer.canvas.values is not None
            and np.array_equal(viewer.canvas.values, stack.read(plane))
        ),
        timeout=10000,
    )


def _shown(canvas):
    """Middle grey of the picture as it is painted."""
    return canvas.grab().toImage().pixelColor(100, 100).value()


def test_the_window_follows_the_mouse(qtbot):
    canvas = Canvas()
    qtbot.addWidget(canvas)
    canvas.resize(240, 200)
    values = np.linspace(0, 100, 64 * 64, dtype=np.float32).reshape(64, 64)
    canvas.show_plane(values, (1.0, 1.0), ("R", "L", "H", "F"))
    canvas.set_window(50, 100)
    before = _shown(canvas)
    left, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier

    def drag(across, down):
        QTest.mousePress(canvas, left, keys, QPoint(100, 100))
        QTest.mouseMove(canvas, QPoint(100 + across, 100 + down))
        QTest.mouseRelease(canvas, left, keys, QPoint(100 + across, 100 + down))

    drag(0, -30)
    assert canvas.centre == pytest.approx(50 + 30 * 100 / 300)
    assert canvas.width_of_grey == pytest.approx(100)
    assert _shown(canvas) < before
    drag(70, 0)
    assert canvas.width_of_grey == pytest.approx(100 * 1.01**-70)
    QTest.mouseMove(canvas, QPoint(10, 10))
    assert canvas.width_of_grey == pytest.approx(100 * 1.01**-70)
    QTest.mouseDClick(canvas, left, keys, QPoint(100, 100))
    assert (canvas.centre, canvas.width_of_grey) == window_of(values)


def test_grey_is_linear_and_clipped():
    values = np.array([[-10, 0, 50, 100, 1000, np.nan]], dtype=np.float32)
    assert grey(values, 50, 100).tolist() == [[0, 0, 128, 255, 255, 0]]
    assert window_of(np.full((2, 2), np.nan, dtype=np.float32)) == (0.0, 1.0)


def test_pictures_are_sharp_at_twice_the_pixels():
    environment = os.environ | {"QT_SCALE_FACTOR": "2"}
    subprocess.run([sys.executable, "-c", SHARP], check=True, timeout=90, env=environment)
