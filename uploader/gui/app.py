"""The command ``xnat-pic``: the desktop app."""

from __future__ import annotations

import multiprocessing
import os
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xnat_pic.cli import version_option

if TYPE_CHECKING:
    from PySide6.QtGui import QIcon
    from PySide6.QtWidgets import QApplication


# How long a thread beside the window may keep the interpreter while the window waits for it.
_SWITCH_SECONDS = 0.001

EXIT_CODES = """\b
Exit codes:
  0  the window was closed
  2  wrong call
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.argument("folder", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--language", type=click.Choice(["en", "it"]), help="Instead of the system's.")
@version_option("xnat-pic")
def run(folder: Path | None, language: str | None) -> None:
    """Open the window; with FOLDER, show what can be converted in it.

    FOLDER may be a plan (a file .xlsx or .csv): the window goes on with it.
    """
    app = application(language or "")
    from . import main_window, shortcuts, worker

    window = main_window.MainWindow()
    shortcuts.add_shortcuts(window)
    window.show()
    if folder is not None:
        from .. import is_plan_file  # not where nothing was named

        window.open("upload" if is_plan_file(folder) else "convert", folder.absolute())
    else:
        worker.start(main_window.preload)
    code = app.exec()
    if not worker.stop_all(0):
        # A request may wait minutes for its server. The journal has what was sent, and a killed
        # upload goes on: nobody has to wait for it.
        os._exit(code)
    sys.exit(code)


def main() -> None:
    """Start the window, or the child process of a bundled one."""
    multiprocessing.freeze_support()
    run()


def application(language: str = "") -> QApplication:
    """Return the application, dressed after the system, in the person's language."""
    from PySide6.QtWidgets import QApplication

    from . import preferences, theme, translation

    sys.setswitchinterval(_SWITCH_SECONDS)
    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("xnat-pic")
    app.setApplicationDisplayName("XNAT-PIC")
    app.setDesktopFileName("xnat-pic")
    app.setWindowIcon(icon())
    translation.choose(language or preferences.language() or translation.system_language())
    theme.follow_system(app)
    return app


def icon() -> QIcon:
    """Return the product's icon, sharp in the sizes that systems show."""
    from PySide6.QtCore import QByteArray, Qt
    from PySide6.QtGui import QIcon, QPainter, QPixmap
    from PySide6.QtSvg import QSvgRenderer

    drawing = QSvgRenderer(QByteArray((resources.files(__package__) / "xnat-pic.svg").read_bytes()))
    made = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256):
        pixmap = QPixmap(size, size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        drawing.render(painter)
        painter.end()
        made.addPixmap(pixmap)
    return made


if __name__ == "__main__":
    main()
