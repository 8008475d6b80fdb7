"""Draw the icons of the bundle from the window's own: ``python packaging/bundle/icon.py``."""

import io
import os
from pathlib import Path

from PIL import Image

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QBuffer, QIODevice, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

HERE = Path(__file__).resolve().parent
DRAWING = HERE.parents[1] / "uploader" / "gui" / "xnat-pic.svg"
SIZES = (16, 24, 32, 48, 64, 128, 256)


def drawn(size: int) -> Image.Image:
    """Return the icon as a picture of `size` pixels."""
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(DRAWING)).render(painter)
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return Image.open(io.BytesIO(buffer.data().data()))


def main() -> None:
    """Write the icons beside this file."""
    app = QGuiApplication([])
    drawn(512).save(HERE / "xnat-pic.png", optimize=True)
    pictures = [drawn(size) for size in SIZES]
    pictures[-1].save(
        HERE / "xnat-pic.ico", sizes=[(n, n) for n in SIZES], append_images=pictures[:-1]
    )
    app.quit()


if __name__ == "__main__":
    main()
