"""Colours that can be read, light and dark after the system, and controls that can be reached."""

import itertools
import re
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget

import uploader.gui
from uploader.gui import theme
from uploader.gui.main_window import MainWindow
from uploader.gui.page import Notice

STYLE = (Path(uploader.gui.__file__).parent / "style.qss").read_text(encoding="utf-8")
# Writing and what it stands on.
PAIRS = [
    *itertools.product(("text", "soft"), ("ground", "surface", "raised")),
    *itertools.product(("good", "warning", "bad"), ("ground", "surface")),
    *itertools.product(("text", "soft", "good", "bad"), ("accent_soft",)),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
    ("accent", "surface"),
    ("good", "good_soft"),
    ("warning", "warning_soft"),
    ("bad", "bad_soft"),
]


def _light(name):
    """Relative luminance (WCAG 2.2)."""
    channels = QColor(name).getRgbF()[:3]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, other):
    low, high = sorted((_light(one), _light(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("writing", "ground"), PAIRS)
def test_all_writing_has_contrast(colours, writing, ground):
    assert _contrast(getattr(colours, writing), getattr(colours, ground)) >= 4.5


@pytest.mark.parametrize("colours", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_the_focus_is_seen(colours):
    for ground in (colours.ground, colours.surface):
        assert _contrast(colours.accent, ground) >= 3


def test_writing_on_pictures_has_contrast():
    assert _contrast(theme.NIGHT, theme.ON_NIGHT) >= 7


def test_the_style_names_only_colours_that_are_there():
    named = set(re.findall(r"\$(\w+)", STYLE))
    assert named <= set(theme.Colours.__dataclass_fields__)
    assert not re.findall(r"#[0-9a-fA-F]{3,6}\b", STYLE)


def test_the_system_decides_between_light_and_dark(qapp, monkeypatch):
    """The system without a screen knows one scheme only: its word is put in, its signal is real."""
    hints = QGuiApplication.styleHints()
    try:
        for dark, colours in ((True, theme.DARK), (False, theme.LIGHT)):
            monkeypatch.setattr(theme, "system_is_dark", lambda dark=dark: dark)
            hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark if dark else Qt.ColorScheme.Light)
            assert theme.colours() is colours
            assert qapp.palette().window().color() == QColor(colours.ground)
            assert colours.ground in qapp.styleSheet()
    finally:
        theme.apply(qapp, dark=False)


@pytest.fixture
def window(qtbot):
    made = MainWindow()
    qtbot.addWidget(made)
    made.show()
    return made


def _reachable(page):
    """What the tabulator reaches."""
    return [
        widget
        for widget in page.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and widget.focusProxy() is None
        and widget.window() is page.window()  # the list of a closed box is a window of its own
        and not widget.objectName().startswith("qt_")
    ]


@pytest.mark.parametrize("name", ["start", "convert"])
def test_every_control_has_a_name(window, name):
    window.open(name)
    window.notify(Notice("What to know.", action="Next"))
    controls = _reachable(window.pages[name]) + _reachable(window.bands[name])
    assert len(controls) >= 6
    nameless = []
    for widget in controls:
        own = widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text())
        parent = widget.parentWidget()
        inner = type(widget).__name__ == "QLineEdit" and parent and parent.accessibleName()
        if not own and not inner and type(widget).__name__ not in ("QTabBar", "QLabel"):
            nameless.append(widget)
    assert nameless == []


def test_tab_goes_through_the_convert_page_as_it_is_read(window, tmp_path, qtbot):
    window.open("convert")
    page = window.pages["convert"]
    page.layers.setCurrentIndex(1)
    page.go_button.setEnabled(True)
    page.options.unfold(True)
    options = page.options
    wanted = [
        page.other_button,
        page.table,
        options.where,
        options.subject,
        options.overwrite,
        options.more,
        options.species,
        options.strain,
        options.study,
        options.orientation,
        options.position,
        options.enhanced,
        page.go_button,
    ]
    page.other_button.setFocus()
    seen = []
    for _ in range(60):
        widget = window.focusWidget()
        if widget in wanted and widget not in seen:
            seen.append(widget)
        qtbot.keyClick(widget, Qt.Key.Key_Tab)
    assert seen == wanted


def test_labels_never_take_markup(window):
    window.open("convert")
    for text in window.findChildren(QLabel):
        if text.parentWidget() is not None and not text.objectName().startswith("qt_"):
            assert text.textFormat() is Qt.TextFormat.PlainText
