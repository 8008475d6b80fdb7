"""The command ``xnat-pic``: the desktop app."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication


EXIT_CODES = """\b
Exit codes:
  0  the window was closed
  2  wrong call
"""


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from mri2dicom.version import version

        click.echo(f"xnat-pic, version {version()}")
        context.exit()


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.argument("folder", type=click.Path(path_type=Path, exists=True), required=False)
@click.option("--language", type=click.Choice(["en", "it"]), help="Instead of the system's.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def run(folder: Path | None, language: str | None) -> None:
    """Open the window; with FOLDER, show what can be converted in it."""
    app = application(language or "")
    from . import main_window, worker

    window = main_window.MainWindow()
    window.show()
    if folder is not None:
        window.open("convert", folder)
    else:
        worker.start(main_window.preload)
    sys.exit(app.exec())


def main() -> None:
    """Start the window, or the child process of a bundled one."""
    multiprocessing.freeze_support()
    run()


def application(language: str = "") -> QApplication:
    """Return the application, dressed after the system, in the person's language."""
    from PySide6.QtWidgets import QApplication

    from . import memory, theme, words

    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("xnat-pic")
    app.setApplicationDisplayName("XNAT-PIC")
    app.setDesktopFileName("xnat-pic")
    words.choose(language or memory.language() or words.system_language())
    theme.follow_system(app)
    return app


if __name__ == "__main__":
    main()
