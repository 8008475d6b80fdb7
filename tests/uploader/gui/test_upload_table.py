"""The plan's table: editing, undo, order and choice, and ten thousand rows."""

import gc
import random
import weakref
from pathlib import Path

import pytest
from disk import write_study
from PySide6.QtCore import Qt
from turn_work import TurnWork

from uploader.findings import error
from uploader.gui.upload.plan_step import PlanStep
from uploader.gui.upload.states import RowState
from uploader.gui.upload.table import PlanTable, RowFilter
from uploader.planning.plan import Plan, PlanRow
from uploader.planning.plan_building import build_plan
from uploader.scanning.folder_scan import scan_folder
from xnat_config import load_config


def row(number, **values):
    variables = {"group": "treated", "timepoint": "pre", "dose": ""} | values.pop("variables", {})
    fields = {
        "key": f"1.2.{number}/MR",
        "include": True,
        "source": f"treated/m{number}",
        "project": "P1",
        "subject": f"m{number}",
        "session": f"m{number}_pre_MR",
        "modality": "MR",
        "files": number,
        "bytes": number * 1000,
    }
    return PlanRow(variables=variables, **(fields | values))


def plan_of(rows):
    return Plan(Path("study"), "P1", "", tuple(rows))


@pytest.fixture
def table(qapp):
    made = PlanTable(load_config(environ={}))
    made.set_plan(plan_of([row(10), row(2), row(1, variables={"timepoint": "post1w"})]))
    return made


def shown(table, column="subject"):
    place = table.columns.index(column)
    return [table.index(line, place).data() for line in range(table.rowCount())]


def test_cell_is_edited_taken_back_and_done_again(table):
    index = table.index(0, table.columns.index("group"))
    assert table.setData(index, " untreated ")
    assert table.rows[0].variables["group"] == "untreated"
    table.undo()
    assert table.rows[0].variables["group"] == "treated"
    assert not table.history.can_undo
    table.redo()
    assert table.rows[0].variables["group"] == "untreated"
    assert not table.setData(index, "untreated"), "what does not differ is no change"


def test_many_rows_are_written_and_taken_back_as_one(table):
    seen = []
    table.edited.connect(lambda: seen.append(1))
    assert table.write([0, 1, 2], "dose", "5")
    assert [one.variables["dose"] for one in table.rows] == ["5", "5", "5"]
    table.undo()
    assert [one.variables["dose"] for one in table.rows] == ["", "", ""]
    assert len(seen) == 2


def test_undo_keeps_findings_of_now(table):
    table.write([0], "subject", "x")
    bad = error("subject-label", "No.")
    table.set_findings([PlanRow(**{**vars(table.rows[0]), "findings": (bad,)})])
    table.undo()
    assert (table.rows[0].subject, table.rows[0].findings) == ("m10", (bad,))


def test_numbers_in_names_and_the_order_of_timepoints_count(table):
    table.sort(table.columns.index("subject"))
    assert shown(table) == ["m1", "m2", "m10"]
    table.sort(table.columns.index("timepoint"), Qt.SortOrder.DescendingOrder)
    assert shown(table, "timepoint") == ["post1w", "pre", "pre"]
    table.sort(table.columns.index("files"), Qt.SortOrder.DescendingOrder)
    assert shown(table, "files") == ["10", "2", "1"]
    table.sort(-1)
    assert shown(table) == ["m10", "m2", "m1"]


def test_edit_in_a_sorted_table_meets_the_row_that_is_seen(table):
    table.sort(table.columns.index("subject"))
    table.write([0], "session", "mine")
    assert [one.session for one in table.rows if one.subject == "m1"] == ["mine"]


def test_filter_finds_words_anywhere_and_rows_that_are_wrong(table):
    table.show_only(RowFilter("POST1W treated"))
    assert shown(table) == ["m1"]
    table.show_only(RowFilter("", "wrong"))
    assert shown(table) == []
    key = table.rows[1].key
    table.set_states({key: RowState("upload.state_failed", "bad", ("The disk broke.",))})
    table.show_only(RowFilter("", "all"))
    table.show_only(RowFilter("disk", "wrong"))
    assert shown(table) == ["m2"]
    assert shown(table, "findings") == ["The disk broke."]


def test_nothing_can_be_edited_while_it_is_sent(table):
    table.locked = True
    index = table.index(0, table.columns.index("subject"))
    assert not table.flags(index) & Qt.ItemFlag.ItemIsEditable
    assert not table.setData(index, "other")
    table.undo()
    assert table.rows[0].subject == "m10"


def test_row_left_out_stays_in_the_table(table):
    index = table.index(1, 0)
    assert table.setData(index, Qt.CheckState.Unchecked.value, Qt.ItemDataRole.CheckStateRole)
    assert [one.include for one in table.rows] == [True, False, True]
    assert shown(table, "state")[1] == "Left out"


