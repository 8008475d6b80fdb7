"""The viewer: a plane, its place among slices and steps, its window, its header."""

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from .. import worker
from ..child_process import TaskHandle
from ..error_texts import error_text
from ..theme import MARGIN, NIGHT, ON_NIGHT, SPACE, label
from ..translation import translate
from .stack import HeaderRow, Plane, Stack, grey, letters, window_of


class Canvas(QWidget):
    """Paints one plane; dragging changes the window, the wheel the slice.

    Attributes
    ----------
    scrolled : signal (int)
        The wheel went this many slices on.
    """

    scrolled = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.values: Plane | None = None
        self.message = ""
        self.centre, self.width_of_grey = 0.0, 1.0
        self.sides = ("", "", "", "")
        self.spacing = (1.0, 1.0)
        self._image: QImage | None = None
        self._from: tuple[QPointF, float, float] | None = None
        self.setMinimumSize(220, 96)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(translate("viewer.picture"))
        self.setToolTip(translate("viewer.drag"))

    def show_plane(
        self, values: Plane, spacing: tuple[float, float], sides: tuple[str, ...]
    ) -> None:
        """Show a plane; `sides` are the letters left, right, top, bottom."""
        self.values, self.spacing, self.message = values, spacing, ""
        self.sides = (sides[0], sides[1], sides[2], sides[3])
        self._grey()

    def show_message(self, text: str) -> None:
        """Show a message where the picture would be."""
        self.values, self._image, self.message = None, None, text
        self.update()

    def set_window(self, centre: float, width: float) -> None:
        """Choose which values are grey."""
        self.centre, self.width_of_grey = centre, max(width, 1e-6)
        self._grey()

    def _grey(self) -> None:
        if self.values is not None:
            bytes_ = grey(self.values, self.centre, self.width_of_grey)
            rows, columns = bytes_.shape
            form = QImage.Format.Format_Grayscale8
            self._image = QImage(bytes_.tobytes(), columns, rows, columns, form).copy()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the plane in its true proportions with the letters around it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), QColor(NIGHT))
        painter.setPen(QColor(ON_NIGHT))
        area = QRectF(self.rect())
        if self._image is None:
            inner = area.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(inner, int(flags), self.message)
            return
        high = self._image.height() * self.spacing[0]
        wide = self._image.width() * self.spacing[1]
        inner = area.adjusted(28, 28, -28, -28)
        scale = min(inner.width() / wide, inner.height() / high)
        box = QRectF(0, 0, wide * scale, high * scale)
        box.moveCenter(area.center())
        painter.drawImage(box, self._image)
        edge, middle = area.adjusted(6, 6, -6, -6), Qt.AlignmentFlag.AlignCenter
        vertical, horizontal = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignHCenter
        for text, flags in zip(
            self.sides,
            (
                Qt.AlignmentFlag.AlignLeft | vertical,
                Qt.AlignmentFlag.AlignRight | vertical,
                Qt.AlignmentFlag.AlignTop | horizontal,
                Qt.AlignmentFlag.AlignBottom | horizontal,
            ),
            strict=True,
        ):
            painter.drawText(edge, int(flags or middle), text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to change the window."""
        self._from = (event.position(), self.centre, self.width_of_grey)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Right and left: contrast; up and down: brightness."""
        if self._from is not None:
            start, centre, width = self._from
            moved = event.position() - start
            self.set_window(centre - moved.y() * width / 300, width * (1.01 ** (-moved.x())))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Keep the window as it is."""
        self._from = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Choose the window that suits this plane."""
        self.suit()

    def suit(self) -> None:
        """Choose the window that suits this plane."""
        if self.values is not None:
            self.set_window(*window_of(self.values))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Go through the slices."""
        self.scrolled.emit(-1 if event.angleDelta().y() > 0 else 1)


class StackSlider(QWidget):
    """A slider through slices or steps that says what it turns and where it is."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.text = label(name)
        self.count = label("", "soft")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(name)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        row.addWidget(self.text, 1)
        row.addWidget(self.count)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.slider)

    def set_name(self, name: str) -> None:
        """Say what it turns."""
        self.name = name
        self.slider.setAccessibleName(name)

    def set_count(self, count: int) -> None:
        """Go from the first to the last of `count`; hidden where there is only one."""
        self.slider.blockSignals(True)
        self.slider.setRange(0, count - 1)
        self.slider.setValue(0)
        self.slider.blockSignals(False)
        self.setVisible(count > 1)

    def show_value(self, value: str) -> None:
        """Show a value, such as ``TE 12 ms``, and which of how many it is."""
        where = translate(
            "viewer.of", number=self.slider.value() + 1, count=self.slider.maximum() + 1
        )
        self.text.setText(" ".join(filter(None, [self.name, value])))
        self.text.setToolTip(self.text.text())
        self.count.setText(where)
        self.slider.setAccessibleDescription(" ".join(filter(None, [value, where])))


