"""Icons drawn from the paths of ``icons.toml`` in the colours of now, sharp at any scale."""

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from xnat_pic.tables import load_table

from .theme import colours

_FRAME = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{colour}" '
    'stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round">{paths}</svg>'
)
_SCALES = (1, 2, 3)


def icon(name: str, colour: str = "") -> QIcon:
    """Return an icon by its name in ``icons.toml``; in the text's colour if none is given."""
    made = QIcon()
    for scale in _SCALES:
        made.addPixmap(picture(name, 20, colour, scale))
    return made


def picture(name: str, size: int, colour: str = "", scale: float = 1.0) -> QPixmap:
    """Return an icon as a picture of `size` device-independent pixels."""
    paths = load_table(__package__, "icons.toml")[name]["paths"]
    svg = _FRAME.format(
        colour=colour or colours().text,
        paths="".join(f'<path d="{path}"/>' for path in paths),
    )
    pixmap = QPixmap(round(size * scale), round(size * scale))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(
        painter, QRectF(0, 0, pixmap.width(), pixmap.height())
    )
    painter.end()
    pixmap.setDevicePixelRatio(scale)
    return pixmap