def many_rows():
    random.seed(5)
    return plan_of([row(random.randrange(1, 10**6), key=str(n)) for n in range(10_000)])


def work_of_actions(qapp, qtbot):
    """Return the calls of each turn of the event loop that does something with all rows at once."""
    table = PlanTable(load_config(environ={}))
    step = PlanStep(table)
    qtbot.addWidget(step)
    step.resize(1100, 700)
    step.show()
    plan = many_rows()
    lines = range(len(plan.rows))
    falling = Qt.SortOrder.DescendingOrder
    actions = {
        "set": lambda: table.set_plan(plan),
        "show": lambda: step.show_plan(plan, "plan.csv"),
        "sort by name": lambda: table.sort(table.columns.index("subject")),
        "sort by size": lambda: table.sort(table.columns.index("bytes"), falling),
        "filter": lambda: table.show_only(RowFilter("m12")),
        "show all": lambda: table.show_only(RowFilter("")),
        "select": step.view.selectAll,
        "write": lambda: table.write(lines, "dose", "5"),
        "undo": table.undo,
        "leave out": lambda: table.include(lines, False),
        "scroll": step.view.scrollToBottom,
        "state": lambda: table.set_states({"77": RowState("upload.state_done", "good")}),
    }
    calls = {}
    for name, action in actions.items():
        with TurnWork() as done:
            action()
        # What is painted afterwards is a turn of the event loop of its own.
        with TurnWork() as painted:
            qapp.processEvents()
        calls[name], calls[f"{name}: painted"] = done.most, painted.most
    assert table.rowCount() == 10_000
    return calls


def test_ten_thousand_rows_never_hold_the_window(qapp, qtbot):
    calls = work_of_actions(qapp, qtbot)
    painting = {name: calls.pop(name) for name in list(calls) if name.endswith("painted")}
    assert max(painting.values()) < TurnWork.LIMIT, painting
    assert max(calls.values()) < 30 * 10_000, calls


def test_collector_passes_over_rows_and_they_are_freed_all_the_same(qapp):
    table = PlanTable(load_config(environ={}))
    table.set_plan(many_rows())
    assert table.write(range(10_000), "dose", "5")
    seen = {id(one) for one in gc.get_objects()}
    assert not any(id(one) in seen for one in table.rows)
    old = weakref.ref(table.rows[77])
    gc.disable()
    try:
        table.set_plan(plan_of([row(1)]))
    finally:
        gc.enable()
    assert old() is None


def test_session_follows_its_subject_and_undo_takes_both_back(table):
    place = [table.row_at(line).subject for line in range(3)].index("m2")
    table.write([place], "subject", "m77")
    assert (table.row_at(place).subject, table.row_at(place).session) == ("m77", "m77_pre_MR")
    table.undo()
    assert (table.row_at(place).subject, table.row_at(place).session) == ("m2", "m2_pre_MR")


def test_a_row_shows_what_its_images_say_of_the_animal(qtbot, tmp_path):
    """Name, weight, sex and birth date stand beside the subject, the picture below the table."""
    config = load_config(environ={"XNAT_PIC_HOME": str(tmp_path / "home")})
    root = tmp_path / "data"
    said = {"PatientWeight": "0.0253", "PatientSex": "F", "PatientBirthDate": "20231107"}
    pixels = {"Rows": 4, "Columns": 4, "PixelData": bytes(range(0, 64, 2)) * 1}
    write_study(root / "m01" / "pre", "1", "m01", (1,), 1, **said, **pixels)
    write_study(root / "m02" / "pre", "2", "m02", (1,), 1)
    made = build_plan(
        scan_folder(root, config, jobs=1), "P1", config, layout="{subject}/{timepoint}"
    )
    table = PlanTable(config)
    step = PlanStep(table)
    qtbot.addWidget(step)
    table.set_plan(made)
    step.resize(1120, 700)
    step.show_plan(made, "plan.csv")
    step.show()
    columns = table.columns
    assert columns.index("header") == columns.index("subject") + 1
    assert shown(table, "header") == [
        "m01 \N{MIDDLE DOT} 25.3 g \N{MIDDLE DOT} F \N{MIDDLE DOT} 20231107",
        "m02",
    ]
    assert not table.flags(table.index(0, columns.index("header"))) & Qt.ItemFlag.ItemIsEditable
    for name in ("date", "confirmed", "findings"):  # without a scroll bar
        place = columns.index(name)
        right = step.view.columnViewportPosition(place) + step.view.columnWidth(place)
        assert right <= step.view.viewport().width(), name
    step.view.setCurrentIndex(table.index(0, 1))
    qtbot.waitUntil(lambda: not step.picture.pixmap().isNull(), timeout=10_000)
    assert step.picture.isVisible()
    assert (step.picture.pixmap().width(), step.picture.pixmap().height()) == (96, 96)
