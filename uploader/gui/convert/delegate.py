"""How a series is painted: its picture, its name, what it is; and how far its conversion is."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPalette
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from ..theme import GAP, NIGHT, SPACE, colours
from .table import LINES, PERCENT, PICTURE, SERIES

SIDE = 48


class SeriesDelegate(QStyledItemDelegate):
    """Two lines beside the picture; every text ends in dots where it has no room."""

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Paint one cell."""
        lines, percent = index.data(LINES), index.data(PERCENT)
        chosen = QStyleOptionViewItem(option)
        self.initStyleOption(chosen, index)
        chosen.text = ""
        style = chosen.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, chosen, painter, chosen.widget)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = chosen.rect.adjusted(SPACE, 0, -SPACE, 0)
        if index.column() == SERIES:
            # The end of a study's name tells it from the others.
            chosen.textElideMode = Qt.TextElideMode.ElideMiddle
            self._picture(painter, text, index.data(PICTURE))
            text.setLeft(text.left() + SIDE + SPACE + GAP)
        colour = index.data(Qt.ItemDataRole.ForegroundRole)
        first = colour or chosen.palette.color(QPalette.ColorRole.Text)
        if percent is not None:
            self._bar(painter, text, percent)
            lines = (lines[0], "")
        self._lines(painter, chosen, text, lines, first, raised=percent is not None)
        painter.restore()

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        """Return room for the picture."""
        return QSize(120, SIDE + SPACE)

    def _picture(self, painter: QPainter, area: QRect, image: QImage | None) -> None:
        frame = QRectF(area.left(), area.center().y() - SIDE / 2 + 1, SIDE, SIDE)
        painter.setPen(Qt.PenStyle.NoPen)
        if image is None:
            painter.setBrush(QColor(colours().raised))
            painter.drawRoundedRect(frame, GAP, GAP)
            return
        scale = SIDE / max(image.width(), image.height())
        box = QRectF(0, 0, image.width() * scale, image.height() * scale)
        box.moveCenter(frame.center())
        painter.fillRect(frame, QColor(NIGHT))
        painter.drawImage(box, image)

    def _bar(self, painter: QPainter, area: QRect, percent: int) -> None:
        groove = QRectF(area.left(), area.center().y() + 5, area.width(), GAP)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours().raised))
        painter.drawRoundedRect(groove, GAP / 2, GAP / 2)
        groove.setWidth(max(GAP, groove.width() * percent / 100))
        painter.setBrush(QColor(colours().accent))
        painter.drawRoundedRect(groove, GAP / 2, GAP / 2)

    def _lines(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        area: QRect,
        lines: tuple[str, str],
        colour: QColor,
        *,
        raised: bool,
    ) -> None:
        """Draw one line in the middle, or two about it; the second is soft."""
        shown = [(text, tone) for text, tone in zip(lines, (colour, None), strict=True) if text]
        high = option.fontMetrics.height() + 2
        top = area.center().y() - high * (2 if raised else len(shown)) // 2 + 1
        for text, tone in shown:
            painter.setPen(tone or QColor(colours().soft))
            cut = option.fontMetrics.elidedText(text, option.textElideMode, area.width())
            place = QRect(area.left(), top, area.width(), high)
            painter.drawText(
                place, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), cut
            )
            top += high
