"""What the window remembers from one day to the next; never a secret."""

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings

_PLAN, _FOLDER, _LANGUAGE, _GEOMETRY = "plan", "folder", "language", "geometry"


def _settings() -> QSettings:
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "xnat-pic", "window")


def last_plan() -> Path | None:
    """Return the plan that was open last, if it is still there."""
    text = str(_settings().value(_PLAN, "") or "")
    path = Path(text)
    return path if text and path.is_file() else None


def remember_plan(path: Path) -> None:
    """Remember the plan that the start page offers to continue."""
    _settings().setValue(_PLAN, str(path.resolve()))


def last_folder() -> Path:
    """Return the folder that was chosen last, or the person's own."""
    text = str(_settings().value(_FOLDER, "") or "")
    path = Path(text)
    return path if text and path.is_dir() else Path.home()


def remember_folder(path: Path) -> None:
    """Remember where the next choice of a folder begins."""
    _settings().setValue(_FOLDER, str(path.resolve()))


def language() -> str:
    """Return the language that the person chose, or empty."""
    return str(_settings().value(_LANGUAGE, "") or "")


def remember_language(code: str) -> None:
    """Remember the language that the person chose."""
    _settings().setValue(_LANGUAGE, code)


def geometry() -> QByteArray | None:
    """Return where the window was, or None."""
    value = _settings().value(_GEOMETRY)
    return value if isinstance(value, QByteArray) else None


def remember_geometry(value: QByteArray) -> None:
    """Remember where the window is."""
    _settings().setValue(_GEOMETRY, value)
