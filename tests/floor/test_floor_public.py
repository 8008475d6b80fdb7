"""A package's public names are loaded when they are asked for, and not before."""

import sys

import pytest

from xnat_pic.public import lazy_names
from xnat_pic.version import version


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with one lazy name, whose module notes that it was loaded."""
    folder = tmp_path / "lazy_example"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from xnat_pic.public import lazy_names\n"
        "__getattr__, __dir__ = lazy_names(__name__, {'area': 'shapes', 'gone': 'shapes'})\n"
    )
    (folder / "shapes.py").write_text("def area(side):\n    return side * side\n")
    monkeypatch.syspath_prepend(tmp_path)
    import lazy_example

    yield lazy_example
    for name in [name for name in sys.modules if name.startswith("lazy_example")]:
        del sys.modules[name]


def test_a_name_is_loaded_at_its_first_use(package):
    assert "lazy_example.shapes" not in sys.modules
    assert package.area(3) == 9
    assert "lazy_example.shapes" in sys.modules
    assert vars(package)["area"] is package.area


def test_dir_holds_the_public_names_alone(package):
    assert dir(package) == ["__version__", "area", "gone"]
    assert package.__version__ == version()


def test_other_names_are_missing_as_in_any_module(package):
    with pytest.raises(AttributeError, match="'lazy_example' has no attribute 'volume'"):
        _ = package.volume
    with pytest.raises(AttributeError, match="gone"):
        _ = package.gone
    assert not hasattr(package, "__path_of_something__")
    load, names = lazy_names("lazy_example", {})
    assert names() == ["__version__"]
    with pytest.raises(AttributeError):
        load("area")
