"""Every kind of file that is written passes dciodvfy without an error."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pydicom
import pytest
from cases import FIXTURES, converted, files_below, mouse, synthetic_studies
from programs import need_program

from sandbox.mouse import VERSIONS

pytestmark = pytest.mark.tool

FORMS = {"classic": False, "enhanced": True}


@pytest.fixture(scope="module")
def validate():
    """Return a function from files to the errors dciodvfy finds, by file."""
    tool = need_program("dciodvfy")

    def errors(path):
        found = subprocess.run([tool, path], capture_output=True, check=False)
        lines = (found.stderr + found.stdout).decode(errors="replace").splitlines()
        # The first line names the object: without it the tool has not looked at the file.
        assert any(line in ("MRImage", "EnhancedMRImage", "ParametricMap") for line in lines), lines
        return [line for line in lines if line.startswith("Error")]

    def run(paths):
        assert paths
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return {str(p): e for p, e in zip(paths, pool.map(errors, paths), strict=True) if e}

    return run


def test_the_tool_sees_errors(validate, tmp_path, shared_data):
    """The scanner's own export has errors, so silence means something."""
    path = next((shared_data / "paravision" / "pv601_acidoCEST" / "4").rglob("*.dcm"))
    ds = pydicom.dcmread(path)
    del ds.SOPInstanceUID
    ds.save_as(tmp_path / "bad.dcm")
    assert validate([tmp_path / "bad.dcm"]) != {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FIXTURES)
def test_real_studies(validate, shared_data, tmp_path, name, form):
    report = converted(shared_data / "paravision" / name, tmp_path, enhanced=FORMS[form])
    files = files_below(tmp_path)
    assert len(files) == sum(one.files for one in report.series)
    if name == "misc_dicomifier_tests":
        assert files == []  # nothing in it can be converted
    else:
        assert validate(files) == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("version", VERSIONS)
def test_digital_mouse(validate, tmp_path, version, form):
    report = converted(mouse(tmp_path / "in", version), tmp_path / "out", enhanced=FORMS[form])
    assert report.count("converted") == 8
    files = files_below(tmp_path / "out")
    classes = {pydicom.dcmread(f, specific_tags=["SOPClassUID"]).SOPClassUID.name for f in files}
    expected = "Enhanced MR Image Storage" if FORMS[form] else "MR Image Storage"
    assert classes == {expected, "Parametric Map Storage"}
    assert validate(files) == {}


@pytest.mark.parametrize("form", FORMS)
def test_every_other_kind_of_series(validate, tmp_path, form):
    studies = synthetic_studies(tmp_path / "in")
    report = converted(tmp_path / "in", tmp_path / "out", enhanced=FORMS[form])
    assert report.count("converted") == len(studies)
    assert validate(files_below(tmp_path / "out")) == {}


@pytest.mark.parametrize("form", FORMS)
def test_everything_a_person_adds(validate, tmp_path, form):
    """Overrides, with signs outside ASCII, are legal too."""
    from mri2dicom import Overrides

    studies = synthetic_studies(tmp_path / "in")
    given = Overrides("Ärmel^=1", "mouse", "C57BL/6J µ", "Étude", "biped", "FFS")
    report = converted(studies["three_d"], tmp_path / "out", enhanced=FORMS[form], overrides=given)
    assert report.count("converted") == 1
    assert validate(files_below(tmp_path / "out")) == {}