class Viewer(QWidget):
    """A series to look at: picture and header."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: Stack | None = None
        self._wanted = 0
        self._fresh = False
        self.title = label("", "heading", wrap=True)
        self.canvas = Canvas()
        self.canvas.scrolled.connect(self._scroll)
        self.place = StackSlider(translate("viewer.slice"))
        self.step = StackSlider(translate("viewer.step_step"))
        for turner in (self.place, self.step):
            turner.slider.valueChanged.connect(lambda _: self._load())
        self.header = QTableWidget(0, 3)
        self.search = QLineEdit()
        self.search.setPlaceholderText(translate("viewer.find"))
        self.search.setAccessibleName(translate("viewer.find"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.tabs = QTabWidget()
        self.tabs.addTab(self._picture_tab(), translate("viewer.picture"))
        self.tabs.addTab(self._header_tab(), translate("viewer.header"))
        self.tabs.currentChanged.connect(lambda _: self._load())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACE)
        column.addWidget(self.title)
        column.addWidget(self.tabs, 1)
        self.clear(translate("viewer.empty"))

    def clear(self, text: str) -> None:
        """Show a message instead of a series."""
        self.stack = None
        self._wanted += 1
        self.title.setText("")
        self.header.setRowCount(0)
        self.canvas.show_message(text)
        self._set_ranges(1, 1)

    def show_stack(self, stack: Stack) -> None:
        """Show a series at its middle slice."""
        self.stack, self._fresh = stack, True
        self.title.setText(stack.title)
        self._set_ranges(len(stack.planes[0]), len(stack.planes))
        self.step.set_name(translate(f"viewer.step_{stack.steps.meaning}"))
        self.place.slider.setValue(len(stack.planes[0]) // 2)
        self._load()

    def _set_ranges(self, slices: int, steps: int) -> None:
        self.place.set_count(slices)
        self.step.set_count(steps)

    def _scroll(self, by: int) -> None:
        self.place.slider.setValue(self.place.slider.value() + by)

    def _load(self) -> None:
        """Read the chosen plane beside the window; only the last one asked for is shown."""
        if self.stack is None:
            return
        stack, step, where = self.stack, self.step.slider.value(), self.place.slider.value()
        plane = stack.planes[step][where]
        self._show_position()
        self._wanted += 1
        ticket = self._wanted
        task = worker.start(_read, stack, plane, self.tabs.currentIndex() == 1)
        task.result.connect(worker.while_alive(self, lambda got: self._show(ticket, plane, got)))
        task.failed.connect(worker.while_alive(self, lambda error: self._fail(ticket, error)))

    def _show_position(self) -> None:
        stack = self.stack
        if stack is None:
            return
        self.place.show_value("")
        value = stack.steps.values[self.step.slider.value()]
        if not value and stack.steps.meaning == "offset":
            value = translate("viewer.reference")
        self.step.show_value(value)

    def _show(self, ticket: int, plane: int, got: tuple[Plane, list[HeaderRow] | None]) -> None:
        if ticket != self._wanted or self.stack is None:
            return
        values, header = got
        across, down = (letters(axis) for axis in self.stack.axes[plane])
        self.canvas.show_plane(values, self.stack.spacing_mm, (*across, *down))
        if self._fresh:
            self.canvas.suit()
            self._fresh = False
        if header is not None:
            self._fill(header)

    def _fail(self, ticket: int, error: Exception) -> None:
        if ticket == self._wanted:
            self.canvas.show_message(error_text(error))

    def _fill(self, rows: list[HeaderRow]) -> None:
        self.header.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.header.setItem(number, column, item)
        self._filter(self.search.text())

    def _filter(self, wanted: str) -> None:
        for number in range(self.header.rowCount()):
            cells = [self.header.item(number, column) for column in range(3)]
            text = " ".join(cell.text() for cell in cells if cell is not None)
            self.header.setRowHidden(number, wanted.lower() not in text.lower())

    def _picture_tab(self) -> QWidget:
        tab = QWidget()
        column = QVBoxLayout(tab)
        column.setContentsMargins(0, SPACE, 0, 0)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.place)
        column.addWidget(self.step)
        return tab

    def _header_tab(self) -> QWidget:
        self.header.setHorizontalHeaderLabels(
            [translate("viewer.tag"), translate("viewer.name"), translate("viewer.value")]
        )
        self.header.verticalHeader().hide()
        self.header.setShowGrid(False)
        self.header.setTabKeyNavigation(False)
        self.header.setAccessibleName(translate("viewer.header"))
        self.header.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.header.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.header.setColumnWidth(0, 100)
        self.header.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.header.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        for place in (1, 2):
            self.header.horizontalHeader().setSectionResizeMode(
                place, QHeaderView.ResizeMode.Stretch
            )
        tab = QWidget()
        column = QVBoxLayout(tab)
        column.setContentsMargins(0, SPACE, 0, 0)
        column.addWidget(self.search)
        column.addWidget(self.header, 1)
        return tab


def _read(
    handle: TaskHandle, stack: Stack, plane: int, with_header: bool
) -> tuple[Plane, list[HeaderRow] | None]:
    return stack.read(plane), stack.header(plane) if with_header else None
