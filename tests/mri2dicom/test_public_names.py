"""What `import mri2dicom` and `import private_dictionaries` give, and how cheaply."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cases import mouse

import mri2dicom
import private_dictionaries

ROOT = Path(__file__).parents[2]
PACKAGES = [mri2dicom, private_dictionaries]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_public_names_are_all_there_and_none_is_a_module(package):
    folder = Path(package.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")}
    assert dir(package) == sorted(package.__all__)
    assert set(package.__all__) & modules == set()
    for name in package.__all__:
        value = getattr(package, name)
        assert getattr(value, "__module__", package.__name__).startswith(package.__name__)
    assert re.match(r"\d+\.\d+", package.__version__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_types_and_loading_know_the_same_names(package):
    """What a type checker sees under TYPE_CHECKING is what __getattr__ loads."""
    tree = ast.parse(Path(package.__file__).read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert set(seen) | {"__version__"} == set(package.__all__)
    for name, module in seen.items():
        home = sys.modules.get(f"{package.__name__}.{module}")
        assert home is not None or getattr(package, name) is not None
        assert vars(sys.modules[f"{package.__name__}.{module}"])[name] is getattr(package, name)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_an_import_loads_nothing_heavy(package):
    code = (
        f"import sys, {package.__name__} as package; dir(package)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(ast.literal_eval(done.stdout))
    assert package.__name__ in loaded
    assert loaded & {"numpy", "pydicom", "click", "PIL", "rich", "email"} == set()


def test_the_example_of_the_page(tmp_path, monkeypatch, capsys):
    """The example of docs/reference/python.md runs on a study of the digital mouse."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    section = re.search(r"^## mri2dicom\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(example.strip().splitlines()) <= 12
    mouse(tmp_path, "360.3.6").rename(tmp_path / "STUDY")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "python.md", "exec"), names)
    shown = capsys.readouterr().out
    for line in re.findall(r"# (.+)", example):
        assert line in shown
    assert names["values"].ndim == len(names["t2"].axes)
    assert names["report"].exit_code == 0
    assert list(tmp_path.glob("OUT/*/*.dcm"))
