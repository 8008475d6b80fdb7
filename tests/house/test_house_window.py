"""The window uses the packages below it only through what they export."""

import ast

import pytest

import mri2dicom
import uploader

PACKAGES = {"mri2dicom": mri2dicom, "uploader": uploader}


def _imports(source, package):
    """Yield the module, as an absolute name, and the names of each import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module, [alias.name for alias in node.names]


def _beyond(source, package):
    """Return what a module of the window imports that a package does not export."""
    found = []
    for module, names in _imports(source, package):
        top = module.partition(".")[0]
        if top not in PACKAGES or module.startswith("uploader.gui"):
            continue
        if module != top:
            found.append(module)
        elif not (top == "uploader" and names == ["gui"]):
            found += [name for name in names if name not in PACKAGES[top].__all__]
    return found


def test_the_window_imports_only_what_is_exported(root):
    wrong = {}
    for path in sorted((root / "uploader" / "gui").rglob("*.py")):
        package = path.relative_to(root).parent.parts
        beyond = _beyond(path.read_text(encoding="utf-8"), list(package))
        if beyond:
            wrong[path.relative_to(root).as_posix()] = beyond
    assert wrong == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ...planning.plan import Plan", ["uploader.planning.plan"]),
        ("from mri2dicom.series.model import RawSeries", ["mri2dicom.series.model"]),
        ("from ... import Plan, scan_folder", []),
        ("from ... import planning", ["planning"]),
        ("from .. import worker\nfrom ..page import Notice", []),
        ("def late():\n    import uploader.errors", ["uploader.errors"]),
    ],
)
def test_an_import_beyond_it_is_found(source, found):
    assert _beyond(source, ["uploader", "gui", "upload"]) == found
