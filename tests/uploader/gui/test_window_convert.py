"""The convert page on real scanner data: look, convert, cancel, look at the result."""

import shutil
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from turn_work import TurnWork

from mri2dicom import ConversionProgress, SeriesOverview, convert
from uploader.gui import preferences
from uploader.gui.convert.table import LINES, SeriesTable
from uploader.gui.convert.work import FoundSeries
from uploader.gui.error_texts import error_text
from uploader.gui.main_window import MainWindow
from uploader.gui.viewer.stack import dicom_stack, letters, raw_stack


@pytest.fixture
def window(qtbot):
    made = MainWindow()
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def study(shared_data, tmp_path):
    source = shared_data / "paravision" / "pv601_acidoCEST"
    return shutil.copytree(source, tmp_path / "in" / "study")


def _listed(qtbot, window, path):
    window.open("convert", path)
    page = window.pages["convert"]
    qtbot.waitUntil(lambda: page.listing is None, timeout=30000)
    return page


def test_look_convert_and_hand_on(qtbot, window, study):
    window.open("convert")
    with TurnWork() as work:
        page = _listed(qtbot, window, study)
        assert not page.output.exists()
        kinds = [seen.row.kind for seen in page.model.rows]
        assert kinds == ["localizer", "anatomy", "CEST"]
        assert all(seen.thumbnail.max() > 0 for seen in page.model.rows)
        page.convert()
        qtbot.waitUntil(lambda: page.writing is None, timeout=30000)
    assert work.most < work.LIMIT
    assert not work.waits
    assert len(list(page.output.rglob("*.dcm"))) == 203
    assert page.model.states[2] == "converted, 176 files"
    notice = window.bands["convert"].notice
    assert (notice.tone, notice.action) == ("good", "Upload these")
    went = []
    page.go.disconnect()
    page.go.connect(lambda name, path: went.append((name, path)))
    page.notice_action()
    assert went == [("upload", page.output)]


def test_raw_and_converted_series_look_the_same_and_right(qtbot, window, study):
    page = _listed(qtbot, window, study)
    page.convert()
    qtbot.waitUntil(lambda: page.writing is None, timeout=30000)
    for seen, result in zip(page.model.rows, page.model.results, strict=True):
        raw = raw_stack(seen.series, "raw")
        folder = page.output / result.study / result.path.rsplit("/", 1)[-1]
        written = dicom_stack(folder, "written")
        assert raw.planes == written.planes
        for plane in (0, raw.planes[-1][-1]):
            np.testing.assert_allclose(raw.read(plane), written.read(plane), rtol=1e-6)
        first = pydicom.dcmread(sorted(folder.glob("*.dcm"))[0])
        expected = first.pixel_array * float(first.get("RescaleSlope", 1))
        np.testing.assert_allclose(written.read(0), expected, rtol=1e-6)
    header = dicom_stack(folder, "cest").header(0)
    assert ("(1061,1002)", "Saturation Type", "CEST") in header


def test_the_window_loads_no_opencv():
    code = (
        "import sys; from uploader.gui import main_window, start; "
        "from uploader.gui.convert import page; "
        "sys.exit(bool({'cv2', 'SimpleITK', 'pyxnat'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_cancel_leaves_nothing_half_written(qtbot, window, study):
    page = _listed(qtbot, window, study)
    page.convert()
    task = page.writing
    with qtbot.waitSignal(task.progress, timeout=20000):
        pass
    page.convert()
    qtbot.waitUntil(lambda: page.writing is None, timeout=60000)
    assert page.report.cancelled
    assert not list(page.output.rglob("*.part"))


def test_a_folder_without_scanner_data_gets_a_sentence(qtbot, window, tmp_path):
    (tmp_path / "letters").mkdir()
    page = _listed(qtbot, window, tmp_path / "letters")
    notice = window.bands["convert"].notice
    assert notice.tone == "bad"
    assert "No scanner data found" in notice.text
    assert not page.go_button.isEnabled()


def test_letters_of_directions():
    assert letters(np.array([1.0, 0, 0])) == ("R", "L")
    assert letters(np.array([0, 0, -1.0])) == ("H", "F")
    assert letters(np.array([0, 0.8, 0.6])) == ("AF", "PH")


def test_start_page_offers_the_last_plan_only_if_it_is_there(window, tmp_path):

    start = window.pages["start"]
    assert start.resume.isHidden()
    plan = tmp_path / "plan.csv"
    plan.write_text("source\n", encoding="utf-8")
    preferences.remember_plan(plan)
    start.enter()
    assert not start.resume.isHidden()
    plan.unlink()
    start.enter()
    assert start.resume.isHidden()


def _seen(study):
    row = SeriesOverview(study, "m1", 3, 1, "RARE", "T2", "6", "64 x 64", 4, "", "T2 map series")
    return FoundSeries(row, None, None)


def test_progress_of_two_studies_with_equal_series_is_kept_apart(qtbot):
    model = SeriesTable()
    for study in ("first", "second"):
        model.add(_seen(study))
    model.progress(ConversionProgress("3/1 T2", 1, 4, "second"))
    model.progress(ConversionProgress("3/1 T2", 2, 4, "first"))
    model.progress(ConversionProgress("3/1 T2", 3, 4, "second"))
    assert model.percent == [50, 75]


def test_progress_names_its_study(study, tmp_path):
    (tmp_path / "both").mkdir()
    for name in ("one", "two"):
        shutil.copytree(study / "1", tmp_path / "both" / name / "1")
        shutil.copy(study / "subject", tmp_path / "both" / name / "subject")
    heard = []
    report = convert(tmp_path / "both", tmp_path / "out", on_progress=heard.append)
    written = {one.study for one in report.series if one.status == "converted"}
    assert {one.study for one in heard} == written
    assert written <= {"one", "two"}


def test_options_reach_the_files(qtbot, window, study):
    page = _listed(qtbot, window, study)
    options = page.options
    assert options.folded.isHidden()
    options.more.click()
    assert options.folded.isVisible()
    options.subject.setText(" m7 ")
    options.species.setCurrentText("mouse")
    options.strain.setText("C57BL/6J")
    options.study.setText("Tumour growth")
    options.orientation.setCurrentIndex(options.orientation.findData("biped"))
    options.position.setCurrentIndex(options.position.findData("FFS"))
    options.enhanced.setChecked(True)
    page.convert()
    qtbot.waitUntil(lambda: page.writing is None, timeout=30000)
    (file,) = page.output.rglob("40001_*/*.dcm")
    ds = pydicom.dcmread(file, stop_before_pixels=True)
    assert ds.PatientID == "m7"
    assert ds.PatientSpeciesCodeSequence[0].CodeValue == "447612001"
    assert ds.StrainDescription == "C57BL/6J"
    assert ds.StudyDescription == "Tumour growth"
    assert ds.AnatomicalOrientationType == "BIPED"
    assert "FFS" in str(ds)
    assert int(ds.NumberOfFrames) == 176


def test_the_table_fits_a_narrow_window(qtbot, window, study):
    window.resize(820, 600)
    page = _listed(qtbot, window, study)
    table = page.table
    widths = [table.columnWidth(column) for column in range(page.model.columnCount())]
    assert sum(widths) <= table.viewport().width()
    assert min(widths) > 120
    lines = page.model.data(page.model.index(2, 0), LINES)
    assert lines == ("4/1  cestFISP_Pagel5", "CEST · 64×64×176")


def test_a_foreign_fault_is_one_short_sentence():
    sentence = error_text(RuntimeError("many\n  words " * 200))
    assert "\n" not in sentence
    assert len(sentence) < 320
