"""What is installed is what the tree holds."""

import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(root, packages, tmp_path):
    # Built from a copy: an old build folder would add files that are gone from the tree.
    copy = tmp_path / "tree"
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in packages:
        shutil.copytree(root / name, copy / name, ignore=skip)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy / name)
    # Folders that must never be installed.
    for name in ("tests", "benchmarks", "docker-xnat"):
        (copy / name).mkdir()
        (copy / name / "__init__.py").touch()
    expected = {
        path.relative_to(copy).as_posix()
        for name in packages
        for path in (copy / name).rglob("*")
        if path.is_file()
    }

    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, copy],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]

    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (points,) = [n for n in archive.namelist() if n.endswith("/entry_points.txt")]
        entry_points = ConfigParser()
        entry_points.read_string(archive.read(points).decode("utf-8"))
    assert {name.split("/")[0] for name in names} == set(packages)
    missing = sorted(expected - names)
    assert missing == [], "name these in [options.package_data] of setup.cfg"
    assert sorted(names - expected) == []
    for target in entry_points["console_scripts"].values():
        module = target.partition(":")[0]
        assert module.split(".")[0] in packages


def test_every_package_has_a_type_marker(root, packages):
    assert [name for name in packages if not (root / name / "py.typed").is_file()] == []
