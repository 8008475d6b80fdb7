"""Colours, type and spacing, light and dark, after the system's choice."""

from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from string import Template

from PySide6.QtCore import QDir, QObject, Qt, Signal
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QLabel

# Distances in device-independent pixels: everything is a multiple of the smallest.
GAP, SPACE, MARGIN, WIDE = 4, 8, 16, 32
# Behind pictures, in both sets: grey values are judged against black. And writing upon it.
NIGHT, ON_NIGHT = "#0b0d10", "#d5dae3"


@dataclass(frozen=True)
class Colours:
    """One set of colours, as ``#rrggbb``."""

    ground: str
    surface: str
    raised: str
    line: str
    strong_line: str
    text: str
    soft: str
    accent: str
    accent_hover: str
    accent_soft: str
    on_accent: str
    good: str
    good_soft: str
    warning: str
    warning_soft: str
    bad: str
    bad_soft: str


LIGHT = Colours(
    ground="#f6f7f9",
    surface="#ffffff",
    raised="#eef1f5",
    line="#dfe3ea",
    strong_line="#c3cad5",
    text="#1b2330",
    soft="#566174",
    accent="#1f5fbf",
    accent_hover="#174c9c",
    accent_soft="#e4edfb",
    on_accent="#ffffff",
    good="#1b6e3c",
    good_soft="#e3f4e9",
    warning="#855000",
    warning_soft="#fdf1dc",
    bad="#a82a2a",
    bad_soft="#fce8e8",
)
DARK = Colours(
    ground="#15181e",
    surface="#1c2028",
    raised="#272c36",
    line="#2f3541",
    strong_line="#465061",
    text="#e6e9ef",
    soft="#a3adbd",
    accent="#7fb0ff",
    accent_hover="#a4c7ff",
    accent_soft="#22324d",
    on_accent="#0d1726",
    good="#7ed6a0",
    good_soft="#1b3325",
    warning="#f0c070",
    warning_soft="#3a2d16",
    bad="#ff9a94",
    bad_soft="#40201f",
)


class _Theme(QObject):
    """Tells those who paint for themselves that the colours changed."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.colours = LIGHT


_theme: list[_Theme] = []


def theme() -> _Theme:
    """Return the one theme: its ``colours``, and ``changed`` when they do."""
    if not _theme:
        _theme.append(_Theme())
    return _theme[0]


def colours() -> Colours:
    """Return the colours of now."""
    return theme().colours


def system_is_dark() -> bool:
    """Return whether the system asks for dark windows."""
    return QGuiApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark


def follow_system(app: QApplication) -> None:
    """Put on the system's choice, now and whenever it changes."""
    app.setStyle("Fusion")
    apply(app, dark=system_is_dark())
    app.styleHints().colorSchemeChanged.connect(lambda _: apply(app, dark=system_is_dark()))


def apply(app: QApplication, *, dark: bool) -> None:
    """Put on the light or the dark colours."""
    chosen = DARK if dark else LIGHT
    theme().colours = chosen
    app.setPalette(_palette(chosen))
    QDir.setSearchPaths("pictures", [str(Path(__file__).parent)])
    sheet = (resources.files(__package__) / "style.qss").read_text(encoding="utf-8")
    app.setStyleSheet(Template(sheet).substitute(asdict(chosen)))
    theme().changed.emit()


def _palette(c: Colours) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for where, colour in (
        (role.Window, c.ground),
        (role.Base, c.surface),
        (role.AlternateBase, c.ground),
        (role.Button, c.surface),
        (role.Text, c.text),
        (role.WindowText, c.text),
        (role.ButtonText, c.text),
        (role.ToolTipBase, c.raised),
        (role.ToolTipText, c.text),
        (role.PlaceholderText, c.soft),
        (role.Highlight, c.accent_soft),
        (role.HighlightedText, c.text),
        (role.Link, c.accent),
        (role.Mid, c.line),
    ):
        palette.setColor(where, QColor(colour))
    for where in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, where, QColor(c.strong_line))
    return palette


def label(text: str, role: str = "", *, wrap: bool = False) -> QLabel:
    """Return a label of plain text in one of the roles of ``style.qss``.

    Parameters
    ----------
    role : str
        ``title``, ``heading``, ``soft``, ``badge`` or empty.
    wrap : bool
        Break long text into lines.
    """
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)  # names come from files: none of them is markup
    made.setWordWrap(wrap)
    if role:
        made.setProperty("role", role)
    return made
