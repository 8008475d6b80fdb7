"""The options of a conversion: where to, the subject, and a folded part for the rest."""

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from mri2dicom import SUBJECT_POSITIONS, Overrides, species_names

from ..theme import MARGIN, SPACE, label
from ..translation import translate


class ConversionForm(QWidget):
    """What a person may choose before converting.

    Attributes
    ----------
    change : signal
        Another output folder is wanted.
    """

    change = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.where = _line("output")
        self.where.setReadOnly(True)
        self.subject = _line("subject")
        self.subject.setPlaceholderText(translate("convert.subject_says"))
        self.enhanced = QCheckBox(translate("convert.enhanced"))
        self.overwrite = QCheckBox(translate("convert.overwrite"))
        self.species = QComboBox()
        self.species.setEditable(True)
        self.species.addItems(["", *species_names()])
        self.species.setAccessibleName(translate("convert.species"))
        line = self.species.lineEdit()
        if line is not None:
            line.setPlaceholderText(translate("convert.species_says"))
        self.strain = _line("strain")
        self.strain.setPlaceholderText(translate("convert.strain_says"))
        self.study = _line("study")
        self.study.setPlaceholderText(translate("convert.subject_says"))
        self.orientation = _choice("orientation", ["quadruped", "biped"])
        self.position = _choice("position", list(SUBJECT_POSITIONS))
        self.more = QToolButton()
        self.more.setText(translate("convert.more"))
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.toggled.connect(self.unfold)
        self.folded = self._rest()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(SPACE)
        names = [_named("output", self.where), _named("subject", self.subject)]
        for one in names:  # so that their fields begin below each other
            one.setMinimumWidth(max(name.sizeHint().width() for name in names))
        rows.addLayout(self._first(names[0]))
        rows.addLayout(self._second(names[1]))
        rows.addWidget(self.folded)
        self.unfold(False)

    def overrides(self) -> Overrides:
        """Return what the person says that the scanner's files do not hold."""
        return Overrides(
            subject_id=self.subject.text().strip(),
            species=self.species.currentText().strip(),
            strain=self.strain.text().strip(),
            study_label=self.study.text().strip(),
            anatomical_orientation=str(self.orientation.currentData()),
            subject_position=str(self.position.currentData()),
        )

    def switches(self) -> dict[str, Any]:
        """Return the switches of `mri2dicom.convert`."""
        return {"enhanced": self.enhanced.isChecked(), "overwrite": self.overwrite.isChecked()}

    def unfold(self, shown: bool) -> None:
        """Show or hide the rest."""
        self.folded.setVisible(shown)
        arrow = Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow
        self.more.setArrowType(arrow)

    def _first(self, name: QWidget) -> QHBoxLayout:
        button = QPushButton(translate("convert.change"))
        button.setAccessibleName(translate("convert.change_output"))
        button.clicked.connect(self.change)
        return _row(name, self.where, button)

    def _second(self, name: QWidget) -> QHBoxLayout:
        row = _row(name, self.subject, self.overwrite)
        row.addStretch(1)
        row.addWidget(self.more)
        return row

    def _rest(self) -> QWidget:
        rest = QWidget()
        grid = QGridLayout(rest)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(SPACE)
        for place, (name, field) in enumerate(
            (
                ("species", self.species),
                ("strain", self.strain),
                ("study", self.study),
                ("orientation", self.orientation),
                ("position", self.position),
            )
        ):
            cell = QVBoxLayout()
            cell.setSpacing(2)
            cell.addWidget(_named(name, field))
            cell.addWidget(field)
            field.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            field.setMinimumWidth(80)
            grid.addLayout(cell, place // 3, place % 3)
        grid.addWidget(self.enhanced, 1, 2, Qt.AlignmentFlag.AlignBottom)
        for column in range(3):
            grid.setColumnStretch(column, 1)
        return rest


def _line(name: str) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(translate(f"convert.{name}"))
    field.setMinimumWidth(80)
    return field


def _choice(name: str, values: list[str]) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(translate(f"convert.{name}"))
    box.addItem(translate("convert.subject_says"), "")
    for value in values:
        box.addItem(translate(f"convert.{name}_{value.lower()}"), value)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box


def _named(name: str, field: QWidget) -> QWidget:
    text = label(translate(f"convert.{name}"), "soft")
    text.setBuddy(field)
    return text


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(SPACE)
    for widget in widgets:
        row.addWidget(widget)
    return row
