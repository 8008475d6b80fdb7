"""What `import pipelines` gives, and how cheaply."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

import pipelines

ROOT = Path(__file__).parents[2]


def test_public_names_are_all_there_and_none_is_a_module():
    folder = Path(pipelines.__file__).parent
    modules = {path.stem for path in folder.iterdir() if path.suffix in ("", ".py")}
    assert dir(pipelines) == sorted(pipelines.__all__)
    assert set(pipelines.__all__) & modules == set()
    for name in pipelines.__all__:
        assert getattr(pipelines, name) is not None
    assert re.match(r"\d+\.\d+", pipelines.__version__)


def test_types_and_loading_know_the_same_names():
    """What a type checker sees under TYPE_CHECKING is what __getattr__ loads."""
    tree = ast.parse(Path(pipelines.__file__).read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    names = {
        alias.name: node.module
        for node in typed.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert set(names) | {"__version__"} == set(pipelines.__all__)
    for name, module in names.items():
        value = getattr(pipelines, name)
        assert vars(sys.modules[f"pipelines.{module}"])[name] is value


def test_an_import_loads_nothing_heavy():
    code = (
        "import sys, pipelines; dir(pipelines)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(ast.literal_eval(done.stdout))
    assert "pipelines" in loaded
    assert loaded & {"numpy", "numba", "scipy", "pydicom", "nibabel", "requests", "click"} == set()


def test_the_example_of_the_page(mouse, tmp_path, monkeypatch, capsys):
    """The example of docs/reference/python.md runs on a series of the digital mouse."""
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    section = re.search(r"^## pipelines\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(example.strip().splitlines()) <= 12
    (tmp_path / "SERIES").symlink_to(mouse.series("t2"))
    images = pipelines.load_images(tmp_path / "SERIES", pipelines.MAP_METHODS["t2"].requirement)
    slices, rows, columns = images.grid
    drawn = np.zeros((columns, rows, slices), np.uint8)
    drawn[columns // 2 - 3 : columns // 2 + 3, rows // 2 - 3 : rows // 2 + 3, slices // 2] = 1
    nib.save(nib.Nifti1Image(drawn, images.affine), tmp_path / "ROI.nii.gz")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "python.md", "exec"), names)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown] == [
        "<Images", "<FitResult", "<MapSummary", "<MaskAverageSummary",
    ]  # fmt: skip
    assert all(len(line) < 200 for line in shown)
    assert "1 of 1 ROIs in T2map" in shown[3]
    assert names["t2"].shape == images.grid
    assert 20 < np.nanmedian(names["t2"]) < 60
