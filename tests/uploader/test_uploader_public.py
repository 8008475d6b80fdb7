"""What `import uploader` gives, how cheaply, and the example of the page about it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_dicom import write_series

import uploader
from xnat_config.server.login import password_login

ROOT = Path(__file__).parents[2]


def test_public_names_are_all_there_and_none_is_a_module():
    folder = Path(uploader.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")}
    assert dir(uploader) == sorted(uploader.__all__)
    assert set(uploader.__all__) & modules == set()
    for name in uploader.__all__:
        assert getattr(uploader, name) is not None
    assert {
        "scan_folder",
        "build_plan",
        "check",
        "upload",
        "verify",
        "read_plan",
        "write_plan",
    } <= (set(uploader.__all__))
    assert re.match(r"\d+\.\d+", uploader.__version__)


def test_types_and_loading_know_the_same_names():
    """What a type checker sees under TYPE_CHECKING is what is loaded."""
    tree = ast.parse(Path(uploader.__file__).read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert set(seen) | {"__version__"} == set(uploader.__all__)
    for name, module in seen.items():
        value = getattr(uploader, name)
        assert vars(sys.modules[f"uploader.{module}"])[name] is value


def test_an_import_loads_nothing_heavy():
    code = (
        "import sys, uploader; dir(uploader)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(ast.literal_eval(done.stdout))
    assert "uploader" in loaded
    assert loaded & {"numpy", "pydicom", "click", "requests", "keyring", "rich", "PySide6"} == set()


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = uploader.nothing


def test_the_example_of_the_page(start, tmp_path, monkeypatch, capsys):
    """The example of docs/reference/python.md runs against a served archive."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    section = re.search(r"^## uploader\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    statements = [line for line in example.splitlines() if line and "import " not in line]
    assert len(statements) <= 10
    monkeypatch.setenv("XNAT_PIC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for number, timepoint in enumerate(("pre", "post1w"), 1):
        folder = tmp_path / "trial/group/treated/timepoint" / timepoint / "m01/s/1"
        write_series(folder, 2, study=str(number), PatientID="m01", StudyDate=f"2024010{number}")
    server = start()
    names = {"login": password_login("admin", "admin")}
    exec(compile(example.replace("http://localhost:8080", server.url), "python.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "<Plan TRIAL: 2 rows" in shown
    assert shown.count("<RowCheck") == shown.count("<RowVerification") == 2
    assert "<UploadResult 2 done>" in shown
    assert shown.count(": pixels equal, 2/2>") == 2
    assert len(server.files("TRIAL")) == 4
